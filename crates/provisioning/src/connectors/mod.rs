//! Connectors, as callers make, change, check and pause them: one public function for each thing that can be asked.
//!
//! A connector is stored only when everything in it can be used: settings, expressions, policies. Nothing here calls a
//! target but [`Connectors::check`] and [`Connectors::discover_schema`], and no secret is ever answered.

mod check;
mod create;
mod health;
mod pause;
mod preview;
mod rotate;
mod schema;
mod update;
mod validation;

use std::{collections::BTreeMap, time::Duration};

use secrecy::SecretString;
use serde_json::json;
use sqlx::PgConnection;
use xavyo_connectors::Secrets;
use xavyo_core::{
    Error, Reason,
    connector::Connector,
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::{
    Clock,
    auth::Caller,
    db::{self, Database},
};

pub use check::Check;
pub use create::CreateConnector;
pub use health::{GuardUsage, Health, HealthState};
pub use pause::PauseConnector;
pub use preview::{AttributePreview, CorrelationPreview, Preview, PreviewMapping, Subject};
pub use rotate::Rotated;
pub use schema::{DiscoverSchema, Discovered};
pub use update::UpdateConnector;

use self::schema::Schemas;
use crate::{
    paging::{self, Listed, MOST_COUNTED},
    secrets::Vault,
    store::{
        audit,
        connector::{self, secret},
    },
    targets::Targets,
};

/// The use cases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connectors {
    database: Database,
    clock: Clock,
    vault: Vault,
    targets: Targets,
    schemas: Schemas,
}

/// A connector as callers see it: of its secrets only their names.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub connector: Connector,
    pub stored_secrets: Vec<String>,
}

/// Which connectors to list.
#[derive(Clone, Debug)]
pub struct ListConnectors {
    pub filter: connector::Filter,
    pub after: Option<ConnectorId>,
    pub page_size: i64,
    pub count_total: bool,
}

/// Which connector to delete.
#[derive(Clone, Debug)]
pub struct DeleteConnector {
    pub connector_id: ConnectorId,
    /// The version that the caller has seen; None = any.
    pub etag: Option<i64>,
}

impl Connectors {
    pub fn new(database: Database, clock: Clock, vault: Vault, targets: Targets) -> Self {
        Self { database, clock, vault, targets, schemas: Schemas::default() }
    }

    pub async fn get(&self, caller: &Caller, id: ConnectorId) -> Result<Shown> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let connector = connector::get(&mut tx, caller.tenant, id).await?;
        show(&mut tx, caller.tenant, connector).await
    }

    pub async fn list(&self, caller: &Caller, command: ListConnectors) -> Result<Listed<Shown>> {
        let tenant = caller.tenant;
        let ListConnectors { filter, after, page_size, count_total } = command;
        let mut tx = self.database.begin(tenant).await?;
        let rows = paging::rows(page_size);
        let connectors = connector::page(&mut tx, tenant, &filter, after, rows).await?;
        let counted = connector::count(&mut tx, tenant, &filter, MOST_COUNTED + 1);
        let total = paging::total(count_total, counted).await?;
        let ids: Vec<ConnectorId> = connectors.iter().map(|connector| connector.id).collect();
        let mut secrets = secret::fields(&mut tx, tenant, &ids).await?;
        let shown = connectors.into_iter().map(|connector| Shown {
            stored_secrets: secrets.remove(&connector.id).unwrap_or_default(),
            connector,
        });
        Ok(Listed::of(shown.collect(), page_size, total))
    }

    /// IN_USE while live operations need it. Dead letters do not keep it.
    pub async fn delete(&self, caller: &Caller, command: DeleteConnector) -> Result<()> {
        let tenant = caller.tenant;
        let id = command.connector_id;
        let mut tx = self.database.begin(tenant).await?;
        let connector = connector::lock(&mut tx, tenant, id).await?;
        check_etag(command.etag, connector.version)?;
        if connector::has_live_operations(&mut tx, tenant, id).await? {
            return Err(Error::new(Reason::InUse, "live operations need the connector")
                .with("resource", "connector")
                .with("connector_id", id.to_string()));
        }
        connector::delete(&mut tx, tenant, id, self.clock.now()).await?;
        let entry = entry("DeleteConnector", &connector, json!({ "name": connector.name }), None);
        audit::insert(&mut tx, &self.clock, caller, entry).await?;
        db::commit(tx).await
    }
}

/// The longest call on a target, whatever the connector's call time-out: a person is waiting.
const LONGEST: Duration = Duration::from_secs(50);

/// Why a connector is paused whose target has refused its credentials. New ones resume it.
pub const BAD_CREDENTIALS: &str = "BAD_CREDENTIALS: the target refuses the connector's credentials";

/// Of many secrets by field, as the caller gave them.
pub type GivenSecrets = BTreeMap<String, SecretString>;

fn secrets(given: &GivenSecrets) -> Secrets {
    Secrets(given.clone())
}

async fn show(tx: &mut PgConnection, tenant: TenantId, connector: Connector) -> Result<Shown> {
    let stored_secrets = secret::fields(tx, tenant, &[connector.id]).await?.remove(&connector.id);
    Ok(Shown { connector, stored_secrets: stored_secrets.unwrap_or_default() })
}

/// ABORTED unless the caller has seen the present version, or named none.
pub fn check_etag(seen: Option<i64>, present: i64) -> Result<()> {
    match seen {
        Some(seen) if seen != present => {
            Err(Error::new(Reason::EtagMismatch, "the resource has changed since it was read"))
        }
        Some(_) | None => Ok(()),
    }
}

fn entry(
    method: &'static str,
    connector: &Connector,
    details: serde_json::Value,
    reason: Option<String>,
) -> audit::Entry {
    audit::Entry {
        method,
        resource_type: "connector",
        resource_id: Some(connector.id.0),
        connector_id: Some(connector.id),
        details,
        reason,
    }
}

#[cfg(test)]
mod tests;
