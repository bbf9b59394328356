//! Writes, each judged by what the target shows afterwards.

use xavyo_connectors::AccountUpdate;
use xavyo_core::{
    account::{Account, AccountKey},
    change::Change,
    connector::FailureKind,
    value::Value,
};

use crate::target::{Target, modify, set, texts};

async fn shown(target: &Target, account: &Account) -> Account {
    target.get(&account.key()).await.expect("the account is there")
}

pub async fn a_created_account_is_there_with_all_it_was_given(target: &Target) {
    let mut account = target.new_account_with("ada", target.text, &["Ada"]);
    account.attributes.insert(target.many.to_owned(), vec![Value::from("g1"), Value::from("g2")]);
    account.enabled = Some(false);

    let made = target.connector.create(&account).await.unwrap();

    assert!(made.immutable_id.is_some() && made.version.is_some());
    let shown = shown(target, &made).await;
    assert_eq!(texts(&shown.attributes, target.text), ["Ada"]);
    assert_eq!(texts(&shown.attributes, target.many), ["g1", "g2"]);
    assert_eq!((shown.enabled, made.enabled), (Some(false), Some(false)));
    assert_eq!(shown.version, made.version, "the version answered is the one that stands");
}

pub async fn a_second_create_of_the_same_name_is_refused_as_existing(target: &Target) {
    let made =
        target.connector.create(&target.new_account_with("ada", target.text, &["first"])).await.unwrap();

    let again = target.connector.create(&target.new_account_with("ada", target.text, &["second"])).await;

    assert_eq!(again.unwrap_err().kind, FailureKind::AlreadyExists);
    assert_eq!(texts(&shown(target, &made).await.attributes, target.text), ["first"]);
    assert_eq!(target.read().await.1.count, 1);
}

pub async fn an_update_sets_and_clears_whole_values(target: &Target) {
    let made =
        target.connector.create(&target.new_account_with("ada", target.text, &["before"])).await.unwrap();
    let key = made.key();

    let mut changes = set(target.text, &["after"]);
    changes.extend(set(target.many, &["g1", "g2", "g3"]));
    let updated = target.update(&key, changes).await.unwrap();
    assert_eq!(updated.key(), key);
    let now = shown(target, &made).await;
    assert_eq!(now.version, updated.version);
    assert_ne!(now.version, made.version);
    assert_eq!(texts(&now.attributes, target.text), ["after"]);
    assert_eq!(texts(&now.attributes, target.many), ["g1", "g2", "g3"]);

    let cleared = [(target.text.to_owned(), Change::Clear), (target.many.to_owned(), Change::Clear)];
    target.update(&key, cleared.clone().into()).await.unwrap();
    target.update(&key, cleared.into()).await.expect("clearing what is clear");
    let now = shown(target, &made).await;
    assert!(texts(&now.attributes, target.text).is_empty() && texts(&now.attributes, target.many).is_empty());
}

pub async fn an_update_adds_and_removes_single_values(target: &Target) {
    let made =
        target.connector.create(&target.new_account_with("ada", target.many, &["a", "b"])).await.unwrap();

    target.update(&made.key(), modify(target.many, &["c", "d"], &["a"])).await.unwrap();

    assert_eq!(texts(&shown(target, &made).await.attributes, target.many), ["b", "c", "d"]);
}

/// Q5: no value is doubled, whatever was done before.
pub async fn values_already_there_or_already_gone_are_left_as_they_are(target: &Target) {
    let made =
        target.connector.create(&target.new_account_with("ada", target.many, &["a", "b"])).await.unwrap();
    let key = made.key();

    target.update(&key, modify(target.many, &["b", "c"], &["gone", "a"])).await.unwrap();
    assert_eq!(texts(&shown(target, &made).await.attributes, target.many), ["b", "c"]);

    target.update(&key, modify(target.many, &["b", "c"], &["gone", "a"])).await.unwrap();
    let left = shown(target, &made).await;
    assert_eq!(texts(&left.attributes, target.many), ["b", "c"]);

    target.update(&key, set(target.text, &["same"])).await.unwrap();
    target.update(&key, set(target.text, &["same"])).await.unwrap();
    assert_eq!(texts(&shown(target, &made).await.attributes, target.text), ["same"]);
}

pub async fn an_account_is_disabled_and_enabled_again(target: &Target) {
    let made = target.create("ada").await;
    assert_eq!(shown(target, &made).await.enabled, Some(true));
    for enabled in [false, false, true, true] {
        let update = AccountUpdate { enabled: Some(enabled), ..AccountUpdate::default() };
        let updated = target.connector.update(target.object_class, &made.key(), &update).await.unwrap();
        assert_eq!(updated.enabled, Some(enabled));
        assert_eq!(shown(target, &made).await.enabled, Some(enabled));
    }
}

