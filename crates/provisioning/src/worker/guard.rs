//! The guard at the claim: what it has no room for stays pending, held; the rest goes on (R3).
//!
//! It counts in the claim's own transaction, under a lock of the connector's window: a claim that is committed has been
//! counted, whatever becomes of its worker, and no two replicas share one place. A connector without limits costs
//! nothing here; one with limits a lock, a look for approvals and a write a claim, however many operations it takes.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    cause::CauseKind,
    connector::{GuardLimit, GuardPolicy},
    error::Result,
    guard::{self, ApprovedItem, Effect, Window},
    ids::{ConnectorId, IdentityId, LaneId, OperationId, TenantId},
    operation::Operation,
};
use xavyo_runtime::Clock;

use crate::{
    queue,
    store::{
        guard::{self as memory, approval, held},
        lane::{self, Lane},
    },
    targets::OpenTarget,
};

/// Takes out of a claim what the guard holds, and what is behind it in its lane. What it has no room for further back in a
/// lane is only not claimed: it is held when its turn comes, if there is no room then. For lanes that the caller has
/// locked, after everything else that it locks.
pub(super) async fn hold_back(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    target: &OpenTarget,
    mut chosen: Vec<(Lane, Vec<Operation>)>,
    now: DateTime<Utc>,
) -> Result<Vec<(Lane, Vec<Operation>)>> {
    let connector = &target.connector;
    let policy = &connector.policies.guard;
    let weighed = chosen.iter().flat_map(|(_, head)| head).filter(|one| is_weighed(policy, one, now));
    let weighed: Vec<&Operation> = weighed.collect();
    if weighed.is_empty() {
        return Ok(chosen);
    }
    let mut gate = Gate::open(tx, tenant, connector.id, &weighed, now).await?;
    let mut left: Vec<LaneId> = Vec::new();
    for (lane, head) in &mut chosen {
        let passing = head.iter().take_while(|one| !is_weighed(policy, one, now) || gate.admits(policy, one));
        let passing = passing.count();
        if passing == 0
            && let Some(first) = head.first()
        {
            gate.hold(first);
            left.push(lane.id);
        }
        head.truncate(passing);
    }
    gate.close(tx, tenant, connector.id, now).await?;
    if !left.is_empty() {
        queue::make_way(tx, clock, tenant, &left, now).await?;
        lane::refresh(tx, tenant, &left, now).await?;
    }
    chosen.retain(|(_, head)| !head.is_empty());
    Ok(chosen)
}

fn is_weighed(policy: &GuardPolicy, operation: &Operation, now: DateTime<Utc>) -> bool {
    policy.limit(effect(operation)) != GuardLimit::None && guard::is_weighed(operation.first_claimed_at, now)
}

fn effect(operation: &Operation) -> Effect {
    guard::effect(operation.operation_type, &operation.payload)
}

/// The connector's window under its lock, and what may pass beside it.
struct Gate {
    window: Window,
    released: HashSet<OperationId>,
    approved: Vec<ApprovedItem>,
    held: Vec<(OperationId, Effect)>,
    used: Vec<OperationId>,
    taken: Vec<(ApprovedItem, OperationId)>,
}

impl Gate {
    async fn open(
        tx: &mut PgConnection,
        tenant: TenantId,
        connector: ConnectorId,
        weighed: &[&Operation],
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let mut window = memory::lock(tx, tenant, connector).await?;
        window.slide(now);
        if window.is_new_hour(now) {
            window.begin_hour(now, memory::count_links(tx, tenant, connector).await?);
        }
        let ids: Vec<OperationId> = weighed.iter().map(|one| one.id).collect();
        Ok(Self {
            window,
            released: approval::released(tx, tenant, &ids).await?,
            approved: approved(tx, tenant, connector, weighed, now).await?,
            held: Vec::new(),
            used: Vec::new(),
            taken: Vec::new(),
        })
    }

    /// Whether the operation passes: because somebody let it, which takes no room; else because there is room.
    fn admits(&mut self, policy: &GuardPolicy, operation: &Operation) -> bool {
        if self.released.remove(&operation.id) {
            self.used.push(operation.id);
            return true;
        }
        if let Some(place) = self.approved.iter().position(|item| item.covers(operation)) {
            self.taken.push((self.approved.swap_remove(place), operation.id));
            return true;
        }
        self.window.admit(policy, effect(operation)).is_ok()
    }

    fn hold(&mut self, operation: &Operation) {
        tracing::warn!(operation = %operation.id, connector = %operation.connector_id, "the guard holds an operation");
        self.held.push((operation.id, effect(operation)));
    }

    async fn close(
        self,
        tx: &mut PgConnection,
        tenant: TenantId,
        connector: ConnectorId,
        now: DateTime<Utc>,
    ) -> Result<()> {
        memory::save(tx, tenant, connector, &self.window).await?;
        if !self.held.is_empty() {
            held::hold(tx, tenant, &self.held, now).await?;
        }
        if !self.used.is_empty() {
            approval::use_up(tx, tenant, &self.used).await?;
        }
        if !self.taken.is_empty() {
            approval::take_items(tx, tenant, &self.taken).await?;
        }
        Ok(())
    }
}

/// Approved items that an operation of the claim may be. Only runs and remediations act for a plan.
async fn approved(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    weighed: &[&Operation],
    now: DateTime<Utc>,
) -> Result<Vec<ApprovedItem>> {
    let planned = || weighed.iter().filter(|one| is_planned(one.cause.kind));
    if planned().next().is_none() {
        return Ok(Vec::new());
    }
    let people: BTreeSet<IdentityId> = planned().filter_map(|one| one.identity_id).collect();
    let uids: BTreeSet<String> = planned().filter_map(|one| one.target_uid.clone()).collect();
    let (people, uids): (Vec<_>, Vec<_>) = (people.into_iter().collect(), uids.into_iter().collect());
    approval::find_items(tx, tenant, connector, &people, &uids, now).await
}

fn is_planned(cause: CauseKind) -> bool {
    match cause {
        CauseKind::Run | CauseKind::Remediation => true,
        CauseKind::Api
        | CauseKind::IdentityChange
        | CauseKind::Import
        | CauseKind::ConnectorRevision
        | CauseKind::Revert => false,
    }
}
