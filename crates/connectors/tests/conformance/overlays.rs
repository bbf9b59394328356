//! What administrators add to a slapd: password policies, memberships, logs of changes.

use std::sync::Arc;

use futures::StreamExt;
use ldap3::LdapConnAsync;
use xavyo_connectors::{
    AccountChange, AccountUpdate, ChangeItem, Completeness, Connector, ReadRequest, WATERMARK_EXPIRED,
};
use xavyo_core::{
    account::{Account, AccountKey},
    change::Change,
    connector::{FailureKind, Settings, TargetFailure},
};
use xavyo_sandbox::slapd::{self, GROUPS, HOST, Overlay, Slapd};

use crate::target::{Target, ldap_on, modify, read, set, texts};

async fn with(overlays: &[Overlay]) -> (Slapd, Target) {
    let options = slapd::Options { overlays: overlays.to_vec(), ..slapd::Options::default() };
    let slapd = Slapd::start(&options).await.unwrap();
    let mut target = ldap_on(&slapd).await;
    if let Settings::Ldap(settings) = &mut target.settings {
        (settings.disabled_attribute, settings.disabled_value) = (None, None);
        settings.group_base_dn = Some(GROUPS.to_owned());
    }
    target.connector = target.reopened(|_| {});
    target.connector.check().await.unwrap();
    (slapd, target)
}

/// The account itself can log in.
async fn can_log_in(slapd: &Slapd, account: &Account, password: &str) -> bool {
    let (connection, mut ldap) =
        LdapConnAsync::new(&format!("ldap://{HOST}:{}", slapd.port())).await.unwrap();
    ldap3::drive!(connection);
    ldap.simple_bind(&account.external_uid, password).await.unwrap().rc == 0
}

async fn update(target: &Target, account: &Account, update: AccountUpdate) -> Result<Account, TargetFailure> {
    target.connector.update(target.object_class, &account.key(), &update).await
}

#[tokio::test]
async fn a_password_is_judged_and_kept_by_the_servers_own_rules() {
    let (slapd, target) = with(&[Overlay::PasswordPolicy]).await;
    let new = target.new_account_with("ada", "userPassword", &["Sesame-1"]);
    let ada = target.connector.create(&new).await.unwrap();
    assert!(can_log_in(&slapd, &ada, "Sesame-1").await);

    let changes = set("userPassword", &["Sesame-2"]).into_iter().chain(set("title", &["Countess"]));
    let both = AccountUpdate { changes: changes.collect(), ..AccountUpdate::default() };
    update(&target, &ada, both).await.unwrap();
    assert!(can_log_in(&slapd, &ada, "Sesame-2").await && !can_log_in(&slapd, &ada, "Sesame-1").await);
    let mut administrator = slapd.administrator().await.unwrap();
    let found = administrator
        .search(&ada.external_uid, ldap3::Scope::Base, "(objectClass=*)", ["userPassword", "title"])
        .await;
    let kept = ldap3::SearchEntry::construct(found.unwrap().0.remove(0));
    assert!(kept.attrs["userPassword"][0].starts_with("{SSHA}"), "never in clear text");
    assert_eq!(kept.attrs["title"], ["Countess"]);

    let failure = target.update(&ada.key(), set("userPassword", &["brief-7"])).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Refused, "LDAP_19"));
    assert!(!failure.message.contains("brief-7"));
    assert!(can_log_in(&slapd, &ada, "Sesame-2").await);
}

/// Q5: the next try begins with nothing.
#[tokio::test]
async fn a_create_that_cannot_be_finished_is_undone() {
    let (_slapd, target) = with(&[Overlay::PasswordPolicy, Overlay::Groups]).await;
    for (attribute, value) in [
        ("userPassword", "brief"),
        ("memberOf", "cn=nobody,ou=groups,dc=example,dc=org"),
        ("memberOf", "cn=x,dc=y"),
    ] {
        let failure =
            target.connector.create(&target.new_account_with("ada", attribute, &[value])).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
        assert_eq!(target.read().await.1.count, 0, "{attribute}");
    }
}

