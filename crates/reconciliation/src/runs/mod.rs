//! What can be asked of runs. Starting one records the intent; only a worker carries it on, and only a worker moves a run
//! that it holds.
//!
//! Begin with [`Runs::start`]; [`watch`] follows a run, whichever replica works on it; [`report`] says what it found.

pub(crate) mod basis;
pub mod record;
pub mod report;
mod resume;
mod start;
mod stop;
pub mod watch;

use uuid::Uuid;
use xavyo_core::{error::Result, ids::RunId};
use xavyo_runtime::{Caller, Clock, Database, db};
use xavyo_wire::page::Page;

use crate::{
    nudge::Nudges,
    paging::Listed,
    provisioning::Provisioning,
    runs::record::RunRecord,
    store::{
        self,
        report::StoredReport,
        run::{self, RunFilter},
    },
};

pub use self::{
    resume::{PlanApproval, ResumeRun},
    start::{Slot, StartRun},
    stop::StopRun,
};

#[derive(Clone, Debug)]
pub struct Runs {
    pub database: Database,
    pub clock: Clock,
    pub provisioning: Provisioning,
    pub nudges: Nudges,
}

impl Runs {
    pub async fn get(&self, caller: &Caller, id: RunId) -> Result<RunRecord> {
        let mut tx = self.database.begin(caller.tenant).await?;
        run::get(&mut tx, caller.tenant, id).await
    }

    pub async fn list(
        &self,
        caller: &Caller,
        filter: &RunFilter,
        page: &Page<Uuid>,
    ) -> Result<Listed<RunRecord>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let listed = Listed::ids(&mut tx, caller.tenant, filter, page).await?;
        let records = run::find_all(&mut tx, caller.tenant, &listed.items).await?;
        Ok(listed.with(records))
    }

    /// The report of a completed run; of any other, what can be said so far.
    pub async fn report(&self, caller: &Caller, id: RunId) -> Result<StoredReport> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let record = run::get(&mut tx, caller.tenant, id).await?;
        match store::report::find(&mut tx, caller.tenant, id).await? {
            Some(stored) => Ok(stored),
            None => report::compile(&mut tx, caller.tenant, &record, self.clock.now()).await,
        }
    }

    /// Ends a read-write transaction and tells who waits.
    pub(crate) async fn commit(&self, tx: db::Transaction) -> Result<()> {
        db::commit(tx).await?;
        self.nudges.work();
        self.nudges.run_changed();
        Ok(())
    }
}
