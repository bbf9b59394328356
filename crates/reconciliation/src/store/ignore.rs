//! Ignores: one a finding. What each is about is read from the row that it was decided on.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;
use xavyo_core::{
    discrepancy::DiscrepancyType,
    error::Result,
    fingerprint::Fingerprint,
    ids::{ConnectorId, IdentityId, TenantId},
};
use xavyo_runtime::db;

use super::{
    discrepancy::fingerprint,
    list::{self, Filter},
    parse,
};
use crate::ignores::Ignore;

/// What ListIgnores may be narrowed down by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoreFilter {
    pub connector_id: Option<ConnectorId>,
}

impl Filter for IgnoreFilter {
    const TABLE: &'static str = "ignore";

    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        list::equals(query, "connector_id", self.connector_id.map(|connector| connector.0));
    }
}

/// A later decision about the same finding takes the place of the earlier one.
pub async fn put(
    tx: &mut PgConnection,
    tenant: TenantId,
    ignore: &Ignore,
    fingerprint: Fingerprint,
) -> Result<()> {
    let put = sqlx::query!(
        "insert into ignore (tenant_id, id, connector_id, fingerprint, discrepancy_id, reason, until, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (tenant_id, connector_id, fingerprint) do update
            set id = excluded.id,
                discrepancy_id = excluded.discrepancy_id,
                reason = excluded.reason,
                until = excluded.until,
                created_by = excluded.created_by,
                created_at = excluded.created_at",
        tenant.0,
        ignore.id,
        ignore.connector_id.0,
        &fingerprint.0.0,
        ignore.discrepancy_id.0,
        ignore.reason,
        ignore.until,
        ignore.created_by.0,
        ignore.created_at,
    );
    put.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Newest first, whatever the order of the ids.
pub async fn find_all(tx: &mut PgConnection, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<Ignore>> {
    let rows = sqlx::query!(
        "select ignore.id, ignore.connector_id, discrepancy_type, identity_id, external_uid, attribute_name,
                discrepancy_id, until, reason, created_by, ignore.created_at
           from ignore
           join discrepancy on discrepancy.tenant_id = ignore.tenant_id and discrepancy.id = discrepancy_id
          where ignore.tenant_id = $1 and ignore.id = any($2)
          order by ignore.id desc",
        tenant.0,
        ids,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    let ignores = rows.into_iter().map(|row| {
        let kind = &row.discrepancy_type;
        Ok(Ignore {
            id: row.id,
            connector_id: row.connector_id.into(),
            discrepancy_type: parse("discrepancy.discrepancy_type", kind, DiscrepancyType::named)?,
            identity_id: row.identity_id.map(IdentityId),
            external_uid: row.external_uid,
            attribute_name: row.attribute_name,
            discrepancy_id: row.discrepancy_id.into(),
            until: row.until,
            reason: row.reason,
            created_by: row.created_by.into(),
            created_at: row.created_at,
        })
    });
    ignores.collect()
}

/// False: there is no such ignore any more.
pub async fn delete(tx: &mut PgConnection, tenant: TenantId, id: Uuid) -> Result<bool> {
    let deleted = sqlx::query!("delete from ignore where tenant_id = $1 and id = $2", tenant.0, id);
    Ok(deleted.execute(tx).await.map_err(db::failed)?.rows_affected() == 1)
}

/// Which of these findings of the connector are ignored at this time.
pub async fn find_ignored(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    fingerprints: &[Fingerprint],
    now: DateTime<Utc>,
) -> Result<HashSet<Fingerprint>> {
    let fingerprints: Vec<Vec<u8>> = fingerprints.iter().map(|it| it.0.0.to_vec()).collect();
    let ignored = sqlx::query_scalar!(
        "select fingerprint
           from ignore
          where tenant_id = $1 and connector_id = $2 and fingerprint = any($3)
            and (until is null or until > $4)",
        tenant.0,
        connector.0,
        &fingerprints,
        now,
    );
    let ignored = ignored.fetch_all(tx).await.map_err(db::failed)?;
    ignored.into_iter().map(fingerprint).collect()
}
