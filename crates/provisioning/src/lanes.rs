//! Linking and unlinking as lanes see it: all names of an account lead to one idle lane.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, TenantId},
};
use xavyo_runtime::Clock;

use crate::store::{
    lane::alias::{self, Alias},
    lane::{self, Filled, NewLane},
    operation,
};

/// The names under which an account may be known on a connector.
#[derive(Clone, Debug)]
pub struct LaneNames {
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub intent: String,
    pub identity_id: Option<IdentityId>,
    /// The uid as the connector compares it.
    pub uid_key: Option<String>,
    pub immutable_id: Option<String>,
}

impl LaneNames {
    /// The names of the account itself, the surest first, then that of the identity.
    fn aliases(&self) -> Vec<Alias> {
        let immutable = self.immutable_id.as_deref().map(|id| Alias::immutable(self.connector_id, id));
        let uid = self.uid_key.as_deref().map(|uid| Alias::uid(self.connector_id, &self.object_class, uid));
        let identity = self
            .identity_id
            .map(|id| Alias::identity(self.connector_id, &self.object_class, &self.intent, id));
        [immutable, uid, identity].into_iter().flatten().collect()
    }
}

/// Locks every lane that any of the names leads to, refuses with LANE_BUSY where one has live operations, and leads all
/// names to the account's own lane, made if there is none.
pub async fn claim_names(
    tx: &mut PgConnection,
    clock: &Clock,
    tenant: TenantId,
    names: &LaneNames,
) -> Result<LaneId> {
    let aliases = names.aliases();
    let known = alias::find_all(tx, tenant, &aliases).await?;
    let concerned: BTreeSet<LaneId> = known.values().copied().collect();
    lock_idle(tx, tenant, &concerned.into_iter().collect::<Vec<_>>()).await?;
    let lane = match aliases.iter().find_map(|alias| known.get(alias)) {
        Some(lane) => *lane,
        None => make(tx, clock, tenant, names).await?,
    };
    let named: Vec<(Alias, LaneId)> = aliases.into_iter().map(|alias| (alias, lane)).collect();
    alias::reassign(tx, tenant, &named).await?;
    Ok(lane)
}

async fn make(tx: &mut PgConnection, clock: &Clock, tenant: TenantId, names: &LaneNames) -> Result<LaneId> {
    let id = LaneId(clock.new_id());
    let lane = NewLane {
        id,
        connector_id: names.connector_id,
        object_class: names.object_class.clone(),
        intent: names.intent.clone(),
    };
    let filled = Filled::empty(lane.id);
    lane::insert(tx, tenant, &[(lane, filled)]).await?;
    Ok(id)
}

async fn lock_idle(tx: &mut PgConnection, tenant: TenantId, lanes: &[LaneId]) -> Result<()> {
    lane::lock(tx, tenant, lanes).await?;
    match operation::find_live(tx, tenant, lanes).await? {
        Some(operation) => Err(Error::new(Reason::LaneBusy, "the account has operations under way")
            .with("operation_id", operation.to_string())),
        None => Ok(()),
    }
}
