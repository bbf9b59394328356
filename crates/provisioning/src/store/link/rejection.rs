//! Rejected pairs: an identity and an account that a person has said do not belong together. They are never correlated,
//! adopted or suggested again, until a person links them after all.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    account::AccountKey,
    error::Result,
    ids::{ConnectorId, IdentityId, SubjectId, TenantId},
};
use xavyo_runtime::db;

/// The account of a pair is known by its immutable id where it has one, else by its normalised uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub identity_id: IdentityId,
    pub account: AccountKey,
    pub uid_key: String,
}

impl Rejection {
    fn account_key(&self) -> &str {
        self.account.immutable_id.as_deref().unwrap_or(&self.uid_key)
    }
}

pub async fn insert(
    tx: &mut PgConnection,
    tenant: TenantId,
    rejection: &Rejection,
    by: SubjectId,
    at: DateTime<Utc>,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query!(
        "insert into rejected_pair (
             tenant_id, connector_id, object_class, identity_id, account_key, external_uid, immutable_id,
             rejected_by, rejected_at, reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (tenant_id, connector_id, object_class, identity_id, account_key) do nothing",
        tenant.0,
        rejection.connector_id.0,
        rejection.object_class,
        rejection.identity_id.0,
        rejection.account_key(),
        rejection.account.external_uid,
        rejection.account.immutable_id,
        by.0,
        at,
        reason,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// A person links the pair after all.
pub async fn delete(tx: &mut PgConnection, tenant: TenantId, rejection: &Rejection) -> Result<()> {
    sqlx::query!(
        "delete from rejected_pair
          where tenant_id = $1 and connector_id = $2 and object_class = $3 and identity_id = $4
            and account_key = any($5)",
        tenant.0,
        rejection.connector_id.0,
        rejection.object_class,
        rejection.identity_id.0,
        &[rejection.account_key().to_owned(), rejection.uid_key.clone()],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// The accounts that each identity of the connector is never paired with. People reject pairs one by one, so there are
/// few.
pub async fn of_connector(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    object_class: &str,
) -> Result<HashMap<IdentityId, Vec<AccountKey>>> {
    let rows = sqlx::query!(
        "select identity_id, external_uid, immutable_id
           from rejected_pair
          where tenant_id = $1 and connector_id = $2 and object_class = $3",
        tenant.0,
        connector.0,
        object_class,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let mut rejected: HashMap<IdentityId, Vec<AccountKey>> = HashMap::new();
    for row in rows {
        let account = AccountKey { external_uid: row.external_uid, immutable_id: row.immutable_id };
        rejected.entry(IdentityId(row.identity_id)).or_default().push(account);
    }
    Ok(rejected)
}
