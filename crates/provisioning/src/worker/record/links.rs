//! What completed operations mean for links: an account that was created or adopted is linked, one that is gone is
//! unlinked, one that we disabled is marked so. All in the recording transaction.

use std::collections::{BTreeMap, HashSet};

use sqlx::PgConnection;
use xavyo_core::{
    account::AccountKey,
    conflict::ConflictType,
    error::Result,
    ids::{IdentityId, LaneId, LinkId, OperationId, TenantId},
    link::Link,
    operation::Operation,
};
use xavyo_runtime::Clock;

use super::{
    super::{
        claim::Claim,
        outcome::{Completed, Effect, Met, Outcome, Tried},
    },
    Executed,
};
use crate::{
    accounts::uid::uid_key,
    crash::{self, Point},
    store::{
        lane::alias::{self, Alias},
        link::{self, AccountName, LinkEvent, LinkUpsert},
    },
    targets::OpenTarget,
};

/// A change of one account's link, and why.
#[derive(Clone, Debug)]
pub struct LinkChange<'a> {
    operation: &'a Operation,
    lane: LaneId,
    before: Option<&'a Link>,
    after: After<'a>,
}

#[derive(Clone, Debug)]
enum After<'a> {
    Linked {
        identity: IdentityId,
        account: &'a AccountKey,
        disabled_by_us: bool,
    },
    Unlinked(&'a Link),
    /// Nobody's account: only its names lead to the lane.
    Named(&'a AccountKey),
}

/// What a completed operation changes, if anything.
pub fn change<'a>(
    claim: &'a Claim,
    operation: &'a Operation,
    completed: &'a Completed,
) -> Option<LinkChange<'a>> {
    let before = claim.link.as_ref();
    let after = match (&completed.effect, before, operation.identity_id) {
        (Effect::Gone, Some(link), _) => After::Unlinked(link),
        (Effect::Gone, None, _) => return None,
        (Effect::Present { account, disabled }, Some(link), _) => {
            let disabled_by_us = disabled.unwrap_or(link.disabled_by_us);
            if link.account == *account && link.disabled_by_us == disabled_by_us {
                return None;
            }
            After::Linked { identity: link.identity_id, account, disabled_by_us }
        }
        (Effect::Present { account, disabled }, None, Some(identity)) => {
            After::Linked { identity, account, disabled_by_us: disabled.unwrap_or(false) }
        }
        (Effect::Present { account, .. }, None, None) => After::Named(account),
    };
    Some(LinkChange { operation, lane: claim.lane, before, after })
}

/// Those operations that would link an account which is another identity's already.
pub async fn foreign(
    tx: &mut PgConnection,
    tenant: TenantId,
    target: &OpenTarget,
    executed: &[Executed],
) -> Result<HashSet<OperationId>> {
    let mut named: BTreeMap<&str, Vec<(OperationId, IdentityId, AccountName)>> = BTreeMap::new();
    for (claim, operation, completed) in executed.iter().flat_map(completed) {
        if let Some(After::Linked { identity, account, .. }) =
            change(claim, operation, completed).map(|one| one.after)
        {
            let uid_key = uid_key(&target.connector.settings, &account.external_uid);
            let name = AccountName { uid_key, immutable_id: account.immutable_id.clone() };
            named.entry(&operation.object_class).or_default().push((operation.id, identity, name));
        }
    }
    let mut foreign = HashSet::new();
    for (class, wanted) in named {
        let names: Vec<AccountName> = wanted.iter().map(|(.., name)| name.clone()).collect();
        let links = link::of_accounts(tx, tenant, target.connector.id, class, &names).await?;
        let is_anothers = |identity: IdentityId, name: &AccountName| {
            links.iter().any(|link| link.identity_id != identity && is_of(link, target, name))
        };
        let found = wanted.iter().filter(|(_, identity, name)| is_anothers(*identity, name));
        foreign.extend(found.map(|(id, ..)| *id));
    }
    Ok(foreign)
}

fn is_of(link: &Link, target: &OpenTarget, name: &AccountName) -> bool {
    if link.account.immutable_id.is_some() && name.immutable_id.is_some() {
        return link.account.immutable_id == name.immutable_id;
    }
    uid_key(&target.connector.settings, &link.account.external_uid) == name.uid_key
}

fn completed(executed: &Executed) -> impl Iterator<Item = (&Claim, &Operation, &Completed)> {
    let claim = &executed.claim;
    claim.operations.iter().zip(&executed.tries).filter_map(move |(operation, tried)| match &tried.outcome {
        Outcome::Completed(completed) => Some((claim, operation, completed)),
        Outcome::Failed(_) | Outcome::PremiseGone(_) | Outcome::Conflict { .. } => None,
    })
}

/// What a try comes to whose account turns out to be another identity's: a person decides.
pub fn anothers(tried: &Tried) -> Tried {
    let met = Met { conflict_type: ConflictType::AccountExists, affected: Vec::new(), outcome: None };
    let message = "the account is linked to another identity".to_owned();
    let outcome = Outcome::Conflict { met, message };
    Tried { outcome, ..tried.clone() }
}

