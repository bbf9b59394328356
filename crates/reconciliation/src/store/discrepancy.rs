//! Discrepancies as callers see them: lists, single rows, the move out of pending. What a run writes is in
//! [`super::finding`].

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, Postgres, QueryBuilder, types::Json};
use uuid::Uuid;
use xavyo_core::{
    Error,
    digest::Digest,
    discrepancy::{Candidate, Discrepancy, DiscrepancyType, Event, ResolutionStatus},
    error::Result,
    fingerprint::Fingerprint,
    guard::Effect,
    ids::{ConnectorId, DiscrepancyId, IdentityId, RunId, SubjectId, TenantId},
    remediation::{RemediationAction, RemediationDirection, Remedy},
};
use xavyo_runtime::db;

use super::{
    list::{self, Filter},
    parse, remediation,
};
use crate::discrepancies::record::DiscrepancyRecord;

/// What ListDiscrepancies may be narrowed down by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscrepancyFilter {
    pub connector_id: Option<ConnectorId>,
    pub run_id: Option<RunId>,
    pub discrepancy_type: Option<DiscrepancyType>,
    pub resolution_status: Option<ResolutionStatus>,
    pub identity_id: Option<IdentityId>,
    pub external_uid: Option<String>,
}

struct DiscrepancyRow {
    id: Uuid,
    connector_id: Uuid,
    connector_revision: i32,
    run_id: Uuid,
    discrepancy_type: String,
    object_class: String,
    intent: String,
    identity_id: Option<Uuid>,
    external_uid: Option<String>,
    immutable_id: Option<String>,
    attribute_name: Option<String>,
    expected_value: Option<String>,
    actual_value: Option<String>,
    candidates: Json<Vec<Candidate>>,
    fingerprint: Vec<u8>,
    first_seen_at: DateTime<Utc>,
    suggested_action: Option<String>,
    suggested_direction: Option<String>,
    planned_action: Option<String>,
    planned_direction: Option<String>,
    planned_effect: Option<String>,
    resolution_status: String,
    resolution_note: Option<String>,
    superseded_by_id: Option<Uuid>,
    resolved_at: Option<DateTime<Utc>>,
    resolved_by: Option<Uuid>,
    created_at: DateTime<Utc>,
    version: i64,
}

impl Filter for DiscrepancyFilter {
    const TABLE: &'static str = "discrepancy";

    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        list::equals(query, "connector_id", self.connector_id.map(|connector| connector.0));
        list::equals(query, "run_id", self.run_id.map(|run| run.0));
        list::equals(query, "discrepancy_type", self.discrepancy_type.map(DiscrepancyType::name));
        list::equals(query, "resolution_status", self.resolution_status.map(ResolutionStatus::name));
        if let Some(identity) = self.identity_id {
            about(query, "identity_id", identity.0, &json!([{ "identity_id": identity }]));
        }
        if let Some(uid) = &self.external_uid {
            about(query, "external_uid", uid.clone(), &json!([{ "account": { "external_uid": uid } }]));
        }
    }
}

/// A collision is about each of its members, which stand among its candidates.
fn about<'a, T>(
    query: &mut QueryBuilder<Postgres>,
    column: &'static str,
    value: T,
    member: &serde_json::Value,
) where
    T: sqlx::Encode<'a, Postgres> + sqlx::Type<Postgres> + Send + 'a,
{
    query.push(" and (").push(column).push(" = ").push_bind(value);
    query.push(" or (discrepancy_type = 'collision' and candidates @> ").push_bind(member.clone()).push("))");
}

pub async fn get(tx: &mut PgConnection, tenant: TenantId, id: DiscrepancyId) -> Result<DiscrepancyRecord> {
    let mut found = find_all(tx, tenant, &[id.0]).await?;
    found.pop().ok_or_else(|| Error::not_found("discrepancy"))
}

/// Keeps others from resolving it until the transaction ends.
pub async fn lock(tx: &mut PgConnection, tenant: TenantId, id: DiscrepancyId) -> Result<DiscrepancyRecord> {
    let locked = sqlx::query!(
        "select id
           from discrepancy
          where tenant_id = $1 and id = $2
            for no key update",
        tenant.0,
        id.0,
    );
    locked.fetch_optional(&mut *tx).await.map_err(db::failed)?;
    get(tx, tenant, id).await
}

/// Newest first, whatever the order of the ids, each with its last remediation.
pub async fn find_all(
    tx: &mut PgConnection,
    tenant: TenantId,
    ids: &[Uuid],
) -> Result<Vec<DiscrepancyRecord>> {
    let rows = sqlx::query_as!(
        DiscrepancyRow,
        r#"select id, connector_id, connector_revision, run_id, discrepancy_type, object_class, intent,
                  identity_id, external_uid, immutable_id, attribute_name, expected_value, actual_value,
                  candidates as "candidates: Json<Vec<Candidate>>", fingerprint, first_seen_at, suggested_action,
                  suggested_direction, planned_action, planned_direction, planned_effect, resolution_status,
                  resolution_note, superseded_by_id, resolved_at, resolved_by, created_at, version
             from discrepancy
            where tenant_id = $1 and id = any($2)
            order by id desc"#,
        tenant.0,
        ids,
    );
    let rows = rows.fetch_all(&mut *tx).await.map_err(db::failed)?;
    let mut remediations = remediation::find_last(tx, tenant, ids).await?;
    let records = rows.into_iter().map(|row| {
        let remediation = remediations.remove(&DiscrepancyId(row.id));
        DiscrepancyRecord::try_from(row).map(|record| DiscrepancyRecord { remediation, ..record })
    });
    records.collect()
}

