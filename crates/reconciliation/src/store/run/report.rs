//! Reports: written once, in the transaction that completes the run.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use xavyo_core::{
    error::Result,
    ids::{RunId, TenantId},
    report::ReconciliationReport,
};
use xavyo_runtime::db;

/// A report with what the row says beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredReport {
    pub report: ReconciliationReport,
    /// The run that it was compared with.
    pub compared_run_id: Option<RunId>,
    pub created_at: DateTime<Utc>,
}

pub async fn insert(tx: &mut PgConnection, tenant: TenantId, stored: &StoredReport) -> Result<()> {
    let inserted = sqlx::query!(
        "insert into report (tenant_id, run_id, body, compared_run_id, created_at)
         values ($1, $2, $3, $4, $5)",
        tenant.0,
        stored.report.run_id.0,
        Json(&stored.report) as _,
        stored.compared_run_id.map(|run| run.0),
        stored.created_at,
    );
    inserted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

pub async fn find(tx: &mut PgConnection, tenant: TenantId, run: RunId) -> Result<Option<StoredReport>> {
    let row = sqlx::query!(
        r#"select body as "body: Json<ReconciliationReport>", compared_run_id, created_at
             from report
            where tenant_id = $1 and run_id = $2"#,
        tenant.0,
        run.0,
    );
    let row = row.fetch_optional(tx).await.map_err(db::failed)?;
    Ok(row.map(|row| StoredReport {
        report: row.body.0,
        compared_run_id: row.compared_run_id.map(RunId),
        created_at: row.created_at,
    }))
}
