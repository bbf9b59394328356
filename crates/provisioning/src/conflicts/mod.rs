//! What a person can ask of conflicts: which there are, and to decide those that are left to somebody.
//!
//! Conflicts arise in [`crate::queue`] and in the worker; those that policy decides are resolved as they arise.

mod resolve;

use uuid::Uuid;
use xavyo_core::{
    conflict::{Conflict, ConflictOutcome},
    error::Result,
    ids::ConflictId,
};
use xavyo_runtime::{Clock, Database, auth::Caller, db};

use crate::{
    paging::{self, Listed, MOST_COUNTED},
    store::conflict::{self, Filter},
    worker::Nudge,
};

/// The use cases of ConflictService; cheap to clone.
#[derive(Clone, Debug)]
pub struct Conflicts {
    database: Database,
    clock: Clock,
    nudge: Nudge,
}

/// Which conflicts to list, newest first.
#[derive(Clone, Debug)]
pub struct ListConflicts {
    pub filter: Filter,
    pub after: Option<Uuid>,
    pub page_size: i64,
    pub count_total: bool,
}

#[derive(Clone, Debug)]
pub struct ResolveConflict {
    pub conflict_id: ConflictId,
    /// The version that the caller has seen; None = any.
    pub etag: Option<i64>,
    pub outcome: ConflictOutcome,
    pub notes: Option<String>,
}

impl Conflicts {
    pub fn new(database: Database, clock: Clock, nudge: Nudge) -> Self {
        Self { database, clock, nudge }
    }

    pub async fn get(&self, caller: &Caller, id: ConflictId) -> Result<Conflict> {
        let mut tx = self.database.begin(caller.tenant).await?;
        conflict::get(&mut tx, caller.tenant, id).await
    }

    pub async fn list(&self, caller: &Caller, command: ListConflicts) -> Result<Listed<Conflict>> {
        let ListConflicts { filter, after, page_size, count_total } = command;
        let mut tx = self.database.begin(caller.tenant).await?;
        let rows = paging::rows(page_size);
        let conflicts = conflict::page(&mut tx, caller.tenant, &filter, after, rows).await?;
        let counted = conflict::count(&mut tx, caller.tenant, &filter, MOST_COUNTED + 1);
        let total = paging::total(count_total, counted).await?;
        Ok(Listed::of(conflicts, page_size, total))
    }

    /// The outcome is done to the operations in the same transaction.
    pub async fn resolve(&self, caller: &Caller, command: ResolveConflict) -> Result<Conflict> {
        let resolved = db::retry(|| self.try_resolve(caller, &command)).await?;
        self.nudge.now();
        Ok(resolved)
    }
}