pub async fn a_renamed_account_keeps_its_immutable_id(target: &Target) {
    let made = target.create("ada").await;
    let update = AccountUpdate {
        changes: set(target.text, &["Ada K."]),
        rename_to: Some("ada.king".to_owned()),
        ..AccountUpdate::default()
    };

    let renamed = target.connector.update(target.object_class, &made.key(), &update).await.unwrap();

    assert_eq!(renamed.immutable_id, made.immutable_id);
    assert!(renamed.external_uid != made.external_uid && renamed.external_uid.contains("ada.king"));
    let old_name = AccountKey { immutable_id: None, ..made.key() };
    assert_eq!(target.get(&old_name).await, None);
    let by_old_key = target.get(&made.key()).await.unwrap();
    assert_eq!(by_old_key.key(), renamed.key(), "the immutable id leads to the new name");
    assert_eq!(texts(&by_old_key.attributes, target.text), ["Ada K."]);

    let again = target.connector.update(target.object_class, &made.key(), &update).await.unwrap();
    assert_eq!(again.key(), renamed.key(), "a rename may be repeated");
}

pub async fn a_rename_to_a_taken_name_is_refused_as_existing(target: &Target) {
    let (ada, bob) = (target.create("ada").await, target.create("bob").await);
    let update = AccountUpdate { rename_to: Some("bob".to_owned()), ..AccountUpdate::default() };

    let renamed = target.connector.update(target.object_class, &ada.key(), &update).await;

    assert_eq!(renamed.unwrap_err().kind, FailureKind::AlreadyExists);
    assert_eq!(shown(target, &ada).await.external_uid, ada.external_uid);
    assert_eq!(shown(target, &bob).await.version, bob.version);
}

pub async fn a_deleted_account_is_gone(target: &Target) {
    let (ada, bob) = (target.create("ada").await, target.create("bob").await);
    let named = AccountKey { immutable_id: None, ..bob.key() };

    target.connector.delete(target.object_class, &ada.key(), None, "t").await.unwrap();
    target.connector.delete(target.object_class, &named, None, "t").await.unwrap();

    assert_eq!((target.get(&ada.key()).await, target.get(&bob.key()).await), (None, None));
    assert_eq!(target.read().await.1.count, 0);
}

pub async fn what_is_not_there_is_neither_updated_nor_deleted(target: &Target) {
    let made = target.create("ada").await;
    target.connector.delete(target.object_class, &made.key(), None, "t").await.unwrap();

    for key in [made.key(), AccountKey { immutable_id: None, ..made.key() }] {
        let updated = target.update(&key, set(target.text, &["x"])).await;
        assert_eq!(updated.unwrap_err().kind, FailureKind::NotFound);
        let deleted = target.connector.delete(target.object_class, &key, None, "t").await;
        assert_eq!(deleted.unwrap_err().kind, FailureKind::NotFound);
    }
}

pub async fn a_write_with_an_old_version_changes_nothing(target: &Target) {
    let made = target.create("ada").await;
    let key = made.key();
    let with = |version: &Option<String>, text: &str| AccountUpdate {
        changes: set(target.text, &[text]),
        if_version: version.clone(),
        ..AccountUpdate::default()
    };
    let newer =
        target.connector.update(target.object_class, &key, &with(&made.version, "one")).await.unwrap();
    assert!(target.connector.capabilities().versions);

    let late = target.connector.update(target.object_class, &key, &with(&made.version, "two")).await;
    assert_eq!(late.unwrap_err().kind, FailureKind::PreconditionFailed);
    let deleted = target.connector.delete(target.object_class, &key, made.version.as_deref(), "t").await;
    assert_eq!(deleted.unwrap_err().kind, FailureKind::PreconditionFailed);
    assert_eq!(texts(&shown(target, &made).await.attributes, target.text), ["one"]);

    target.connector.delete(target.object_class, &key, newer.version.as_deref(), "t").await.unwrap();
    assert_eq!(target.get(&key).await, None);
}

/// The uid was deleted and given to another person before the write runs (ABA).
pub async fn a_write_by_immutable_id_never_hits_another_account_of_the_same_name(target: &Target) {
    let old = target.create("ada").await;
    target.connector.delete(target.object_class, &old.key(), None, "t").await.unwrap();
    let new = target.create("ada").await;
    assert_eq!(old.external_uid, new.external_uid);
    assert_ne!(old.immutable_id, new.immutable_id);

    let deleted = target.connector.delete(target.object_class, &old.key(), None, "t").await;
    let updated = target.update(&old.key(), set(target.text, &["wrong person"])).await;

    assert_eq!(deleted.unwrap_err().kind, FailureKind::NotFound);
    assert_eq!(updated.unwrap_err().kind, FailureKind::NotFound);
    assert!(texts(&shown(target, &new).await.attributes, target.text).is_empty());
}
