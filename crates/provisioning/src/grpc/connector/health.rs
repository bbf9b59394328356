//! The health of a connector, as it is answered.

use std::time::Duration;

use chrono::TimeDelta;
use xavyo_core::pace;
use xavyo_wire::{pb::provisioning as pb, time};

use crate::{
    connectors::{GuardUsage, Health, HealthState},
    grpc::operation::answer::statistics,
};

pub(super) fn to_pb(health: Health) -> pb::ConnectorHealth {
    let Health { connector, state, condition, queue, destructive, constructive } = health;
    let breaker = breaker(&condition.breaker);
    let is_closed = breaker == pb::BreakerState::Closed;
    pb::ConnectorHealth {
        connector_id: connector.id.to_string(),
        state: word(state).into(),
        breaker: breaker.into(),
        down_since: condition.down_since.filter(|_| !is_closed).map(time::to_pb),
        next_probe_at: condition.probe_at.map(time::to_pb),
        ramp_calls_per_second: condition.ramp_age_secs.and_then(|age| ramp(age, is_closed)),
        last_success_at: condition.last_success_at.map(time::to_pb),
        last_failure_at: condition.last_failure_at.map(time::to_pb),
        last_error_code: condition.last_error_code,
        last_error_message: condition.last_error_message,
        waiting_for_target: queue.waiting_for_target,
        unevaluable: 0,
        destructive: Some(usage(destructive)),
        constructive: Some(usage(constructive)),
        paused_until: condition.paused_until.map(time::to_pb),
        pause_reason: connector.pause_reason,
        failed_probes: condition.failed_probes,
        queue: Some(statistics(&queue)),
    }
}

fn usage(usage: GuardUsage) -> pb::GuardUsage {
    pb::GuardUsage { used: usage.used, limit: usage.limit, held: usage.held }
}

/// It stands at its first step until the breaker is closed.
fn ramp(age_secs: f64, is_closed: bool) -> Option<f64> {
    let age = Duration::try_from_secs_f64(age_secs).unwrap_or_default();
    pace::ramp(if is_closed { TimeDelta::from_std(age).unwrap_or_default() } else { TimeDelta::zero() })
}

fn breaker(stored: &str) -> pb::BreakerState {
    match stored {
        "open" => pb::BreakerState::Open,
        "half_open" => pb::BreakerState::HalfOpen,
        _ => pb::BreakerState::Closed,
    }
}

fn word(state: HealthState) -> pb::HealthState {
    match state {
        HealthState::BadCredentials => pb::HealthState::BadCredentials,
        HealthState::Paused => pb::HealthState::Paused,
        HealthState::WaitingForTarget => pb::HealthState::WaitingForTarget,
        HealthState::Degraded => pb::HealthState::Degraded,
        HealthState::Healthy => pb::HealthState::Healthy,
    }
}
