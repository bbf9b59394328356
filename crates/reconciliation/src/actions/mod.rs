//! What can be asked of the audit log. Rows get there in the transactions that they record; [`sealer`] chains them a moment
//! later, [`verify`] walks along the chain.

pub mod sealer;
#[cfg(test)]
mod tests;
mod verify;

use uuid::Uuid;
use xavyo_core::{chain::Chain, error::Result};
use xavyo_runtime::{Caller, Database};
use xavyo_wire::page::Page;

pub use verify::{Range, Verdict};

use crate::{
    paging::Listed,
    store::action::{self, ActionFilter, StoredAction},
};

#[derive(Clone, Debug)]
pub struct Actions {
    pub database: Database,
    pub chain: Chain,
}

impl Actions {
    pub async fn list(
        &self,
        caller: &Caller,
        filter: &ActionFilter,
        page: &Page<Uuid>,
    ) -> Result<Listed<StoredAction>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let listed = Listed::ids(&mut tx, caller.tenant, filter, page).await?;
        let rows = action::find_all(&mut tx, caller.tenant, &listed.items).await?;
        Ok(listed.with(rows))
    }
}
