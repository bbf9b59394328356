//! What directories alone show: limits and hidden subtrees, TLS, names, dropped connections.

use ldap3::Ldap;
use xavyo_connectors::{AccountUpdate, Connector, Options, Secrets, egress, open};
use xavyo_core::{
    account::AccountKey,
    connector::{FailureKind, LdapSettings, LdapTls, Settings},
    value::Value,
};
use xavyo_sandbox::{
    slapd::{self, Slapd},
    tls::Authority,
};

use crate::target::{Target, ldap, ldap_on, modify, options, read, set, texts};

fn ldap_settings(settings: &mut Settings) -> &mut LdapSettings {
    match settings {
        Settings::Ldap(settings) => settings,
        Settings::Memory(_) | Settings::Sql(_) | Settings::Scim(_) | Settings::Remote(_) => {
            unreachable!("an LDAP target")
        }
    }
}

fn reopened(target: &Target, change: impl FnOnce(&mut LdapSettings)) -> std::sync::Arc<dyn Connector> {
    target.reopened(|settings| change(ldap_settings(settings)))
}

/// R1: a size limit on a later page ends the read with success's opposite, which ldap3's own paging would drop.
#[tokio::test]
async fn a_read_cut_by_the_servers_size_limit_is_not_complete() {
    let mut slapd = Slapd::start(&slapd::Options::default()).await.unwrap();
    let target = ldap_on(&slapd).await;
    for n in 0..25 {
        target.create(&format!("p{n}")).await;
    }
    let limited = slapd::Options { size_limit: Some(15), ..slapd::Options::default() };
    slapd.restart(&limited).await.unwrap();

    for page_size in [5, 10, 500] {
        let connector = reopened(&target, |settings| settings.page_size = page_size);
        let (accounts, proof) = read(connector.as_ref(), target.object_class, &[]).await;
        assert!(accounts.len() < 25);
        assert!(!proof.complete, "pages of {page_size}: {}", proof.evidence);
        assert!(proof.evidence.contains("LDAP_4"), "{}", proof.evidence);
    }
    let keys: Vec<AccountKey> =
        (0..25).map(|n| AccountKey { external_uid: format!("p{n}"), immutable_id: None }).collect();
    let found = target.connector.get_many(target.object_class, &keys, &[]).await.unwrap();
    let by_id: Vec<AccountKey> = found.into_iter().map(|account| account.unwrap().key()).collect();
    let found = target.connector.get_many(target.object_class, &by_id, &[]).await.unwrap();
    assert!(found.iter().all(Option::is_some), "point reads ask for less at once");
}

/// R1: a subtree hidden by access rules answers success with fewer entries: a sentinel in it can tell.
#[tokio::test]
async fn a_hidden_subtree_is_noticed_by_its_sentinel() {
    let mut slapd = Slapd::start(&slapd::Options::default()).await.unwrap();
    let target = ldap_on(&slapd).await;
    target.create("ada").await;
    let hidden = target.create("hidden").await;
    let rules = slapd::Options { hidden: vec![hidden.external_uid.clone()], ..slapd::Options::default() };
    slapd.restart(&rules).await.unwrap();

    let (accounts, proof) = target.read().await;
    assert!(accounts.len() == 1 && proof.complete, "without a sentinel nobody can know");

    let watching = reopened(&target, |settings| settings.sentinels.push("hidden".into()));
    let (_, proof) = read(watching.as_ref(), target.object_class, &[]).await;
    assert!(!proof.complete && proof.evidence.contains("uid=hidden"), "{}", proof.evidence);
    assert!(watching.check().await.unwrap().iter().any(|step| step.name == "sentinel" && !step.ok));
}