/// The uid of the account after an attempt, where the attempt learned it.
pub fn uid_after(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Completed(Completed { effect: Effect::Present { account, .. }, .. }) => {
            Some(account.external_uid.clone())
        }
        Outcome::Completed(Completed { effect: Effect::Gone, .. })
        | Outcome::Failed(_)
        | Outcome::PremiseGone(_)
        | Outcome::Conflict { .. } => None,
    }
}

/// Writes the changes of a batch: links, their history, and the names of their lanes.
pub async fn write(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    target: &OpenTarget,
    changes: Vec<LinkChange<'_>>,
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    // Several operations of one lane may stand in a batch: the last word on an account counts.
    let mut saved: BTreeMap<(String, String, IdentityId), LinkUpsert> = BTreeMap::new();
    let mut names: BTreeMap<Alias, LaneId> = BTreeMap::new();
    let mut gone = Vec::new();
    let mut events = Vec::new();
    for change in changes {
        let key = |account: &AccountKey| uid_key(&target.connector.settings, &account.external_uid);
        match &change.after {
            After::Linked { identity, account, disabled_by_us } => {
                names.extend(aliases(&change, account, &key(account), Some(*identity)));
                let mut link = upsert(clock, &change, *identity, account, key(account), *disabled_by_us);
                let whose = (link.object_class.clone(), link.intent.clone(), *identity);
                match saved.get(&whose) {
                    // An earlier operation of the same claim has made the link.
                    Some(made) if change.before.is_none() => link.id = made.id,
                    Some(_) | None => events.extend(linked_events(&change, &link)),
                }
                saved.insert(whose, link);
            }
            After::Unlinked(link) => {
                events.push(event(&change, link.id, link.identity_id, &link.account, "unlinked"));
                gone.push(link.id);
            }
            After::Named(account) => names.extend(aliases(&change, account, &key(account), None)),
        }
    }
    let saved: Vec<LinkUpsert> = saved.into_values().collect();
    let names: Vec<(Alias, LaneId)> = names.into_iter().collect();
    if !gone.is_empty() {
        link::delete_all(tx, tenant, &gone).await?;
    }
    if !saved.is_empty() {
        link::save_all(tx, tenant, &saved).await?;
    }
    if !events.is_empty() {
        link::insert_events(tx, clock, tenant, &events).await?;
    }
    alias::reassign(tx, tenant, &names).await?;
    crash::point(Point::LinkWritten);
    Ok(())
}

fn aliases(
    change: &LinkChange<'_>,
    account: &AccountKey,
    uid_key: &str,
    identity: Option<IdentityId>,
) -> Vec<(Alias, LaneId)> {
    let operation = &change.operation;
    let connector = operation.connector_id;
    let immutable = account.immutable_id.as_deref().map(|id| Alias::immutable(connector, id));
    let identity =
        identity.map(|id| Alias::identity(connector, &operation.object_class, &operation.intent, id));
    // The name that the operation came with, too: it may lead to the lane of an account that had it before.
    let uid = Alias::uid(connector, &operation.object_class, uid_key);
    [immutable, identity, Some(uid)].into_iter().flatten().map(|alias| (alias, change.lane)).collect()
}

fn upsert(
    clock: &Clock,
    change: &LinkChange<'_>,
    identity_id: IdentityId,
    account: &AccountKey,
    uid_key: String,
    disabled_by_us: bool,
) -> LinkUpsert {
    LinkUpsert {
        id: change.before.as_ref().map_or_else(|| LinkId(clock.new_id()), |link| link.id),
        connector_id: change.operation.connector_id,
        object_class: change.operation.object_class.clone(),
        intent: change.operation.intent.clone(),
        identity_id,
        lane_id: change.lane,
        external_uid: account.external_uid.clone(),
        uid_key,
        immutable_id: account.immutable_id.clone(),
        disabled_by_us,
        now: clock.now(),
    }
}

fn linked_events(change: &LinkChange<'_>, link: &LinkUpsert) -> Vec<LinkEvent> {
    let account =
        AccountKey { external_uid: link.external_uid.clone(), immutable_id: link.immutable_id.clone() };
    let named = |name| event(change, link.id, link.identity_id, &account, name);
    let Some(before) = &change.before else { return vec![named("linked")] };
    let mut events = Vec::new();
    if before.account.external_uid != account.external_uid {
        events.push(named("renamed"));
    }
    match (before.disabled_by_us, link.disabled_by_us) {
        (false, true) => events.push(named("disabled")),
        (true, false) => events.push(named("enabled")),
        (false, false) | (true, true) => {}
    }
    events
}

fn event(
    change: &LinkChange<'_>,
    link_id: LinkId,
    identity_id: IdentityId,
    account: &AccountKey,
    name: &'static str,
) -> LinkEvent {
    let operation = &change.operation;
    LinkEvent {
        link_id,
        connector_id: operation.connector_id,
        object_class: operation.object_class.clone(),
        intent: operation.intent.clone(),
        identity_id,
        lane_id: change.lane,
        event: name,
        account: account.clone(),
        operation_id: Some(operation.id),
        cause: operation.cause.clone(),
    }
}
