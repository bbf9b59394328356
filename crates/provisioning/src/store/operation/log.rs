//! The log of every move of every operation, and the attempts. Both are append-only.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, OperationId, SubjectId, TenantId, WorkerId},
    operation::{Event, OperationStatus},
};
use xavyo_runtime::{Clock, db};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A move, as it is logged in the transaction that makes it.
#[derive(Clone, Debug)]
pub struct Move {
    pub operation_id: OperationId,
    pub connector_id: ConnectorId,
    pub at: DateTime<Utc>,
    /// None = the operation was accepted.
    pub event: Option<Event>,
    pub from: Option<OperationStatus>,
    pub to: OperationStatus,
    pub level: Level,
    pub message: String,
    pub actor: Option<SubjectId>,
    pub fence: Option<i64>,
}

/// Appends moves in the order given: their ids rise.
///
/// The feed tells an operation's moves in their order: the lane's lock gives it, but a transaction may have had its number
/// before it waited for that lock, a lower one than the move ahead. It then takes over the number of that move; by id it
/// comes after it, and nothing has been served so far, because this transaction is still running. A move under a fence
/// needs no look: its transaction began after the claim, hence after every move ahead.
pub async fn insert(tx: &mut PgConnection, clock: &Clock, tenant: TenantId, moves: &[Move]) -> Result<()> {
    let ids: Vec<Uuid> = moves.iter().map(|_| clock.new_id()).collect();
    let operations: Vec<Uuid> = moves.iter().map(|one| one.operation_id.0).collect();
    let connectors: Vec<Uuid> = moves.iter().map(|one| one.connector_id.0).collect();
    let times: Vec<DateTime<Utc>> = moves.iter().map(|one| one.at).collect();
    let levels: Vec<String> = moves.iter().map(|one| one.level.name().to_owned()).collect();
    let messages: Vec<String> = moves.iter().map(|one| one.message.clone()).collect();
    let events: Vec<String> =
        moves.iter().map(|one| one.event.map_or("accepted", Event::name).to_owned()).collect();
    let from: Vec<Option<String>> =
        moves.iter().map(|one| one.from.map(|status| status.name().to_owned())).collect();
    let to: Vec<String> = moves.iter().map(|one| one.to.name().to_owned()).collect();
    let actors: Vec<Option<Uuid>> = moves.iter().map(|one| one.actor.map(|actor| actor.0)).collect();
    let fences: Vec<Option<i64>> = moves.iter().map(|one| one.fence).collect();
    sqlx::query!(
        r#"insert into operation_log (
               tenant_id, operation_id, id, connector_id, "timestamp", level, message, event,
               from_status, to_status, actor, fence, transaction_id)
           select $1, move.*, greatest(pg_current_xact_id(), ahead.transaction_id)
             from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[], $11::uuid[], $12::bigint[])
                  as move (operation_id, id, connector_id, "timestamp", level, message, event,
                           from_status, to_status, actor, fence)
             left join lateral (
                   select transaction_id
                     from operation_log
                    where tenant_id = $1 and operation_id = move.operation_id
                      and move.from_status is not null and move.fence is null
                    order by transaction_id desc
                    limit 1) as ahead
               on true"#,
        tenant.0,
        &operations,
        &ids,
        &connectors,
        &times,
        &levels,
        &messages,
        &events,
        &from as &[Option<String>],
        &to,
        &actors as &[Option<Uuid>],
        &fences as &[Option<i64>],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// One try, as finish or take-over records it.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub operation_id: OperationId,
    pub number: i32,
    pub fence: i64,
    pub worker: WorkerId,
    pub started_at: DateTime<Utc>,
    pub completed_at: DateTime<Utc>,
    /// Code and message of what went wrong; none = success.
    pub error: Option<(String, String)>,
    pub outcome_unknown: bool,
}

