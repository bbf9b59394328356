//! What a target can hold, as it says itself: asked once, then remembered by this process for a while.
//!
//! An answer is kept with the version of the connector that it was read through, so that a changed connector is never
//! answered by what another one was told. Another replica remembers for itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;
use xavyo_connectors::Capabilities;
use xavyo_core::{
    connector::ObjectSchema,
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::auth::Caller;

use super::{Connectors, LONGEST};
use crate::{store::connector, targets};

/// For so long an answer is repeated.
const KEPT_FOR: TimeDelta = TimeDelta::hours(1);
/// The most connectors whose answers are kept.
const MOST_KEPT: usize = 200;
/// The most that all of them may take. Only what differs from schema to schema is measured.
const MOST_BYTES: usize = 16 * 1_024 * 1_024;

/// Which connector's target to ask.
#[derive(Clone, Debug)]
pub struct DiscoverSchema {
    pub connector_id: ConnectorId,
    /// Ask even if an answer is kept.
    pub refresh: bool,
}

/// What a target said of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    pub object_schemas: Vec<ObjectSchema>,
    pub capabilities: Capabilities,
    /// When it was asked: what it says is no older.
    pub at: DateTime<Utc>,
}

impl Connectors {
    /// CONNECTOR_PAUSED where nothing may be sent; TARGET_UNAVAILABLE, TARGET_REFUSED (with the target's code) where it does
    /// not say.
    pub async fn discover_schema(&self, caller: &Caller, command: DiscoverSchema) -> Result<Arc<Discovered>> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let connector = connector::get(&mut tx, tenant, command.connector_id).await?;
        drop(tx);
        targets::check_not_paused(&connector)?;
        let (key, now) = ((tenant, connector.id), self.clock.now());
        if let Some(known) = self.schemas.find(key, connector.version, now)
            && !command.refresh
        {
            return Ok(known);
        }
        let open = self.targets.open(tenant, &connector).await?;
        let asked = timeout(LONGEST, open.target.describe()).await;
        let object_schemas =
            asked.unwrap_or_else(|_| Err(targets::timed_out(LONGEST))).map_err(targets::failed)?;
        // Some of it is known only after the first contact.
        let capabilities = open.target.capabilities();
        let discovered = Arc::new(Discovered { object_schemas, capabilities, at: now });
        self.schemas.keep(key, connector.version, Arc::clone(&discovered));
        Ok(discovered)
    }
}

type Key = (TenantId, ConnectorId);
/// With the version of the connector that they were read through.
type Kept = HashMap<Key, (i64, Arc<Discovered>)>;

/// The answers that are kept. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Schemas(Arc<Mutex<Kept>>);

impl Schemas {
    fn find(&self, key: Key, version: i64, now: DateTime<Utc>) -> Option<Arc<Discovered>> {
        let kept = self.lock();
        let (read_through, discovered) = kept.get(&key)?;
        let is_good = *read_through == version && now - discovered.at < KEPT_FOR;
        is_good.then(|| Arc::clone(discovered))
    }

    /// The oldest give way. An answer that was long on its way does not replace a later one.
    fn keep(&self, key: Key, version: i64, discovered: Arc<Discovered>) {
        let mut kept = self.lock();
        if kept.get(&key).is_some_and(|(through, it)| (*through, it.at) > (version, discovered.at)) {
            return;
        }
        kept.remove(&key);
        let room = MOST_BYTES.saturating_sub(size(&discovered));
        if room == 0 {
            return;
        }
        while kept.len() >= MOST_KEPT || kept.values().map(|(_, it)| size(it)).sum::<usize>() > room {
            let oldest = kept.iter().min_by_key(|(_, (_, it))| it.at).map(|(key, _)| *key);
            let Some(oldest) = oldest else { break };
            kept.remove(&oldest);
        }
        kept.insert(key, (version, discovered));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes, roughly.
fn size(discovered: &Discovered) -> usize {
    let attributes = discovered.object_schemas.iter().flat_map(|schema| &schema.attributes);
    attributes.map(|it| size_of_val(it) + it.name.len() + it.description.len()).sum()
}

#[cfg(test)]
mod tests;
