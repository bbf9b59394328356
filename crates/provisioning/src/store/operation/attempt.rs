//! Attempts: one row of the log each. It holds the move that ended the attempt, and with it the claim that began it. Read
//! back as moves ([`super::log`]) they are two, the claim's with the id just below.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, OperationId, TenantId, WorkerId},
    operation::{Event, OperationStatus},
};
use xavyo_runtime::{Clock, db};

use super::log::Level;

/// One try, as finish or take-over records it: pending → in_progress at the claim, and what came of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub operation_id: OperationId,
    pub connector_id: ConnectorId,
    /// From 1.
    pub number: i32,
    pub fence: i64,
    pub worker: WorkerId,
    pub claimed_at: DateTime<Utc>,
    pub started_at: DateTime<Utc>,
    pub completed_at: DateTime<Utc>,
    /// The move out of `in_progress`.
    pub event: Event,
    pub to: OperationStatus,
    pub level: Level,
    pub message: String,
    /// Code and message of what went wrong; none = success.
    pub error: Option<(String, String)>,
    pub outcome_unknown: bool,
}

/// Appends attempts: the ids of their moves rise. No move of another transaction can come after one of theirs with a lower
/// number (see [`super::log::insert`]): the transaction began after the claim, hence after every move ahead.
pub async fn insert(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    attempts: &[Attempt],
) -> Result<()> {
    let ids: Vec<Uuid> = attempts.iter().map(|_| clock.new_id()).collect();
    let operations: Vec<Uuid> = attempts.iter().map(|one| one.operation_id.0).collect();
    let connectors: Vec<Uuid> = attempts.iter().map(|one| one.connector_id.0).collect();
    let numbers: Vec<i32> = attempts.iter().map(|one| one.number).collect();
    let fences: Vec<i64> = attempts.iter().map(|one| one.fence).collect();
    let workers: Vec<Uuid> = attempts.iter().map(|one| one.worker.0).collect();
    let claimed: Vec<DateTime<Utc>> = attempts.iter().map(|one| one.claimed_at).collect();
    let started: Vec<DateTime<Utc>> = attempts.iter().map(|one| one.started_at).collect();
    let completed: Vec<DateTime<Utc>> = attempts.iter().map(|one| one.completed_at).collect();
    let events: Vec<&str> = attempts.iter().map(|one| one.event.name()).collect();
    let to: Vec<&str> = attempts.iter().map(|one| one.to.name()).collect();
    let levels: Vec<&str> = attempts.iter().map(|one| one.level.name()).collect();
    let messages: Vec<&str> = attempts.iter().map(|one| one.message.as_str()).collect();
    let codes: Vec<Option<&str>> = attempts.iter().map(|one| Some(one.error.as_ref()?.0.as_str())).collect();
    let errors: Vec<Option<&str>> = attempts.iter().map(|one| Some(one.error.as_ref()?.1.as_str())).collect();
    let unknown: Vec<bool> = attempts.iter().map(|one| one.outcome_unknown).collect();
    sqlx::query!(
        r#"insert into operation_log (
               tenant_id, from_status, id, operation_id, connector_id, attempt_number, fence, worker_id, claimed_at,
               started_at, "timestamp", event, to_status, level, message, error_code, error_message,
               outcome_unknown)
           select $1, 'in_progress', *
             from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::bigint[], $7::uuid[],
                         $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[],
                         $13::text[], $14::text[], $15::text[], $16::text[], $17::bool[])"#,
        tenant.0,
        &ids,
        &operations,
        &connectors,
        &numbers,
        &fences,
        &workers,
        &claimed,
        &started,
        &completed,
        &events as &[&str],
        &to as &[&str],
        &levels as &[&str],
        &messages as &[&str],
        &codes as &[Option<&str>],
        &errors as &[Option<&str>],
        &unknown,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
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
pub async fn find_all(
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
