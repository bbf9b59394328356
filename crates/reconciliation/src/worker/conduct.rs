//! The life of a run in the hands of this process: taken and carried through its phases. Where it ends or is interrupted
//! it is let go ([`super::let_go`]); a paused one may wake by itself ([`super::wake`]).

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use xavyo_core::{
    Error, Reason,
    discrepancy::DiscrepancyType,
    error::Result,
    fingerprint::Fingerprint,
    guard::Excess,
    ids::{RunId, TenantId},
    remediation::Remedy,
    run::{Event, Phase, RunStatus},
};
use xavyo_runtime::db::{self, Transaction};

use super::{Engine, examine::LeftOver};
use crate::{
    crash::{self, Point},
    provisioning::Session,
    runs::record::{RunRecord, StopRequest},
    store::{
        run,
        run_work::{self, Work},
    },
};

/// Progress is saved at most this often.
pub(super) const SAVE_EVERY: Duration = Duration::from_millis(200);
/// Reads that broke off are tried again after so long.
pub(super) const PATIENCE: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];

/// A run in hand.
pub(super) struct Hand<'a> {
    pub engine: &'a Engine,
    pub work: Work,
    pub record: RunRecord,
    /// Acts for whoever started the run.
    pub session: Session,
    pub stop: &'a CancellationToken,
    /// When progress is saved next.
    pub save_at: Instant,
    /// The findings that were written since it began to read.
    pub written: HashSet<Fingerprint>,
    /// What it leaves to the next delta, and did not judge, by kind of account.
    pub left_over: Vec<LeftOver>,
    /// What the run does by itself; known once it examines.
    pub policies: BTreeMap<DiscrepancyType, Remedy>,
}

/// Why a run is not carried on here.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody asked for it.
    Stopped(StopRequest),
    /// The connector is paused or its target is down: it goes on by itself once that is over.
    Connector(Error),
    /// The plan is above the connector's limits.
    Guard(Excess),
    /// The process ends: another one carries on.
    Leaving,
    /// It is in other hands.
    Lost,
    /// The database is away or contended: to be taken up again.
    Interrupted(Error),
    /// The run has failed.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        match error.reason {
            Reason::ClaimLost => Self::Lost,
            Reason::DatabaseUnavailable | Reason::Contended => Self::Interrupted(error),
            Reason::ConnectorPaused | Reason::TargetUnavailable => Self::Connector(error),
            _ => Self::Failed(error),
        }
    }
}

impl Engine {
    /// Takes the run and carries it on until it ends or is interrupted.
    pub(super) async fn conduct(&self, work: Work, stop: &CancellationToken) -> Result<()> {
        if !self.wake(work).await? {
            return Ok(());
        }
        let Some(record) = self.take(work).await? else { return Ok(()) };
        let run = &record.run;
        let session = self.provisioning.session(work.tenant, run.created_by, run.trace_id.as_deref());
        let mut hand = Hand {
            engine: self,
            work,
            record,
            session,
            stop,
            save_at: Instant::now(),
            written: HashSet::new(),
            left_over: Vec::new(),
            policies: BTreeMap::new(),
        };
        crash::point(Point::RunClaimed);
        match hand.carry_on().await {
            Ok(()) => Ok(()),
            Err(halt) => hand.let_go(halt).await,
        }
    }

    /// None: it is in other hands, or there is nothing to carry on.
    async fn take(&self, work: Work) -> Result<Option<RunRecord>> {
        let id = RunId(work.id);
        let mut tx = self.database.begin(work.tenant).await?;
        if !run_work::claim(&mut tx, work, self.lease.worker).await? {
            return Ok(None);
        }
        let is_active = run::claim(&mut tx, work.tenant, id, self.lease.worker).await?;
        let record = run::get(&mut tx, work.tenant, id).await?;
        // A completed run is taken once more if the other service has not been told.
        let is_untold = record.run.status == RunStatus::Completed;
        if !is_active && !is_untold {
            run_work::delete(&mut tx, work).await?;
        }
        db::commit(tx).await?;
        Ok((is_active || is_untold).then_some(record))
    }
}

