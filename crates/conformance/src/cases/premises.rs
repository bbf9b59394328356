//! Writes that must not happen any more: another version, another account (CORRECTNESS R2, fault 4).

use anyhow::{Result, ensure};
use xavyo_connectors::AccountUpdate;
use xavyo_core::connector::FailureKind;

use crate::{
    Target,
    case::{failed, not_offered},
    target::{by_name, set},
};

fn conditional(target: &Target, version: Option<&String>, text: &str) -> AccountUpdate {
    AccountUpdate {
        changes: set(target.text(), &[text]),
        if_version: version.cloned(),
        ..AccountUpdate::default()
    }
}

pub async fn a_write_with_an_old_version_changes_nothing(target: &Target) -> Result<()> {
    if !target.connector.capabilities().versions {
        return not_offered("the target honours no versions");
    }
    let made = target.create("ada").await?;
    let (key, class) = (made.key(), target.class());
    let one = conditional(target, made.version.as_ref(), "one");
    let newer = target.connector.update(class, &key, &one).await?;

    let late = conditional(target, made.version.as_ref(), "two");
    failed(target.connector.update(class, &key, &late).await, FailureKind::PreconditionFailed)?;
    let deleted = target.connector.delete(class, &key, made.version.as_deref(), "conformance").await;
    failed(deleted, FailureKind::PreconditionFailed)?;
    ensure!(target.values(&key, target.text()).await? == ["one"], "the late write came through");

    target.connector.delete(class, &key, newer.version.as_deref(), "conformance").await?;
    ensure!(target.get(&key).await?.is_none(), "it is still there");
    Ok(())
}

pub async fn of_two_writes_with_the_same_version_one_is_refused(target: &Target) -> Result<()> {
    if !target.connector.capabilities().versions {
        return not_offered("the target honours no versions");
    }
    let made = target.create("ada").await?;
    let [one, two] = ["one", "two"].map(|text| conditional(target, made.version.as_ref(), text));

    let key = made.key();
    let (first, second) = futures::join!(
        target.connector.update(target.class(), &key, &one),
        target.connector.update(target.class(), &key, &two),
    );

    let (won, lost) = if first.is_ok() { ("one", second) } else { ("two", first) };
    failed(lost, FailureKind::PreconditionFailed)?;
    let now = target.values(&key, target.text()).await?;
    ensure!(now == [won], "{now:?}, and {won} was told to stand");
    Ok(())
}

/// The account was renamed, and its old name given to another.
pub async fn a_write_by_immutable_id_follows_a_renamed_account(target: &Target) -> Result<()> {
    if !target.connector.capabilities().immutable_ids {
        return not_offered("no immutable ids");
    }
    let old = target.create("ada").await?;
    let update = AccountUpdate { rename_to: Some(target.name("moved")), ..AccountUpdate::default() };
    let moved = target.connector.update(target.class(), &old.key(), &update).await?;
    let other = target.create("ada").await?;

    let updated = target.update(&old.key(), set(target.text(), &["Ada"])).await?;
    ensure!(updated.key() == moved.key(), "{:?} was written", updated.key());
    target.delete(&old.key()).await?;

    ensure!(target.values(&other.key(), target.text()).await?.is_empty(), "another account was written");
    ensure!(target.get(&moved.key()).await?.is_none(), "it was not deleted");
    Ok(())
}

/// The uid was deleted and given to another person before the write runs.
pub async fn a_write_by_immutable_id_never_hits_another_account_of_the_same_name(
    target: &Target,
) -> Result<()> {
    if !target.connector.capabilities().immutable_ids {
        return not_offered("no immutable ids");
    }
    let old = target.create("ada").await?;
    target.delete(&old.key()).await?;
    let new = target.create("ada").await?;
    ensure!(by_name(&old) == by_name(&new) && old.immutable_id != new.immutable_id, "{old:?}, {new:?}");

    failed(target.delete(&old.key()).await, FailureKind::NotFound)?;
    failed(target.update(&old.key(), set(target.text(), &["wrong person"])).await, FailureKind::NotFound)?;

    ensure!(target.values(&new.key(), target.text()).await?.is_empty(), "the wrong person was written");
    Ok(())
}
