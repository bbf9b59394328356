//! Reads: whole, by key, by value; and what they answer when there is no good answer.

use std::{collections::BTreeSet, net::TcpListener};

use futures::{StreamExt, stream};
use xavyo_connectors::{Secrets, open};
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{FailureKind, Settings},
    value::Value,
};

use crate::target::{Target, faulty, options, read, texts};

pub async fn a_read_shows_every_account_and_proves_it(target: &Target) {
    let ada =
        target.connector.create(&target.new_account_with("ada", target.text, &["Ada L."])).await.unwrap();
    let bob = target.create("bob").await;

    let (accounts, proof) = target.read().await;

    let keys: Vec<AccountKey> = accounts.iter().map(Account::key).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys.contains(&ada.key()) && keys.contains(&bob.key()), "{keys:?}");
    let shown = accounts.iter().find(|account| account.key() == ada.key()).unwrap();
    assert_eq!(texts(&shown.attributes, target.text), ["Ada L."]);
    assert_eq!(shown.version, ada.version);
    assert!(proof.complete, "{}", proof.evidence);
    assert_eq!(proof.count, 2);
    assert!(!proof.evidence.is_empty() && proof.calls > 0);
}

pub async fn a_read_of_many_pages_shows_each_account_once(target: &Target) {
    const COUNT: usize = 1_203;
    stream::iter(0..COUNT)
        .for_each_concurrent(8, async |n| drop(target.create(&format!("p{n}")).await))
        .await;

    let (accounts, proof) = target.read().await;

    let uids: BTreeSet<&str> = accounts.iter().map(|account| account.external_uid.as_str()).collect();
    assert_eq!((accounts.len(), uids.len()), (COUNT, COUNT));
    assert!(proof.complete, "{}", proof.evidence);
    assert_eq!(proof.count, i64::try_from(COUNT).unwrap());
}

pub async fn a_read_asks_for_no_more_attributes_than_wanted(target: &Target) {
    let mut account = target.new_account_with("ada", target.text, &["Ada"]);
    account.attributes.insert(target.many.to_owned(), vec![Value::from("g1")]);
    target.connector.create(&account).await.unwrap();

    let (accounts, _) = read(target.connector.as_ref(), target.object_class, &[target.many]).await;
    assert_eq!(accounts[0].attributes.keys().collect::<Vec<_>>(), [target.many]);

    let (accounts, _) = read(target.connector.as_ref(), target.object_class, &[]).await;
    assert!(accounts[0].attributes.is_empty());
    assert!(accounts[0].immutable_id.is_some() && accounts[0].enabled == Some(true));
}

/// R1: a target that hides a part answers with success. Only an account that must be there can tell.
pub async fn a_read_without_its_sentinels_is_not_complete(target: &Target) {
    target.create("ada").await;
    let with_sentinel = |uid: &str| {
        target.reopened(|settings| match settings {
            Settings::Ldap(settings) => settings.sentinels.push(uid.to_owned()),
            Settings::Sql(settings) => settings.sentinels.push(uid.to_owned()),
            Settings::Memory(_) | Settings::Scim(_) | Settings::Remote(_) => {}
        })
    };
    let (_, proof) = read(with_sentinel("ada").as_ref(), target.object_class, &[]).await;
    assert!(proof.complete, "{}", proof.evidence);

    let (_, proof) = read(with_sentinel("sentinel").as_ref(), target.object_class, &[]).await;
    let has_sentinels = !matches!(target.settings, Settings::Memory(_));
    assert_eq!(proof.complete, !has_sentinels, "{}", proof.evidence);
    assert!(!has_sentinels || proof.evidence.contains("sentinel"));
}

pub async fn an_account_is_got_by_its_uid_and_by_its_immutable_id(target: &Target) {
    let made = target.connector.create(&target.new_account_with("ada", target.text, &["Ada"])).await.unwrap();

    for immutable_id in [None, made.immutable_id.clone()] {
        let key = AccountKey { external_uid: made.external_uid.clone(), immutable_id };
        let got = target.get(&key).await.unwrap();
        assert_eq!(got.key(), made.key());
        assert_eq!(got.version, made.version);
        assert_eq!(texts(&got.attributes, target.text), ["Ada"]);
    }
    assert_eq!(target.get(&AccountKey { external_uid: "nobody".into(), immutable_id: None }).await, None);
}

