//! Baselines: what a connector's last completed full run read, by kind of account, and where the next delta starts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error,
    error::Result,
    ids::{ConnectorId, RunId, TenantId},
};
use xavyo_runtime::db;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    pub object_class: String,
    pub intent: String,
    pub target_count: i64,
    pub expected_count: i64,
    /// The target's, where the next delta starts.
    pub watermark: Option<String>,
    /// The expected side's.
    pub expected_watermark: Option<String>,
    /// The run whose marks they are, and that handed on what the next delta looks up: a full one, or a delta since.
    pub marked_by_run_id: Option<Uuid>,
    /// How much it handed on.
    pub handed_on: i64,
}

/// Which run the baselines are of.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub connector_id: ConnectorId,
    pub run_id: RunId,
    pub connector_revision: i32,
    pub completed_at: DateTime<Utc>,
}

pub async fn find_all(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Vec<Baseline>> {
    let rows = sqlx::query_as!(
        Baseline,
        "select object_class, intent, target_count, expected_count, watermark, expected_watermark, marked_by_run_id,
                handed_on
           from baseline
          where tenant_id = $1 and connector_id = $2",
        tenant.0,
        connector.0,
    );
    rows.fetch_all(tx).await.map_err(db::failed)
}

/// Which run the connector's baselines are of. None before the first complete one.
pub async fn find_origin(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Option<Origin>> {
    let row = sqlx::query!(
        "select run_id, connector_revision, completed_at
           from baseline
          where tenant_id = $1 and connector_id = $2
          order by completed_at desc
          limit 1",
        tenant.0,
        connector.0,
    );
    let row = row.fetch_optional(tx).await.map_err(db::failed)?;
    Ok(row.map(|row| Origin {
        connector_id: connector,
        run_id: row.run_id.into(),
        connector_revision: row.connector_revision,
        completed_at: row.completed_at,
    }))
}

/// Takes the place of the connector's earlier baselines, of kinds of account that it no longer has too.
pub async fn replace(
    tx: &mut PgConnection,
    tenant: TenantId,
    origin: Origin,
    baselines: &[Baseline],
) -> Result<()> {
    let old = sqlx::query!(
        "delete from baseline
          where tenant_id = $1 and connector_id = $2",
        tenant.0,
        origin.connector_id.0,
    );
    old.execute(&mut *tx).await.map_err(db::failed)?;
    for baseline in baselines {
        let new = sqlx::query!(
            "insert into baseline (tenant_id, connector_id, object_class, intent, run_id, connector_revision,
                                   target_count, expected_count, watermark, expected_watermark, marked_by_run_id,
                                   handed_on, completed_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            tenant.0,
            origin.connector_id.0,
            baseline.object_class,
            baseline.intent,
            origin.run_id.0,
            origin.connector_revision,
            baseline.target_count,
            baseline.expected_count,
            baseline.watermark,
            baseline.expected_watermark,
            baseline.marked_by_run_id,
            baseline.handed_on,
            origin.completed_at,
        );
        new.execute(&mut *tx).await.map_err(db::failed)?;
    }
    Ok(())
}

/// The next delta starts where this one stood. Counts, revision and time stay those of the last full run.
pub async fn move_marks(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    baselines: &[Baseline],
) -> Result<()> {
    for baseline in baselines {
        let moved = sqlx::query!(
            "update baseline
                set watermark = $5,
                    expected_watermark = $6,
                    marked_by_run_id = $7,
                    handed_on = $8
              where tenant_id = $1 and connector_id = $2 and object_class = $3 and intent = $4",
            tenant.0,
            connector.0,
            baseline.object_class,
            baseline.intent,
            baseline.watermark,
            baseline.expected_watermark,
            baseline.marked_by_run_id,
            baseline.handed_on,
        );
        if moved.execute(&mut *tx).await.map_err(db::failed)?.rows_affected() != 1 {
            return Err(Error::internal("a delta has completed without the baseline that it started from"));
        }
    }
    Ok(())
}
