//! Staged deletes that have come due, and who is gone for good.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    account::AccountKey,
    cause::{Cause, CauseKind},
    error::Result,
    ids::{ConnectorId, IdentityId, LinkId, SubjectId, TenantId},
};
use xavyo_runtime::db;

/// A link whose account is to be deleted now.
#[derive(Clone, Debug)]
pub struct Due {
    pub link: LinkId,
    pub identity_id: IdentityId,
    pub connector_id: ConnectorId,
    pub connector_name: String,
    pub connector_revision: i32,
    pub max_retries: i32,
    pub object_class: String,
    pub intent: String,
    pub account: AccountKey,
    pub uid_key: String,
    /// What disabled the account, as its story tells.
    pub cause: Cause,
}

/// The links that are due, the longest first, on connectors that still enforce this; among `only`, if that is given.
pub async fn due(
    tx: &mut PgConnection,
    tenant: TenantId,
    now: DateTime<Utc>,
    only: Option<&[LinkId]>,
    limit: i64,
) -> Result<Vec<Due>> {
    let only: Option<Vec<Uuid>> = only.map(|links| links.iter().map(|link| link.0).collect());
    let rows = sqlx::query!(
        r#"select l.id, l.identity_id, l.connector_id, c.name, c.revision,
                  (c.policies #>> '{retry,max_retries}')::int as "max_retries!",
                  l.object_class, l.intent, l.external_uid, l.uid_key, l.immutable_id,
                  told.cause_kind as "cause_kind?", told.cause_id as "cause_id?",
                  told.requested_by as "requested_by?", told.reason as "reason?"
             from connector c
             join link l on l.tenant_id = c.tenant_id and l.connector_id = c.id
             left join lateral (
                  select cause_kind, cause_id, requested_by, reason
                    from link_event
                   where tenant_id = $1 and lane_id = l.lane_id and link_id = l.id and event = 'disabled'
                   order by id desc
                   limit 1) as told on true
            where c.tenant_id = $1 and c.deleted_at is null and c.mode = 'enforce'
              and c.policies #>> '{deprovision,kind}' = 'staged'
              and (c.policies #>> '{allowed_actions,delete}')::bool
              and l.deprovision_due_at <= $2
              and ($3::uuid[] is null or l.id = any($3))
            order by l.deprovision_due_at
            limit $4"#,
        tenant.0,
        now,
        only.as_deref(),
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let due = rows.into_iter().map(|row| Due {
        link: LinkId(row.id),
        identity_id: IdentityId(row.identity_id),
        connector_id: ConnectorId(row.connector_id),
        connector_name: row.name,
        connector_revision: row.revision,
        max_retries: row.max_retries,
        object_class: row.object_class,
        intent: row.intent,
        account: AccountKey { external_uid: row.external_uid, immutable_id: row.immutable_id },
        uid_key: row.uid_key,
        cause: Cause {
            kind: row.cause_kind.as_deref().and_then(CauseKind::named).unwrap_or(CauseKind::IdentityChange),
            id: row.cause_id.or(Some(row.identity_id)),
            requested_by: SubjectId(row.requested_by.unwrap_or_default()),
            reason: row.reason,
            trace_id: None,
        },
    });
    Ok(due.collect())
}
