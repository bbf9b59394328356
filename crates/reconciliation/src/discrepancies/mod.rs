//! What can be asked of discrepancies, apart from remediating them.

pub mod record;

use uuid::Uuid;
use xavyo_core::{error::Result, ids::DiscrepancyId};
use xavyo_runtime::{Caller, Database};
use xavyo_wire::page::Page;

use self::record::DiscrepancyRecord;
use crate::{
    paging::Listed,
    store::discrepancy::{self, DiscrepancyFilter},
};

#[derive(Clone, Debug)]
pub struct Discrepancies {
    pub database: Database,
}

impl Discrepancies {
    pub async fn get(&self, caller: &Caller, id: DiscrepancyId) -> Result<DiscrepancyRecord> {
        let mut tx = self.database.begin(caller.tenant).await?;
        discrepancy::get(&mut tx, caller.tenant, id).await
    }

    pub async fn list(
        &self,
        caller: &Caller,
        filter: &DiscrepancyFilter,
        page: &Page<Uuid>,
    ) -> Result<Listed<DiscrepancyRecord>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let listed = Listed::ids(&mut tx, caller.tenant, filter, page).await?;
        let records = discrepancy::find_all(&mut tx, caller.tenant, &listed.items).await?;
        Ok(listed.with(records))
    }
}
