//! Remediations: written before anything is done, finished with their result.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{DiscrepancyId, IdentityId, OperationId, RunId, SubjectId, TenantId},
    remediation::{RemediationAction, RemediationDirection, Remedy},
};
use xavyo_runtime::db;

use super::parse;
use crate::remediation::record::{Choice, Failure, Outcome, RemediationRecord};

struct RemediationRow {
    id: Uuid,
    discrepancy_id: Uuid,
    connector_id: Uuid,
    action: String,
    direction: String,
    identity_id: Option<Uuid>,
    external_uid: Option<String>,
    reason: Option<String>,
    dry_run: bool,
    run_id: Option<Uuid>,
    requested_by: Uuid,
    trace_id: Option<String>,
    fence: i64,
    operation_id: Option<Uuid>,
    success: Option<bool>,
    error_reason: Option<String>,
    error: Option<String>,
    changes: Option<serde_json::Value>,
    created_at: DateTime<Utc>,
}

/// A new remediation; a dry run is inserted with its outcome. REMEDIATION_IN_FLIGHT where another one of the same
/// discrepancy has not finished (R10).
pub async fn insert(tx: &mut PgConnection, tenant: TenantId, record: &RemediationRecord) -> Result<()> {
    let outcome = record.outcome.as_ref();
    let failure = outcome.and_then(|outcome| outcome.failure.as_ref());
    let cause = if record.run_id.is_some() { "run" } else { "api" };
    let inserted = sqlx::query!(
        "insert into remediation (tenant_id, id, discrepancy_id, connector_id, action, direction, identity_id,
                                  external_uid, reason, dry_run, cause_kind, run_id, requested_by, trace_id,
                                  success, error_reason, error, changes, created_at, finished_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
         on conflict (tenant_id, discrepancy_id) where finished_at is null do nothing",
        tenant.0,
        record.id,
        record.discrepancy_id.0,
        record.connector_id.0,
        record.remedy.action.name(),
        record.remedy.direction.name(),
        record.choice.identity_id.map(|identity| identity.0),
        record.choice.external_uid,
        record.reason,
        record.dry_run,
        cause,
        record.run_id.map(|run| run.0),
        record.requested_by.0,
        record.trace_id,
        outcome.map(|outcome| outcome.failure.is_none()),
        failure.map(|failure| failure.reason.as_str()),
        failure.map(|failure| failure.message.as_str()),
        outcome.and_then(|outcome| outcome.changes.clone()),
        record.created_at,
        outcome.map(|_| record.created_at),
    );
    match inserted.execute(tx).await.map_err(db::failed)?.rows_affected() {
        1 => Ok(()),
        _ => Err(in_flight(record.discrepancy_id)),
    }
}

/// The refusal of a second remediation of one finding.
pub fn in_flight(discrepancy: DiscrepancyId) -> Error {
    Error::new(Reason::RemediationInFlight, "another remediation of the discrepancy is under way")
        .with("discrepancy_id", discrepancy.to_string())
}

/// Whether one of the discrepancy has not finished.
pub async fn is_in_flight(
    tx: &mut PgConnection,
    tenant: TenantId,
    discrepancy: DiscrepancyId,
) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from remediation
                           where tenant_id = $1 and discrepancy_id = $2 and finished_at is null) as "exists!""#,
        tenant.0,
        discrepancy.0,
    );
    found.fetch_one(tx).await.map_err(db::failed)
}

pub async fn get(tx: &mut PgConnection, tenant: TenantId, id: Uuid) -> Result<RemediationRecord> {
    let mut found = find_all(tx, tenant, &[id]).await?;
    found.pop().ok_or_else(|| Error::not_found("remediation"))
}