impl Hand<'_> {
    /// Through the phases, from where the run is. What was read lives in memory only: before the plan is weighed, a run
    /// that is taken over begins to read anew.
    async fn carry_on(&mut self) -> Result<(), Halt> {
        match self.record.run.status {
            RunStatus::Completed => return self.tell().await,
            RunStatus::Pending => self.start().await?,
            // Taken over from another process.
            RunStatus::Running | RunStatus::Paused | RunStatus::Failed | RunStatus::Cancelled => {}
        }
        if self.record.run.phase <= Phase::Compare {
            self.examine_with_patience().await?;
            self.enter(Phase::Guard).await?;
        }
        if self.record.run.phase == Phase::Guard {
            self.weigh().await?;
            self.enter(Phase::Remediate).await?;
        }
        if self.record.run.phase == Phase::Remediate {
            self.remediate().await?;
            self.enter(Phase::Report).await?;
        }
        self.complete().await?;
        self.tell().await
    }

    async fn start(&mut self) -> Result<(), Halt> {
        let run = &mut self.record.run;
        run.status = run.status.after(Event::Started)?;
        run.started_at = Some(self.engine.clock.now());
        self.save().await
    }

    /// Examines; a peer that is away, or a connector that was changed meanwhile, is given some time.
    async fn examine_with_patience(&mut self) -> Result<(), Halt> {
        for patience in PATIENCE {
            match self.examine().await {
                Err(Halt::Failed(error) | Halt::Interrupted(error)) if may_pass(&error) => {
                    tracing::info!(%error, run = %self.record.run.id, "the read broke off and is tried again");
                    self.rest(patience).await?;
                }
                outcome => return outcome,
            }
        }
        self.examine().await
    }

    async fn rest(&mut self, patience: Duration) -> Result<(), Halt> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            let pause = tokio::time::sleep_until(until.min(Instant::now() + SAVE_EVERY));
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return Err(Halt::Leaving);
            }
            self.save().await?;
        }
        Ok(())
    }

    pub async fn enter(&mut self, phase: Phase) -> Result<(), Halt> {
        self.record.run.phase = phase;
        self.save().await
    }

    /// Saves the progress and obeys what somebody has asked for meanwhile.
    pub async fn save(&mut self) -> Result<(), Halt> {
        let tx = self.begin().await?;
        self.save_with(tx).await
    }

    /// Commits a transaction together with the progress, under the fence.
    pub async fn save_with(&mut self, mut tx: Transaction) -> Result<(), Halt> {
        let now = self.engine.clock.now();
        let asked = run::save(&mut tx, self.tenant(), &mut self.record, now).await?;
        db::commit(tx).await?;
        self.engine.nudges.run_changed();
        self.save_at = Instant::now() + SAVE_EVERY;
        match asked {
            Some(request) => Err(Halt::Stopped(request)),
            None => Ok(()),
        }
    }

    /// The same, unless it was done a moment ago.
    pub async fn save_now_and_then(&mut self) -> Result<(), Halt> {
        if self.stop.is_cancelled() {
            return Err(Halt::Leaving);
        }
        if Instant::now() < self.save_at { Ok(()) } else { self.save().await }
    }

    pub async fn begin(&self) -> Result<Transaction> {
        self.engine.database.begin(self.tenant()).await
    }

    pub fn tenant(&self) -> TenantId {
        self.work.tenant
    }
}

/// Whether reading again may well succeed.
fn may_pass(error: &Error) -> bool {
    matches!(error.reason, Reason::PeerUnavailable | Reason::Contended | Reason::DeadlineExceeded)
}

pub(super) fn connector_is_paused() -> Halt {
    Halt::Connector(Error::new(Reason::ConnectorPaused, "the connector is paused"))
}