pub async fn insert_attempts(tx: &mut PgConnection, tenant: TenantId, attempts: &[Attempt]) -> Result<()> {
    let operations: Vec<Uuid> = attempts.iter().map(|one| one.operation_id.0).collect();
    let numbers: Vec<i32> = attempts.iter().map(|one| one.number).collect();
    let fences: Vec<i64> = attempts.iter().map(|one| one.fence).collect();
    let workers: Vec<Uuid> = attempts.iter().map(|one| one.worker.0).collect();
    let started: Vec<DateTime<Utc>> = attempts.iter().map(|one| one.started_at).collect();
    let completed: Vec<DateTime<Utc>> = attempts.iter().map(|one| one.completed_at).collect();
    let successes: Vec<bool> = attempts.iter().map(|one| one.error.is_none()).collect();
    let codes: Vec<Option<String>> =
        attempts.iter().map(|one| one.error.as_ref().map(|(code, _)| code.clone())).collect();
    let messages: Vec<Option<String>> =
        attempts.iter().map(|one| one.error.as_ref().map(|(_, message)| message.clone())).collect();
    let unknown: Vec<bool> = attempts.iter().map(|one| one.outcome_unknown).collect();
    sqlx::query!(
        "insert into execution_attempt (
             tenant_id, operation_id, attempt_number, fence, worker_id, started_at, completed_at, success,
             error_code, error_message, outcome_unknown)
         select $1, * from unnest($2::uuid[], $3::int[], $4::bigint[], $5::uuid[], $6::timestamptz[],
                                  $7::timestamptz[], $8::bool[], $9::text[], $10::text[], $11::bool[])",
        tenant.0,
        &operations,
        &numbers,
        &fences,
        &workers,
        &started,
        &completed,
        &successes,
        &codes as &[Option<String>],
        &messages as &[Option<String>],
        &unknown,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// A line of the log as it is read back.
#[derive(Clone, Debug, FromRow)]
pub struct Line {
    pub id: Uuid,
    pub operation_id: Uuid,
    pub connector_id: Uuid,
    pub timestamp: DateTime<Utc>,
    pub level: String,
    pub message: String,
    pub event: String,
    pub from_status: Option<String>,
    pub to_status: String,
    pub actor: Option<Uuid>,
    pub fence: Option<i64>,
}

/// The log of one operation, oldest first, after `after`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    operation: OperationId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Line>> {
    sqlx::query_as!(
        Line,
        r#"select id, operation_id, connector_id, "timestamp", level, message, event, from_status, to_status,
                  actor, fence
             from operation_log
            where tenant_id = $1 and operation_id = $2 and ($3::uuid is null or id > $3)
            order by id
            limit $4"#,
        tenant.0,
        operation.0,
        after,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)
}

/// An attempt as it is read back.
#[derive(Clone, Debug, FromRow)]
pub struct AttemptLine {
    pub attempt_number: i32,
    pub fence: i64,
    pub started_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
    pub success: Option<bool>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub outcome_unknown: bool,
}

/// The attempts of one operation, in order. The open one, if any, is the lane's claim.
pub async fn attempts(
    tx: &mut PgConnection,
    tenant: TenantId,
    operation: OperationId,
) -> Result<Vec<AttemptLine>> {
    sqlx::query_as!(
        AttemptLine,
        r#"select attempt_number as "attempt_number!", fence as "fence!", started_at as "started_at!",
                  completed_at, success, error_code, error_message, outcome_unknown as "outcome_unknown!"
             from (select attempt_number, fence, started_at, completed_at, success, error_code, error_message,
                          outcome_unknown
                     from execution_attempt
                    where tenant_id = $1 and operation_id = $2
                    union all
                   -- the attempt under way
                   select o.attempts + 1, l.fence, l.claimed_at, null, null, null, null, false
                     from operation o
                     join lane l on l.tenant_id = o.tenant_id and l.id = o.lane_id
                    where o.tenant_id = $1 and o.id = $2
                      and l.worker_id is not null
                      and o.sequence between l.claimed_from and l.claimed_through) as made
            order by 1"#,
        tenant.0,
        operation.0,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)
}
