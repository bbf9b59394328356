//! Sealed secrets of connectors and the wrapped data key of each. Only [`crate::secrets`] can open them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::db;

/// A data key under a master key: nonce and ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    pub master_key_id: String,
    pub wrapped: Vec<u8>,
}

/// One secret under the data key: nonce and ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    pub field: String,
    pub sealed: Vec<u8>,
}

/// Nothing where another transaction has just made one.
pub async fn insert_key(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    key: &WrappedKey,
    at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "insert into connector_key (tenant_id, connector_id, master_key_id, wrapped, created_at)
         values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, connector_id) do nothing",
        tenant.0,
        connector.0,
        key.master_key_id,
        key.wrapped,
        at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

pub async fn find_key(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Option<WrappedKey>> {
    sqlx::query_as!(
        WrappedKey,
        "select master_key_id, wrapped
           from connector_key
          where tenant_id = $1 and connector_id = $2",
        tenant.0,
        connector.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)
}

/// The connectors of a tenant that have a data key; deleted ones too. Up to `limit` after `after`, in id order.
pub async fn with_key(
    tx: &mut PgConnection,
    tenant: TenantId,
    after: Option<ConnectorId>,
    limit: i64,
) -> Result<Vec<ConnectorId>> {
    let ids = sqlx::query_scalar!(
        "select connector_id
           from connector_key
          where tenant_id = $1 and ($2::uuid is null or connector_id > $2)
          order by connector_id
          limit $3",
        tenant.0,
        after.map(|id| id.0),
        limit,
    );
    Ok(ids.fetch_all(tx).await.map_err(db::failed)?.into_iter().map(ConnectorId).collect())
}

/// The wrapped key, locked: nobody wraps it anew meanwhile.
pub async fn lock_key(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Option<WrappedKey>> {
    sqlx::query_as!(
        WrappedKey,
        "select master_key_id, wrapped
           from connector_key
          where tenant_id = $1 and connector_id = $2
            for no key update",
        tenant.0,
        connector.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)
}

/// Replaces the wrapping of a key that the caller has locked; the key itself stays, and what it seals.
pub async fn save_key(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    key: &WrappedKey,
) -> Result<()> {
    sqlx::query!(
        "update connector_key
            set master_key_id = $3, wrapped = $4
          where tenant_id = $1 and connector_id = $2",
        tenant.0,
        connector.0,
        key.master_key_id,
        key.wrapped,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Puts secrets in the place of those of the same fields; others stay.
pub async fn put(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    secrets: &[SealedSecret],
    at: DateTime<Utc>,
) -> Result<()> {
    let fields: Vec<String> = secrets.iter().map(|secret| secret.field.clone()).collect();
    let sealed: Vec<Vec<u8>> = secrets.iter().map(|secret| secret.sealed.clone()).collect();
    sqlx::query!(
        "insert into connector_secret (tenant_id, connector_id, field, sealed, updated_at)
         select $1, $2, given.field, given.sealed, $5
           from unnest($3::text[], $4::bytea[]) as given(field, sealed)
         on conflict (tenant_id, connector_id, field) do update
            set sealed = excluded.sealed,
                updated_at = excluded.updated_at",
        tenant.0,
        connector.0,
        &fields,
        &sealed,
        at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

pub async fn all(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Vec<SealedSecret>> {
    sqlx::query_as!(
        SealedSecret,
        "select field, sealed
           from connector_secret
          where tenant_id = $1 and connector_id = $2
          order by field",
        tenant.0,
        connector.0,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)
}

/// Which fields have a secret, of many connectors at once: all that reads ever learn of them.
pub async fn fields(
    tx: &mut PgConnection,
    tenant: TenantId,
    connectors: &[ConnectorId],
) -> Result<HashMap<ConnectorId, Vec<String>>> {
    let ids: Vec<Uuid> = connectors.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "select connector_id, field
           from connector_secret
          where tenant_id = $1 and connector_id = any($2)
          order by connector_id, field",
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let mut fields: HashMap<ConnectorId, Vec<String>> = HashMap::new();
    for row in rows {
        fields.entry(ConnectorId(row.connector_id)).or_default().push(row.field);
    }
    Ok(fields)
}