pub async fn the_same_uid_with_another_immutable_id_is_not_the_account(target: &Target) {
    let made = target.create("ada").await;
    for other in ["00000000-0000-4000-8000-000000000000", "no id at all", ""] {
        let key = AccountKey { immutable_id: Some(other.into()), ..made.key() };
        assert_eq!(target.get(&key).await, None, "{other}");
    }
}

pub async fn many_accounts_are_got_in_the_order_of_their_keys(target: &Target) {
    let (ada, bob) = (target.create("ada").await, target.create("bob").await);
    let named = |account: &Account| AccountKey { immutable_id: None, ..account.key() };
    let absent = AccountKey { external_uid: "nobody".into(), immutable_id: None };
    let no_id = AccountKey { external_uid: "x".into(), immutable_id: Some("no id at all".into()) };
    let keys = [bob.key(), absent, named(&ada), no_id, ada.key(), bob.key()];

    let got = target.connector.get_many(target.object_class, &keys, &[]).await.unwrap();

    let got: Vec<Option<AccountKey>> = got.iter().map(|found| found.as_ref().map(Account::key)).collect();
    let (ada, bob) = (Some(ada.key()), Some(bob.key()));
    assert_eq!(got, [bob.clone(), None, ada.clone(), None, ada, bob]);
    assert_eq!(target.connector.get_many(target.object_class, &[], &[]).await.unwrap(), []);
}

pub async fn accounts_are_found_by_the_value_of_an_attribute(target: &Target) {
    let ada = target.connector.create(&target.new_account_with("ada", target.text, &["Ada"])).await.unwrap();
    let bob =
        target.connector.create(&target.new_account_with("bob", target.many, &["g1", "g2"])).await.unwrap();
    let find = async |attribute: &str, value: &str| {
        let found = target.connector.find(target.object_class, attribute, &Value::from(value)).await.unwrap();
        found.iter().map(Account::key).collect::<Vec<_>>()
    };

    assert_eq!(find(target.text, "Ada").await, [ada.key()]);
    assert_eq!(find(target.many, "g2").await, [bob.key()]);
    assert_eq!(find("external_uid", "bob").await, [bob.key()]);
    assert_eq!(find(target.text, "nobody").await, []);
}

pub async fn a_check_of_a_good_connection_passes_every_step(target: &Target) {
    let steps = target.connector.check().await.unwrap();
    assert!(!steps.is_empty());
    assert!(steps.iter().all(|step| step.ok), "{steps:?}");
}

pub async fn bad_credentials_are_told_from_everything_else(target: &Target) {
    let mut settings = target.settings.clone();
    match &mut settings {
        Settings::Memory(settings) => faulty(settings, "bad_credentials"),
        // The sandbox trusts whoever comes through the socket, if he is somebody.
        Settings::Sql(settings) => settings.username = "nobody".into(),
        Settings::Ldap(_) | Settings::Scim(_) | Settings::Remote(_) => {}
    }
    let secrets = Secrets::from_iter([("bind_password", "wrong-Pa55word"), ("password", "wrong-Pa55word")]);
    let connector = open(&settings, &secrets, &options()).unwrap();
    let key = AccountKey { external_uid: "ada".into(), immutable_id: None };

    let failure = connector.get(target.object_class, &key, &[]).await.unwrap_err();

    assert_eq!(failure.kind, FailureKind::BadCredentials, "{failure}");
    assert!(!failure.message.contains("Pa55word"));
    let steps = connector.check().await.unwrap();
    assert!(steps.last().is_some_and(|step| !step.ok), "{steps:?}");
}

pub async fn a_target_that_cannot_be_reached_is_down(target: &Target) {
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let connector = target.reopened(|settings| match settings {
        Settings::Memory(settings) => faulty(settings, "down"),
        Settings::Sql(settings) => (settings.host, settings.port) = ("127.0.0.1".into(), closed),
        Settings::Ldap(settings) => settings.port = closed,
        Settings::Scim(_) | Settings::Remote(_) => {}
    });

    let created = connector.create(&target.new_account("ada")).await;
    let read = connector.read(xavyo_connectors::ReadRequest {
        object_class: target.object_class.to_owned(),
        attributes: Vec::new(),
    });

    assert_eq!(created.unwrap_err().kind, FailureKind::Down);
    let items: Vec<_> = read.collect().await;
    assert!(matches!(items.as_slice(), [Err(failure)] if failure.kind == FailureKind::Down), "{items:?}");
}