#[tokio::test]
async fn an_account_is_locked_by_the_password_policy() {
    let (slapd, target) = with(&[Overlay::PasswordPolicy]).await;
    let new = target.new_account_with("ada", "userPassword", &["Sesame-1"]);
    let ada = target.connector.create(&new).await.unwrap();
    assert!(target.connector.capabilities().disables);
    for enabled in [false, true] {
        let state = AccountUpdate { enabled: Some(enabled), ..AccountUpdate::default() };
        let updated = update(&target, &ada, state).await.unwrap();
        assert_eq!(updated.enabled, Some(enabled));
        assert_eq!(can_log_in(&slapd, &ada, "Sesame-1").await, enabled);
    }
}

async fn group(slapd: &Slapd, name: &str) -> String {
    let dn = format!("cn={name},{GROUPS}");
    // A group is never empty: the policy of its schema.
    let group = slapd::values_by_name(&[("objectClass", "groupOfNames"), ("member", "cn=nobody")]);
    slapd.administrator().await.unwrap().add(&dn, group).await.unwrap().success().unwrap();
    dn
}

#[tokio::test]
async fn membership_is_written_to_the_groups_and_shown_by_the_account() {
    let (slapd, target) = with(&[Overlay::Groups]).await;
    let [a, b, c] = [group(&slapd, "a").await, group(&slapd, "b").await, group(&slapd, "c").await];
    let shown = async |key: &AccountKey| {
        let wanted = ["memberOf".to_owned()];
        let account = target.connector.get(target.object_class, key, &wanted).await.unwrap().unwrap();
        texts(&account.attributes, "memberOf")
    };

    let ada = target.connector.create(&target.new_account_with("ada", "memberOf", &[&a, &b])).await.unwrap();
    assert_eq!(shown(&ada.key()).await, [a.as_str(), &b]);
    for _ in 0..2 {
        target.update(&ada.key(), modify("memberOf", &[&b, &c], &[&a])).await.unwrap();
        assert_eq!(shown(&ada.key()).await, [b.as_str(), &c], "and again");
    }
    let rename = AccountUpdate { rename_to: Some("ada.king".into()), ..AccountUpdate::default() };
    let ada = update(&target, &ada, rename).await.unwrap();
    assert_eq!(shown(&ada.key()).await, [b.as_str(), &c], "groups follow a renamed member");
    target.update(&ada.key(), set("memberOf", &[&a])).await.unwrap();
    assert_eq!(shown(&ada.key()).await, [a.as_str()]);
    target.update(&ada.key(), [("memberOf".to_owned(), Change::Clear)].into()).await.unwrap();
    assert_eq!(shown(&ada.key()).await, Vec::<String>::new());

    target.update(&ada.key(), set("memberOf", &[&a])).await.unwrap();
    target.connector.delete(target.object_class, &ada.key(), None, "").await.unwrap();
    let ada = target.create("ada.king").await;
    assert_eq!(shown(&ada.key()).await, Vec::<String>::new(), "the next of that name inherits nothing");
    let mut administrator = slapd.administrator().await.unwrap();
    let left = format!("(member={})", ada.external_uid);
    let left = administrator.search(GROUPS, ldap3::Scope::Subtree, &left, ["1.1"]).await.unwrap();
    assert!(left.0.is_empty(), "the groups hold the name of a deleted account");

    for (value, code) in
        [("cn=admins,dc=example,dc=org", "LDAP_GROUP"), ("staff", "LDAP_GROUP"), (GROUPS, "LDAP_GROUP")]
    {
        let failure = target.update(&ada.key(), modify("memberOf", &[value], &[])).await.unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Refused, code), "{value}");
    }
}

async fn changes(
    connector: &dyn Connector,
    since: &str,
) -> Result<(Vec<AccountChange>, Completeness), TargetFailure> {
    let request = ReadRequest { object_class: "inetOrgPerson".into(), attributes: Vec::new() };
    let (mut changes, mut proof) = (Vec::new(), None);
    let mut items = connector.changes(request, since);
    while let Some(item) = items.next().await {
        match item? {
            ChangeItem::Page(page) => changes.extend(page),
            ChangeItem::Proof(found) => proof = Some(found),
        }
    }
    Ok((changes, proof.unwrap()))
}

