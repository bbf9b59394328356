//! What a run hands on to the next delta: accounts and identities to be looked up whether they change or not.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    account::AccountKey,
    error::Result,
    ids::{ConnectorId, IdentityId, RunId, TenantId},
};
use xavyo_runtime::{Clock, db};

use crate::provisioning::account::Kind;

/// Of one kind of account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revisits {
    pub identities: BTreeSet<IdentityId>,
    pub accounts: BTreeSet<AccountKey>,
}

/// Adds some that stand in none of the run's earlier ones.
pub async fn insert(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    run: RunId,
    kind: &Kind,
    revisits: &Revisits,
) -> Result<()> {
    let identities = revisits.identities.iter().map(|id| (Some(id.0), None, None));
    let accounts = revisits
        .accounts
        .iter()
        .map(|account| (None, Some(account.external_uid.as_str()), account.immutable_id.as_deref()));
    let rows: Vec<(Option<Uuid>, Option<&str>, Option<&str>)> = identities.chain(accounts).collect();
    let inserted = sqlx::query!(
        "insert into revisit (tenant_id, run_id, connector_id, object_class, intent, id, identity_id, external_uid,
                              immutable_id)
         select $1, $2, $3, $4, $5, id, identity_id, external_uid, immutable_id
           from unnest($6::uuid[], $7::uuid[], $8::text[], $9::text[])
                as left_over (id, identity_id, external_uid, immutable_id)",
        tenant.0,
        run.0,
        kind.connector_id.0,
        kind.object_class,
        kind.intent,
        &rows.iter().map(|_| clock.new_id()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.0).collect::<Vec<_>>() as _,
        &rows.iter().map(|row| row.1).collect::<Vec<_>>() as _,
        &rows.iter().map(|row| row.2).collect::<Vec<_>>() as _,
    );
    inserted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

pub async fn find_all(tx: &mut PgConnection, tenant: TenantId, run: RunId, kind: &Kind) -> Result<Revisits> {
    let rows = sqlx::query!(
        "select identity_id, external_uid, immutable_id
           from revisit
          where tenant_id = $1 and run_id = $2 and object_class = $3 and intent = $4",
        tenant.0,
        run.0,
        kind.object_class,
        kind.intent,
    );
    let mut revisits = Revisits::default();
    for row in rows.fetch_all(tx).await.map_err(db::failed)? {
        revisits.identities.extend(row.identity_id.map(IdentityId));
        let immutable_id = row.immutable_id;
        revisits
            .accounts
            .extend(row.external_uid.map(|external_uid| AccountKey { external_uid, immutable_id }));
    }
    Ok(revisits)
}

/// How many the run hands on of a kind.
pub async fn count(
    tx: &mut PgConnection,
    tenant: TenantId,
    run: RunId,
    (object_class, intent): (&str, &str),
) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!"
             from revisit
            where tenant_id = $1 and run_id = $2 and object_class = $3 and intent = $4"#,
        tenant.0,
        run.0,
        object_class,
        intent,
    );
    count.fetch_one(tx).await.map_err(db::failed)
}

/// Of a run that begins anew.
pub async fn delete(tx: &mut PgConnection, tenant: TenantId, run: RunId) -> Result<()> {
    let deleted = sqlx::query!("delete from revisit where tenant_id = $1 and run_id = $2", tenant.0, run.0);
    deleted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Of every other run of the connector: the one that has completed takes their place.
pub async fn delete_others(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    run: RunId,
) -> Result<()> {
    let deleted = sqlx::query!(
        "delete from revisit
          where tenant_id = $1 and connector_id = $2 and run_id <> $3",
        tenant.0,
        connector.0,
        run.0,
    );
    deleted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}
