//! The expected side of a run, page by page in one snapshot: every identity with its link. One statement a page.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;
use xavyo_core::{
    account::AccountKey,
    digest::Digest,
    error::Result,
    identity::Identity,
    ids::{IdentityId, LaneId, LinkId, TenantId},
    value::Attributes,
};
use xavyo_runtime::db;

use super::{AccountKind, mark::Horizon};
use crate::store::link::digest::ExpectedDigest;

/// An identity and its account of that kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub identity: Identity,
    /// It may have been written since the mark that was asked about.
    pub changed: bool,
    pub link: Option<LinkedAccount>,
}

/// The part of a link that a comparison needs.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkedAccount {
    pub id: LinkId,
    pub lane_id: LaneId,
    pub account: AccountKey,
    pub disabled_by_us: bool,
    pub deprovision_due_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// As it was last computed.
    pub digest: Option<ExpectedDigest>,
}

struct JoinedRow {
    id: Uuid,
    source_key: Option<String>,
    active: bool,
    attributes: Json<Attributes>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    changed: bool,
    link_id: Option<Uuid>,
    lane_id: Option<Uuid>,
    external_uid: Option<String>,
    immutable_id: Option<String>,
    disabled_by_us: Option<bool>,
    deprovision_due_at: Option<DateTime<Utc>>,
    linked_at: Option<DateTime<Utc>>,
    expected_digest: Option<Vec<u8>>,
    expected_identity_version: Option<i64>,
    expected_revision: Option<i32>,
}

/// Before the first page. A fresh install has no statistics until autovacuum comes by, and without them the planner
/// would sort the whole table for every page, although an index has it in order.
pub async fn keep_order(tx: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "select set_config('enable_sort', 'off', true) as sort, set_config('enable_bitmapscan', 'off', true) as bitmap"
    )
    .fetch_one(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// The next identities in id order, and whether each was written since the horizon. Deleted ones are among them while they
/// have a link: their account is still theirs.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    kind: &AccountKind,
    (after, limit): (Option<IdentityId>, i64),
    since: Option<Horizon>,
) -> Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        JoinedRow,
        r#"select i.id, i.source_key, i.active, i.attributes as "attributes: _", i.version, i.created_at,
                  i.updated_at,
                  coalesce((i.xmin::text::bigint - $7::bigint) & 4294967295 < 2147483648, false) as "changed!",
                  l.id as "link_id?", l.lane_id as "lane_id?", l.external_uid as "external_uid?", l.immutable_id,
                  l.disabled_by_us as "disabled_by_us?", l.deprovision_due_at, l.created_at as "linked_at?",
                  l.expected_digest, l.expected_identity_version, l.expected_revision
             from identity i
             left join lateral (
                  select *
                    from link
                   where link.tenant_id = $1 and link.connector_id = $2 and link.object_class = $3
                     and link.intent = $4 and link.identity_id = i.id
                   limit 1) l on true
            where i.tenant_id = $1 and i.id > $5
              and (i.deleted_at is null or l.id is not null)
            order by i.id
            limit $6"#,
        tenant.0,
        kind.connector_id.0,
        kind.object_class,
        kind.intent,
        after.map_or(Uuid::nil(), |id| id.0),
        limit,
        since.map(Horizon::low_bits),
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows.into_iter().map(Row::from).collect())
}

impl From<JoinedRow> for Row {
    fn from(row: JoinedRow) -> Self {
        let digest = stored_digest(&row);
        let link = match (row.link_id, row.lane_id, row.external_uid, row.linked_at) {
            (Some(id), Some(lane_id), Some(external_uid), Some(created_at)) => Some(LinkedAccount {
                id: LinkId(id),
                lane_id: LaneId(lane_id),
                account: AccountKey { external_uid, immutable_id: row.immutable_id },
                disabled_by_us: row.disabled_by_us.unwrap_or(false),
                deprovision_due_at: row.deprovision_due_at,
                created_at,
                digest,
            }),
            _ => None,
        };
        let identity = Identity {
            id: IdentityId(row.id),
            source_key: row.source_key,
            active: row.active,
            attributes: row.attributes.0,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        Self { identity, changed: row.changed, link }
    }
}

fn stored_digest(row: &JoinedRow) -> Option<ExpectedDigest> {
    let bytes = row.expected_digest.as_deref().and_then(|bytes| bytes.try_into().ok())?;
    Some(ExpectedDigest {
        digest: Digest(bytes),
        identity_version: row.expected_identity_version?,
        revision: row.expected_revision?,
    })
}
