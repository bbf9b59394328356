//! The expected side of a run, page by page in one snapshot: every identity with its link. One statement a page, and of an
//! identity of which all is kept beside its link, no attribute.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;
use xavyo_core::{
    Error,
    account::AccountKey,
    error::Result,
    identity::Identity,
    ids::{IdentityId, LaneId, LinkId, TenantId},
    value::Attributes,
};
use xavyo_runtime::db;

use super::{AccountKind, mark::Horizon};
use crate::store::link::kept::{self, Kept};

/// An identity and its account of that kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub identity_id: IdentityId,
    /// It may have been written since the mark that was asked about.
    pub changed: bool,
    pub link: Option<LinkedAccount>,
    pub basis: Basis,
}

/// What tells what the identity calls for.
#[derive(Clone, Debug, PartialEq)]
pub enum Basis {
    Identity(Identity),
    /// It was computed before, from the same version of the identity and by the same revision of the connector.
    Kept(Kept),
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
}

struct JoinedRow {
    id: Uuid,
    source_key: Option<String>,
    active: bool,
    attributes: Option<Json<Attributes>>,
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
    kept_in_scope: Option<bool>,
    kept_digest: Option<Vec<u8>>,
    kept_keys: Option<Vec<u8>>,
}

/// Right before the first page. A fresh install has no statistics until autovacuum comes by, and without them the planner
/// would sort whole tables for every page, or look for each link by itself, although indexes have both sides in order. What it
/// must not do it takes to be so dear that it would compile it, which takes longer than a page.
pub async fn keep_order(tx: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "select set_config(name, 'off', true) as off
           from unnest(array['enable_sort', 'enable_bitmapscan', 'enable_nestloop', 'enable_hashjoin', 'jit'])
                as name"
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Which page, and what to say of its rows.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub after: Option<IdentityId>,
    pub limit: i64,
    /// Whether each was written since.
    pub since: Option<Horizon>,
    /// By which what was kept has been computed; none = all is to be computed.
    pub revision: Option<i32>,
}

/// The next identities in id order. Deleted ones are among them while they have a link: their account is still theirs.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    kind: &AccountKind,
    wanted: Wanted,
) -> Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        JoinedRow,
        r#"select i.id, i.source_key, i.active, i.version, i.created_at, i.updated_at,
                  case when l.kept_identity_version = i.version
                        and l.kept_revision = $8 and l.kept_format = $9
                       then null else i.attributes end as "attributes: _",
                  coalesce((i.xmin::text::bigint - $7::bigint) & 4294967295 < 2147483648, false) as "changed!",
                  l.id as "link_id?", l.lane_id as "lane_id?", l.external_uid as "external_uid?", l.immutable_id,
                  l.disabled_by_us as "disabled_by_us?", l.deprovision_due_at, l.created_at as "linked_at?",
                  l.kept_in_scope, l.kept_digest, l.kept_keys
             from identity i
             left join (
                  select *
                    from link
                   where link.tenant_id = $1 and link.connector_id = $2 and link.object_class = $3
                     and link.intent = $4 and link.identity_id > $5
                   order by link.identity_id
                  -- Kept apart, the sub-query comes in the order of its index.
                  offset 0) l on l.identity_id = i.id
            where i.tenant_id = $1 and i.id > $5
              and (i.deleted_at is null or l.id is not null)
            order by i.id
            limit $6"#,
        tenant.0,
        kind.connector_id.0,
        kind.object_class,
        kind.intent,
        wanted.after.map_or(Uuid::nil(), |id| id.0),
        wanted.limit,
        wanted.since.map(Horizon::low_bits),
        wanted.revision,
        kept::FORMAT,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    rows.into_iter().map(Row::try_from).collect()
}

impl TryFrom<JoinedRow> for Row {
    type Error = Error;

    fn try_from(row: JoinedRow) -> Result<Self> {
        let kept = || {
            Kept::read(row.kept_in_scope, row.kept_digest.as_deref(), row.kept_keys.as_deref())
                .ok_or_else(|| Error::internal("what is kept of an identity cannot be read"))
        };
        let basis = match row.attributes {
            None => Basis::Kept(kept()?),
            Some(Json(attributes)) => Basis::Identity(Identity {
                id: IdentityId(row.id),
                source_key: row.source_key,
                active: row.active,
                attributes,
                version: row.version,
                created_at: row.created_at,
                updated_at: row.updated_at,
            }),
        };
        let link = match (row.link_id, row.lane_id, row.external_uid, row.linked_at) {
            (Some(id), Some(lane_id), Some(external_uid), Some(created_at)) => Some(LinkedAccount {
                id: LinkId(id),
                lane_id: LaneId(lane_id),
                account: AccountKey { external_uid, immutable_id: row.immutable_id },
                disabled_by_us: row.disabled_by_us.unwrap_or(false),
                deprovision_due_at: row.deprovision_due_at,
                created_at,
            }),
            _ => None,
        };
        Ok(Self { identity_id: IdentityId(row.id), changed: row.changed, link, basis })
    }
}
