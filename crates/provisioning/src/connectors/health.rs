//! How a connector does: its target as workers see it, what stops its work, and its part of the queue.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    Error,
    connector::Connector,
    error::Result,
    guard::{self, Effect},
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::{Caller, db};

use super::{BAD_CREDENTIALS, Connectors};
use crate::{
    operations::{Statistics, statistics_in},
    store::{
        connector::{
            self,
            health::{self, Condition},
        },
        guard::{self as memory, held},
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
    pub destructive: GuardUsage,
    pub constructive: GuardUsage,
}

/// One limit of the guard over the last 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardUsage {
    pub used: i64,
    /// None = no limit.
    pub limit: Option<i64>,
    pub held: i64,
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
        let (destructive, constructive) = guard_usage(&mut tx, tenant, &connector, now).await?;
        db::commit(tx).await?;
        let state = state(&connector, &condition, now);
        Ok(Health { connector, state, condition, queue, destructive, constructive })
    }
}

async fn guard_usage(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: &Connector,
    now: DateTime<Utc>,
) -> Result<(GuardUsage, GuardUsage)> {
    let mut window = memory::find(tx, tenant, connector.id).await?;
    window.slide(now);
    let live_links = match window.live_links() {
        Some(when_it_began) => when_it_began,
        None => memory::count_links(tx, tenant, connector.id).await?,
    };
    let held = held::count_by_effect(tx, tenant, connector.id).await?;
    let usage = |effect: Effect| GuardUsage {
        used: window.used().of(effect),
        limit: guard::most(connector.policies.guard.limit(effect), live_links),
        held: held.of(effect),
    };
    Ok((usage(Effect::Destructive), usage(Effect::Constructive)))
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
