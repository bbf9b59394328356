//! Accounts with work under way: what the queue holds for them. One statement for many accounts.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    account::AccountKey,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, TenantId},
};
use xavyo_runtime::db;

use super::AccountKind;

/// An identity's account of one object type: linked, or still to come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    pub identity_id: IdentityId,
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub intent: String,
}

/// What live operations will do to an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveWork {
    pub creates: bool,
    /// A delete or a disable.
    pub takes_away: bool,
}

/// The live operations of identities on connectors. Dead letters wait for a person and are not among them.
pub async fn of_identities(
    tx: &mut PgConnection,
    tenant: TenantId,
    connectors: &[ConnectorId],
    identities: &[IdentityId],
) -> Result<HashMap<Slot, LiveWork>> {
    let connectors: Vec<Uuid> = connectors.iter().map(|id| id.0).collect();
    let identities: Vec<Uuid> = identities.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select user_id as "identity_id!", connector_id as "connector_id!", object_class as "object_class!",
                  intent as "intent!",
                  bool_or(operation_type = 'create') as "creates!",
                  bool_or(operation_type = 'delete'
                          or coalesce(payload ->> 'account_state' = 'disabled', false)) as "takes_away!"
             from unnest($2::uuid[]) as named(identity_id)
            cross join lateral (
                  select *
                    from operation
                   where tenant_id = $1 and user_id = named.identity_id and connector_id = any($3)
                     and status <> 'dead_letter'
                  offset 0) as live
            group by user_id, connector_id, object_class, intent"#,
        tenant.0,
        &identities,
        &connectors,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let live = rows.into_iter().map(|row| {
        let slot = Slot {
            identity_id: IdentityId(row.identity_id),
            connector_id: ConnectorId(row.connector_id),
            object_class: row.object_class,
            intent: row.intent,
        };
        (slot, LiveWork { creates: row.creates, takes_away: row.takes_away })
    });
    Ok(live.collect())
}

/// What the queue holds for an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Will act by themselves.
    pub live: i64,
    /// Wait for a person.
    pub dead_letters: i64,
}

impl Queued {
    /// Not to be judged: what the target shows may change at any moment, or stand still until a person decides.
    pub fn is_in_flight(self) -> bool {
        self.live + self.dead_letters > 0
    }

    /// Of both, where an account is known by two lanes.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { live: self.live + other.live, dead_letters: self.dead_letters + other.dead_letters }
    }
}

/// What the lanes hold; those that hold nothing are not in the answer.
pub async fn of_lanes(
    tx: &mut PgConnection,
    tenant: TenantId,
    lanes: &[LaneId],
) -> Result<HashMap<LaneId, Queued>> {
    let lanes: Vec<Uuid> = lanes.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select lane_id,
                  count(*) filter (where status <> 'dead_letter') as "live!",
                  count(*) filter (where status = 'dead_letter') as "dead_letters!"
             from operation
            where tenant_id = $1 and lane_id = any($2)
            group by lane_id"#,
        tenant.0,
        &lanes,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let queued = rows
        .into_iter()
        .map(|row| (LaneId(row.lane_id), Queued { live: row.live, dead_letters: row.dead_letters }));
    Ok(queued.collect())
}

/// Everything of a kind that the queue holds something for, so that a read of a million accounts asks once.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    pub lanes: HashSet<LaneId>,
    /// Whose account may still be to come.
    pub identities: HashSet<IdentityId>,
}

pub async fn of_kind(tx: &mut PgConnection, tenant: TenantId, kind: &AccountKind) -> Result<InFlight> {
    let rows = sqlx::query!(
        r#"select lane_id, user_id, object_class = $3 and intent = $4 as "is_of_kind!"
             from operation
            where tenant_id = $1 and connector_id = $2"#,
        tenant.0,
        kind.connector_id.0,
        kind.object_class,
        kind.intent,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let identities = rows.iter().filter(|row| row.is_of_kind).filter_map(|row| row.user_id.map(IdentityId));
    Ok(InFlight {
        identities: identities.collect(),
        lanes: rows.iter().map(|row| LaneId(row.lane_id)).collect(),
    })
}

/// Accounts without a link that the queue holds something for.
pub async fn without_link(
    tx: &mut PgConnection,
    tenant: TenantId,
    kind: &AccountKind,
) -> Result<Vec<AccountKey>> {
    let rows = sqlx::query!(
        r#"select distinct o.target_uid as "external_uid!", named.key as "immutable_id?"
             from operation o
             left join lane_alias named
               on named.tenant_id = $1 and named.lane_id = o.lane_id and named.kind = 'immutable'
            where o.tenant_id = $1 and o.connector_id = $2 and o.object_class = $3
              and o.target_uid is not null
              and not exists (
                  select from link l
                   where l.tenant_id = $1 and l.lane_id = o.lane_id)"#,
        tenant.0,
        kind.connector_id.0,
        kind.object_class,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    Ok(rows
        .into_iter()
        .map(|row| AccountKey { external_uid: row.external_uid, immutable_id: row.immutable_id })
        .collect())
}
