//! Resuming a run: what a person paused goes on; what the guard paused needs an approval of exactly its plan.

use serde_json::json;
use xavyo_core::{
    Error, Reason, Violation,
    error::Result,
    ids::{DiscrepancyId, RunId},
    role::Role,
    run::{Approval, PauseReason, RunStatus},
};
use xavyo_runtime::{Caller, db::Transaction};

use super::{Runs, record::RunRecord};
use crate::store::{
    action::{self, Action, ActionResult},
    plan, run,
    run_work::{self, Work, WorkKind},
};

#[derive(Clone, Debug)]
pub struct ResumeRun {
    pub run_id: RunId,
    /// None: the caller approves nothing.
    pub approval: Option<PlanApproval>,
    pub reason: Option<String>,
}

/// What the caller lets pass.
#[derive(Clone, Debug)]
pub struct PlanApproval {
    /// The plan as the approver saw it.
    pub plan_digest: String,
    /// Findings of the plan that are left alone.
    pub exclude: Vec<DiscrepancyId>,
}

impl Runs {
    /// ILLEGAL_MOVE where it is not paused, APPROVAL_REQUIRED where the approval that it needs is missing, of another plan,
    /// or of the starter where the policies ask for another person; CONNECTOR_PAUSED while it could do nothing.
    pub async fn resume(&self, caller: &Caller, command: ResumeRun) -> Result<RunRecord> {
        if command.approval.is_some() && !caller.has(Role::Approver) && !caller.has(Role::Admin) {
            return Err(Error::new(Reason::RoleForbids, "approving a plan takes the role approver or admin"));
        }
        let seen = self.get(caller, command.run_id).await?;
        if seen.run.status != RunStatus::Paused {
            seen.run.check_resume(None, false)?;
        }
        let session = self.provisioning.session(caller.tenant, caller.subject, Some(&caller.trace_id));
        let connector = session.connector(seen.run.connector_id).await?;
        if connector.is_paused {
            return Err(Error::new(Reason::ConnectorPaused, "the connector is paused"));
        }
        let mut tx = self.database.begin(caller.tenant).await?;
        let record = run::lock(&mut tx, caller.tenant, command.run_id).await?;
        self.check(&mut tx, caller, &command, &record, connector.policies.guard.four_eyes).await?;
        let now = self.clock.now();
        if let Some(approval) = &command.approval {
            plan::approve(&mut tx, caller.tenant, record.run.id, caller.subject, now, &approval.exclude)
                .await?;
        }
        run::resume(&mut tx, caller.tenant, record.run.id, now).await?;
        let work = Work { tenant: caller.tenant, kind: WorkKind::Run, id: record.run.id.0 };
        run_work::put(&mut tx, work, now).await?;
        action::insert(&mut tx, caller.tenant, &self.resumed(caller, &record, &command)).await?;
        let resumed = run::get(&mut tx, caller.tenant, record.run.id).await?;
        self.commit(tx).await?;
        Ok(resumed)
    }

    async fn check(
        &self,
        tx: &mut Transaction,
        caller: &Caller,
        command: &ResumeRun,
        record: &RunRecord,
        four_eyes: bool,
    ) -> Result<()> {
        let approval = command
            .approval
            .as_ref()
            .map(|approval| Approval { by: caller.subject, plan_digest: &approval.plan_digest });
        record.run.check_resume(approval, four_eyes)?;
        let Some(approval) = &command.approval else { return Ok(()) };
        if record.run.pause_reason != Some(PauseReason::Guard) {
            return Err(Error::invalid("approve", "false: no plan of this run waits for an approval"));
        }
        if record.approval_expires_at.is_some_and(|expires_at| expires_at <= self.clock.now()) {
            return Err(Error::new(Reason::ApprovalRequired, "the plan is too old to be approved"));
        }
        let strangers = plan::strangers(tx, caller.tenant, record.run.id, &approval.exclude).await?;
        let violation = |(at, id): (usize, &DiscrepancyId)| {
            strangers.contains(id).then(|| Violation {
                field: format!("exclude[{at}]"),
                expected: "a discrepancy of the plan".to_owned(),
            })
        };
        let violations: Vec<Violation> = approval.exclude.iter().enumerate().filter_map(violation).collect();
        if violations.is_empty() { Ok(()) } else { Err(Error::all_invalid(violations)) }
    }

    fn resumed(&self, caller: &Caller, record: &RunRecord, command: &ResumeRun) -> Action {
        let approval = command.approval.as_ref();
        Action {
            id: self.clock.new_id(),
            connector_id: record.run.connector_id,
            run_id: Some(record.run.id),
            discrepancy_id: None,
            action_type: if approval.is_some() { "plan_approved" } else { "run_resumed" },
            result: ActionResult::Success,
            dry_run: record.run.dry_run,
            performed_by: caller.subject,
            performed_at: self.clock.now(),
            details: Some(json!({
                "phase": record.run.phase.name(),
                "pause_reason": record.run.pause_reason.map(PauseReason::name),
                "plan_digest": approval.map(|approval| &approval.plan_digest),
                "exclude": approval.map(|approval| &approval.exclude),
                "reason": command.reason,
            })),
            trace_id: Some(caller.trace_id.clone()),
        }
    }
}
