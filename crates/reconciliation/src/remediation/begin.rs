//! Beginning a remediation: the present is read, the plan made, and the intent recorded before anything is done.

use std::sync::Arc;

use xavyo_core::{
    Error, Reason,
    account::AccountKey,
    comparison::Difference,
    discrepancy::{Discrepancy, Event, ResolutionStatus},
    error::Result,
    fingerprint::Finding,
    ids::TenantId,
    remediation::{self as table, Remedy},
};
use xavyo_runtime::{
    Caller,
    db::{self, Transaction},
};

use super::{
    Remediate, Remediations, changes,
    facts::{Facts, Subject},
    finish::passes,
    plan::{self, Plan},
    record::{Failure, Outcome, RemediationRecord},
};
use crate::{
    crash::{self, Point},
    provisioning::{Session, connector::ConnectorView},
    store::{
        action::{self, ActionResult},
        discrepancy::{self, Settlement},
        remediation, request,
        run_work::{self, Work, WorkKind},
    },
    worker::Held,
};

/// What a call has begun.
pub(super) enum Begun {
    /// An earlier call of the same request id did; or it is a dry run.
    Before(Box<RemediationRecord>),
    Now(Box<Intent>),
}

/// A recorded intent, with the plan that is to be carried out.
#[derive(Clone)]
pub(super) struct Intent {
    pub tenant: TenantId,
    pub record: RemediationRecord,
    pub planned: Planned,
    pub session: Session,
    /// This process has it in hand for as long as this lives.
    #[expect(dead_code, reason = "it is held, and let go when it is dropped")]
    pub held: Option<Arc<Held>>,
}

/// A plan with the present that it was made of.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub facts: Facts,
    pub plan: Plan,
}

impl Remediations {
    /// Records the intent; the connector is read where it is not at hand. SUPERSEDED where the finding no longer holds: it is settled then, and nothing is done.
    pub(super) async fn begin(
        &self,
        caller: &Caller,
        command: &Remediate,
        method: &'static str,
        connector: Option<Arc<ConnectorView>>,
    ) -> Result<Begun> {
        let (tenant, key) = (caller.tenant, request::Key::of(method, command.request_id, command)?);
        let mut tx = self.database.begin(tenant).await?;
        let found = discrepancy::get(&mut tx, tenant, command.discrepancy_id).await?.discrepancy;
        drop(tx);
        let remedy = table::choose(&found, command.action, command.direction)?;
        let session = self.session(caller);
        let planned = self.planned(&session, connector, tenant, &found, remedy, command).await;

        let mut tx = self.database.begin(tenant).await?;
        let earlier = request::recall(&mut tx, &self.clock, tenant, key.as_ref()).await?;
        if let Some(id) = earlier.and_then(|ids| ids.first().copied()) {
            return Ok(Begun::Before(Box::new(remediation::get(&mut tx, tenant, id).await?)));
        }
        let found = discrepancy::lock(&mut tx, tenant, command.discrepancy_id).await?.discrepancy;
        if found.resolution_status != ResolutionStatus::Pending {
            return Err(found
                .resolution_status
                .after(Event::Remediated)
                .err()
                .unwrap_or_else(settled_already));
        }
        if remediation::is_in_flight(&mut tx, tenant, found.id).await? {
            return Err(remediation::in_flight(found.id));
        }
        let planned = match planned {
            Ok(planned) => planned,
            Err(error) => return Err(self.refuse(tx, caller, command, &found, remedy, error).await?),
        };
        let mut record = self.intent(caller, command, &found, remedy);
        if command.dry_run {
            record.outcome =
                Some(Outcome { failure: None, changes: Some(changes::shown(&planned.plan, &planned.facts)) });
        }
        remediation::insert(&mut tx, tenant, &record).await?;
        request::remember(&mut tx, tenant, key.as_ref(), &[record.id]).await?;
        if command.dry_run {
            action::insert(&mut tx, tenant, &self.action(&record, ActionResult::Success)).await?;
            db::commit(tx).await?;
            return Ok(Begun::Before(Box::new(record)));
        }
        let work = Work { tenant, kind: WorkKind::Remediation, id: record.id };
        let held = self.busy.begin(work).map(Arc::new);
        run_work::insert(&mut tx, work, record.created_at, Some(self.lease.worker)).await?;
        db::commit(tx).await?;
        crash::point(Point::RemediationBegun);
        Ok(Begun::Now(Box::new(Intent { tenant, record, planned, session, held })))
    }

