//! The end of a run that went well: older findings are settled, the report is written and the run completed, in one
//! transaction; then the other service is told.

use xavyo_core::{
    Reason,
    error::Result,
    ids::RunId,
    run::{Event, ReconciliationMode},
};
use xavyo_runtime::db::{self, Transaction};

use super::conduct::{Halt, Hand};
use crate::{
    crash::{self, Point},
    runs::{
        record::{ReadProof, Side},
        report,
    },
    store::{
        self,
        baseline::{self, Baseline, Origin},
        finding::{self, Successor},
        revisit, run_work,
    },
};

impl Hand<'_> {
    /// Completes the run, or leaves it as it was.
    pub(super) async fn complete(&mut self) -> Result<(), Halt> {
        let before = self.record.clone();
        let completed = self.complete_at_once().await;
        if completed.is_err() {
            self.record = before;
        }
        completed
    }

    async fn complete_at_once(&mut self) -> Result<(), Halt> {
        let now = self.engine.clock.now();
        let tenant = self.tenant();
        let mut tx = self.begin().await?;
        finding::expect_many(&mut tx).await?;
        let run = &mut self.record.run;
        run.status = run.status.after(Event::Completed)?;
        run.completed_at = Some(now);
        self.record.worker = None;
        // The rows themselves are the count (R7): a run that was taken over may have kept some of an earlier attempt.
        self.record.progress.found =
            finding::count_by_type(&mut tx, tenant, self.record.run.id).await?.into_iter().collect();
        self.record.run.discrepancies_found = self.record.progress.found.total;
        let report = report::compile(&mut tx, tenant, &self.record, now).await?;
        store::report::insert(&mut tx, tenant, &report).await?;
        if !self.record.run.dry_run {
            self.settle_older(&mut tx).await?;
            self.remember_reads(&mut tx).await?;
        }
        crash::point(Point::RunCompleting);
        match self.save_with(tx).await {
            // Whoever wanted to stop it came too late.
            Ok(()) | Err(Halt::Stopped(_)) => {}
            Err(halt) => return Err(halt),
        }
        crash::point(Point::RunCompleted);
        Ok(())
    }

    /// Tells the other service of a completed full run, until it knows; then there is nothing left to do.
    pub(super) async fn tell(&mut self) -> Result<(), Halt> {
        let run = &self.record.run;
        if let (false, ReconciliationMode::Full, Some(revision), Some(at)) =
            (run.dry_run, run.mode, run.connector_revision, run.completed_at)
        {
            let told = self.session.record_completed_run(run.connector_id, run.id, revision, at).await;
            told.or_else(|error| if error.reason == Reason::NotFound { Ok(()) } else { Err(error) })
                .map_err(Halt::Interrupted)?;
        }
        let mut tx = self.begin().await?;
        run_work::delete(&mut tx, self.work).await?;
        db::commit(tx).await?;
        Ok(())
    }

    async fn settle_older(&self, tx: &mut Transaction) -> Result<()> {
        let run = &self.record.run;
        let successor = Successor {
            connector_id: run.connector_id,
            run_id: run.id,
            by: run.created_by,
            at: self.engine.clock.now(),
        };
        finding::keep_first_seen(tx, self.tenant(), successor).await?;
        finding::supersede(tx, self.tenant(), successor).await?;
        finding::settle_gone(tx, self.tenant(), successor, &self.record.spared).await
    }

    /// What a full run read is what the next one is measured by. Where either stood, and what it hands on, is where the next
    /// delta starts.
    async fn remember_reads(&self, tx: &mut Transaction) -> Result<()> {
        let run = &self.record.run;
        let (Some(connector_revision), Some(completed_at)) = (run.connector_revision, run.completed_at)
        else {
            return Ok(());
        };
        let origin =
            Origin { connector_id: run.connector_id, run_id: run.id, connector_revision, completed_at };
        let mut baselines = Vec::new();
        for target in self.record.proofs.iter().filter(|proof| proof.side == Side::Target) {
            let kind = (target.object_class.as_str(), target.intent.as_str());
            let handed_on = revisit::count(tx, self.tenant(), run.id, kind).await?;
            baselines.push(self.baseline(target, handed_on));
        }
        revisit::delete_others(tx, self.tenant(), run.connector_id, run.id).await?;
        match run.mode {
            ReconciliationMode::Full => baseline::replace(tx, self.tenant(), origin, &baselines).await,
            ReconciliationMode::Delta => {
                baseline::move_marks(tx, self.tenant(), run.connector_id, &baselines).await
            }
        }
    }

    fn baseline(&self, target: &ReadProof, handed_on: i64) -> Baseline {
        let is_other_side = |proof: &&ReadProof| {
            proof.side == Side::Expected
                && (&proof.object_class, &proof.intent) == (&target.object_class, &target.intent)
        };
        let expected = self.record.proofs.iter().find(is_other_side);
        let RunId(run_id) = self.record.run.id;
        Baseline {
            object_class: target.object_class.clone(),
            intent: target.intent.clone(),
            target_count: target.count,
            expected_count: expected.map_or(0, |proof| proof.count),
            watermark: target.watermark.clone(),
            expected_watermark: expected.and_then(|proof| proof.watermark.clone()),
            marked_by_run_id: Some(run_id),
            handed_on,
        }
    }
}
