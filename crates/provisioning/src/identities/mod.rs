//! Identities, as callers and imports make and change them, and what follows from it.
//!
//! Every change enqueues, in its own transaction, what the connectors in mode `enforce` call for. Begin with
//! [`consequences`] (the decision), then [`automation`] (the decision in bulk), then [`change`] (one identity) and
//! [`import`] (a million).

pub mod automation;
mod change;
pub mod consequences;
mod create;
pub mod import;
mod planned;

use serde_json::json;
use uuid::Uuid;
use xavyo_core::{
    Error,
    cause::{Cause, CauseKind},
    error::Result,
    identity::Identity,
    ids::IdentityId,
};
use xavyo_runtime::{Clock, auth::Caller, db::Database};

pub use change::{ChangeActivity, DeleteIdentity, Edit, UpdateIdentity};
pub use create::CreateIdentity;
pub use planned::Planned;

use self::automation::Automation;
use crate::{
    paging::{self, Listed, MOST_COUNTED},
    store::{audit, identity},
    worker::Nudge,
};

/// The use cases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identities {
    database: Database,
    clock: Clock,
    automation: Automation,
    nudge: Nudge,
}

/// An identity after a change, and the operations that follow from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub identity: Identity,
    pub operations: Vec<Planned>,
}

/// Which identity to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Id(IdentityId),
    Source(String),
}

/// Which identities to list.
#[derive(Clone, Debug)]
pub struct ListIdentities {
    pub filter: identity::Filter,
    pub after: Option<IdentityId>,
    pub page_size: i64,
    pub count_total: bool,
}

impl Identities {
    pub fn new(database: Database, clock: Clock, automation: Automation, nudge: Nudge) -> Self {
        Self { database, clock, automation, nudge }
    }

    /// After a commit: says that there may be work.
    fn nudge(&self, operations: &[Planned]) {
        if operations.iter().any(|planned| planned.operation_id.is_some()) {
            self.nudge.now();
        }
    }

    pub async fn get(&self, caller: &Caller, key: Key) -> Result<Identity> {
        let mut tx = self.database.begin(caller.tenant).await?;
        match key {
            Key::Id(id) => identity::get(&mut tx, caller.tenant, id).await,
            Key::Source(key) => {
                let found = identity::find_by_source_keys(&mut tx, caller.tenant, &[key]).await?;
                found.into_iter().next().ok_or_else(|| Error::not_found("identity"))
            }
        }
    }

    pub async fn list(&self, caller: &Caller, command: ListIdentities) -> Result<Listed<Identity>> {
        let tenant = caller.tenant;
        let ListIdentities { filter, after, page_size, count_total } = command;
        let mut tx = self.database.begin(tenant).await?;
        let identities = identity::page(&mut tx, tenant, &filter, after, paging::rows(page_size)).await?;
        let counted = identity::count(&mut tx, tenant, &filter, MOST_COUNTED + 1);
        let total = paging::total(count_total, counted).await?;
        Ok(Listed::of(identities, page_size, total))
    }
}

/// Why the operations exist that follow from a change.
fn cause(caller: &Caller, kind: CauseKind, id: Uuid, reason: Option<String>) -> Cause {
    Cause {
        kind,
        id: Some(id),
        requested_by: caller.subject,
        reason,
        trace_id: Some(caller.trace_id.clone()).filter(|trace| !trace.is_empty()),
    }
}

/// Of attributes only the names: the values are people's data.
fn entry(
    method: &'static str,
    identity: &Identity,
    changed: &[String],
    operations: usize,
    reason: Option<String>,
) -> audit::Entry {
    audit::Entry {
        method,
        resource_type: "identity",
        resource_id: Some(identity.id.0),
        connector_id: None,
        details: json!({ "active": identity.active, "changed": changed, "operations": operations }),
        reason,
    }
}

#[cfg(test)]
mod tests;
