//! Conflicts: two live operations, or an operation and the target, that contradict each other.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, types::Json};
use uuid::Uuid;
use xavyo_core::{
    Error,
    conflict::{Conflict, ConflictOutcome, ConflictRule, ConflictStatus, ConflictType},
    error::Result,
    ids::{ConflictId, ConnectorId, LaneId, OperationId, SubjectId, TenantId},
};
use xavyo_runtime::db;

/// A conflict as it arises.
#[derive(Clone, Debug)]
pub struct NewConflict {
    pub id: ConflictId,
    pub connector_id: ConnectorId,
    pub lane_id: LaneId,
    pub operation_a: OperationId,
    /// The same as `operation_a` where the other side is the target.
    pub operation_b: OperationId,
    pub conflict_type: ConflictType,
    pub affected: Vec<String>,
    /// As the connector's policy decides; None = a person does.
    pub outcome: Option<ConflictOutcome>,
    pub at: DateTime<Utc>,
}

/// How a person has decided.
#[derive(Clone, Debug)]
pub struct Decision {
    pub id: ConflictId,
    pub outcome: ConflictOutcome,
    pub notes: Option<String>,
    pub by: SubjectId,
    pub at: DateTime<Utc>,
}

/// What a list shows; an absent part filters nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// On either side.
    pub operation_id: Option<OperationId>,
    pub conflict_type: Option<ConflictType>,
    pub connector_id: Option<ConnectorId>,
    pub pending_only: bool,
}

#[derive(FromRow)]
struct ConflictRow {
    id: Uuid,
    connector_id: Uuid,
    operation_id_a: Uuid,
    operation_id_b: Uuid,
    conflict_type: String,
    affected_attributes: Vec<String>,
    status: String,
    outcome: Option<String>,
    notes: Option<String>,
    created_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
    resolved_by: Option<Uuid>,
    version: i64,
}

impl TryFrom<ConflictRow> for Conflict {
    type Error = Error;

    fn try_from(row: ConflictRow) -> Result<Self> {
        let unknown = |column: &str, text: &str| Error::internal(format!("conflict.{column} holds {text:?}"));
        Ok(Self {
            id: ConflictId(row.id),
            connector_id: ConnectorId(row.connector_id),
            operation_id_a: OperationId(row.operation_id_a),
            operation_id_b: OperationId(row.operation_id_b),
            conflict_type: ConflictType::named(&row.conflict_type)
                .ok_or_else(|| unknown("conflict_type", &row.conflict_type))?,
            affected_attributes: row.affected_attributes,
            status: ConflictStatus::named(&row.status).ok_or_else(|| unknown("status", &row.status))?,
            outcome: row.outcome.as_deref().and_then(ConflictOutcome::named),
            notes: row.notes,
            created_at: row.created_at,
            resolved_at: row.resolved_at,
            resolved_by: row.resolved_by.map(SubjectId),
            version: row.version,
        })
    }
}

/// What the connectors do about conflicts, where they do not go by default.
pub async fn rules(
    tx: &mut PgConnection,
    tenant: TenantId,
    connectors: &[ConnectorId],
) -> Result<HashMap<ConnectorId, BTreeMap<ConflictType, ConflictRule>>> {
    let ids: Vec<Uuid> = connectors.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select id, policies -> 'conflicts' as "rules!: Json<BTreeMap<ConflictType, ConflictRule>>"
             from connector
            where tenant_id = $1 and id = any($2) and policies -> 'conflicts' <> '{}'"#,
        tenant.0,
        &ids,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (ConnectorId(row.id), row.rules.0)).collect())
}

/// In one statement, whatever their number.
pub async fn insert(tx: &mut PgConnection, tenant: TenantId, conflicts: &[NewConflict]) -> Result<()> {
    if conflicts.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = conflicts.iter().map(|one| one.id.0).collect();
    let connectors: Vec<Uuid> = conflicts.iter().map(|one| one.connector_id.0).collect();
    let lanes: Vec<Uuid> = conflicts.iter().map(|one| one.lane_id.0).collect();
    let a: Vec<Uuid> = conflicts.iter().map(|one| one.operation_a.0).collect();
    let b: Vec<Uuid> = conflicts.iter().map(|one| one.operation_b.0).collect();
    let types: Vec<String> = conflicts.iter().map(|one| one.conflict_type.name().to_owned()).collect();
    let affected: Vec<serde_json::Value> =
        conflicts.iter().map(|one| serde_json::Value::from(one.affected.clone())).collect();
    let outcomes: Vec<Option<String>> =
        conflicts.iter().map(|one| one.outcome.map(|outcome| outcome.name().to_owned())).collect();
    let times: Vec<DateTime<Utc>> = conflicts.iter().map(|one| one.at).collect();
    sqlx::query!(
        "insert into conflict (
             tenant_id, id, connector_id, lane_id, operation_id_a, operation_id_b, conflict_type,
             affected_attributes, outcome, created_at, status, resolved_at)
         select $1, id, connector_id, lane_id, a, b, conflict_type,
                -- arrays of arrays cannot differ in length; lists of JSON can
                array(select jsonb_array_elements_text(affected)), outcome, at,
                case when outcome is null then 'pending' else 'resolved' end,
                case when outcome is not null then at end
           from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::jsonb[],
                       $9::text[], $10::timestamptz[])
                as arisen(id, connector_id, lane_id, a, b, conflict_type, affected, outcome, at)",
        tenant.0,
        &ids,
        &connectors,
        &lanes,
        &a,
        &b,
        &types,
        &affected,
        &outcomes as &[Option<String>],
        &times,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Conflicts whose operations have ended otherwise resolve themselves, with a note. Whoever was held for one of them alone
