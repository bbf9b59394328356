//! The first of the three steps: one short transaction that writes only lanes, and reads what the calls will need.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    connector::OnDeadLetter,
    error::Result,
    identity::Identity,
    ids::{IdentityId, LaneId, TenantId, WorkerId},
    lane as decision,
    link::Link,
    operation::{Event, Operation, OperationStatus},
};
use xavyo_runtime::{Clock, Database, db};

use super::guard;
use crate::{
    crash::{self, Point},
    store::{
        connector::{self, work::Pair},
        identity,
        lane::{self, Grant, Lane},
        link,
        operation::log::{self, Level, Move},
        operation::statistics::{self, Deltas},
        operation::{self, Kept},
    },
    targets::OpenTarget,
};

/// The most operations of one lane in one claim.
const PER_LANE: i64 = 32;

/// A lane in hand: its operations in order, under a fence.
#[derive(Clone, Debug)]
pub struct Claim {
    pub lane: LaneId,
    pub fence: i64,
    pub claimed_at: DateTime<Utc>,
    pub runs_singly: bool,
    /// In the order of their sequence; never empty.
    pub operations: Vec<Operation>,
    /// The account's link, as of the claim. It cannot change while operations are live.
    pub link: Option<Link>,
    /// The identity of the operations, as of the claim.
    pub identity: Option<Identity>,
}

/// What a claim came to.
#[derive(Debug)]
pub enum Claimed {
    /// Perhaps none.
    Lanes(Vec<Claim>),
    /// The connector is another one than the target was opened for, or gone: nothing was claimed.
    Outdated,
}

/// Claims up to `limit` lanes of a pair, for the connector as `target` knows it: a pause, a policy or a secret that has
/// changed holds from this claim on.
pub async fn claim(
    database: &Database,
    clock: &Clock,
    worker: WorkerId,
    pair: Pair,
    target: &OpenTarget,
    limit: i64,
) -> Result<Claimed> {
    let now = clock.now();
    let mut tx = database.begin(pair.tenant).await?;
    let known = target.connector.version;
    let lanes = lane::lock_ready(&mut tx, pair.tenant, (pair.connector, known), now, limit).await?;
    if lanes.is_empty() {
        let version = connector::version(&mut tx, pair.tenant, pair.connector).await?;
        db::leave(tx);
        let is_as_known = version == Some(known);
        return Ok(if is_as_known { Claimed::Lanes(Vec::new()) } else { Claimed::Outdated });
    }
    db::plan_for(&mut tx, lanes.len()).await?;
    let mut chosen = choose(&mut tx, pair.tenant, target, &lanes).await?;
    if chosen.len() < lanes.len() {
        // The connector's policy has changed since they became ready.
        let ids: Vec<LaneId> = lanes.iter().map(|lane| lane.id).collect();
        lane::refresh(&mut tx, pair.tenant, &ids, now).await?;
    }
    wake(&mut tx, clock, pair.tenant, &mut chosen, now).await?;
    let chosen = guard::hold_back(&mut tx, clock, pair.tenant, target, chosen, now).await?;
    crash::point(Point::ClaimChosen);
    let grants: Vec<Grant> = chosen.iter().filter_map(|(lane, head)| grant(lane, head)).collect();
    let fences: HashMap<LaneId, i64> =
        lane::claim(&mut tx, pair.tenant, worker, now, grants).await?.into_iter().collect();
    let claims = with_context(&mut tx, pair.tenant, chosen, &fences, now).await?;
    crash::point(Point::ClaimWritten);
    db::commit(tx).await?;
    crash::point(Point::ClaimCommitted);
    Ok(Claimed::Lanes(claims))
}

