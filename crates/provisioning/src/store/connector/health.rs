//! How a connector's target does, as its workers saw it, and what stands in the way of its work.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::db;

/// What one process has seen of a target since it last said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    pub success_at: Option<DateTime<Utc>>,
    pub failure: Option<Failure>,
    /// The target could not be reached, or refused everybody, and has not answered since.
    pub is_down: bool,
}

/// The last failure of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub at: DateTime<Utc>,
    pub code: String,
    pub message: String,
}

/// Adds what was seen: of two sightings the newer counts, whatever the order in which they are told.
pub async fn record(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
    seen: &Sighting,
) -> Result<()> {
    let failure = seen.failure.as_ref();
    sqlx::query!(
        "insert into connector_health as kept (
             tenant_id, connector_id, last_success_at, last_failure_at, last_error_code, last_error_message,
             down_since)
         values ($1, $2, $3, $4, $5, $6, case when $7 then $4::timestamptz end)
         on conflict (tenant_id, connector_id) do update
            set last_success_at = greatest(kept.last_success_at, excluded.last_success_at),
                last_failure_at = greatest(kept.last_failure_at, excluded.last_failure_at),
                last_error_code = case
                    when excluded.last_failure_at >= coalesce(kept.last_failure_at, excluded.last_failure_at)
                    then excluded.last_error_code
                    else kept.last_error_code end,
                last_error_message = case
                    when excluded.last_failure_at >= coalesce(kept.last_failure_at, excluded.last_failure_at)
                    then excluded.last_error_message
                    else kept.last_error_message end,
                down_since = case
                    when $7 then coalesce(kept.down_since, excluded.down_since)
                    when excluded.last_success_at >= coalesce(kept.last_failure_at, excluded.last_success_at)
                    then null
                    else kept.down_since end",
        tenant.0,
        connector.0,
        seen.success_at,
        failure.map(|failure| failure.at),
        failure.map(|failure| failure.code.as_str()),
        failure.map(|failure| failure.message.as_str()),
        seen.is_down,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// Everything that is known of a connector's target, besides its queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// `closed`, `open` or `half_open`.
    pub breaker: String,
    pub probe_at: Option<DateTime<Utc>>,
    pub failed_probes: i32,
    /// When a pause ends by itself.
    pub paused_until: Option<DateTime<Utc>>,
    /// How long ago the ramp of the last outage began, in seconds.
    pub ramp_age_secs: Option<f64>,
    pub last_success_at: Option<DateTime<Utc>>,
    pub last_failure_at: Option<DateTime<Utc>>,
    pub last_error_code: Option<String>,
    pub last_error_message: Option<String>,
    pub down_since: Option<DateTime<Utc>>,
}

/// None for a connector that does not exist.
pub async fn find(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: ConnectorId,
) -> Result<Option<Condition>> {
    sqlx::query_as!(
        Condition,
        r#"select work.breaker, work.probe_at, work.failed_probes, work.paused_until,
                  extract(epoch from now() - work.ramp_started_at)::float8 as ramp_age_secs,
                  health.last_success_at as "last_success_at?", health.last_failure_at as "last_failure_at?",
                  health.last_error_code as "last_error_code?",
                  health.last_error_message as "last_error_message?", health.down_since as "down_since?"
             from connector_work work
             left join connector_health health
               on health.tenant_id = work.tenant_id and health.connector_id = work.connector_id
            where work.tenant_id = $1 and work.connector_id = $2"#,
        tenant.0,
        connector.0,
    )
    .fetch_optional(tx)
    .await
    .map_err(db::failed)
}
