//! Lists of operations: the hot table and the history, merged by id, newest first, by keyset.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;
use xavyo_core::{
    cause::CauseKind,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, SubjectId, TenantId},
    operation::{HoldReason, Operation, OperationStatus, OperationType},
};
use xavyo_runtime::db;

use super::row::OperationRow;

/// What is not final, as callers see it.
const NOW: &str = "operation_now";

/// States that are stored as they are shown, each with an index of its own.
const STORED: [OperationStatus; 3] =
    [OperationStatus::DeadLetter, OperationStatus::AwaitingSystem, OperationStatus::Failed];

/// Which operations; None and empty = all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Filter {
    pub connector_id: Option<ConnectorId>,
    pub identity_id: Option<IdentityId>,
    pub statuses: Vec<OperationStatus>,
    pub operation_type: Option<OperationType>,
    pub created_from: Option<DateTime<Utc>>,
    pub created_until: Option<DateTime<Utc>>,
    pub cause_kind: Option<CauseKind>,
    pub cause_id: Option<Uuid>,
    pub requested_by: Option<SubjectId>,
    pub trace_id: Option<String>,
    pub lane_id: Option<LaneId>,
    pub hold_reason: Option<HoldReason>,
}

/// Up to `limit` operations older than `after`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Operation>> {
    let mut query = QueryBuilder::new("select * from (");
    let sources = filter.sources();
    for (index, source) in sources.iter().enumerate() {
        query.push(if index == 0 { "(" } else { " union all (" });
        query.push("select * from ").push(*source);
        filter.push(&mut query, tenant, after);
        filter.push_standing(&mut query, tenant, source, after, limit);
        query.push(" order by id desc limit ").push_bind(limit).push(")");
    }
    query.push(") as merged order by id desc limit ").push_bind(limit);
    let rows: Vec<OperationRow> = query.build_query_as().fetch_all(tx).await.map_err(db::failed)?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// How many match, counted to `most` at the most.
pub async fn count(tx: &mut PgConnection, tenant: TenantId, filter: &Filter, most: i64) -> Result<i64> {
    let mut query = QueryBuilder::new("select count(*) from (");
    for (index, source) in filter.sources().iter().enumerate() {
        query.push(if index == 0 { "(" } else { " union all (" });
        query.push("select id from ").push(*source);
        filter.push(&mut query, tenant, None);
        filter.push_standing(&mut query, tenant, source, None, most);
        query.push(" limit ").push_bind(most).push(")");
    }
    query.push(") as matching");
    let count: i64 = query.build_query_scalar().fetch_one(tx).await.map_err(db::failed)?;
    Ok(count.min(most))
}

impl Filter {
    /// The views that can hold what is asked for.
    fn sources(&self) -> Vec<&'static str> {
        let any = self.statuses.is_empty();
        let now = any || self.statuses.iter().any(|status| !status.is_final());
        let past =
            (any || self.statuses.iter().any(|status| status.is_final())) && self.hold_reason.is_none();
        [(NOW, now), ("operation_past", past)]
            .into_iter()
            .filter_map(|(view, wanted)| wanted.then_some(view))
            .collect()
    }

    fn push(&self, query: &mut QueryBuilder<Postgres>, tenant: TenantId, after: Option<Uuid>) {
        self.push_all_but_statuses(query, tenant, after);
        if !self.statuses.is_empty() {
            let names: Vec<&'static str> = self.statuses.iter().map(|status| status.name()).collect();
            query.push(" and status = any(").push_bind(names).push(")");
        }
    }

    fn push_all_but_statuses(
        &self,
        query: &mut QueryBuilder<Postgres>,
        tenant: TenantId,
        after: Option<Uuid>,
    ) {
        query.push(" where tenant_id = ").push_bind(tenant.0);
        if let Some(after) = after {
            query.push(" and id < ").push_bind(after);
        }
        if let Some(id) = self.connector_id {
            query.push(" and connector_id = ").push_bind(id.0);
        }
        if let Some(id) = self.identity_id {
            query.push(" and user_id = ").push_bind(id.0);
        }
        if let Some(id) = self.lane_id {
            query.push(" and lane_id = ").push_bind(id.0);
        }
        if let Some(kind) = self.operation_type {
            query.push(" and operation_type = ").push_bind(kind.name());
        }
        if let Some(from) = self.created_from {
            query.push(" and created_at >= ").push_bind(from);
        }
        if let Some(until) = self.created_until {
            query.push(" and created_at < ").push_bind(until);
        }
        self.push_cause(query);
    }

    /// What the view says of a status hides it from the indexes. All but pending are few among many, and are found by
    /// indexes of their own: as they are stored, the newest `limit` of each, or, what is in progress, by the lanes that
    /// workers hold. As an array, so that no plan walks all ids of the tenant to look each up among them.
    fn push_standing(
        &self,
        query: &mut QueryBuilder<Postgres>,
        tenant: TenantId,
        source: &str,
        after: Option<Uuid>,
        limit: i64,
    ) {
        let is_asked_for = |status: &OperationStatus| self.statuses.contains(status);
        if source != NOW || self.statuses.is_empty() || is_asked_for(&OperationStatus::Pending) {
            return;
        }
        query.push(" and id = any(array(");
        let mut separator = "";
        for status in STORED.iter().filter(|status| is_asked_for(status)) {
            query.push(separator).push("(select id from operation");
            self.push_all_but_statuses(query, tenant, after);
            query
                .push(format!(" and status = '{status}' order by id desc limit "))
                .push_bind(limit)
                .push(")");
            separator = " union all ";
        }
        if is_asked_for(&OperationStatus::InProgress) {
            query.push(separator).push(
                "select o.id
                   from lane l
                   join operation o on o.tenant_id = l.tenant_id and o.lane_id = l.id
                                   and o.sequence between l.claimed_from and l.claimed_through
                  where l.worker_id is not null and l.tenant_id = ",
            );
            query.push_bind(tenant.0);
        }
        query.push("))");
    }

    fn push_cause(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(kind) = self.cause_kind {
            query.push(" and cause_kind = ").push_bind(kind.name());
        }
        if let Some(id) = self.cause_id {
            query.push(" and cause_id = ").push_bind(id);
        }
        if let Some(subject) = self.requested_by {
            query.push(" and requested_by = ").push_bind(subject.0);
        }
        if let Some(trace) = &self.trace_id {
            query.push(" and trace_id = ").push_bind(trace.clone());
        }
        if let Some(reason) = self.hold_reason {
            query.push(" and hold_reason = ").push_bind(reason.name());
        }
    }
}
