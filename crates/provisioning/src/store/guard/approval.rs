//! What a person lets pass the guard: single operations that it held, and the items of an approved plan.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error,
    error::Result,
    guard::ApprovedItem,
    ids::{ConnectorId, DiscrepancyId, IdentityId, OperationId, RunId, SubjectId, TenantId},
    operation::OperationType,
};
use xavyo_runtime::db;

/// Items approved together, or a part of them.
#[derive(Clone, Debug)]
pub struct Approval {
    pub connector_id: ConnectorId,
    pub run_id: RunId,
    pub plan_digest: String,
    pub approved_by: SubjectId,
    pub approved_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Lets operations pass once.
pub async fn release(
    tx: &mut PgConnection,
    tenant: TenantId,
    operations: &[OperationId],
    by: SubjectId,
    at: DateTime<Utc>,
) -> Result<()> {
    let ids: Vec<Uuid> = operations.iter().map(|id| id.0).collect();
    sqlx::query!(
        "insert into guard_release (tenant_id, operation_id, released_by, released_at)
         select $1, id, $3, $4 from unnest($2::uuid[]) as released(id)
             on conflict (tenant_id, operation_id) do nothing",
        tenant.0,
        &ids,
        by.0,
        at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Those of the operations that somebody has released.
pub async fn released(
    tx: &mut PgConnection,
    tenant: TenantId,
    operations: &[OperationId],
) -> Result<HashSet<OperationId>> {
    let ids: Vec<Uuid> = operations.iter().map(|id| id.0).collect();
    let found = sqlx::query_scalar!(
        "select operation_id from guard_release where tenant_id = $1 and operation_id = any($2)",
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(found.into_iter().map(OperationId).collect())
}

/// The operations have passed: they will not again.
pub async fn use_up(tx: &mut PgConnection, tenant: TenantId, operations: &[OperationId]) -> Result<()> {
    let ids: Vec<Uuid> = operations.iter().map(|id| id.0).collect();
    sqlx::query!("delete from guard_release where tenant_id = $1 and operation_id = any($2)", tenant.0, &ids)
        .execute(tx)
        .await
        .map_err(db::failed)?;
    Ok(())
}

/// Registers items of a plan, and forgets what was approved of an earlier plan of the run and has not passed yet. An item
/// that is known stays as it is, passed or not. Returns how many of the plan are registered, and until when they pass.
pub async fn register(
    tx: &mut PgConnection,
    tenant: TenantId,
    approval: &Approval,
    items: &[ApprovedItem],
) -> Result<(i64, DateTime<Utc>)> {
    forget_other_plans(tx, tenant, approval).await?;
    insert(tx, tenant, approval, items).await?;
    let registered = sqlx::query!(
        r#"select count(*) as "count!", min(expires_at) as expires_at
             from approved_item
            where tenant_id = $1 and run_id = $2 and plan_digest = $3"#,
        tenant.0,
        approval.run_id.0,
        approval.plan_digest,
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)?;
    Ok((registered.count, registered.expires_at.unwrap_or(approval.expires_at)))
}

async fn forget_other_plans(tx: &mut PgConnection, tenant: TenantId, approval: &Approval) -> Result<()> {
    sqlx::query!(
        "delete from approved_item
          where tenant_id = $1 and run_id = $2 and plan_digest <> $3 and operation_id is null",
        tenant.0,
        approval.run_id.0,
        approval.plan_digest,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

async fn insert(
    tx: &mut PgConnection,
    tenant: TenantId,
    approval: &Approval,
    items: &[ApprovedItem],
) -> Result<()> {
    let discrepancies: Vec<Uuid> = items.iter().map(|item| item.discrepancy_id.0).collect();
    let types: Vec<String> = items.iter().map(|item| item.operation_type.name().to_owned()).collect();
    let classes: Vec<String> = items.iter().map(|item| item.object_class.clone()).collect();
    let intents: Vec<String> = items.iter().map(|item| item.intent.clone()).collect();
    let people: Vec<Option<Uuid>> = items.iter().map(|item| item.identity_id.map(|id| id.0)).collect();
    let uids: Vec<Option<String>> = items.iter().map(|item| item.external_uid.clone()).collect();
    let immutable_ids: Vec<Option<String>> = items.iter().map(|item| item.immutable_id.clone()).collect();
    sqlx::query!(
        "insert into approved_item (
             tenant_id, run_id, connector_id, plan_digest, approved_by, approved_at, expires_at,
             discrepancy_id, operation_type, object_class, intent, identity_id, external_uid, immutable_id)
         select $1, $2, $3, $4, $5, $6, $7, *
           from unnest($8::uuid[], $9::text[], $10::text[], $11::text[], $12::uuid[], $13::text[], $14::text[])
             on conflict (tenant_id, run_id, discrepancy_id) do nothing",
        tenant.0,
        approval.run_id.0,
        approval.connector_id.0,
        approval.plan_digest,
        approval.approved_by.0,
        approval.approved_at,
        approval.expires_at,
        &discrepancies,
        &types,
        &classes,
        &intents,
        &people as &[Option<Uuid>],
        &uids as &[Option<String>],
        &immutable_ids as &[Option<String>],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Items that have not passed and may still, of any of the identities or accounts.
pub async fn find_items(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    people: &[IdentityId],
    uids: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<ApprovedItem>> {
    let people: Vec<Uuid> = people.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        "select run_id, discrepancy_id, operation_type, object_class, intent, identity_id, external_uid, immutable_id
           from approved_item
          where tenant_id = $1 and connector_id = $2 and operation_id is null and expires_at > $5
            and (identity_id = any($3) or external_uid = any($4))",
        tenant.0,
        connector.0,
        &people,
        uids,
        now,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let items = rows.into_iter().map(|row| {
        Ok(ApprovedItem {
            run_id: RunId(row.run_id),
            discrepancy_id: DiscrepancyId(row.discrepancy_id),
            operation_type: OperationType::named(&row.operation_type)
                .ok_or_else(|| Error::internal(format!("an approved item is a {}", row.operation_type)))?,
            object_class: row.object_class,
            intent: row.intent,
            identity_id: row.identity_id.map(IdentityId),
            external_uid: row.external_uid,
            immutable_id: row.immutable_id,
        })
    });
    items.collect()
}

/// Each item has passed, by its operation.
pub async fn take_items(
    tx: &mut PgConnection,
    tenant: TenantId,
    taken: &[(ApprovedItem, OperationId)],
) -> Result<()> {
    let runs: Vec<Uuid> = taken.iter().map(|(item, _)| item.run_id.0).collect();
    let discrepancies: Vec<Uuid> = taken.iter().map(|(item, _)| item.discrepancy_id.0).collect();
    let operations: Vec<Uuid> = taken.iter().map(|(_, operation)| operation.0).collect();
    sqlx::query!(
        "update approved_item
            set operation_id = taken.operation_id
           from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as taken(run_id, discrepancy_id, operation_id)
          where approved_item.tenant_id = $1 and approved_item.run_id = taken.run_id
            and approved_item.discrepancy_id = taken.discrepancy_id",
        tenant.0,
        &runs,
        &discrepancies,
        &operations,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Forgets expired items, and releases of operations that ended before they were claimed.
pub async fn forget(tx: &mut PgConnection, tenant: TenantId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!("delete from approved_item where tenant_id = $1 and expires_at <= $2", tenant.0, now)
        .execute(&mut *tx)
        .await
        .map_err(db::failed)?;
    sqlx::query!(
        "delete from guard_release
          where tenant_id = $1
            and not exists (
                select from operation
                 where operation.tenant_id = $1 and operation.id = guard_release.operation_id)",
        tenant.0,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}
