//! Dead letters by cause: listed in groups, and retried together once the cause is mended.

use chrono::{DateTime, Utc};
use serde_json::json;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, LaneId, OperationId},
    operation::{Event, Operation, OperationStatus},
};
use xavyo_runtime::{auth::Caller, db};

use super::{Operations, moves};
use crate::{
    paging::{self, Listed, MOST_COUNTED},
    store::{
        audit::{self, Entry},
        connector::{self, work},
        lane,
        operation::dead_letter::{self, Cause, Group, Place},
        operation::log::{self, Level, Move},
        operation::statistics::{self, Deltas},
        operation::{self, Kept},
    },
};

/// Dead letters retried in one call: one transaction.
const CHUNK: i64 = 500;

/// Overtaken ones that an answer names.
const NAMED: i64 = 100;

/// Which groups to list.
#[derive(Clone, Debug)]
pub struct ListGroups {
    pub connector_id: Option<ConnectorId>,
    pub after: Option<Place>,
    pub page_size: i64,
    pub count_total: bool,
}

/// Which dead letters to retry.
#[derive(Clone, Debug)]
pub struct BatchRetry {
    pub connector_id: ConnectorId,
    pub error_code: String,
    pub dead_before: Option<DateTime<Utc>>,
}

/// What a batch retry did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    pub retried: i64,
    /// Of the cause, those that a later delete has overtaken: how many, and the oldest by name.
    pub skipped: i64,
    pub overtaken: Vec<OperationId>,
    /// Still to be retried.
    pub remaining: i64,
}

impl Operations {
    /// The largest groups first.
    pub async fn dead_letter_groups(&self, caller: &Caller, command: &ListGroups) -> Result<Listed<Group>> {
        let ListGroups { connector_id, after, page_size, count_total } = command;
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let rows = paging::rows(*page_size);
        let groups = dead_letter::groups(&mut tx, tenant, *connector_id, after.as_ref(), rows).await?;
        let counted = dead_letter::count_groups(&mut tx, tenant, *connector_id, MOST_COUNTED + 1);
        let total = paging::total(*count_total, counted).await?;
        db::commit(tx).await?;
        Ok(Listed::of(groups, *page_size, total))
    }

    /// The oldest dead letters of a cause start anew, with all their retries.
    pub async fn batch_retry(&self, caller: &Caller, command: &BatchRetry) -> Result<Retried> {
        let retried = db::retry(|| self.try_batch_retry(caller, command)).await?;
        if retried.retried > 0 {
            self.nudge.now();
        }
        Ok(retried)
    }

    async fn try_batch_retry(&self, caller: &Caller, command: &BatchRetry) -> Result<Retried> {
        let tenant = caller.tenant;
        let cause = Cause {
            connector_id: command.connector_id,
            error_code: command.error_code.clone(),
            before: command.dead_before,
        };
        let mut tx = self.database.begin(tenant).await?;
        connector::lock_shared(&mut tx, tenant, &[cause.connector_id]).await?;
        let found = dead_letter::oldest(&mut tx, tenant, &cause, CHUNK).await?;
        let retried = self.revive(&mut tx, caller, &cause, &found).await?;
        let answer = Retried {
            retried: i64::try_from(retried.len()).unwrap_or(i64::MAX),
            skipped: dead_letter::count(&mut tx, tenant, &cause, true, MOST_COUNTED).await?,
            overtaken: dead_letter::overtaken(&mut tx, tenant, &cause, NAMED).await?,
            remaining: dead_letter::count(&mut tx, tenant, &cause, false, MOST_COUNTED).await?,
        };
        db::commit(tx).await?;
        Ok(answer)
    }

    /// Under their lanes' locks, those that are still what they were found as.
    async fn revive(
        &self,
        tx: &mut db::Transaction,
        caller: &Caller,
        cause: &Cause,
        found: &[(OperationId, LaneId)],
    ) -> Result<Vec<OperationId>> {
        let tenant = caller.tenant;
        let mut lanes: Vec<LaneId> = found.iter().map(|(_, lane)| *lane).collect();
        lanes.sort();
        lanes.dedup();
        lane::lock(tx, tenant, &lanes).await?;
        // After the locks: whatever held them comes first, in the log's times too.
        let now = self.clock.now();
        let ids: Vec<OperationId> = found.iter().map(|(id, _)| *id).collect();
        let mut dead = operation::find_all(tx, tenant, &ids).await?;
        dead.retain(|operation| is_of(cause, operation));
        dead.sort_by_key(|operation| operation.id);
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        let mut kept: Vec<Kept> = Vec::with_capacity(dead.len());
        let mut logged: Vec<Move> = Vec::with_capacity(dead.len());
        let mut deltas = Deltas::default();
        for operation in &dead {
            let to = operation.status.after(Event::Retried)?;
            kept.push(moves::going_on(operation, to));
            logged.push(retried(caller, operation, to, now));
            deltas.moved(operation.connector_id, operation.status, to, now);
        }
        operation::save(tx, tenant, &kept, now).await?;
        log::insert(tx, &self.clock, tenant, &logged).await?;
        statistics::insert(tx, &self.clock, tenant, &deltas).await?;
        lane::refresh(tx, tenant, &lanes, now).await?;
        work::set_due(tx, tenant, &[cause.connector_id], now).await?;
        let ids: Vec<OperationId> = dead.iter().map(|operation| operation.id).collect();
        audit::insert(tx, &self.clock, caller, entry(cause, &ids)).await?;
        Ok(ids)
    }
}

fn is_of(cause: &Cause, operation: &Operation) -> bool {
    operation.status == OperationStatus::DeadLetter
        && !operation.overtaken
        && operation.failure.as_ref().is_some_and(|failure| failure.code == cause.error_code)
        && cause.before.is_none_or(|before| operation.updated_at < before)
}

fn retried(caller: &Caller, operation: &Operation, to: OperationStatus, at: DateTime<Utc>) -> Move {
    Move {
        operation_id: operation.id,
        connector_id: operation.connector_id,
        at,
        event: Some(Event::Retried),
        from: Some(operation.status),
        to,
        level: Level::Info,
        message: "retried with all dead letters of its cause".to_owned(),
        actor: Some(caller.subject),
        fence: None,
    }
}

fn entry(cause: &Cause, ids: &[OperationId]) -> Entry {
    Entry {
        method: "BatchRetryOperations",
        resource_type: "operation",
        resource_id: None,
        connector_id: Some(cause.connector_id),
        details: json!({ "error_code": cause.error_code, "operations": ids }),
        reason: None,
    }
}
