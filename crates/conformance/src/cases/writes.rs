//! Writes, each judged by what the target shows afterwards.

use anyhow::{Context, Result, ensure};
use xavyo_connectors::AccountUpdate;
use xavyo_core::{change::Change, connector::FailureKind, value::Value};

use crate::{
    Target,
    case::{failed, not_offered},
    target::{by_name, modify, set, texts},
};

pub async fn a_created_account_is_there_with_all_it_was_given(target: &Target) -> Result<()> {
    let mut account = target.new_account_with("ada", target.text(), &["Ada"]);
    if let Some(many) = &target.words().many {
        account.attributes.insert(many.clone(), vec![Value::from("g1"), Value::from("g2")]);
    }

    let made = target.connector.create(&account).await?;

    let capabilities = target.connector.capabilities();
    ensure!(made.immutable_id.is_some() == capabilities.immutable_ids, "{made:?}");
    ensure!(!capabilities.versions || made.version.is_some(), "no version: {made:?}");
    let shown = target.shown(&made.key()).await?;
    for (name, values) in &account.attributes {
        let mut given: Vec<String> = values.iter().map(Value::to_text).collect();
        given.sort();
        ensure!(texts(&shown.attributes, name) == given, "{name}: {:?}", shown.attributes.get(name));
    }
    ensure!(shown.version == made.version, "the version answered is not the one that stands");
    Ok(())
}

pub async fn a_second_create_of_the_same_name_is_refused_as_existing(target: &Target) -> Result<()> {
    let made = target.create_with("ada", target.text(), &["first"]).await?;

    let again = target.connector.create(&target.new_account_with("ada", target.text(), &["second"])).await;

    failed(again, FailureKind::AlreadyExists)?;
    ensure!(target.values(&made.key(), target.text()).await? == ["first"], "it was overwritten");
    ensure!(target.read().await?.0.len() == 1, "there are two");
    Ok(())
}

pub async fn an_update_sets_and_clears_whole_values(target: &Target) -> Result<()> {
    let made = target.create_with("ada", target.text(), &["before"]).await?;
    let key = made.key();

    let updated = target.update(&key, set(target.text(), &["after"])).await?;
    ensure!(updated.key() == key, "{:?}", updated.key());
    let now = target.shown(&key).await?;
    ensure!(now.version == updated.version, "{:?} for {:?}", updated.version, now.version);
    ensure!(now.version.is_none() || now.version != made.version, "the version stayed");
    ensure!(texts(&now.attributes, target.text()) == ["after"], "{now:?}");

    let clear = || [(target.text().to_owned(), Change::Clear)].into();
    target.update(&key, clear()).await?;
    target.update(&key, clear()).await.context("clear what is clear")?;
    ensure!(target.values(&key, target.text()).await?.is_empty(), "it is still there");

    let many = target.words().many.clone();
    if let Some(many) = many {
        target.update(&key, set(&many, &["g1", "g2", "g3"])).await?;
        ensure!(target.values(&key, &many).await? == ["g1", "g2", "g3"], "values set");
        target.update(&key, [(many.clone(), Change::Clear)].into()).await?;
        ensure!(target.values(&key, &many).await?.is_empty(), "values cleared");
    }
    Ok(())
}

pub async fn an_update_adds_and_removes_single_values(target: &Target) -> Result<()> {
    let many = target.many()?;
    let made = target.create_with("ada", many, &["a", "b"]).await?;

    target.update(&made.key(), modify(many, &["c", "d"], &["a"])).await?;

    let now = target.values(&made.key(), many).await?;
    ensure!(now == ["b", "c", "d"], "{now:?}");
    Ok(())
}

/// Q5: no value is doubled, whatever was done before.
pub async fn values_already_there_or_already_gone_are_left_as_they_are(target: &Target) -> Result<()> {
    let many = target.many()?;
    let made = target.create_with("ada", many, &["a", "b"]).await?;
    let key = made.key();

    for _ in 0..2 {
        target.update(&key, modify(many, &["b", "c"], &["gone", "a"])).await?;
        let now = target.values(&key, many).await?;
        ensure!(now == ["b", "c"], "{now:?}");
    }
    for _ in 0..2 {
        target.update(&key, set(target.text(), &["same"])).await?;
        ensure!(target.values(&key, target.text()).await? == ["same"], "set twice");
    }
    Ok(())
}

