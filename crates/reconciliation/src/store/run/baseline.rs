//! Baselines: what a connector's last completed full run read, by kind of account.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
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
    /// Where the next delta starts.
    pub watermark: Option<String>,
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
        "select object_class, intent, target_count, expected_count, watermark
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
                                   target_count, expected_count, watermark, completed_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            tenant.0,
            origin.connector_id.0,
            baseline.object_class,
            baseline.intent,
            origin.run_id.0,
            origin.connector_revision,
            baseline.target_count,
            baseline.expected_count,
            baseline.watermark,
            origin.completed_at,
        );
        new.execute(&mut *tx).await.map_err(db::failed)?;
    }
    Ok(())
}