/// The operations at the head of each lane that one claim may take.
async fn choose(
    tx: &mut PgConnection,
    tenant: TenantId,
    target: &OpenTarget,
    lanes: &[Lane],
) -> Result<Vec<(Lane, Vec<Operation>)>> {
    let ids: Vec<LaneId> = lanes.iter().map(|lane| lane.id).collect();
    let passes = target.connector.policies.on_dead_letter == OnDeadLetter::Continue;
    let mut heads: HashMap<LaneId, Vec<Operation>> = HashMap::new();
    for operation in operation::heads(tx, tenant, &ids, passes, PER_LANE).await? {
        heads.entry(operation.lane_id).or_default().push(operation);
    }
    let repeatable = target.target.capabilities().repeatable_updates;
    let chosen = lanes.iter().map(|lane| {
        let mut head = heads.remove(&lane.id).unwrap_or_default();
        head.truncate(decision::claimable_prefix(&head, repeatable, lane.runs_singly));
        (lane.clone(), head)
    });
    Ok(chosen.filter(|(_, head)| !head.is_empty()).collect())
}

fn grant(lane: &Lane, head: &[Operation]) -> Option<Grant> {
    Some(Grant { lane: lane.id, from: head.first()?.sequence, through: head.last()?.sequence })
}

/// Claims start from pending only: a failed operation whose time has come is moved there first, in the same transaction.
async fn wake(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    chosen: &mut [(Lane, Vec<Operation>)],
    now: DateTime<Utc>,
) -> Result<()> {
    let mut kept = Vec::new();
    let mut moves = Vec::new();
    let mut deltas = Deltas::default();
    let failed = chosen
        .iter_mut()
        .flat_map(|(_, head)| head)
        .filter(|operation| operation.status == OperationStatus::Failed);
    for operation in failed {
        let to = operation.status.after(Event::Due)?;
        deltas.moved(operation.connector_id, operation.status, to, now);
        moves.push(Move {
            operation_id: operation.id,
            connector_id: operation.connector_id,
            at: now,
            event: Some(Event::Due),
            from: Some(operation.status),
            to,
            level: Level::Info,
            message: format!("retry {} of {}", operation.retry_count, operation.max_retries),
            actor: None,
            fence: None,
        });
        operation.status = to;
        operation.next_attempt_at = None;
        kept.push(Kept::of(operation));
    }
    if kept.is_empty() {
        return Ok(());
    }
    operation::save(tx, tenant, &kept, now).await?;
    log::insert(tx, clock, tenant, &moves).await?;
    statistics::insert(tx, clock, tenant, &deltas).await
}

/// Adds links and identities, two statements for all claims.
async fn with_context(
    tx: &mut PgConnection,
    tenant: TenantId,
    chosen: Vec<(Lane, Vec<Operation>)>,
    fences: &HashMap<LaneId, i64>,
    now: DateTime<Utc>,
) -> Result<Vec<Claim>> {
    let lanes: Vec<LaneId> = chosen.iter().map(|(lane, _)| lane.id).collect();
    let mut links: HashMap<LaneId, Vec<Link>> = HashMap::new();
    for link in link::find_by_lanes(tx, tenant, &lanes).await? {
        links.entry(link.lane_id).or_default().push(link);
    }
    let people: Vec<IdentityId> = chosen.iter().filter_map(|(_, head)| head.first()?.identity_id).collect();
    let identities: HashMap<IdentityId, Identity> = identity::find_all(tx, tenant, &people)
        .await?
        .into_iter()
        .map(|identity| (identity.id, identity))
        .collect();
    let claims = chosen.into_iter().filter_map(|(lane, operations)| {
        let first = operations.first()?;
        let person = first.identity_id;
        let link = links.get(&lane.id).and_then(|links| link_of(links, first)).cloned();
        Some(Claim {
            lane: lane.id,
            fence: *fences.get(&lane.id)?,
            claimed_at: now,
            runs_singly: lane.runs_singly,
            link,
            identity: person.and_then(|id| identities.get(&id).cloned()),
            operations,
        })
    });
    Ok(claims.collect())
}

/// The link of the operation's own identity: an account that is linked to another is not its account, though both may
/// have come to share a lane. An operation without an identity is about the account that it names.
fn link_of<'a>(links: &'a [Link], operation: &Operation) -> Option<&'a Link> {
    match (operation.identity_id, links) {
        (Some(identity), _) => links.iter().find(|link| {
            link.identity_id == identity
                && link.object_class == operation.object_class
                && link.intent == operation.intent
        }),
        (None, [only]) => Some(only),
        (None, several) => {
            several.iter().find(|link| Some(&link.account.external_uid) == operation.target_uid.as_ref())
        }
    }
}
