//! Marks of the expected side: what was written since an earlier read, told by transaction numbers and never by clocks.
//!
//! A row whose xmin is older than the snapshot's was visible to it, whatever the order of commits; any other counts as
//! changed, rightly or not. Locks leave the xmin alone. Transaction numbers on rows are 32 bits wide and go round, so they
//! are compared by their distance, and a mark that is half a round old is no mark any more.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    account::AccountKey,
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::db;

use super::AccountKind;

/// The oldest transaction that a snapshot may have missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon(i64);

impl Horizon {
    /// As rows carry it.
    pub(super) fn low_bits(self) -> i64 {
        self.0 & 0xffff_ffff
    }
}

/// Of the snapshot that this transaction reads.
pub async fn horizon(tx: &mut PgConnection) -> Result<Horizon> {
    let horizon =
        sqlx::query_scalar!(r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "horizon!""#,);
    Ok(Horizon(horizon.fetch_one(tx).await.map_err(db::failed)?))
}

/// In a transaction of its own, after the snapshot was taken and before its proof is given: what knows the mark has seen all
/// that the snapshot saw.
pub async fn insert(
    tx: &mut PgConnection,
    tenant: TenantId,
    (id, connector): (Uuid, ConnectorId),
    horizon: Horizon,
    at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "insert into expected_mark (tenant_id, id, connector_id, snapshot_xmin, made_by, made_at)
         values ($1, $2, $3, $4::bigint::text::xid8, pg_current_xact_id(), $5)",
        tenant.0,
        id,
        connector.0,
        horizon.0,
        at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// None: it was never made in the history of this database, or is too old.
pub async fn find(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    id: Uuid,
) -> Result<Option<Horizon>> {
    let found = sqlx::query_scalar!(
        r#"select snapshot_xmin::text::bigint as "horizon!"
             from expected_mark
            where tenant_id = $1 and id = $2 and connector_id = $3
              and xmin::text::bigint = made_by::text::bigint & 4294967295
              and pg_snapshot_xmax(pg_current_snapshot())::text::bigint - snapshot_xmin::text::bigint
                  between 0 and 2147483647"#,
        tenant.0,
        id,
        connector.0,
    );
    Ok(found.fetch_optional(tx).await.map_err(db::failed)?.map(Horizon))
}

/// The accounts of links that were removed since. Whatever has become of them, nobody else tells of them.
pub async fn unlinked_since(
    tx: &mut PgConnection,
    tenant: TenantId,
    kind: &AccountKind,
    since: Horizon,
) -> Result<Vec<AccountKey>> {
    let rows = sqlx::query!(
        "select distinct external_uid, immutable_id
           from link_event
          where tenant_id = $1 and connector_id = $2 and object_class = $3 and intent = $4 and event = 'unlinked'
            and (xmin::text::bigint - $5) & 4294967295 < 2147483648",
        tenant.0,
        kind.connector_id.0,
        kind.object_class,
        kind.intent,
        since.low_bits(),
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    let account = rows
        .into_iter()
        .map(|row| AccountKey { external_uid: row.external_uid, immutable_id: row.immutable_id });
    Ok(account.collect())
}

/// Forgets the marks made before a time: from then on what they need may be forgotten, too.
pub async fn forget(tx: &mut PgConnection, tenant: TenantId, before: DateTime<Utc>) -> Result<()> {
    sqlx::query!("delete from expected_mark where tenant_id = $1 and made_at < $2", tenant.0, before)
        .execute(tx)
        .await
        .map_err(db::failed)?;
    Ok(())
}
