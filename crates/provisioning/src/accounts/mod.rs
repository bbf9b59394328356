//! Accounts and links: what people look up one by one, and what reconciliation reads a million at a time.
//!
//! Reads of the target happen outside any transaction and change nothing there. Begin with [`live`] (one account),
//! then [`expected`] and [`target`] (both sides of a run), then [`batch`] (what a run confirms before it acts).

pub mod batch;
mod events;
pub mod expected;
mod explain;
mod link;
pub mod live;
mod refresh;
pub mod target;
pub mod uid;

use std::sync::Arc;

use xavyo_core::{
    Error,
    connector::Connector,
    error::Result,
    ids::{ConnectorId, IdentityId, LinkId},
    link::Link,
    mapping::Program,
};
use xavyo_runtime::{Clock, auth::Caller, db::Database};

pub use events::{Happened, ListAccountEvents, StoryKey};
pub use explain::{ExplainAccount, Explained, ExplainedAttribute};
pub use link::{LinkAccount, UnlinkAccount};
pub use refresh::{CompletedRun, RefreshLinks, RefreshedLink};

use crate::{
    paging::{self, Listed, MOST_COUNTED},
    store::{connector, link as links},
    targets::{self, OpenTarget, Targets},
};

/// The use cases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Accounts {
    database: Database,
    clock: Clock,
    targets: Targets,
}

/// Which kind of account a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub intent: String,
}

/// Which account: by its link, or by one of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Identity(IdentityId),
    ExternalUid(String),
    ImmutableId(String),
}

/// Which links to list.
#[derive(Clone, Debug)]
pub struct ListLinks {
    pub filter: links::Filter,
    pub after: Option<LinkId>,
    pub page_size: i64,
    pub count_total: bool,
}

/// A target that may be called, and the rules of the kind of account asked for.
struct Ready {
    open: Arc<OpenTarget>,
    program: Program,
}

impl Accounts {
    pub fn new(database: Database, clock: Clock, targets: Targets) -> Self {
        Self { database, clock, targets }
    }

    pub async fn list_links(&self, caller: &Caller, command: ListLinks) -> Result<Listed<Link>> {
        let tenant = caller.tenant;
        let ListLinks { filter, after, page_size, count_total } = command;
        let mut tx = self.database.begin(tenant).await?;
        let found = links::page(&mut tx, tenant, &filter, after, paging::rows(page_size)).await?;
        let counted = links::count(&mut tx, tenant, &filter, MOST_COUNTED + 1);
        let total = paging::total(count_total, counted).await?;
        Ok(Listed::of(found, page_size, total))
    }

    /// The way to the target of a kind of account. CONNECTOR_PAUSED where nothing may be sent.
    async fn ready(&self, caller: &Caller, kind: &Kind) -> Result<Ready> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let connector = connector::get(&mut tx, caller.tenant, kind.connector_id).await?;
        drop(tx);
        self.ready_for(caller, kind, &connector).await
    }

    async fn ready_for(&self, caller: &Caller, kind: &Kind, connector: &Connector) -> Result<Ready> {
        targets::check_not_paused(connector)?;
        check_kind(connector, kind)?;
        let open = self.targets.open(caller.tenant, connector).await?;
        let program = open.program(&kind.object_class, &kind.intent).ok_or_else(unknown_kind)?;
        let program = Program::clone(program);
        Ok(Ready { open, program })
    }
}

fn check_kind(connector: &Connector, kind: &Kind) -> Result<()> {
    connector.object_type(&kind.object_class, &kind.intent).map(drop).ok_or_else(unknown_kind)
}

fn unknown_kind() -> Error {
    Error::invalid("object_class", "an object class and intent that the connector has")
}

#[cfg(test)]
mod tests;
