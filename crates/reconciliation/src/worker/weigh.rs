//! The fourth phase: what the policies plan is held against the connector's limits, before the first effect.
//!
//! The plan is kept as it is weighed: its rows, and their digest on the run. Above the limits the run sleeps until somebody
//! approves exactly that digest; then the other service's guard is told of the plan's items, so that it lets them pass.

use uuid::Uuid;
use xavyo_core::{
    discrepancy::Discrepancy,
    error::Result,
    guard,
    operation::OperationType,
    remediation::{RemediationAction, RemediationDirection},
    run::APPROVAL_WINDOW,
};

use super::conduct::{Halt, Hand};
use crate::{
    provisioning::guard::{Approved, ApprovedItem},
    store::{discrepancy, plan},
};

/// Items that are told at once.
const ITEMS: i64 = 1_000;

impl Hand<'_> {
    /// Goes on where nothing is planned, nothing may be done, or what is planned may be done; else the run waits.
    pub(super) async fn weigh(&mut self) -> Result<(), Halt> {
        if self.record.run.dry_run {
            return Ok(());
        }
        if self.record.run.approved_by.is_some() {
            return self.tell_of_the_approval().await;
        }
        let mut tx = self.begin().await?;
        let items = plan::items(&mut tx, self.tenant(), self.record.run.id).await?;
        let planned = plan::effects(&mut tx, self.tenant(), self.record.run.id).await?;
        drop(tx);
        if items.is_empty() {
            return Ok(());
        }
        let connector = self.session.connector(self.record.run.connector_id).await?;
        let in_window = self.session.effects_in_window(connector.id).await?;
        let live_links = self.record.proofs.iter().map(|proof| proof.links).sum();
        let weighed = guard::weigh(&connector.policies.guard, planned, in_window, live_links);
        let digest = guard::plan_digest(items.iter().map(|item| item.text.as_str()));
        let actions = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let expires_at = weighed.is_err().then(|| self.engine.clock.now() + APPROVAL_WINDOW);
        let mut tx = self.begin().await?;
        let tenant = self.tenant();
        plan::keep(&mut tx, tenant, &mut self.record, (digest, actions), expires_at).await?;
        self.save_with(tx).await?;
        weighed.map_err(Halt::Guard)
    }

    /// Repeating it after an interruption is harmless.
    async fn tell_of_the_approval(&mut self) -> Result<(), Halt> {
        let run = &self.record.run;
        let (Some(by), Some(plan_digest)) = (run.approved_by, run.plan_digest.clone()) else { return Ok(()) };
        let approved = Approved { connector_id: run.connector_id, run_id: run.id, plan_digest, by };
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.begin().await?;
            let ids = plan::find_waiting(&mut tx, self.tenant(), &self.record, after, ITEMS).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            let rows = discrepancy::find_all(&mut tx, self.tenant(), &ids).await?;
            drop(tx);
            let items: Vec<ApprovedItem> =
                rows.iter().filter_map(|record| item(&record.discrepancy)).collect();
            self.session.register_approved_plan(&approved, &items).await?;
            self.save_now_and_then().await?;
        }
    }
}

/// The operation that is going to be asked for; none where the remedy asks for none. It names exactly what that operation
/// will name: an item that names more covers nothing.
fn item(row: &Discrepancy) -> Option<ApprovedItem> {
    use RemediationDirection::{TargetToXavyo, XavyoToTarget};
    let remedy = row.planned?;
    let operation_type = match (remedy.action, remedy.direction) {
        (RemediationAction::Create, XavyoToTarget) => OperationType::Create,
        (RemediationAction::Delete, _) => OperationType::Delete,
        (RemediationAction::Update, XavyoToTarget) | (RemediationAction::Link, _) => OperationType::Update,
        // What follows from an identity's change is weighed for itself.
        (RemediationAction::Create | RemediationAction::Update, TargetToXavyo)
        | (RemediationAction::Unlink | RemediationAction::InactivateIdentity, _) => return None,
    };
    let is_new = operation_type == OperationType::Create;
    let is_by_uid = row.identity_id.is_none() || operation_type == OperationType::Delete;
    Some(ApprovedItem {
        discrepancy_id: row.id,
        operation_type,
        object_class: row.object_class.clone(),
        intent: row.intent.clone(),
        identity_id: row.identity_id,
        external_uid: row.external_uid.clone().filter(|_| is_by_uid && !is_new),
        immutable_id: row.immutable_id.clone().filter(|_| !is_new),
    })
}
