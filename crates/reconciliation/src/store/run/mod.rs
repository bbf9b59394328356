//! Runs. Whoever holds the fence saves the row; callers only leave a request on it, or move a run that nobody holds.
//!
//! Beside it: what waits for a worker ([`work`]), what a run plans ([`plan`]), what it said at its end ([`report`]), what the
//! next one is measured by or starts from ([`baseline`]), and what it hands on to the next delta ([`revisit`]).

pub mod baseline;
pub mod plan;
pub mod report;
pub mod revisit;
mod row;
pub mod work;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder, types::Json};
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{ConnectorId, RunId, ScheduleId, SubjectId, TenantId, WorkerId},
    run::{PauseReason, ReconciliationMode, RunStatus},
};
use xavyo_runtime::db;

use self::row::{RunRow, counts};
use super::list::{self, Filter};
use crate::runs::record::{ReadProof, RunRecord, StopRequest};

/// What ListRuns may be narrowed down by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub connector_id: Option<ConnectorId>,
    pub mode: Option<ReconciliationMode>,
    pub status: Option<RunStatus>,
}

impl Filter for RunFilter {
    const TABLE: &'static str = "run";

    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        list::equals(query, "connector_id", self.connector_id.map(|connector| connector.0));
        list::equals(query, "mode", self.mode.map(ReconciliationMode::name));
        list::equals(query, "status", self.status.map(RunStatus::name));
    }
}

/// A new run. RUN_ACTIVE, naming it, where the connector has one that is not final (R5).
pub async fn insert(tx: &mut PgConnection, tenant: TenantId, record: &RunRecord) -> Result<()> {
    let run = &record.run;
    let inserted = sqlx::query!(
        "insert into run (tenant_id, id, connector_id, mode, requested_mode, mode_note, dry_run, status,
                          accept_count_at_least, schedule_id, slot_at, reason, trace_id, created_by, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)
         on conflict (tenant_id, connector_id) where status in ('pending', 'running', 'paused') do nothing",
        tenant.0,
        run.id.0,
        run.connector_id.0,
        run.mode.name(),
        run.requested_mode.name(),
        run.mode_note,
        run.dry_run,
        run.status.name(),
        run.accept_count_at_least,
        run.schedule_id.map(|schedule| schedule.0),
        record.slot_at,
        run.reason,
        run.trace_id,
        run.created_by.0,
        run.created_at,
    );
    match inserted.execute(&mut *tx).await.map_err(db::failed)?.rows_affected() {
        1 => Ok(()),
        _ => Err(is_active(tx, tenant, run.connector_id).await?),
    }
}

/// The refusal that names the connector's active run.
async fn is_active(tx: &mut PgConnection, tenant: TenantId, connector: ConnectorId) -> Result<Error> {
    let active = sqlx::query_scalar!(
        "select id
           from run
          where tenant_id = $1 and connector_id = $2 and status in ('pending', 'running', 'paused')",
        tenant.0,
        connector.0,
    );
    let active = active.fetch_optional(tx).await.map_err(db::failed)?;
    let error = Error::new(Reason::RunActive, "the connector has a run that has not ended");
    Ok(match active {
        Some(run) => error.with("run_id", run.to_string()),
        None => error,
    })
}

/// Whether the schedule's slot has had its run (R9).
pub async fn is_taken(
    tx: &mut PgConnection,
    tenant: TenantId,
    schedule: ScheduleId,
    slot: DateTime<Utc>,
) -> Result<bool> {
    let taken = sqlx::query_scalar!(
        r#"select exists (select from run
                           where tenant_id = $1 and schedule_id = $2 and slot_at = $3) as "taken!""#,
        tenant.0,
        schedule.0,
        slot,
    );
    taken.fetch_one(tx).await.map_err(db::failed)
}

pub async fn get(tx: &mut PgConnection, tenant: TenantId, id: RunId) -> Result<RunRecord> {
    let mut found = find_all(tx, tenant, &[id.0]).await?;
    found.pop().ok_or_else(|| Error::not_found("run"))
}

/// Keeps others from moving the run until the transaction ends.
pub async fn lock(tx: &mut PgConnection, tenant: TenantId, id: RunId) -> Result<RunRecord> {
    let locked = sqlx::query!(
        "select id
           from run
          where tenant_id = $1 and id = $2
            for no key update",
        tenant.0,
        id.0,
    );
    locked.fetch_optional(&mut *tx).await.map_err(db::failed)?;
    get(tx, tenant, id).await
}

