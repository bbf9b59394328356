//! The database of provisioning as the judge needs it: one reading of all tenants' rows, as of one instant.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection, FromRow, PgConnection, types::Json};
use uuid::Uuid;

use crate::checker::{Attempt, Connector, Count, Lane, Move, Operation, Snapshot};

/// Reads everything. Only a superuser sees all tenants.
pub async fn read(connection: &mut PgConnection) -> Result<Snapshot> {
    let mut tx = connection.begin_with("begin isolation level repeatable read read only").await?;
    let snapshot = Snapshot {
        connectors: connectors(&mut tx).await?,
        lanes: lanes(&mut tx).await?,
        operations: operations(&mut tx).await?,
        attempts: attempts(&mut tx).await?,
        moves: moves(&mut tx).await?,
        counts: counts(&mut tx).await?,
    };
    tx.rollback().await?;
    Ok(snapshot)
}

async fn connectors(tx: &mut PgConnection) -> Result<Vec<Connector>> {
    let rows: Vec<(Uuid, Uuid, String, bool, bool, i32)> = sqlx::query_as(
        "select c.tenant_id, c.id, c.name, c.paused, w.breaker is not null and w.breaker <> 'closed',
                (c.policies ->> 'max_concurrency')::integer
           from connector c
           left join connector_work w on w.tenant_id = c.tenant_id and w.connector_id = c.id",
    )
    .fetch_all(tx)
    .await?;
    let connector = |(tenant, id, name, paused, breaker_open, most): (_, _, _, _, _, i32)| Connector {
        tenant,
        id,
        name,
        paused,
        breaker_open,
        max_concurrency: usize::try_from(most).unwrap_or(0),
    };
    Ok(rows.into_iter().map(connector).collect())
}

type LaneRow = (Uuid, Uuid, Uuid, i64, Option<i64>, Option<i64>);

async fn lanes(tx: &mut PgConnection) -> Result<Vec<Lane>> {
    let rows: Vec<LaneRow> =
        sqlx::query_as("select tenant_id, id, connector_id, fence, claimed_from, claimed_through from lane")
            .fetch_all(tx)
            .await?;
    let lane = |(tenant, id, connector, fence, from, through): (_, _, _, _, Option<_>, Option<_>)| Lane {
        tenant,
        id,
        connector,
        fence,
        claimed: from.zip(through),
    };
    Ok(rows.into_iter().map(lane).collect())
}

#[derive(FromRow)]
struct OperationRow {
    tenant_id: Uuid,
    id: Uuid,
    connector_id: Uuid,
    lane_id: Uuid,
    sequence: i64,
    operation_type: String,
    user_id: Option<Uuid>,
    target_uid: Option<String>,
    status: String,
    payload: Json<BTreeMap<String, Value>>,
    retry_count: i32,
    max_retries: i32,
    crash_count: i32,
    attempts: i32,
    error_code: Option<String>,
    hold_reason: Option<String>,
    not_before: Option<DateTime<Utc>>,
    request_id: Option<Uuid>,
    cause_kind: String,
}

async fn operations(tx: &mut PgConnection) -> Result<Vec<Operation>> {
    let rows: Vec<OperationRow> = sqlx::query_as(
        "select tenant_id, id, connector_id, lane_id, sequence, operation_type, user_id, target_uid, status, payload,
                retry_count, max_retries, crash_count, attempts, error_code, hold_reason, not_before, request_id,
                cause_kind
           from operation
          union all
         select tenant_id, id, connector_id, lane_id, sequence, operation_type, user_id, target_uid, status, payload,
                retry_count, max_retries, crash_count, attempts, error_code, null, not_before, request_id, cause_kind
           from operation_history",
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(Operation::from).collect())
}

impl From<OperationRow> for Operation {
    fn from(row: OperationRow) -> Self {
        Self {
            tenant: row.tenant_id,
            id: row.id,
            connector: row.connector_id,
            lane: row.lane_id,
            sequence: row.sequence,
            operation_type: row.operation_type,
            has_identity: row.user_id.is_some(),
            target_uid: row.target_uid,
            status: row.status,
            payload: row.payload.0,
            retry_count: row.retry_count,
            max_retries: row.max_retries,
            crash_count: row.crash_count,
            attempts: row.attempts,
            error_code: row.error_code,
            hold_reason: row.hold_reason,
            not_before: row.not_before,
            request_id: row.request_id,
            cause: row.cause_kind,
        }
    }
}

#[derive(FromRow)]
struct AttemptRow {
    operation_id: Uuid,
    attempt_number: i32,
    fence: i64,
    worker_id: Uuid,
    started_at: DateTime<Utc>,
    completed_at: DateTime<Utc>,
    success: bool,
    error_code: Option<String>,
    outcome_unknown: bool,
}

async fn attempts(tx: &mut PgConnection) -> Result<Vec<Attempt>> {
    let rows: Vec<AttemptRow> = sqlx::query_as(
        "select operation_id, attempt_number, fence, worker_id, started_at, completed_at, success, error_code,
                outcome_unknown
           from execution_attempt",
    )
    .fetch_all(tx)
    .await?;
    let attempt = |row: AttemptRow| Attempt {
        operation: row.operation_id,
        number: row.attempt_number,
        fence: row.fence,
        worker: row.worker_id,
        started_at: row.started_at,
        completed_at: row.completed_at,
        success: row.success,
        error_code: row.error_code,
        outcome_unknown: row.outcome_unknown,
    };
    Ok(rows.into_iter().map(attempt).collect())
}

#[derive(FromRow)]
struct MoveRow {
    operation_id: Uuid,
    timestamp: DateTime<Utc>,
    event: String,
    from_status: Option<String>,
    to_status: String,
    actor: Option<Uuid>,
    fence: Option<i64>,
    message: String,
}

async fn moves(tx: &mut PgConnection) -> Result<Vec<Move>> {
    let rows: Vec<MoveRow> = sqlx::query_as(
        r#"select operation_id, "timestamp", event, from_status, to_status, actor, fence, message
             from operation_move
            order by pg_xact_commit_timestamp(transaction_id::xid), id, is_claim desc"#,
    )
    .fetch_all(tx)
    .await?;
    let one = |row: MoveRow| Move {
        operation: row.operation_id,
        at: row.timestamp,
        event: row.event,
        from: row.from_status,
        to: row.to_status,
        actor: row.actor,
        fence: row.fence,
        message: row.message,
    };
    Ok(rows.into_iter().map(one).collect())
}

async fn counts(tx: &mut PgConnection) -> Result<Vec<Count>> {
    let rows: Vec<(Uuid, Uuid, String, i64)> = sqlx::query_as(
        "select tenant_id, connector_id, status, sum(n)::bigint
           from (select tenant_id, connector_id, status, n from operation_count
                  union all
                 select tenant_id, connector_id, status, n from operation_delta) as said
          group by tenant_id, connector_id, status",
    )
    .fetch_all(tx)
    .await?;
    let count = |(tenant, connector, status, n)| Count { tenant, connector, status, n };
    Ok(rows.into_iter().map(count).collect())
}
