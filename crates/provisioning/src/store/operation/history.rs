//! History: where final operations go, in the transaction that makes them final.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{OperationId, SubjectId, TenantId},
    operation::OperationStatus,
};
use xavyo_runtime::db;

/// How an operation ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub id: OperationId,
    /// A final one.
    pub status: OperationStatus,
    pub attempts: i32,
    pub retry_count: i32,
    /// Its payload may hold sealed values.
    pub may_hold_sealed: bool,
    /// The uid that the account has in the end, where it is known.
    pub target_uid: Option<String>,
    pub error: Option<(String, String)>,
    pub merged_into: Option<OperationId>,
    /// Who resolved it; exactly for resolved ones.
    pub resolved_by: Option<SubjectId>,
    /// How it was resolved, or why cancelled.
    pub notes: Option<String>,
}

/// Moves operations out of the hot table. For operations whose lanes the caller holds. Write-only values, sealed until
/// now, are not taken along.
pub async fn archive(
    tx: &mut PgConnection,
    tenant: TenantId,
    ended: &[Ended],
    now: DateTime<Utc>,
) -> Result<u64> {
    let ids: Vec<Uuid> = ended.iter().map(|one| one.id.0).collect();
    let statuses: Vec<String> = ended.iter().map(|one| one.status.name().to_owned()).collect();
    let attempts: Vec<i32> = ended.iter().map(|one| one.attempts).collect();
    let retries: Vec<i32> = ended.iter().map(|one| one.retry_count).collect();
    let uids: Vec<Option<String>> = ended.iter().map(|one| one.target_uid.clone()).collect();
    let codes: Vec<Option<String>> =
        ended.iter().map(|one| one.error.as_ref().map(|(code, _)| code.clone())).collect();
    let messages: Vec<Option<String>> =
        ended.iter().map(|one| one.error.as_ref().map(|(_, message)| message.clone())).collect();
    let merged: Vec<Option<Uuid>> = ended.iter().map(|one| one.merged_into.map(|id| id.0)).collect();
    let resolvers: Vec<Option<Uuid>> = ended.iter().map(|one| one.resolved_by.map(|by| by.0)).collect();
    let notes: Vec<Option<String>> = ended.iter().map(|one| one.notes.clone()).collect();
    let sealed: Vec<bool> = ended.iter().map(|one| one.may_hold_sealed).collect();
    let moved = sqlx::query!(
        "with ended as (
             select *
               from unnest($3::uuid[], $4::text[], $5::int[], $6::int[], $7::text[], $8::text[], $9::text[],
                           $10::uuid[], $11::uuid[], $12::text[], $13::boolean[])
                    as ended(id, status, attempts, retry_count, target_uid, error_code, error_message,
                             merged_into, resolved_by, notes, may_hold_sealed)),
         -- they leave the hot table
         gone as (
             delete from operation
              where ctid = any (array(
                    select here.ctid
                      from unnest($3::uuid[]) as one(id)
                     cross join lateral (
                           select ctid from operation where tenant_id = $1 and id = one.id limit 1) as here))
          returning *)
         insert into operation_history (
             tenant_id, id, connector_id, connector_name, connector_revision, user_id, operation_type,
             object_class, intent, target_uid, status, priority, retry_count, max_retries,
             error_code, error_message, payload, precondition, lane_id, sequence, not_before, conflict_id,
             crash_count, attempts, merged_into_operation_id,
             cause_kind, cause_id, requested_by, reason, trace_id, request_id,
             resolution_notes, resolved_by, resolved_at, created_at, updated_at, completed_at, version)
         select gone.tenant_id, gone.id, gone.connector_id, gone.connector_name, gone.connector_revision,
                gone.user_id, gone.operation_type, gone.object_class, gone.intent,
                coalesce(ended.target_uid, gone.target_uid), ended.status, gone.priority,
                ended.retry_count, gone.max_retries, ended.error_code, ended.error_message,
                case when ended.may_hold_sealed then without_sealed(gone.payload) else gone.payload end,
                gone.precondition, gone.lane_id, gone.sequence, gone.not_before, gone.conflict_id,
                gone.crash_count, ended.attempts, ended.merged_into,
                gone.cause_kind, gone.cause_id, gone.requested_by, gone.reason, gone.trace_id, gone.request_id,
                ended.notes, ended.resolved_by, case when ended.status = 'resolved' then $2::timestamptz end,
                gone.created_at, $2, $2, gone.version + 1
           from gone
           join ended on ended.id = gone.id",
        tenant.0,
        now,
        &ids,
        &statuses,
        &attempts,
        &retries,
        &uids as &[Option<String>],
        &codes as &[Option<String>],
        &messages as &[Option<String>],
        &merged as &[Option<Uuid>],
        &resolvers as &[Option<Uuid>],
        &notes as &[Option<String>],
        &sealed,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(moved.rows_affected())
}
