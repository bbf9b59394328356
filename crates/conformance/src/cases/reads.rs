//! Reads: whole, by key, by value.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use xavyo_core::{
    account::{Account, AccountKey},
    connector::Settings,
    value::Value,
};

use crate::{
    Target,
    case::not_offered,
    target::{by_name, shorten_pages, texts},
};

pub async fn a_check_of_a_good_connection_passes_every_step(target: &Target) -> Result<()> {
    let steps = target.connector.check().await?;
    ensure!(!steps.is_empty(), "no step at all");
    for step in steps {
        ensure!(step.ok, "{}: {}", step.name, step.detail);
    }
    Ok(())
}

pub async fn a_read_shows_every_account_and_proves_it(target: &Target) -> Result<()> {
    let ada = target.create_with("ada", target.text(), &["Ada L."]).await?;
    let bob = target.create("bob").await?;

    let (accounts, proof) = target.read().await?;

    let keys: Vec<AccountKey> = accounts.iter().map(Account::key).collect();
    ensure!(keys.len() == 2 && keys.contains(&ada.key()) && keys.contains(&bob.key()), "{keys:?}");
    let shown = accounts.iter().find(|account| account.key() == ada.key()).context("ada is there")?;
    ensure!(texts(&shown.attributes, target.text()) == ["Ada L."], "{shown:?}");
    ensure!(shown.version == ada.version, "versions {:?} and {:?}", shown.version, ada.version);
    ensure!(proof.complete, "not complete: {}", proof.evidence);
    ensure!(!proof.evidence.is_empty() && proof.calls > 0, "{proof:?}");
    Ok(())
}

pub async fn a_read_of_many_pages_shows_each_account_once(target: &Target) -> Result<()> {
    let count = target.fill_pages().await?;
    let paged = target.reopened(|settings, _| shorten_pages(settings))?;

    let (accounts, proof) = target.read_by(paged.as_ref(), &[]).await?;

    let uids: BTreeSet<&str> = accounts.iter().map(|account| account.external_uid.as_str()).collect();
    ensure!((accounts.len(), uids.len()) == (count, count), "{} of {count}", accounts.len());
    ensure!(proof.complete, "not complete: {}", proof.evidence);
    Ok(())
}

pub async fn a_read_asks_for_no_more_attributes_than_wanted(target: &Target) -> Result<()> {
    let attribute = target.words().many.as_deref().unwrap_or(target.text());
    target.create_with("ada", attribute, &["g1"]).await?;

    let (accounts, _) = target.read_by(target.connector.as_ref(), &[attribute]).await?;
    let names: Vec<&String> = accounts.iter().flat_map(|account| account.attributes.keys()).collect();
    ensure!(names == [attribute], "{names:?}");

    let (accounts, _) = target.read_by(target.connector.as_ref(), &[]).await?;
    let account = accounts.first().context("ada is there")?;
    ensure!(account.attributes.is_empty(), "{:?}", account.attributes);
    let capabilities = target.connector.capabilities();
    ensure!(account.immutable_id.is_some() == capabilities.immutable_ids, "{account:?}");
    ensure!(account.enabled == capabilities.disables.then_some(true), "{account:?}");
    Ok(())
}

/// R1: a target that hides a part answers with success. Only an account that must be there can tell.
pub async fn a_read_without_its_sentinel_is_not_complete(target: &Target) -> Result<()> {
    target.create("ada").await?;
    let watching = |name: &str| {
        let sentinel = target.name(name);
        target.reopened(|settings, _| match settings {
            Settings::Ldap(settings) => settings.sentinels.push(sentinel),
            Settings::Sql(settings) => settings.sentinels.push(sentinel),
            Settings::Scim(settings) => settings.sentinels.push(sentinel),
            Settings::Remote(settings) => settings.sentinels.push(sentinel),
            Settings::Memory(_) => {}
        })
    };
    if matches!(target.place.settings, Settings::Memory(_)) {
        return not_offered("the kind has no sentinels");
    }
    let (_, proof) = target.read_by(watching("ada")?.as_ref(), &[]).await?;
    ensure!(proof.complete, "the sentinel is there: {}", proof.evidence);

    let (_, proof) = target.read_by(watching("nobody")?.as_ref(), &[]).await?;
    ensure!(!proof.complete && proof.evidence.contains("sentinel"), "{proof:?}");
    Ok(())
}