/// R1: more deletes than the server remembers are not guessed from what is still there.
#[tokio::test]
async fn deletes_that_the_server_has_forgotten_are_not_guessed() {
    let (mut slapd, target) = with(&[Overlay::Changes]).await;
    let [ada, bob] = [target.create("ada").await, target.create("bob").await];
    let mark = target.read().await.1.watermark.unwrap();
    assert!(mark.starts_with("sync "), "{mark}");
    target.connector.delete(target.object_class, &ada.key(), None, "").await.unwrap();
    let (told, proof) = changes(target.connector.as_ref(), &mark).await.unwrap();
    assert!(
        told.iter().any(|it| matches!(it, AccountChange::Gone(key) if key.immutable_id == ada.immutable_id))
    );
    assert!(proof.evidence.contains("with deletes"), "{}", proof.evidence);

    // The log of its session ends with the session.
    let options = slapd::Options { overlays: vec![Overlay::Changes], ..slapd::Options::default() };
    slapd.restart(&options).await.unwrap();
    target.connector.delete(target.object_class, &bob.key(), None, "").await.unwrap();
    match changes(target.connector.as_ref(), &mark).await {
        Ok((told, proof)) => {
            let is_ada = |key: &AccountKey| key.immutable_id == ada.immutable_id;
            let guessed = told.iter().any(|it| matches!(it, AccountChange::Gone(key) if is_ada(key)));
            assert!(!guessed && proof.evidence.contains("without deletes"), "{told:?}, {}", proof.evidence);
        }
        Err(failure) => assert_eq!(failure.code, WATERMARK_EXPIRED),
    }
}

#[tokio::test]
async fn a_mark_of_one_means_is_of_no_use_to_another_server() {
    let (_slapd, target) = with(&[]).await;
    target.create("ada").await;
    let mark = target.read().await.1.watermark.unwrap();
    assert!(mark.starts_with("modified "), "{mark}");
    for foreign in ["sync rid=000,csn=20240101000000.000000Z#000000#000#000000", "usn 5 cn=dc1"] {
        let failure = changes(target.connector.as_ref(), foreign).await.unwrap_err();
        assert_eq!(failure.code, WATERMARK_EXPIRED, "{foreign}");
    }
}

/// A directory says of itself what an account can hold.
#[tokio::test]
async fn the_schema_tells_types_rules_and_what_only_the_server_writes() {
    use xavyo_core::connector::{AttributeType, MatchingRule};
    let (_slapd, target) = with(&[]).await;
    let classes = target.connector.describe().await.unwrap();
    assert_eq!(classes.len(), 1);
    let of = |name: &str| classes[0].attributes.iter().find(|it| it.name == name).unwrap();
    assert_eq!(of("manager").value_type, AttributeType::Reference);
    assert_eq!(of("manager").matching_rule, MatchingRule::Dn);
    assert_eq!(of("jpegPhoto").value_type, AttributeType::Binary);
    assert_eq!(of("telephoneNumber").matching_rule, MatchingRule::Phone);
    assert_eq!(of("cn").value_type, AttributeType::Text, "as its supertype has it");
    assert!(of("sn").required && of("cn").required && !of("uid").required && !of("mail").required);
    assert!(of("mail").multi_valued && !of("displayName").multi_valued);
    assert!(!of("userPassword").readable && of("userPassword").writable_on_update);
}

/// The whole of the base is read by whom the connector logs in as, of whatever class: only accounts are told.
#[tokio::test]
async fn reads_and_changes_tell_no_more_than_the_class() {
    let (slapd, target) = with(&[Overlay::Changes]).await;
    let connector: Arc<dyn Connector> = target.connector.clone();
    target.create("ada").await;
    let mark = read(connector.as_ref(), target.object_class, &[]).await.1.watermark.unwrap();
    let Settings::Ldap(settings) = &target.settings else { unreachable!("a directory") };
    let unit = slapd::values_by_name(&[("objectClass", "organizationalUnit")]);
    let dn = format!("ou=sub,{}", settings.base_dn);
    slapd.administrator().await.unwrap().add(&dn, unit).await.unwrap().success().unwrap();
    let bob = target.create("bob").await;

    let (told, _) = changes(connector.as_ref(), &mark).await.unwrap();

    assert!(
        matches!(told.as_slice(), [AccountChange::Changed(account)] if account.key() == bob.key()),
        "{told:?}"
    );
}
