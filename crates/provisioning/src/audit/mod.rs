//! What can be asked of the audit log. Rows get there in the transactions that they record, and are never changed;
//! [`sealer`] chains them a moment later, [`verify`] walks along the chain.

pub mod sealer;
#[cfg(test)]
mod tests;
mod verify;

use uuid::Uuid;
use xavyo_core::{chain::Chain, error::Result};
use xavyo_runtime::{Caller, Database, db};

pub use verify::Verdict;

use crate::{
    paging::{self, Listed, MOST_COUNTED},
    store::audit::{self, Event, Filter},
};

/// The use cases of AuditService; cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog {
    database: Database,
    chain: Chain,
}

/// Which events to list.
#[derive(Clone, Debug)]
pub struct ListEvents {
    pub filter: Filter,
    pub after: Option<Uuid>,
    pub page_size: i64,
    pub count_total: bool,
}

impl AuditLog {
    pub fn new(database: Database, chain: Chain) -> Self {
        Self { database, chain }
    }

    /// Newest first.
    pub async fn list(&self, caller: &Caller, command: &ListEvents) -> Result<Listed<Event>> {
        let ListEvents { filter, after, page_size, count_total } = command;
        let mut tx = self.database.begin(caller.tenant).await?;
        let rows = paging::rows(*page_size);
        let events = audit::page(&mut tx, caller.tenant, filter, *after, rows).await?;
        let counted = audit::count(&mut tx, caller.tenant, filter, MOST_COUNTED + 1);
        let total = paging::total(*count_total, counted).await?;
        db::commit(tx).await?;
        Ok(Listed::of(events, *page_size, total))
    }
}
