//! Networks and servers at their worst: what is certain is said, what is not is unknown (faults 13, 17, 33).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use tokio::time;
use xavyo_connectors::{AccountUpdate, Connector, ReadRequest, Secrets};
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{FailureKind, Settings},
};
use xavyo_sandbox::proxy::{Ending, Fault, Flow, Proxy, Rules};

use crate::{
    Target,
    case::{failed, not_offered},
    target::{fail_always, move_to, set, shorten_pages},
};

const PATIENT: Duration = Duration::from_secs(20);
const HASTY: Duration = Duration::from_millis(700);
/// A call whose limit is [`HASTY`] has ended by then, or never does.
const AT_LAST: Duration = Duration::from_secs(30);
/// Bytes a second.
const SLOWLY: u32 = 32 * 1024;
const LATENCY: Duration = Duration::from_millis(15);

pub async fn bad_credentials_are_told_from_everything_else(target: &Target) -> Result<()> {
    if !target.place.is_private {
        return not_offered("a wrong password could lock the account that xavyo logs in as");
    }
    let mut settings = target.place.settings.clone();
    match &mut settings {
        Settings::Memory(settings) => fail_always(settings, "bad_credentials"),
        // The sandbox's databases trust whoever comes through the socket, if he is somebody.
        Settings::Sql(settings) => settings.username = "nobody".into(),
        Settings::Ldap(_) | Settings::Scim(_) | Settings::Remote(_) => {}
    }
    let wrong =
        ["bind_password", "password", "bearer_token", "client_secret"].map(|field| (field, "wrong-Pa55word"));
    // What else there is, a certificate's key say, stays good.
    let mut secrets = target.place.secrets.clone();
    secrets.0.extend(Secrets::from_iter(wrong).0);
    let connector = target.with_secrets(&secrets, &settings)?;
    let key = AccountKey { external_uid: "ada".into(), immutable_id: None };

    let failure = failed(connector.get(target.class(), &key, &[]).await, FailureKind::BadCredentials)?;

    ensure!(!failure.message.contains("Pa55word"), "{failure}");
    let steps = connector.check().await?;
    ensure!(steps.last().is_some_and(|step| !step.ok), "the check passed: {steps:?}");
    Ok(())
}

pub async fn a_target_that_cannot_be_reached_is_down(target: &Target) -> Result<()> {
    let connector = target.unreachable()?;
    failed(connector.create(&target.new_account("ada")).await, FailureKind::Down)?;
    let request = ReadRequest { object_class: target.class().to_owned(), attributes: Vec::new() };
    let items: Vec<_> = connector.read(request).collect().await;
    ensure!(
        matches!(items.as_slice(), [Err(failure)] if failure.kind == FailureKind::Down),
        "a read of nobody: {items:?}"
    );
    Ok(())
}

pub async fn a_server_that_never_answers_is_given_up(target: &Target) -> Result<()> {
    let (proxy, connector) = target.behind_proxy(HASTY).await?;
    proxy.set(Rules::hang());
    let account = target.new_account("ada");
    let created = time::timeout(AT_LAST, connector.create(&account)).await.context("it hangs")?;
    failed(created, FailureKind::Down)?;
    Ok(())
}

pub async fn a_slow_server_is_waited_for(target: &Target) -> Result<()> {
    let (proxy, connector) = target.behind_proxy(PATIENT).await?;
    proxy.set(Rules::slow(LATENCY));
    let made = connector.create(&target.new_account("ada")).await?;
    connector.update(target.class(), &made.key(), &canary(target)).await?;
    let (accounts, proof) = target.read_by(connector.as_ref(), &[]).await?;
    ensure!(proof.complete && accounts.len() == 1, "{proof:?}");
    Ok(())
}

/// The rest of a connector's habits is over before the write: it is connected, and knows its server.
async fn warm(target: &Target, connector: &dyn Connector, account: &Account) -> Result<()> {
    connector.get(target.class(), &account.key(), &[]).await?;
    Ok(())
}

fn canary(target: &Target) -> AccountUpdate {
    AccountUpdate { changes: set(target.text(), &["canary-7f"]), ..AccountUpdate::default() }
}

/// The answer to what decides over the next write is lost.
fn lose_the_answer(target: &Target, proxy: &Proxy) {
    proxy.set(Rules::drop_reply(target.words().decisive.unwrap_or_default()));
}

