//! The plan of a run: its rows with a planned action, what the guard weighed of them, and who let it pass.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    digest::Digest,
    error::Result,
    guard::Effects,
    ids::{DiscrepancyId, RunId, SubjectId, TenantId},
};
use xavyo_runtime::db;

use crate::runs::record::RunRecord;

/// What an approval is of: a row and what is to be done about it, in one word for the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedItem {
    pub discrepancy_id: DiscrepancyId,
    pub text: String,
}

/// Everything that the run plans, in order of id.
pub async fn items(tx: &mut PgConnection, tenant: TenantId, run: RunId) -> Result<Vec<PlannedItem>> {
    let rows = sqlx::query!(
        r#"select id, planned_action as "action!", planned_direction as "direction!"
             from discrepancy
            where tenant_id = $1 and run_id = $2 and planned_action is not null
            order by id"#,
        tenant.0,
        run.0,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    let item = |id: Uuid, action: &str, direction: &str| PlannedItem {
        discrepancy_id: id.into(),
        text: format!("{id} {action} {direction}"),
    };
    Ok(rows.iter().map(|row| item(row.id, &row.action, &row.direction)).collect())
}

/// What the plan would have of each effect.
pub async fn effects(tx: &mut PgConnection, tenant: TenantId, run: RunId) -> Result<Effects> {
    let counts = sqlx::query!(
        r#"select count(*) filter (where planned_effect = 'destructive') as "destructive!",
                  count(*) filter (where planned_effect = 'constructive') as "constructive!"
             from discrepancy
            where tenant_id = $1 and run_id = $2 and planned_action is not null"#,
        tenant.0,
        run.0,
    );
    let counts = counts.fetch_one(tx).await.map_err(db::failed)?;
    Ok(Effects { destructive: counts.destructive, constructive: counts.constructive })
}

/// Planned rows that still wait for this run to act on them, in order of id after `after`: open, not left out, and with no
/// remediation of this run's, finished or not, nor one of anybody's under way.
pub async fn find_waiting(
    tx: &mut PgConnection,
    tenant: TenantId,
    record: &RunRecord,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>> {
    let excluded: Vec<Uuid> = record.excluded.iter().map(|id| id.0).collect();
    let ids = sqlx::query_scalar!(
        "select id
           from discrepancy
          where tenant_id = $1 and run_id = $2 and planned_action is not null
            and resolution_status = 'pending' and id > $3 and not id = any($4)
            and not exists (select from remediation
                             where remediation.tenant_id = $1 and discrepancy_id = discrepancy.id
                               and (remediation.run_id = $2 or finished_at is null))
          order by id
          limit $5",
        tenant.0,
        record.run.id.0,
        after,
        &excluded,
        limit,
    );
    ids.fetch_all(tx).await.map_err(db::failed)
}

/// Those of the ids that the run plans nothing about.
pub async fn strangers(
    tx: &mut PgConnection,
    tenant: TenantId,
    run: RunId,
    ids: &[DiscrepancyId],
) -> Result<Vec<DiscrepancyId>> {
    let asked: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let planned = sqlx::query_scalar!(
        "select id
           from discrepancy
          where tenant_id = $1 and run_id = $2 and planned_action is not null and id = any($3)",
        tenant.0,
        run.0,
        &asked,
    );
    let planned = planned.fetch_all(tx).await.map_err(db::failed)?;
    Ok(ids.iter().filter(|id| !planned.contains(&id.0)).copied().collect())
}

/// Keeps what the guard weighs, if the fence is still the row's. `expires_at` is until when a plan above the limits may be
/// approved.
pub async fn keep(
    tx: &mut PgConnection,
    tenant: TenantId,
    record: &mut RunRecord,
    (digest, actions): (Digest, i64),
    expires_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let kept = sqlx::query!(
        "update run
            set plan_digest = $4,
                planned_actions = $5,
                approval_expires_at = $6,
                version = version + 1
          where tenant_id = $1 and id = $2 and fence = $3
         returning version",
        tenant.0,
        record.run.id.0,
        record.fence,
        &digest.0,
        actions,
        expires_at,
    );
    let Some(kept) = kept.fetch_optional(tx).await.map_err(db::failed)? else {
        return Err(Error::new(Reason::ClaimLost, "the run is in other hands"));
    };
    record.run.version = kept.version;
    record.run.plan_digest = Some(digest.to_string());
    record.approval_expires_at = expires_at;
    Ok(())
}

/// Notes who let the plan pass, and what was left out of it. The caller has locked the run.
pub async fn approve(
    tx: &mut PgConnection,
    tenant: TenantId,
    run: RunId,
    by: SubjectId,
    at: DateTime<Utc>,
    excluded: &[DiscrepancyId],
) -> Result<()> {
    let excluded: Vec<Uuid> = excluded.iter().map(|id| id.0).collect();
    let approved = sqlx::query!(
        "update run
            set approved_by = $3,
                approved_at = $4,
                excluded_discrepancy_ids = $5
          where tenant_id = $1 and id = $2",
        tenant.0,
        run.0,
        by.0,
        at,
        &excluded,
    );
    approved.execute(tx).await.map_err(db::failed)?;
    Ok(())
}
