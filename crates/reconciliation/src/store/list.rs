//! Pages of ids, newest first, by keyset. The statement holds only the filters that were asked for, so that each
//! combination gets the plan of its own index.

use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;
use xavyo_core::{error::Result, ids::TenantId};
use xavyo_runtime::db;

/// Totals are exact up to here.
pub const COUNT_CAP: i64 = 10_000;

/// What a list may be narrowed down by.
pub trait Filter {
    const TABLE: &'static str;

    /// Adds ` and column = $n` for each filter that is set.
    fn push(&self, query: &mut QueryBuilder<Postgres>);
}

/// Adds one equality, if it is asked for.
pub fn equals<'a, T>(query: &mut QueryBuilder<Postgres>, column: &'static str, value: Option<T>)
where
    T: sqlx::Encode<'a, Postgres> + sqlx::Type<Postgres> + Send + 'a,
{
    if let Some(value) = value {
        query.push(" and ").push(column).push(" = ").push_bind(value);
    }
}

/// At most `limit` ids below `after`.
pub async fn ids<F: Filter>(
    tx: &mut PgConnection,
    tenant: TenantId,
    filter: &F,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>> {
    let mut query = QueryBuilder::new("select id from ");
    query.push(F::TABLE).push(" where tenant_id = ").push_bind(tenant.0);
    filter.push(&mut query);
    if let Some(after) = after {
        query.push(" and id < ").push_bind(after);
    }
    query.push(" order by id desc limit ").push_bind(limit);
    query.build_query_scalar().fetch_all(tx).await.map_err(db::failed)
}

/// How many rows there are, at most one more than [`COUNT_CAP`].
pub async fn count<F: Filter>(tx: &mut PgConnection, tenant: TenantId, filter: &F) -> Result<i64> {
    let mut query = QueryBuilder::new("select count(*) from (select from ");
    query.push(F::TABLE).push(" where tenant_id = ").push_bind(tenant.0);
    filter.push(&mut query);
    query.push(" limit ").push_bind(COUNT_CAP + 1).push(") as counted");
    query.build_query_scalar().fetch_one(tx).await.map_err(db::failed)
}