#[tokio::test]
async fn a_referral_is_counted_and_never_followed() {
    let slapd = Slapd::start(&slapd::Options::default()).await.unwrap();
    let target = ldap_on(&slapd).await;
    target.create("ada").await;
    let base = ldap_settings(&mut target.settings.clone()).base_dn.clone();
    let referral =
        [("objectClass", "referral"), ("objectClass", "extensibleObject"), ("ref", "ldap://192.0.2.1/dc=x")];
    let dn = format!("ou=elsewhere,{base}");
    slapd
        .administrator()
        .await
        .unwrap()
        .add(&dn, slapd::values_by_name(&referral))
        .await
        .unwrap()
        .success()
        .unwrap();

    let (accounts, proof) = target.read().await;

    assert_eq!(accounts.len(), 1);
    assert!(!proof.complete && proof.evidence.contains("1 referrals"), "{}", proof.evidence);
}

#[tokio::test]
async fn the_filter_narrows_reads_and_nothing_else() {
    let target = ldap().await;
    let staff = target.connector.create(&target.new_account_with("ada", "title", &["staff"])).await.unwrap();
    let guest = target.connector.create(&target.new_account_with("bob", "title", &["guest"])).await.unwrap();
    let connector = reopened(&target, |settings| settings.filter = "title=staff".into());

    let (accounts, proof) = read(connector.as_ref(), target.object_class, &[]).await;
    assert!(proof.complete && accounts.len() == 1 && accounts[0].key() == staff.key());
    let found = connector.get(target.object_class, &guest.key(), &[]).await.unwrap();
    assert!(found.is_some(), "an account outside the filter still exists");
}

#[tokio::test]
async fn tls_is_verified_in_both_modes() {
    let slapd = Slapd::start(&slapd::Options::default()).await.unwrap();
    let target = ldap_on(&slapd).await;
    let stranger = Authority::generate().unwrap().certificate_pem().to_owned();
    for (tls, port) in [(LdapTls::StartTls, slapd.port()), (LdapTls::Ldaps, slapd.tls_port())] {
        let good = reopened(&target, |settings| (settings.tls, settings.port) = (tls, port));
        assert!(good.check().await.unwrap().iter().all(|step| step.ok));

        let untrusted = reopened(&target, |settings| {
            (settings.tls, settings.port) = (tls, port);
            settings.ca_certificates = Some(stranger.clone());
        });
        let misnamed = reopened(&target, |settings| {
            (settings.tls, settings.port) = (tls, port);
            settings.host = "127.0.0.2".into();
        });
        for bad in [untrusted, misnamed] {
            let failure = bad.create(&target.new_account("x")).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::Down, "{tls:?}: {failure}");
        }
    }
}

#[tokio::test]
async fn an_empty_password_or_a_denied_address_is_refused_before_anything_is_sent() {
    let target = ldap().await;
    let empty = open(&target.settings, &Secrets::from_iter([("bind_password", "")]), &options());
    assert_eq!(empty.unwrap_err().violations[0].field, "secrets.bind_password");

    let policy = egress::Policy { deny: vec!["127.0.0.0/8".parse().unwrap()], ..egress::Policy::default() };
    let strict = Options { egress: policy, ..options() };
    let connector = open(&target.settings, &target.secrets, &strict).unwrap();
    assert_eq!(connector.create(&target.new_account("x")).await.unwrap_err().code, "EGRESS_DENIED");
}

#[tokio::test]
async fn a_new_account_is_named_literally_or_by_the_dn_that_would_be_made() {
    let target = ldap().await;
    let base = ldap_settings(&mut target.settings.clone()).create_base_dn.clone();
    let by_dn = target.create(&format!("UID=ada,{base}")).await;
    assert_eq!(by_dn.external_uid, format!("uid=ada,{base}"));
    for elsewhere in [format!("uid=eve,ou=admins,{base}"), format!("cn=eve,{base}"), base.clone()] {
        let failure = target.connector.create(&target.new_account(&elsewhere)).await.unwrap_err();
        assert_eq!(failure.code, "LDAP_NAME", "{elsewhere}");
    }
    let literal = target.create("uid=eve,dc=other").await;
    assert_eq!(literal.external_uid, format!("uid=uid=eve\\,dc=other,{base}"));
}

