//! Actions: the audit log of reconciliation. Rows are only ever inserted, in the transaction of what they record (S4).

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, DiscrepancyId, RunId, SubjectId, TenantId},
};
use xavyo_runtime::db;

use super::list::{self, Filter};

/// One row of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    pub id: Uuid,
    pub connector_id: ConnectorId,
    pub run_id: Option<RunId>,
    pub discrepancy_id: Option<DiscrepancyId>,
    /// Out of the contract's closed list: `run_started`, `update` …
    pub action_type: &'static str,
    pub result: ActionResult,
    pub dry_run: bool,
    pub performed_by: SubjectId,
    pub performed_at: DateTime<Utc>,
    pub details: Option<serde_json::Value>,
    pub trace_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionResult {
    Success,
    Failure,
    UnderWay,
    Skipped,
}

/// A row as it is read again, with its link in the chain once it is sealed.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAction {
    pub id: Uuid,
    pub connector_id: Uuid,
    pub run_id: Option<Uuid>,
    pub discrepancy_id: Option<Uuid>,
    pub action_type: String,
    pub result: String,
    pub dry_run: bool,
    pub performed_by: Uuid,
    pub performed_at: DateTime<Utc>,
    pub details: Option<serde_json::Value>,
    pub hash: Option<Vec<u8>>,
    pub previous_hash: Option<Vec<u8>>,
}

/// What ListActions may be narrowed down by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionFilter {
    pub connector_id: Option<ConnectorId>,
    pub discrepancy_id: Option<DiscrepancyId>,
    pub run_id: Option<RunId>,
    pub performed_by: Option<SubjectId>,
    pub action_type: Option<String>,
    pub result: Option<ActionResult>,
    pub dry_run: Option<bool>,
    /// At or after, and before.
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

impl ActionResult {
    pub const ALL: [Self; 4] = [Self::Success, Self::Failure, Self::UnderWay, Self::Skipped];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::UnderWay => "under_way",
            Self::Skipped => "skipped",
        }
    }
}

impl Filter for ActionFilter {
    const TABLE: &'static str = "action";

    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        list::equals(query, "connector_id", self.connector_id.map(|connector| connector.0));
        list::equals(query, "discrepancy_id", self.discrepancy_id.map(|discrepancy| discrepancy.0));
        list::equals(query, "action_type", self.action_type.clone());
        list::equals(query, "run_id", self.run_id.map(|run| run.0));
        list::equals(query, "performed_by", self.performed_by.map(|subject| subject.0));
        list::equals(query, "result", self.result.map(ActionResult::name));
        list::equals(query, "dry_run", self.dry_run);
        if let Some(from) = self.from {
            query.push(" and performed_at >= ").push_bind(from);
        }
        if let Some(until) = self.until {
            query.push(" and performed_at < ").push_bind(until);
        }
    }
}

pub async fn insert(tx: &mut PgConnection, tenant: TenantId, action: &Action) -> Result<()> {
    let inserted = sqlx::query!(
        "with written as (
             insert into action (tenant_id, id, connector_id, run_id, discrepancy_id, action_type, result, dry_run,
                                 performed_by, performed_at, details, trace_id)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         )
         -- It waits for its place in the chain.
         insert into action_unsealed (tenant_id, action_id)
         values ($1, $2)",
        tenant.0,
        action.id,
        action.connector_id.0,
        action.run_id.map(|run| run.0),
        action.discrepancy_id.map(|discrepancy| discrepancy.0),
        action.action_type,
        action.result.name(),
        action.dry_run,
        action.performed_by.0,
        action.performed_at,
        action.details,
        action.trace_id,
    );
    inserted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Newest first, whatever the order of the ids.
pub async fn find_all(tx: &mut PgConnection, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<StoredAction>> {
    let rows = sqlx::query_as!(
        StoredAction,
        r#"select id, connector_id, run_id, discrepancy_id, action_type, result, dry_run, performed_by, performed_at,
                  details, hash as "hash?", previous_hash as "previous_hash?"
             from action
             left join action_seal on action_seal.tenant_id = action.tenant_id and action_id = id
            where action.tenant_id = $1 and id = any($2)
            order by id desc"#,
        tenant.0,
        ids,
    );
    rows.fetch_all(tx).await.map_err(db::failed)
}