/// In order of id.
pub async fn find_all(
    tx: &mut PgConnection,
    tenant: TenantId,
    ids: &[Uuid],
) -> Result<Vec<RemediationRecord>> {
    let rows = sqlx::query_as!(
        RemediationRow,
        "select id, discrepancy_id, connector_id, action, direction, identity_id, external_uid, reason, dry_run,
                run_id, requested_by, trace_id, fence, operation_id, success, error_reason, error, changes,
                created_at
           from remediation
          where tenant_id = $1 and id = any($2)
          order by id",
        tenant.0,
        ids,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    rows.into_iter().map(RemediationRecord::try_from).collect()
}

/// The last remediation of each discrepancy, dry runs apart.
pub async fn find_last(
    tx: &mut PgConnection,
    tenant: TenantId,
    discrepancies: &[Uuid],
) -> Result<HashMap<DiscrepancyId, RemediationRecord>> {
    let ids = sqlx::query_scalar!(
        "select distinct on (discrepancy_id) id
           from remediation
          where tenant_id = $1 and discrepancy_id = any($2) and not dry_run
          order by discrepancy_id, id desc",
        tenant.0,
        discrepancies,
    );
    let ids = ids.fetch_all(&mut *tx).await.map_err(db::failed)?;
    let records = find_all(tx, tenant, &ids).await?;
    Ok(records.into_iter().map(|record| (record.discrepancy_id, record)).collect())
}

/// Takes an unfinished remediation in hand under a new fence. False: it has finished.
pub async fn claim(tx: &mut PgConnection, tenant: TenantId, id: Uuid) -> Result<bool> {
    let claimed = sqlx::query!(
        "update remediation
            set fence = fence + 1
          where tenant_id = $1 and id = $2 and finished_at is null",
        tenant.0,
        id,
    );
    Ok(claimed.execute(tx).await.map_err(db::failed)?.rows_affected() == 1)
}

/// Notes the operation that does it, so that callers can be told.
pub async fn note_operation(
    tx: &mut PgConnection,
    tenant: TenantId,
    id: Uuid,
    operation: OperationId,
) -> Result<()> {
    let noted = sqlx::query!(
        "update remediation
            set operation_id = $3
          where tenant_id = $1 and id = $2",
        tenant.0,
        id,
        operation.0,
    );
    noted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Records the outcome, if the fence is still the row's. CLAIM_LOST: somebody else records it.
pub async fn finish(
    tx: &mut PgConnection,
    tenant: TenantId,
    record: &RemediationRecord,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<()> {
    let failure = outcome.failure.as_ref();
    let finished = sqlx::query!(
        "update remediation
            set success = $4,
                error_reason = $5,
                error = $6,
                changes = $7,
                finished_at = $8
          where tenant_id = $1 and id = $2 and fence = $3 and finished_at is null",
        tenant.0,
        record.id,
        record.fence,
        failure.is_none(),
        failure.map(|failure| failure.reason.as_str()),
        failure.map(|failure| failure.message.as_str()),
        outcome.changes,
        now,
    );
    match finished.execute(tx).await.map_err(db::failed)?.rows_affected() {
        1 => Ok(()),
        _ => Err(Error::new(Reason::ClaimLost, "the remediation is in other hands")),
    }
}

impl TryFrom<RemediationRow> for RemediationRecord {
    type Error = Error;

    fn try_from(row: RemediationRow) -> Result<Self, Error> {
        let failure = row.error_reason.zip(row.error);
        Ok(Self {
            id: row.id,
            discrepancy_id: row.discrepancy_id.into(),
            connector_id: row.connector_id.into(),
            remedy: Remedy {
                action: parse("remediation.action", &row.action, RemediationAction::named)?,
                direction: parse("remediation.direction", &row.direction, RemediationDirection::named)?,
            },
            choice: Choice { identity_id: row.identity_id.map(IdentityId), external_uid: row.external_uid },
            reason: row.reason,
            dry_run: row.dry_run,
            run_id: row.run_id.map(RunId),
            requested_by: SubjectId(row.requested_by),
            trace_id: row.trace_id,
            fence: row.fence,
            operation_id: row.operation_id.map(OperationId),
            outcome: row.success.map(|_| Outcome {
                failure: failure.map(|(reason, message)| Failure { reason, message }),
                changes: row.changes,
            }),
            created_at: row.created_at,
        })
    }
}