pub async fn an_account_is_got_by_its_uid_and_by_its_immutable_id(target: &Target) -> Result<()> {
    let made = target.create_with("ada", target.text(), &["Ada"]).await?;

    for key in [by_name(&made), made.key()] {
        let got = target.shown(&key).await?;
        ensure!(got.key() == made.key(), "{:?} for {key:?}", got.key());
        ensure!(got.version == made.version, "{:?} for {:?}", got.version, made.version);
        ensure!(texts(&got.attributes, target.text()) == ["Ada"], "{got:?}");
    }
    let nobody = AccountKey { external_uid: target.name("nobody"), immutable_id: None };
    ensure!(target.get(&nobody).await?.is_none(), "nobody is there");
    Ok(())
}

pub async fn the_same_uid_with_another_immutable_id_is_not_the_account(target: &Target) -> Result<()> {
    if !target.connector.capabilities().immutable_ids {
        return not_offered("no immutable ids");
    }
    let made = target.create("ada").await?;
    for other in ["00000000-0000-4000-8000-000000000000", "no id at all", ""] {
        let key = AccountKey { immutable_id: Some(other.into()), ..made.key() };
        ensure!(target.get(&key).await?.is_none(), "found by the id {other:?}");
    }
    Ok(())
}

pub async fn many_accounts_are_got_in_the_order_of_their_keys(target: &Target) -> Result<()> {
    let (ada, bob) = (target.create("ada").await?, target.create("bob").await?);
    let absent = AccountKey { external_uid: target.name("nobody"), immutable_id: None };
    let no_id = AccountKey { external_uid: target.name("x"), immutable_id: Some("no id at all".into()) };
    let keys = [bob.key(), absent, by_name(&ada), no_id, ada.key(), bob.key()];

    let got = target.connector.get_many(target.class(), &keys, &[]).await?;

    let got: Vec<Option<AccountKey>> = got.iter().map(|found| found.as_ref().map(Account::key)).collect();
    let (ada, bob) = (Some(ada.key()), Some(bob.key()));
    ensure!(got == [bob.clone(), None, ada.clone(), None, ada, bob], "{got:?}");
    ensure!(target.connector.get_many(target.class(), &[], &[]).await?.is_empty(), "none for no keys");
    Ok(())
}

pub async fn accounts_are_found_by_the_value_of_an_attribute(target: &Target) -> Result<()> {
    let text = target.name("Ada Lovelace");
    let ada = target.create_with("ada", target.text(), &[&text]).await?;
    let bob = target.create("bob").await?;

    for (attribute, value, expected) in [
        (target.text(), text.clone(), vec![ada.key()]),
        ("external_uid", target.name("bob"), vec![bob.key()]),
        (target.text(), target.name("Nobody"), vec![]),
    ] {
        let found = target.connector.find(target.class(), attribute, &Value::from(value.as_str())).await?;
        let keys: Vec<AccountKey> = found.iter().map(Account::key).collect();
        ensure!(keys == expected, "{attribute} = {value}: {keys:?}");
    }
    if let Some(many) = &target.words().many {
        let (one, other) = (target.name("g1"), target.name("g2"));
        let cid = target.create_with("cid", many, &[&one, &other]).await?;
        let found = target.connector.find(target.class(), many, &Value::from(other)).await?;
        ensure!(found.iter().map(Account::key).eq([cid.key()]), "{found:?}");
    }
    Ok(())
}
