//! The guard's memory: what it has let through ([`Window`], one row a connector), what it holds ([`held`]), and what a
//! person lets pass all the same ([`approval`]).

pub mod approval;
pub mod held;

use sqlx::{PgConnection, types::Json};
use xavyo_core::{
    Error,
    error::Result,
    guard::Window,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::db;

/// The connector's window, locked until the transaction ends: all claims under its limits count one after the other. The
/// last lock that a transaction takes.
pub async fn lock(tx: &mut PgConnection, tenant: TenantId, connector: ConnectorId) -> Result<Window> {
    if let Some(window) = try_lock(tx, tenant, connector).await? {
        return Ok(window);
    }
    sqlx::query!(
        "insert into guard_window (tenant_id, connector_id, hours) values ($1, $2, '[]') on conflict do nothing",
        tenant.0,
        connector.0,
    )
    .execute(&mut *tx)
    .await
    .map_err(db::failed)?;
    let made = try_lock(tx, tenant, connector).await?;
    made.ok_or_else(|| Error::internal(format!("connector {connector} has no window")))
}

async fn try_lock(tx: &mut PgConnection, tenant: TenantId, connector: ConnectorId) -> Result<Option<Window>> {
    let hours = sqlx::query_scalar!(
        r#"select hours as "hours: Json<Window>"
             from guard_window
            where tenant_id = $1 and connector_id = $2
              for no key update"#,
        tenant.0,
        connector.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    Ok(hours.map(|json| json.0))
}

/// Writes a window that the caller has locked.
pub async fn save(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    window: &Window,
) -> Result<()> {
    sqlx::query!(
        "update guard_window set hours = $3 where tenant_id = $1 and connector_id = $2",
        tenant.0,
        connector.0,
        Json(window) as _,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// The connector's window, for whoever only looks: empty where nothing was claimed under a limit.
pub async fn find(tx: &mut PgConnection, tenant: TenantId, connector: ConnectorId) -> Result<Window> {
    let hours = sqlx::query_scalar!(
        r#"select hours as "hours: Json<Window>" from guard_window where tenant_id = $1 and connector_id = $2"#,
        tenant.0,
        connector.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    Ok(hours.map(|json| json.0).unwrap_or_default())
}

/// How many accounts of the connector are linked: counted when an hour of the window begins.
pub async fn count_links(tx: &mut PgConnection, tenant: TenantId, connector: ConnectorId) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from link where tenant_id = $1 and connector_id = $2"#,
        tenant.0,
        connector.0,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)
}