    /// The plan that the present allows.
    pub(super) async fn planned(
        &self,
        session: &Session,
        connector: Option<Arc<ConnectorView>>,
        tenant: TenantId,
        found: &Discrepancy,
        remedy: Remedy,
        command: &Remediate,
    ) -> Result<Planned> {
        let subject = Subject::of(found, remedy, &command.choice)?;
        let connector = match connector {
            Some(connector) => connector,
            None => Arc::new(session.connector(found.connector_id).await?),
        };
        let facts = Facts::read(session, connector, found, subject).await?;
        let is_same =
            |account: &AccountKey, difference: &Difference| self.is_same(tenant, found, account, difference);
        let plan = plan::plan(found, remedy, &facts, is_same)?;
        Ok(Planned { facts, plan })
    }

    /// Whether a difference is the one that was found: the same fingerprint.
    fn is_same(
        &self,
        tenant: TenantId,
        found: &Discrepancy,
        account: &AccountKey,
        difference: &Difference,
    ) -> bool {
        let (expected, actual) = self.secret_values.of(tenant, difference);
        let now = Finding {
            connector_id: found.connector_id,
            object_class: &found.object_class,
            intent: &found.intent,
            discrepancy_type: found.discrepancy_type,
            identity_id: found.identity_id,
            external_uid: Some(&account.external_uid),
            immutable_id: account.immutable_id.as_deref(),
            attribute_name: Some(&difference.attribute),
            expected_value: expected.as_deref(),
            actual_value: actual.as_deref(),
            members: &[],
        };
        now.fingerprint() == found.fingerprint
    }

    pub(super) fn intent(
        &self,
        caller: &Caller,
        command: &Remediate,
        found: &Discrepancy,
        remedy: Remedy,
    ) -> RemediationRecord {
        RemediationRecord {
            id: self.clock.new_id(),
            discrepancy_id: found.id,
            connector_id: found.connector_id,
            remedy,
            choice: command.choice.clone(),
            reason: command.reason.clone(),
            dry_run: command.dry_run,
            run_id: command.run_id,
            requested_by: caller.subject,
            trace_id: Some(caller.trace_id.clone()),
            fence: 0,
            operation_id: None,
            outcome: None,
            created_at: self.clock.now(),
        }
    }

    /// A finding that no longer holds is settled with its audit row. Any other refusal is the caller's to hear, and leaves
    /// everything as it is; a run's is recorded: nobody else would learn of it.
    async fn refuse(
        &self,
        mut tx: Transaction,
        caller: &Caller,
        command: &Remediate,
        found: &Discrepancy,
        remedy: Remedy,
        error: Error,
    ) -> Result<Error> {
        let is_settled = error.reason == Reason::Superseded;
        if command.dry_run || passes(&error) || !(is_settled || command.run_id.is_some()) {
            return Ok(error);
        }
        let mut record = self.intent(caller, command, found, remedy);
        record.outcome = Some(Outcome { failure: Some(Failure::of(&error)), changes: None });
        if is_settled {
            let settlement = Settlement {
                event: Event::Superseded,
                by: caller.subject,
                note: &error.message,
                at: record.created_at,
            };
            discrepancy::settle(&mut tx, caller.tenant, found.id, settlement).await?;
        }
        remediation::insert(&mut tx, caller.tenant, &record).await?;
        action::insert(&mut tx, caller.tenant, &self.action(&record, ActionResult::Failure)).await?;
        db::commit(tx).await?;
        Ok(error)
    }
}

fn settled_already() -> Error {
    Error::new(Reason::IllegalMove, "the discrepancy is settled")
}