/// How and by whom a finding is settled.
#[derive(Clone, Copy, Debug)]
pub struct Settlement<'a> {
    pub event: Event,
    pub by: SubjectId,
    /// In words, as the contract has them.
    pub note: &'a str,
    pub at: DateTime<Utc>,
}

/// Moves a pending one to its end. False: it was settled before.
pub async fn settle(
    tx: &mut PgConnection,
    tenant: TenantId,
    id: DiscrepancyId,
    settlement: Settlement<'_>,
) -> Result<bool> {
    let status = ResolutionStatus::Pending.after(settlement.event)?;
    let settled = sqlx::query!(
        "update discrepancy
            set resolution_status = $3,
                resolution_note = $4,
                resolved_at = $5,
                resolved_by = $6,
                version = version + 1
          where tenant_id = $1 and id = $2 and resolution_status = 'pending'",
        tenant.0,
        id.0,
        status.name(),
        settlement.note,
        settlement.at,
        settlement.by.0,
    );
    Ok(settled.execute(tx).await.map_err(db::failed)?.rows_affected() == 1)
}

/// Moves every other open row of the same finding to the same end, but for those that are being remediated.
pub async fn settle_alike(
    tx: &mut PgConnection,
    tenant: TenantId,
    (connector, fingerprint): (ConnectorId, Fingerprint),
    settlement: Settlement<'_>,
) -> Result<()> {
    let status = ResolutionStatus::Pending.after(settlement.event)?;
    let settled = sqlx::query!(
        "update discrepancy
            set resolution_status = $4,
                resolution_note = $5,
                resolved_at = $6,
                resolved_by = $7,
                version = version + 1
          where tenant_id = $1 and connector_id = $2 and fingerprint = $3 and resolution_status = 'pending'
            and not exists (select from remediation
                             where remediation.tenant_id = $1 and discrepancy_id = discrepancy.id
                               and finished_at is null)",
        tenant.0,
        connector.0,
        &fingerprint.0.0,
        status.name(),
        settlement.note,
        settlement.at,
        settlement.by.0,
    );
    settled.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

impl TryFrom<DiscrepancyRow> for DiscrepancyRecord {
    type Error = Error;

    fn try_from(row: DiscrepancyRow) -> Result<Self, Error> {
        Ok(Self {
            remediation: None,
            discrepancy: Discrepancy {
                id: row.id.into(),
                connector_id: row.connector_id.into(),
                run_id: row.run_id.into(),
                discrepancy_type: parse(
                    "discrepancy.discrepancy_type",
                    &row.discrepancy_type,
                    DiscrepancyType::named,
                )?,
                object_class: row.object_class,
                intent: row.intent,
                identity_id: row.identity_id.map(IdentityId),
                external_uid: row.external_uid,
                immutable_id: row.immutable_id,
                attribute_name: row.attribute_name,
                expected_value: row.expected_value,
                actual_value: row.actual_value,
                candidates: row.candidates.0,
                connector_revision: row.connector_revision,
                fingerprint: fingerprint(row.fingerprint)?,
                first_seen_at: row.first_seen_at,
                suggested: remedy(row.suggested_action, row.suggested_direction)?,
                planned: remedy(row.planned_action, row.planned_direction)?,
                planned_effect: row
                    .planned_effect
                    .map(|name| parse("discrepancy.planned_effect", &name, Effect::named))
                    .transpose()?,
                resolution_status: parse(
                    "discrepancy.resolution_status",
                    &row.resolution_status,
                    ResolutionStatus::named,
                )?,
                resolved_at: row.resolved_at,
                resolved_by: row.resolved_by.map(SubjectId),
                resolution_note: row.resolution_note,
                superseded_by_id: row.superseded_by_id.map(DiscrepancyId),
                created_at: row.created_at,
                version: row.version,
            },
        })
    }
}

pub(super) fn fingerprint(bytes: Vec<u8>) -> Result<Fingerprint> {
    let bytes =
        bytes.try_into().map_err(|_| Error::internal("discrepancy.fingerprint is not 16 bytes long"))?;
    Ok(Fingerprint(Digest(bytes)))
}

fn remedy(action: Option<String>, direction: Option<String>) -> Result<Option<Remedy>> {
    let Some((action, direction)) = action.zip(direction) else { return Ok(None) };
    Ok(Some(Remedy {
        action: parse("discrepancy action", &action, RemediationAction::named)?,
        direction: parse("discrepancy direction", &direction, RemediationDirection::named)?,
    }))
}
