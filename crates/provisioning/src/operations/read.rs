//! Reading operations: one, lists, logs, attempts, statistics.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use xavyo_core::{
    Error,
    error::Result,
    ids::{ConnectorId, OperationId, TenantId},
    operation::{Operation, OperationStatus},
};
use xavyo_runtime::{auth::Caller, db};

use super::{Operations, Wait, seal, waits};
use crate::store::{
    connector, lane, operation,
    operation::attempt::{self, AttemptLine},
    operation::list::{self, Filter},
    operation::log::{self, Line},
    operation::state,
    operation::statistics::{self, Count},
};

/// An operation and what it waits for.
#[derive(Clone, Debug)]
pub struct Listed {
    pub operation: Operation,
    pub waits: Vec<Wait>,
}

/// The numbers of the queue; they equal counts of the rows (Q13).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    pub pending: i64,
    pub in_progress: i64,
    pub completed: i64,
    pub failed: i64,
    pub dead_letter: i64,
    pub awaiting_system: i64,
    pub resolved: i64,
    pub cancelled: i64,
    pub avg_processing_time_secs: f64,
    pub blocked: i64,
    pub held: i64,
    pub in_conflict: i64,
    pub waiting_for_target: i64,
    pub oldest_age_secs: f64,
}

impl Operations {
    pub async fn get(&self, caller: &Caller, id: OperationId) -> Result<Listed> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let operation = operation::find(&mut tx, caller.tenant, id)
            .await?
            .ok_or_else(|| Error::not_found("operation"))?;
        let operation = seal::hidden(&mut tx, caller.tenant, vec![operation]).await?;
        let listed = waits::explain(&mut tx, caller.tenant, operation, self.clock.now()).await?;
        db::commit(tx).await?;
        listed.into_iter().next().ok_or_else(|| Error::not_found("operation"))
    }

    /// Newest first; up to `limit` older than `after`.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: &Filter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Listed>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let operations = list::page(&mut tx, caller.tenant, filter, after, limit).await?;
        let operations = seal::hidden(&mut tx, caller.tenant, operations).await?;
        let listed = waits::explain(&mut tx, caller.tenant, operations, self.clock.now()).await?;
        db::commit(tx).await?;
        Ok(listed)
    }

    /// How many match, counted to `most` at the most.
    pub async fn count(&self, caller: &Caller, filter: &Filter, most: i64) -> Result<i64> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let count = list::count(&mut tx, caller.tenant, filter, most).await?;
        db::commit(tx).await?;
        Ok(count)
    }

    /// Oldest first; up to `limit` after `after`.
    pub async fn logs(
        &self,
        caller: &Caller,
        id: OperationId,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Line>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        require(&mut tx, caller, id).await?;
        let lines = log::page(&mut tx, caller.tenant, id, after, limit).await?;
        db::commit(tx).await?;
        Ok(lines)
    }

    /// By number, the one under way last. At most as many as its retries and crashes allow.
    pub async fn attempts(&self, caller: &Caller, id: OperationId) -> Result<Vec<AttemptLine>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        require(&mut tx, caller, id).await?;
        let attempts = attempt::find_all(&mut tx, caller.tenant, id).await?;
        db::commit(tx).await?;
        Ok(attempts)
    }

    pub async fn statistics(&self, caller: &Caller, connector: Option<ConnectorId>) -> Result<Statistics> {
        let now = self.clock.now();
        let mut tx = self.database.begin_snapshot(caller.tenant).await?;
        if let Some(id) = connector {
            connector::get(&mut tx, caller.tenant, id).await?;
        }
        let statistics = statistics_in(&mut tx, caller.tenant, connector, now).await?;
        db::commit(tx).await?;
        Ok(statistics)
    }
}

/// The numbers as of the transaction's snapshot.
pub(crate) async fn statistics_in(
    tx: &mut db::Transaction,
    tenant: TenantId,
    connector: Option<ConnectorId>,
    now: DateTime<Utc>,
) -> Result<Statistics> {
    let counts = statistics::read(tx, tenant, connector, now - TimeDelta::hours(24)).await?;
    let in_progress = lane::count_in_progress(tx, tenant, connector).await?;
    let state = state::read(tx, tenant, connector).await?;
    Ok(summed(&counts, in_progress, &state, now))
}

async fn require(tx: &mut db::Transaction, caller: &Caller, id: OperationId) -> Result<()> {
    match operation::find(tx, caller.tenant, id).await? {
        Some(_) => Ok(()),
        None => Err(Error::not_found("operation")),
    }
}

fn summed(counts: &[Count], in_progress: i64, state: &state::QueueState, now: DateTime<Utc>) -> Statistics {
    let of = |status: OperationStatus| counts.iter().find(|count| count.status == status.name());
    let n = |status| of(status).map_or(0, |count| count.n);
    let recent = of(OperationStatus::Completed).map_or((0, 0.0), |one| (one.recent, one.recent_seconds));
    Statistics {
        // A claimed operation is stored as pending.
        pending: n(OperationStatus::Pending) - in_progress,
        in_progress,
        completed: n(OperationStatus::Completed),
        failed: n(OperationStatus::Failed),
        dead_letter: n(OperationStatus::DeadLetter),
        awaiting_system: n(OperationStatus::AwaitingSystem),
        resolved: n(OperationStatus::Resolved),
        cancelled: n(OperationStatus::Cancelled),
        avg_processing_time_secs: match recent {
            (0, _) => 0.0,
            #[expect(
                clippy::cast_precision_loss,
                reason = "an average needs no more than 52 bits of a count"
            )]
            (completed, seconds) => seconds / completed as f64,
        },
        blocked: state.blocked,
        held: state.held,
        in_conflict: state.in_conflict,
        waiting_for_target: state.waiting_for_target,
        oldest_age_secs: state.oldest_at.map_or(0.0, |at| (now - at).as_seconds_f64().max(0.0)),
    }
}
