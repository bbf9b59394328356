//! The fifth phase: what the policies plan, or what was approved of it, is done, each item checked anew against the present.
//!
//! Every item is a remediation like one that a person asks for, in the name of the policies: recorded before it acts, at
//! most one in flight, its outcome and audit row in one transaction. One that was begun before an interruption is carried
//! on by the worker, and never begun again.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;
use xavyo_core::{discrepancy::Discrepancy, error::Result, ids::SubjectId};
use xavyo_runtime::Caller;

use super::conduct::{Halt, Hand, connector_is_paused};
use crate::{
    remediation::{Remediate, record::Choice},
    store::{discrepancy, plan},
};

/// Items that are done side by side before the run looks whether it is to stop.
const BATCH: i64 = 50;
/// How long a batch may take; what has not ended by then goes on by itself.
const PATIENCE: Duration = Duration::from_secs(5);

impl Hand<'_> {
    pub(super) async fn remediate(&mut self) -> Result<(), Halt> {
        if self.record.run.dry_run {
            return Ok(());
        }
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.begin().await?;
            let ids = plan::find_waiting(&mut tx, self.tenant(), &self.record, after, BATCH).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            let rows = discrepancy::find_all(&mut tx, self.tenant(), &ids).await?;
            drop(tx);
            let rows = rows.into_iter().map(|record| record.discrepancy).collect();
            self.act(rows).await?;
            self.save().await?;
            if self.stop.is_cancelled() {
                return Err(Halt::Leaving);
            }
        }
    }

    /// One batch. The connector is looked at before each: a paused one is not even asked.
    async fn act(&mut self, rows: Vec<Discrepancy>) -> Result<(), Halt> {
        let connector = Arc::new(self.session.connector(self.record.run.connector_id).await?);
        if connector.is_paused {
            return Err(connector_is_paused());
        }
        let items = rows.into_iter().filter_map(|row| self.item(row)).collect();
        let until = Instant::now() + PATIENCE;
        self.engine.remediations.do_all(&self.policy(), items, Some(connector), until).await;
        Ok(())
    }

    fn item(&self, row: Discrepancy) -> Option<(Remediate, Discrepancy)> {
        let remedy = row.planned?;
        let remediate = Remediate {
            discrepancy_id: row.id,
            action: remedy.action,
            direction: Some(remedy.direction),
            choice: Choice::default(),
            reason: None,
            dry_run: false,
            run_id: Some(self.record.run.id),
            request_id: None,
        };
        Some((remediate, row))
    }

    /// The fixed actor in whose name policies act.
    fn policy(&self) -> Caller {
        let trace_id = self.record.run.trace_id.clone();
        Caller {
            tenant: self.tenant(),
            subject: SubjectId::POLICY,
            roles: Vec::new(),
            trace_id: trace_id.unwrap_or_else(|| self.engine.clock.new_id().simple().to_string()),
        }
    }
}
