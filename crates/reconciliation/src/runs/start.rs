//! Starting a run: the intent, its audit row and the work for a worker, in one transaction.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{ConnectorId, RunId, ScheduleId},
    run::{self, Phase, ReconciliationMode, Run, RunStatus},
    schedule::DEFAULT_FULL_EVERY_DAYS,
};
use xavyo_runtime::{Caller, db::Transaction};

use super::{
    Runs,
    basis::basis,
    record::{Progress, RunRecord},
};
use crate::{
    provisioning::connector::ConnectorView,
    store::{
        action::{self, Action, ActionResult},
        baseline, request, run as store,
        run_work::{self, Work, WorkKind},
    },
};

/// StartRun. Its JSON is the body that a request id is bound to.
#[derive(Clone, Debug, Serialize)]
pub struct StartRun {
    pub connector_id: ConnectorId,
    pub mode: ReconciliationMode,
    pub dry_run: bool,
    /// A smaller target than the last one is taken as complete down to this count. Needs a reason.
    pub accept_count_at_least: Option<i64>,
    pub reason: Option<String>,
    /// None: a caller asks for it.
    #[serde(skip)]
    pub slot: Option<Slot>,
    #[serde(skip)]
    pub request_id: Option<Uuid>,
}

/// The slot of a schedule that a run stands for.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub schedule_id: ScheduleId,
    pub at: DateTime<Utc>,
    /// How old the last full run may be, for a delta to be one.
    pub full_every_days: i32,
}

impl Runs {
    /// Starts a run of a connector that exists and is not paused. RUN_ACTIVE, naming it, while another one has not ended.
    pub async fn start(&self, caller: &Caller, command: StartRun) -> Result<RunRecord> {
        let key = request::Key::of("StartRun", command.request_id, &command)?;
        let session = self.provisioning.session(caller.tenant, caller.subject, Some(&caller.trace_id));
        let connector = session.connector(command.connector_id).await;

        let mut tx = self.database.begin(caller.tenant).await?;
        let earlier = request::recall(&mut tx, &self.clock, caller.tenant, key.as_ref()).await?;
        if let Some(id) = earlier.and_then(|ids| ids.first().copied()) {
            return store::get(&mut tx, caller.tenant, RunId(id)).await;
        }
        let connector = connector?;
        if connector.is_paused {
            return Err(Error::new(Reason::ConnectorPaused, "the connector is paused"));
        }
        let record = self.begin(&mut tx, caller, &command, &connector).await?;
        request::remember(&mut tx, caller.tenant, key.as_ref(), &[record.run.id.0]).await?;
        self.commit(tx).await?;
        Ok(record)
    }

    /// The run, the work for a worker and the audit row. RUN_ACTIVE leaves the transaction as it was.
    pub(crate) async fn begin(
        &self,
        tx: &mut Transaction,
        caller: &Caller,
        command: &StartRun,
        connector: &ConnectorView,
    ) -> Result<RunRecord> {
        let record = self.pending(tx, caller, command, connector).await?;
        store::insert(tx, caller.tenant, &record).await?;
        let work = Work { tenant: caller.tenant, kind: WorkKind::Run, id: record.run.id.0 };
        run_work::insert(tx, work, record.run.created_at, None).await?;
        action::insert(tx, caller.tenant, &self.started(caller, &record)).await?;
        Ok(record)
    }

    /// The run that the command asks for.
    async fn pending(
        &self,
        tx: &mut Transaction,
        caller: &Caller,
        command: &StartRun,
        connector: &ConnectorView,
    ) -> Result<RunRecord> {
        let now = self.clock.now();
        let baselines = baseline::find_all(tx, caller.tenant, connector.id).await?;
        let origin = baseline::find_origin(tx, caller.tenant, connector.id).await?;
        let full_every_days = command.slot.map_or(DEFAULT_FULL_EVERY_DAYS, |slot| slot.full_every_days);
        let basis = basis(connector, &baselines, origin, Some(full_every_days));
        let (mode, mode_note) = run::choose(command.mode, &basis, now);
        let run = Run {
            id: RunId(self.clock.new_id()),
            connector_id: connector.id,
            requested_mode: command.mode,
            mode,
            mode_note,
            dry_run: command.dry_run,
            accept_count_at_least: command.accept_count_at_least,
            status: RunStatus::Pending,
            phase: Phase::Prepare,
            pause_reason: None,
            connector_revision: None,
            accounts_processed: 0,
            discrepancies_found: 0,
            plan_digest: None,
            approved_by: None,
            failure: None,
            schedule_id: command.slot.map(|slot| slot.schedule_id),
            created_by: caller.subject,
            reason: command.reason.clone(),
            trace_id: Some(caller.trace_id.clone()),
            created_at: now,
            started_at: None,
            completed_at: None,
            updated_at: now,
            version: 1,
        };
        Ok(RunRecord {
            run,
            slot_at: command.slot.map(|slot| slot.at),
            progress: Progress::default(),
            proofs: Vec::new(),
            spared: Vec::new(),
            excluded: Vec::new(),
            approval_expires_at: None,
            stop_request: None,
            worker: None,
            fence: 0,
        })
    }

    fn started(&self, caller: &Caller, record: &RunRecord) -> Action {
        let run = &record.run;
        Action {
            id: self.clock.new_id(),
            connector_id: run.connector_id,
            run_id: Some(run.id),
            discrepancy_id: None,
            action_type: "run_started",
            result: ActionResult::Success,
            dry_run: run.dry_run,
            performed_by: caller.subject,
            performed_at: run.created_at,
            details: Some(json!({
                "mode": run.mode.name(),
                "requested_mode": run.requested_mode.name(),
                "accept_count_at_least": run.accept_count_at_least,
                "reason": run.reason,
                "schedule_id": run.schedule_id,
                "slot_at": record.slot_at,
            })),
            trace_id: Some(caller.trace_id.clone()),
        }
    }
}