pub async fn an_account_is_made_disabled(target: &Target) -> Result<()> {
    if !target.connector.capabilities().disables {
        return not_offered("accounts cannot be disabled");
    }
    let mut account = target.new_account("ada");
    account.enabled = Some(false);
    let made = target.connector.create(&account).await?;
    let shown = target.shown(&made.key()).await?;
    ensure!((made.enabled, shown.enabled) == (Some(false), Some(false)), "{made:?}, {shown:?}");
    Ok(())
}

pub async fn an_account_is_disabled_and_enabled_again(target: &Target) -> Result<()> {
    if !target.connector.capabilities().disables {
        return not_offered("accounts cannot be disabled");
    }
    let made = target.create("ada").await?;
    ensure!(target.shown(&made.key()).await?.enabled == Some(true), "not enabled when made");
    for enabled in [false, false, true, true] {
        let update = AccountUpdate { enabled: Some(enabled), ..AccountUpdate::default() };
        let updated = target.connector.update(target.class(), &made.key(), &update).await?;
        let shown = target.shown(&made.key()).await?;
        ensure!((updated.enabled, shown.enabled) == (Some(enabled), Some(enabled)), "{updated:?}, {shown:?}");
    }
    Ok(())
}

pub async fn a_renamed_account_keeps_its_immutable_id(target: &Target) -> Result<()> {
    let made = target.create("ada").await?;
    let new_name = target.name("ada.king");
    let update = AccountUpdate {
        changes: set(target.text(), &["Ada K."]),
        rename_to: Some(new_name.clone()),
        ..AccountUpdate::default()
    };

    let renamed = target.connector.update(target.class(), &made.key(), &update).await?;

    ensure!(renamed.immutable_id == made.immutable_id, "{:?}", renamed.immutable_id);
    ensure!(renamed.external_uid.contains(&new_name), "{}", renamed.external_uid);
    ensure!(target.get(&by_name(&made)).await?.is_none(), "the old name still stands");
    if made.immutable_id.is_some() {
        let found = target.shown(&made.key()).await?;
        ensure!(found.key() == renamed.key(), "the immutable id does not lead to the new name");
        let again = target.connector.update(target.class(), &made.key(), &update).await?;
        ensure!(again.key() == renamed.key(), "a rename cannot be repeated");
    }
    let now = target.values(&renamed.key(), target.text()).await?;
    ensure!(now == ["Ada K."], "{now:?}");
    Ok(())
}

pub async fn a_rename_to_a_taken_name_is_refused_as_existing(target: &Target) -> Result<()> {
    let (ada, bob) = (target.create("ada").await?, target.create("bob").await?);
    let update = AccountUpdate { rename_to: Some(target.name("bob")), ..AccountUpdate::default() };

    let renamed = target.connector.update(target.class(), &ada.key(), &update).await;

    failed(renamed, FailureKind::AlreadyExists)?;
    ensure!(target.shown(&ada.key()).await?.external_uid == ada.external_uid, "ada was renamed");
    ensure!(target.shown(&bob.key()).await?.version == bob.version, "bob was touched");
    Ok(())
}

pub async fn a_deleted_account_is_gone(target: &Target) -> Result<()> {
    let (ada, bob) = (target.create("ada").await?, target.create("bob").await?);

    target.delete(&ada.key()).await?;
    target.delete(&by_name(&bob)).await?;

    ensure!(target.get(&ada.key()).await?.is_none(), "ada is still there");
    ensure!(target.get(&by_name(&bob)).await?.is_none(), "bob is still there");
    ensure!(target.read().await?.0.is_empty(), "a read still shows them");
    Ok(())
}

pub async fn what_is_not_there_is_neither_updated_nor_deleted(target: &Target) -> Result<()> {
    let made = target.create("ada").await?;
    target.delete(&made.key()).await?;

    for key in [made.key(), by_name(&made)] {
        failed(target.update(&key, set(target.text(), &["x"])).await, FailureKind::NotFound)?;
        failed(target.delete(&key).await, FailureKind::NotFound)?;
    }
    Ok(())
}