#[tokio::test]
async fn setting_the_naming_attribute_renames_the_entry() {
    let target = ldap().await;
    let made = target.create("ada").await;
    let renamed = target.update(&made.key(), set("uid", &["ada.king"])).await.unwrap();
    assert!(renamed.external_uid.starts_with("uid=ada.king,"));
    assert_eq!(renamed.immutable_id, made.immutable_id);
    let now = target.get(&made.key()).await.unwrap();
    assert_eq!(texts(&now.attributes, "uid"), ["ada.king"]);
}

#[tokio::test]
async fn a_rename_alone_may_be_repeated_and_further_names_are_kept() {
    let target = ldap().await;
    let made = target.create("ada").await;
    let rename = AccountUpdate { rename_to: Some("ada.king".into()), ..AccountUpdate::default() };
    let first = target.connector.update(target.object_class, &made.key(), &rename).await.unwrap();
    let again = target.connector.update(target.object_class, &made.key(), &rename).await.unwrap();
    assert_eq!(again.key(), first.key());

    let renamed = target.update(&made.key(), set("uid", &["countess", "lovelace"])).await.unwrap();
    assert!(renamed.external_uid.starts_with("uid=countess,"));
    let now = target.get(&renamed.key()).await.unwrap();
    assert_eq!(texts(&now.attributes, "uid"), ["countess", "lovelace"]);
}

/// The entry was renamed, and its old name given to another, behind our back.
#[tokio::test]
async fn a_write_follows_an_entry_to_its_new_name() {
    let slapd = Slapd::start(&slapd::Options::default()).await.unwrap();
    let target = ldap_on(&slapd).await;
    let ada = target.create("ada").await;
    let mut administrator: Ldap = slapd.administrator().await.unwrap();
    administrator.modifydn(&ada.external_uid, "uid=moved", true, None).await.unwrap().success().unwrap();
    let other = target.create("ada").await;

    let updated = target.update(&ada.key(), set(target.text, &["Ada"])).await.unwrap();
    assert!(updated.external_uid.starts_with("uid=moved,"), "{}", updated.external_uid);
    target.connector.delete(target.object_class, &ada.key(), None, "").await.unwrap();

    let left = target.get(&other.key()).await.unwrap();
    assert!(texts(&left.attributes, target.text).is_empty());
    assert_eq!(target.get(&ada.key()).await, None);
}

#[tokio::test]
async fn presence_is_the_servers_own_equality() {
    let target = ldap().await;
    let made =
        target.connector.create(&target.new_account_with("ada", "description", &["Blue"])).await.unwrap();
    target.update(&made.key(), modify("description", &["BLUE", "green"], &[])).await.unwrap();
    let now = target.get(&made.key()).await.unwrap();
    assert_eq!(texts(&now.attributes, "description"), ["Blue", "green"]);
}

#[tokio::test]
async fn binary_values_come_back_as_bytes() {
    let target = ldap().await;
    let made = target.create("ada").await;
    let photo = Value::Binary(b"\xff\xd8\xff\xe0 a photo \0".to_vec());
    let changes = [("jpegPhoto".to_owned(), xavyo_core::change::Change::Set(vec![photo.clone()]))].into();
    target.update(&made.key(), changes).await.unwrap();
    assert_eq!(target.get(&made.key()).await.unwrap().attributes["jpegPhoto"], [photo]);
}

#[tokio::test]
async fn a_connection_that_the_server_dropped_is_replaced() {
    let mut slapd = Slapd::start(&slapd::Options::default()).await.unwrap();
    let target = ldap_on(&slapd).await;
    let made = target.create("ada").await;
    slapd.restart(&slapd::Options::default()).await.unwrap();

    target.update(&made.key(), set(target.text, &["after"])).await.unwrap();
    assert_eq!(texts(&target.get(&made.key()).await.unwrap().attributes, target.text), ["after"]);
}
