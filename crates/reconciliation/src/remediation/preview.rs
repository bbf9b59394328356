//! Showing what a remediation would do, on every connector, without doing any of it.

use xavyo_core::{
    Error, Kind,
    discrepancy::{Discrepancy, DiscrepancyType, Event},
    error::Result,
    guard,
    ids::DiscrepancyId,
    operation::{OperationType, Precondition},
    remediation::{self as table, RemediationAction, RemediationDirection, Remedy},
};
use xavyo_runtime::Caller;
use xavyo_wire::{Numbered, change, pb::provisioning::PlannedOperation};

use super::{
    Remediate, Remediations,
    begin::Planned,
    changes,
    plan::Plan,
    record::{Choice, Failure},
};
use crate::{
    provisioning::{Session, identity::Effect, operation::Draft},
    store::discrepancy,
};

/// PreviewRemediation.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewRemediation {
    pub discrepancy_id: DiscrepancyId,
    /// None = the suggested one.
    pub action: Option<RemediationAction>,
    pub direction: Option<RemediationDirection>,
    pub choice: Choice,
}

#[derive(Clone, Debug)]
pub struct Preview {
    pub discrepancy: Discrepancy,
    /// What was asked for, or is suggested; none where nothing is.
    pub remedy: Option<Remedy>,
    pub changes: Option<serde_json::Value>,
    /// Every operation that it would cause.
    pub operations: Vec<PlannedOperation>,
    /// Why it would be refused now.
    pub refused: Option<Failure>,
}

impl Remediations {
    pub async fn preview(&self, caller: &Caller, command: PreviewRemediation) -> Result<Preview> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let discrepancy = discrepancy::get(&mut tx, caller.tenant, command.discrepancy_id).await?.discrepancy;
        drop(tx);
        let remedy = match command.action {
            Some(action) => Some(table::choose(&discrepancy, action, command.direction)?),
            None => discrepancy.suggested,
        };
        let Some(remedy) = remedy else {
            let (changes, operations, refused) = (None, Vec::new(), None);
            return Ok(Preview { discrepancy, remedy: None, changes, operations, refused });
        };
        let shown = match discrepancy.resolution_status.after(Event::Remediated) {
            Ok(_) => self.foresee(caller, &discrepancy, remedy, command.choice).await,
            Err(settled) => Err(settled),
        };
        match shown {
            Ok((changes, operations)) => Ok(Preview {
                discrepancy,
                remedy: Some(remedy),
                changes: Some(changes),
                operations,
                refused: None,
            }),
            Err(error) if is_refusal(&error) => {
                let refused = Some(Failure::of(&error));
                let (changes, operations) = (None, Vec::new());
                Ok(Preview { discrepancy, remedy: Some(remedy), changes, operations, refused })
            }
            Err(error) => Err(error),
        }
    }

    async fn foresee(
        &self,
        caller: &Caller,
        discrepancy: &Discrepancy,
        remedy: Remedy,
        choice: Choice,
    ) -> Result<(serde_json::Value, Vec<PlannedOperation>)> {
        let session = self.session(caller);
        let command = Remediate {
            discrepancy_id: discrepancy.id,
            action: remedy.action,
            direction: Some(remedy.direction),
            choice: with_best_match(discrepancy, choice),
            reason: None,
            dry_run: true,
            run_id: None,
            request_id: None,
        };
        let planned = self.planned(&session, None, caller.tenant, discrepancy, remedy, &command).await?;
        let operations = foreseen(&session, &planned).await?;
        Ok((changes::shown(&planned.plan, &planned.facts), operations))
    }
}

/// The operations that a plan causes, on whatever connector.
pub(super) async fn foreseen(session: &Session, planned: &Planned) -> Result<Vec<PlannedOperation>> {
    match &planned.plan {
        Plan::Operate(draft) => Ok(vec![operation(planned, draft)]),
        Plan::Link { push, .. } if push.is_empty() => Ok(Vec::new()),
        Plan::Link { identity, push, .. } => Ok(vec![operation(
            planned,
            &Draft {
                operation_type: OperationType::Update,
                identity_id: Some(*identity),
                target_uid: None,
                payload: push.clone(),
                precondition: Precondition::default(),
            },
        )]),
        Plan::SetIdentity { identity, attribute, values } => {
            session.set_identity_attribute(*identity, attribute, values, Effect::Foreseen).await
        }
        Plan::Inactivate(identity) => session.inactivate_identity(*identity, None, Effect::Foreseen).await,
        Plan::Unlink(_) | Plan::Reject { .. } | Plan::Adopt { .. } => Ok(Vec::new()),
    }
}

fn operation(planned: &Planned, draft: &Draft) -> PlannedOperation {
    let facts = &planned.facts;
    let payload = changes::masked(&facts.program, &draft.payload);
    PlannedOperation {
        operation_id: None,
        connector_id: facts.connector.id.to_string(),
        connector_name: facts.connector.name.clone(),
        operation_type: draft.operation_type.number(),
        object_class: facts.kind.object_class.clone(),
        intent: facts.kind.intent.clone(),
        user_id: draft.identity_id.map(|id| id.to_string()),
        target_uid: draft.target_uid.clone(),
        payload: Some(change::to_struct(&payload)),
        not_before: None,
        is_destructive: guard::effect(draft.operation_type, &draft.payload) == guard::Effect::Destructive,
        refused_reason: None,
    }
}

/// A preview without a pick shows the best near match of an orphan.
fn with_best_match(discrepancy: &Discrepancy, choice: Choice) -> Choice {
    let is_orphan = discrepancy.discrepancy_type == DiscrepancyType::Orphan;
    let best = discrepancy.candidates.first().filter(|_| is_orphan).map(|candidate| candidate.identity_id);
    Choice { identity_id: choice.identity_id.or(best), ..choice }
}

/// A refusal is what a preview shows; that a service cannot be reached is not.
fn is_refusal(error: &Error) -> bool {
    error.kind() == Kind::FailedPrecondition
}