/// goes on; for lanes that the caller has locked.
pub async fn resolve_moot(
    tx: &mut PgConnection,
    tenant: TenantId,
    operations: &[OperationId],
    now: DateTime<Utc>,
    note: &str,
) -> Result<()> {
    let ids: Vec<Uuid> = operations.iter().map(|id| id.0).collect();
    let moot = sqlx::query!(
        "update conflict
            set status = 'resolved', resolved_at = $3, notes = $4, version = version + 1
          where tenant_id = $1 and status = 'pending'
            and (operation_id_a = any($2) or operation_id_b = any($2))
      returning operation_id_a, operation_id_b",
        tenant.0,
        &ids,
        now,
        note,
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(db::failed)?;
    let both = moot.iter().flat_map(|row| [row.operation_id_a, row.operation_id_b]);
    let parties: Vec<OperationId> = both.map(OperationId).collect();
    if parties.is_empty() { Ok(()) } else { let_go(tx, tenant, &parties, now).await }
}

/// Lets operations go that no pending conflict holds any more; another one that does takes the first's place.
pub async fn let_go(
    tx: &mut PgConnection,
    tenant: TenantId,
    operations: &[OperationId],
    now: DateTime<Utc>,
) -> Result<()> {
    let ids: Vec<Uuid> = operations.iter().map(|id| id.0).collect();
    sqlx::query!(
        "with held as (
             select o.id,
                    (select c.id
                       from conflict c
                      where c.tenant_id = $1 and c.status = 'pending'
                        and (c.operation_id_a = o.id or c.operation_id_b = o.id)
                      order by c.id
                      limit 1) as other
               from operation o
              where o.tenant_id = $1 and o.id = any($2) and o.hold_reason = 'conflict')
         update operation
            set hold_reason = case when held.other is not null then 'conflict' end,
                conflict_id = coalesce(held.other, conflict_id),
                updated_at = $3, version = version + 1
           from held
          where operation.tenant_id = $1 and operation.id = any($2) and operation.id = held.id",
        tenant.0,
        &ids,
        now,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// The conflict, or NOT_FOUND.
pub async fn get(tx: &mut PgConnection, tenant: TenantId, id: ConflictId) -> Result<Conflict> {
    let row = sqlx::query_as!(
        ConflictRow,
        "select id, connector_id, operation_id_a, operation_id_b, conflict_type, affected_attributes, status,
                outcome, notes, created_at, resolved_at, resolved_by, version
           from conflict
          where tenant_id = $1 and id = $2",
        tenant.0,
        id.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)?;
    row.ok_or_else(|| Error::not_found("conflict"))?.try_into()
}

/// The lane of a conflict's operations: whoever decides it locks that first.
pub async fn lane_of(tx: &mut PgConnection, tenant: TenantId, id: ConflictId) -> Result<LaneId> {
    let lane =
        sqlx::query_scalar!("select lane_id from conflict where tenant_id = $1 and id = $2", tenant.0, id.0,)
            .fetch_optional(tx)
            .await
            .map_err(db::failed)?;
    lane.map(LaneId).ok_or_else(|| Error::not_found("conflict"))
}

/// Resolves a pending conflict of a lane that the caller has locked.
pub async fn resolve(tx: &mut PgConnection, tenant: TenantId, decision: &Decision) -> Result<()> {
    sqlx::query!(
        "update conflict
            set status = 'resolved', outcome = $3, notes = $4, resolved_by = $5, resolved_at = $6,
                version = version + 1
          where tenant_id = $1 and id = $2 and status = 'pending'",
        tenant.0,
        decision.id.0,
        decision.outcome.name(),
        decision.notes,
        decision.by.0,
        decision.at,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// A page, newest first, of those that arose before `before`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Conflict>> {
    let mut query = QueryBuilder::new(
        "select id, connector_id, operation_id_a, operation_id_b, conflict_type, affected_attributes, status,
                outcome, notes, created_at, resolved_at, resolved_by, version
           from conflict",
    );
    filter.push(&mut query, tenant);
    if let Some(before) = before {
        query.push(" and id < ").push_bind(before);
    }
    query.push(" order by id desc limit ").push_bind(limit);
    let rows: Vec<ConflictRow> = query.build_query_as().fetch_all(tx).await.map_err(db::failed)?;
    rows.into_iter().map(Conflict::try_from).collect()
}

/// How many a list has, counted up to `most`.
pub async fn count(tx: &mut PgConnection, tenant: TenantId, filter: &Filter, most: i64) -> Result<i64> {
    let mut query = QueryBuilder::new("select count(*) from (select from conflict");
    filter.push(&mut query, tenant);
    query.push(" limit ").push_bind(most).push(") as counted");
    query.build_query_scalar().fetch_one(tx).await.map_err(db::failed)
}

impl Filter {
    /// Only the conditions that are asked for, so that each list has the plan of its own index.
    fn push(&self, query: &mut QueryBuilder<Postgres>, tenant: TenantId) {
        query.push(" where tenant_id = ").push_bind(tenant.0);
        if let Some(id) = self.operation_id {
            query.push(" and (operation_id_a = ").push_bind(id.0);
            query.push(" or operation_id_b = ").push_bind(id.0).push(")");
        }
        if let Some(kind) = self.conflict_type {
            query.push(" and conflict_type = ").push_bind(kind.name());
        }
        if let Some(id) = self.connector_id {
            query.push(" and connector_id = ").push_bind(id.0);
        }
        if self.pending_only {
            query.push(" and status = 'pending'");
        }
    }
}
