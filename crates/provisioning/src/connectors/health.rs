//! How a connector does: its target as workers see it, what stops its work, and its part of the queue.

use chrono::{DateTime, TimeDelta, Utc};
use xavyo_core::{Error, connector::Connector, error::Result, ids::ConnectorId};
use xavyo_runtime::{Caller, db};

use super::{BAD_CREDENTIALS, Connectors};
use crate::{
    operations::{Statistics, statistics_in},
    store::connector::{
        self,
        health::{self, Condition},
    },
};

/// For so long a failed call counts against a connector.
const RECENT: TimeDelta = TimeDelta::minutes(5);

/// In one word; the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    BadCredentials,
    Paused,
    WaitingForTarget,
    Degraded,
    Healthy,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub connector: Connector,
    pub state: HealthState,
    pub condition: Condition,
    pub queue: Statistics,
}

impl Connectors {
    /// All of one moment.
    pub async fn health(&self, caller: &Caller, id: ConnectorId) -> Result<Health> {
        let (tenant, now) = (caller.tenant, self.clock.now());
        let mut tx = self.database.begin_snapshot(tenant).await?;
        let connector = connector::get(&mut tx, tenant, id).await?;
        let condition =
            health::find(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("connector"))?;
        let queue = statistics_in(&mut tx, tenant, Some(id), now).await?;
        db::commit(tx).await?;
        Ok(Health { state: state(&connector, &condition, now), connector, condition, queue })
    }
}

fn state(connector: &Connector, condition: &Condition, now: DateTime<Utc>) -> HealthState {
    let failed_lately = condition.last_failure_at.is_some_and(|at| now - at < RECENT);
    match (connector.paused, condition.breaker.as_str()) {
        (true, _) if connector.pause_reason.as_deref() == Some(BAD_CREDENTIALS) => {
            HealthState::BadCredentials
        }
        (true, _) => HealthState::Paused,
        (false, "open") => HealthState::WaitingForTarget,
        (false, "half_open") => HealthState::Degraded,
        (false, _) if failed_lately => HealthState::Degraded,
        (false, _) => HealthState::Healthy,
    }
}
