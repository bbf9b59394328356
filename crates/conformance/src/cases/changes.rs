//! What changed since a watermark. An account that did not change may be told too; one that did may not be missing.

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use xavyo_connectors::{
    AccountChange, AccountUpdate, ChangeItem, Completeness, NOT_OFFERED, ReadRequest, WATERMARK_EXPIRED,
};
use xavyo_core::{
    account::{Account, AccountKey},
    connector::TargetFailure,
};

use crate::{
    Target,
    case::not_offered,
    target::{set, texts},
};

/// The whole of a read of changes.
async fn changes(
    target: &Target,
    since: &str,
) -> Result<Result<(Vec<AccountChange>, Completeness), TargetFailure>> {
    let attributes = vec![target.text().to_owned()];
    let request = ReadRequest { object_class: target.class().to_owned(), attributes };
    let mut items = target.connector.changes(request, since);
    let (mut changes, mut proof) = (Vec::new(), None);
    while let Some(item) = items.next().await {
        ensure!(proof.is_none(), "something follows the proof");
        match item {
            Ok(ChangeItem::Page(page)) => changes.extend(page),
            Ok(ChangeItem::Proof(found)) => proof = Some(found),
            Err(failure) if failure.code == NOT_OFFERED => return not_offered(failure.message),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(Ok((changes, proof.context("the changes ended without their proof")?)))
}

/// The accounts that changed, and the keys of those that are gone.
async fn since(target: &Target, watermark: &str) -> Result<(Vec<Account>, Vec<AccountKey>, Completeness)> {
    let (changes, proof) = changes(target, watermark).await??;
    ensure!(proof.complete, "not complete: {}", proof.evidence);
    ensure!(proof.watermark.is_some(), "no watermark to go on from");
    let (mut changed, mut gone) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            AccountChange::Changed(account) => changed.push(account),
            AccountChange::Gone(key) => gone.push(key),
        }
    }
    Ok((changed, gone, proof))
}

/// The mark of a whole read; it was taken before.
async fn watermark(target: &Target) -> Result<String> {
    if !target.connector.capabilities().changes {
        return not_offered("the target cannot say what changed");
    }
    target.read().await?.1.watermark.context("a read of a target that tells changes has no watermark")
}

pub async fn nothing_changed_is_no_change(target: &Target) -> Result<()> {
    let ada = target.create("ada").await?;
    let mark = watermark(target).await?;

    let (changed, gone, proof) = since(target, &mark).await?;

    ensure!(gone.is_empty(), "{gone:?} are gone");
    let others: Vec<_> = changed.iter().filter(|account| account.version != ada.version).collect();
    ensure!(!target.place.is_private || others.is_empty(), "{others:?} changed");
    since(target, &proof.watermark.context("a watermark")?).await.context("from where that ended")?;
    Ok(())
}

pub async fn what_was_made_changed_and_renamed_since_is_told(target: &Target) -> Result<()> {
    let (ada, bob) = (target.create("ada").await?, target.create("bob").await?);
    target.create("cid").await?;
    let mark = watermark(target).await?;

    target.update(&ada.key(), set(target.text(), &["Ada"])).await?;
    let dora = target.create("dora").await?;
    let rename = AccountUpdate { rename_to: Some(target.name("bobby")), ..AccountUpdate::default() };
    let bobby = target.connector.update(target.class(), &bob.key(), &rename).await?;

    let (changed, _, proof) = since(target, &mark).await?;
    for key in [ada.key(), dora.key(), bobby.key()] {
        let told = changed.iter().find(|account| account.key() == key);
        ensure!(told.is_some(), "{} is missing in {changed:?}", key.external_uid);
    }
    let told = changed.iter().find(|account| account.key() == ada.key()).context("ada")?;
    ensure!(texts(&told.attributes, target.text()) == ["Ada"], "{told:?}");

    let mark = proof.watermark.context("a watermark")?;
    target.update(&dora.key(), set(target.text(), &["Dora"])).await?;
    let (changed, ..) = since(target, &mark).await?;
    ensure!(changed.iter().any(|account| account.key() == dora.key()), "the next changes lack dora");
    Ok(())
}

/// R1: absence among the changes means nothing.
pub async fn a_delete_is_told_by_a_tombstone_or_not_at_all(target: &Target) -> Result<()> {
    let (ada, bob) = (target.create("ada").await?, target.create("bob").await?);
    let mark = watermark(target).await?;
    target.delete(&ada.key()).await?;

    let (changed, gone, _) = since(target, &mark).await?;

    ensure!(changed.iter().all(|account| account.key() != ada.key()), "ada is told as changed");
    let is = |key: &AccountKey, of: &Account| match &key.immutable_id {
        Some(id) => of.immutable_id.as_ref() == Some(id),
        None => key.external_uid == of.external_uid,
    };
    ensure!(gone.iter().all(|key| !is(key, &bob)), "bob is told as gone");
    if gone.is_empty() {
        return not_offered("the target keeps no tombstones: full reads find deletes");
    }
    ensure!(gone.iter().any(|key| is(key, &ada)), "ada is not among {gone:?}");
    Ok(())
}

pub async fn a_watermark_of_nobody_is_refused_as_expired(target: &Target) -> Result<()> {
    target.create("ada").await?;
    watermark(target).await?;
    for mark in ["", "no watermark", "-1", "' or 1=1 --"] {
        match changes(target, mark).await? {
            Err(failure) => ensure!(failure.code == WATERMARK_EXPIRED, "{mark:?}: {failure}"),
            Ok((changes, _)) => bail!("{mark:?} told {} changes", changes.len()),
        }
    }
    Ok(())
}
