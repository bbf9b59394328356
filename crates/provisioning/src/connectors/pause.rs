//! Pausing a connector: nothing is sent to its target any more, reads included; operations are still accepted.

use chrono::{DateTime, Utc};
use serde_json::json;
use xavyo_core::{Error, connector::Connector, error::Result, ids::ConnectorId};
use xavyo_runtime::{auth::Caller, db};

use super::{Connectors, Shown, entry, show};
use crate::store::{
    audit,
    connector::{self, work},
};

/// Which connector to pause, and why.
#[derive(Clone, Debug)]
pub struct PauseConnector {
    pub connector_id: ConnectorId,
    pub reason: Option<String>,
    /// When it resumes by itself.
    pub until: Option<DateTime<Utc>>,
}

impl Connectors {
    /// A connector that is paused keeps its first reason.
    pub async fn pause(&self, caller: &Caller, command: PauseConnector) -> Result<Shown> {
        let PauseConnector { connector_id, reason, until } = command;
        if until.is_some_and(|until| until <= self.clock.now()) {
            return Err(Error::invalid("until", "a time to come"));
        }
        let change =
            |connector: Connector| Connector { paused: true, pause_reason: reason.clone(), ..connector };
        self.set_paused(caller, "PauseConnector", connector_id, until, reason.clone(), change).await
    }

    pub async fn resume(&self, caller: &Caller, connector_id: ConnectorId) -> Result<Shown> {
        let change = |connector: Connector| Connector { paused: false, pause_reason: None, ..connector };
        self.set_paused(caller, "ResumeConnector", connector_id, None, None, change).await
    }

    async fn set_paused(
        &self,
        caller: &Caller,
        method: &'static str,
        id: ConnectorId,
        until: Option<DateTime<Utc>>,
        reason: Option<String>,
        change: impl FnOnce(Connector) -> Connector,
    ) -> Result<Shown> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let before = connector::lock(&mut tx, tenant, id).await?;
        let was_paused = before.paused;
        let after = Connector { updated_at: self.clock.now(), ..change(before.clone()) };
        if after.paused == was_paused {
            return show(&mut tx, tenant, before).await;
        }
        connector::save(&mut tx, tenant, &after).await?;
        if until.is_some() {
            work::set_pause_end(&mut tx, tenant, id, until).await?;
        }
        work::set_due(&mut tx, tenant, &[id], after.updated_at).await?;
        let entry = entry(method, &after, json!({ "name": after.name, "until": until }), reason);
        audit::insert(&mut tx, &self.clock, caller, entry).await?;
        let saved = connector::get(&mut tx, tenant, id).await?;
        let shown = show(&mut tx, tenant, saved).await?;
        db::commit(tx).await?;
        Ok(shown)
    }
}