/// Newest first, whatever the order of the ids.
pub async fn find_all(tx: &mut PgConnection, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<RunRecord>> {
    let rows = sqlx::query_as!(
        RunRow,
        r#"select id, connector_id, connector_revision, mode, requested_mode, mode_note, dry_run,
                  status, phase, pause_reason, failure_reason, failure_message, stop_request, worker_id, fence,
                  accept_count_at_least, progress_sequence, accounts_processed, accounts_expected,
                  reading_started_at, missing_found, orphan_found, mismatch_found, collision_found,
                  unlinked_found, deleted_found, in_flight, protected, unevaluable, suppressed, ignored, renamed,
                  calls_made, proofs as "proofs: Json<Vec<ReadProof>>", spared_discrepancy_ids, plan_digest, approved_by,
                  excluded_discrepancy_ids, approval_expires_at,
                  schedule_id, slot_at, reason, trace_id, created_by, created_at,
                  started_at, completed_at, updated_at, version
             from run
            where tenant_id = $1 and id = any($2)
            order by id desc"#,
        tenant.0,
        ids,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    rows.into_iter().map(RunRecord::try_from).collect()
}

/// Takes the run in hand under a new fence. False: it has ended, or waits for a person.
pub async fn claim(tx: &mut PgConnection, tenant: TenantId, id: RunId, worker: WorkerId) -> Result<bool> {
    let claimed = sqlx::query!(
        "update run
            set worker_id = $3,
                fence = fence + 1
          where tenant_id = $1 and id = $2 and status in ('pending', 'running')",
        tenant.0,
        id.0,
        worker.0,
    );
    Ok(claimed.execute(tx).await.map_err(db::failed)?.rows_affected() == 1)
}

/// Saves everything that changes in a run's life, if the fence is still the row's, and answers what somebody has asked
/// for meanwhile. Sequence and version of the record follow the row's. CLAIM_LOST: it is in other hands.
pub async fn save(
    tx: &mut PgConnection,
    tenant: TenantId,
    record: &mut RunRecord,
    now: DateTime<Utc>,
) -> Result<Option<StopRequest>> {
    let (run, progress) = (&mut record.run, &mut record.progress);
    let [missing, orphan, mismatch, collision, unlinked, deleted] = counts(&progress.found.by_type);
    let spared: Vec<Uuid> = record.spared.iter().map(|id| id.0).collect();
    let saved = sqlx::query!(
        "update run
            set status = $4, phase = $5, pause_reason = $6, failure_reason = $7, failure_message = $8,
                worker_id = $9, connector_revision = $10, mode = $11, mode_note = $12,
                progress_sequence = progress_sequence + 1, accounts_processed = $13, accounts_expected = $14,
                reading_started_at = $15, missing_found = $16, orphan_found = $17, mismatch_found = $18,
                collision_found = $19, unlinked_found = $20, deleted_found = $21, in_flight = $22,
                protected = $23, unevaluable = $24, suppressed = $25, ignored = $26, renamed = $27, calls_made = $28,
                proofs = $29, spared_discrepancy_ids = $30, started_at = $31, completed_at = $32, updated_at = $33,
                version = version + 1
          where tenant_id = $1 and id = $2 and fence = $3
         returning stop_request, progress_sequence, version",
        tenant.0,
        run.id.0,
        record.fence,
        run.status.name(),
        run.phase.name(),
        run.pause_reason.map(PauseReason::name),
        run.failure.as_ref().map(|failure| failure.code.as_str()),
        run.failure.as_ref().map(|failure| failure.message.as_str()),
        record.worker.map(|worker| worker.0),
        run.connector_revision,
        run.mode.name(),
        run.mode_note,
        run.accounts_processed,
        progress.accounts_expected,
        progress.reading_started_at,
        missing,
        orphan,
        mismatch,
        collision,
        unlinked,
        deleted,
        progress.set_apart.in_flight,
        progress.set_apart.protected,
        progress.set_apart.unevaluable,
        progress.set_apart.suppressed,
        progress.set_apart.ignored,
        progress.set_apart.renamed,
        progress.calls_made,
        Json(&record.proofs) as _,
        &spared,
        run.started_at,
        run.completed_at,
        now,
    );
    let Some(saved) = saved.fetch_optional(tx).await.map_err(db::failed)? else {
        return Err(
            Error::new(Reason::ClaimLost, "the run is in other hands").with("run_id", run.id.to_string())
        );
    };
    progress.sequence = saved.progress_sequence;
    run.version = saved.version;
    run.updated_at = now;
    Ok(saved.stop_request.as_deref().and_then(StopRequest::named))
}

/// Leaves word for the worker that holds the run. The first who asks is remembered; a cancel takes the place of a pause.
pub async fn request_stop(
    tx: &mut PgConnection,
    tenant: TenantId,
    id: RunId,
    request: StopRequest,
    by: SubjectId,
    now: DateTime<Utc>,
) -> Result<()> {
    let asked = sqlx::query!(
        "update run
            set stop_request = $3,
                stop_requested_by = $4,
                stop_requested_at = $5,
                updated_at = $5,
                version = version + 1
          where tenant_id = $1 and id = $2 and (stop_request is null or stop_request <> 'cancel')",
        tenant.0,
        id.0,
        request.name(),
        by.0,
        now,
    );
    asked.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Sets a paused run going again, for whoever takes it next; what somebody had asked of it is done with. The caller has
/// locked the run, and saves nothing of it afterwards.
pub async fn resume(tx: &mut PgConnection, tenant: TenantId, id: RunId, now: DateTime<Utc>) -> Result<()> {
    let resumed = sqlx::query!(
        "update run
            set status = 'running',
                pause_reason = null,
                stop_request = null,
                stop_requested_by = null,
                stop_requested_at = null,
                worker_id = null,
                progress_sequence = progress_sequence + 1,
                updated_at = $3,
                version = version + 1
          where tenant_id = $1 and id = $2 and status = 'paused'",
        tenant.0,
        id.0,
        now,
    );
    resumed.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// The connector's last completed full run that changed things, other than `but`.
pub async fn last_completed_full(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    but: RunId,
) -> Result<Option<RunId>> {
    let last = sqlx::query_scalar!(
        "select id
           from run
          where tenant_id = $1 and connector_id = $2
            and status = 'completed' and mode = 'full' and not dry_run and id <> $3
          order by id desc
          limit 1",
        tenant.0,
        connector.0,
        but.0,
    );
    Ok(last.fetch_optional(tx).await.map_err(db::failed)?.map(RunId))
}