pub async fn a_write_whose_answer_is_lost_is_unknown_and_happened(target: &Target) -> Result<()> {
    let made = target.create("ada").await?;
    let (proxy, connector) = target.behind_proxy(PATIENT).await?;
    warm(target, connector.as_ref(), &made).await?;
    lose_the_answer(target, &proxy);

    let updated = connector.update(target.class(), &made.key(), &canary(target)).await;

    failed(updated, FailureKind::Unknown)?;
    ensure!(proxy.bites() > 0, "no answer was lost");
    let now = target.values(&made.key(), target.text()).await?;
    ensure!(now == ["canary-7f"], "it was not written: {now:?}");
    Ok(())
}

pub async fn a_create_whose_answer_is_lost_is_unknown_and_can_be_read_back(target: &Target) -> Result<()> {
    let ada = target.create("ada").await?;
    let (proxy, connector) = target.behind_proxy(PATIENT).await?;
    warm(target, connector.as_ref(), &ada).await?;
    lose_the_answer(target, &proxy);

    let created = connector.create(&target.new_account("bob")).await;

    failed(created, FailureKind::Unknown)?;
    let bob = AccountKey { external_uid: target.name("bob"), immutable_id: None };
    target.shown(&bob).await?;
    failed(target.connector.create(&target.new_account("bob")).await, FailureKind::AlreadyExists)?;
    Ok(())
}

pub async fn a_write_that_vanished_is_never_called_done(target: &Target) -> Result<()> {
    let made = target.create("ada").await?;
    let (proxy, connector) = target.behind_proxy(HASTY).await?;
    warm(target, connector.as_ref(), &made).await?;
    let vanish = Flow { fault: Some(Fault::BlackHole), ..Flow::default() };
    proxy.set(Rules { to_server: vanish, ..Rules::default() });

    let update = canary(target);
    let updated = time::timeout(AT_LAST, connector.update(target.class(), &made.key(), &update)).await;

    let failure = updated.context("it hangs")?.err().context("it was called done")?;
    let honest = matches!(failure.kind, FailureKind::Unknown | FailureKind::Busy | FailureKind::Down);
    ensure!(honest, "{:?}: {failure}", failure.kind);
    ensure!(target.values(&made.key(), target.text()).await?.is_empty(), "it was written");
    Ok(())
}

/// R1: a read that is cut off has no proof.
pub async fn a_read_whose_connection_breaks_has_no_proof(target: &Target) -> Result<()> {
    let (proxy, _) = target.behind_proxy(PATIENT).await?;
    target.fill_pages().await?;
    let connector = target.reopened(|settings, _| {
        shorten_pages(settings);
        move_to(settings, proxy.port());
    })?;
    // So slow that the end is still to come when the first page has arrived, also where pages are a stream.
    let slow = Flow { bytes_per_second: Some(SLOWLY), ..Flow::default() };
    proxy.set(Rules { to_client: slow, ..Rules::default() });
    let request = ReadRequest { object_class: target.class().to_owned(), attributes: Vec::new() };
    let mut items = connector.read(request);
    items.next().await.context("no first page")??;

    proxy.set(Rules::down(Ending::Reset));

    let rest: Vec<_> = items.collect().await;
    let last = rest.last().context("nothing follows the first page")?;
    ensure!(last.as_ref().is_err_and(|failure| failure.kind == FailureKind::Down), "{last:?}");
    Ok(())
}

pub async fn a_dropped_connection_is_replaced(target: &Target) -> Result<()> {
    let made = target.create("ada").await?;
    let (proxy, connector) = target.behind_proxy(PATIENT).await?;
    warm(target, connector.as_ref(), &made).await?;
    proxy.set(Rules::down(Ending::Reset));
    proxy.heal();

    // The first may meet the dead connection; then it says so, and is right.
    let update = canary(target);
    if let Err(failure) = connector.update(target.class(), &made.key(), &update).await {
        let honest = matches!(failure.kind, FailureKind::Down | FailureKind::Unknown);
        ensure!(honest, "{:?}: {failure}", failure.kind);
        connector.update(target.class(), &made.key(), &update).await.context("the second try")?;
    }
    ensure!(target.values(&made.key(), target.text()).await? == ["canary-7f"], "not written");
    Ok(())
}
