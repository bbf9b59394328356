//! Carrying a plan out: calls to the other service, each repeatable under a request id derived from the remediation's.

use std::time::Duration;

use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    account::AccountKey,
    change::Changes,
    connector::Mode,
    error::Result,
    ids::{IdentityId, OperationId},
    operation::{OperationStatus, OperationType, Precondition},
};
use xavyo_runtime::db;

use super::{
    Remediations,
    begin::Intent,
    changes,
    facts::no_longer,
    plan::Plan,
    record::{Failure, Outcome},
};
use crate::{
    crash::{self, Point},
    provisioning::{
        account::{LinkCause, PairLink},
        connector::ConnectorView,
        identity::Effect,
        operation::{Draft, OperationView},
    },
    store::remediation,
};

/// Pauses while live operations of the account are in the way of a change of its link.
const BUSY_LANE: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

impl Remediations {
    /// Does what is planned, to the end. An error is a refusal, or an interruption that passes.
    pub(super) async fn execute(&self, intent: &Intent) -> Result<Outcome> {
        let shown = changes::shown(&intent.planned.plan, &intent.planned.facts);
        self.act(intent).await.map_err(as_found_gone)?;
        Ok(Outcome { failure: None, changes: Some(shown) })
    }

    async fn act(&self, intent: &Intent) -> Result<()> {
        let (session, reason) = (&intent.session, intent.record.reason.as_deref());
        match &intent.planned.plan {
            Plan::Operate(draft) => self.operate(intent, draft).await,
            Plan::Link { dead_link, identity, account, push } => {
                check_may_push(&intent.planned.facts.connector, push)?;
                if let Some(dead) = dead_link {
                    session.unlink(dead, false, &intent.cause()).await?;
                }
                self.link(intent, *identity, account).await?;
                self.push(intent, *identity, account, push).await
            }
            Plan::Unlink(link) => session.unlink(link, false, &intent.cause()).await,
            Plan::Reject { identity, account } => {
                let link = self.link(intent, *identity, account).await?;
                session.unlink(&link, true, &intent.cause()).await
            }
            Plan::SetIdentity { identity, attribute, values } => {
                session.set_identity_attribute(*identity, attribute, values, Effect::Made).await?;
                Ok(())
            }
            Plan::Inactivate(identity) => {
                session.inactivate_identity(*identity, reason, Effect::Made).await?;
                Ok(())
            }
            Plan::Adopt { attributes, account } => {
                let made =
                    session.create_inactive_identity(attributes, intent.request_id("identity")).await?;
                self.link(intent, made, account).await?;
                Ok(())
            }
        }
    }

    /// Links, as soon as no live operation is in the way.
    async fn link(&self, intent: &Intent, identity: IdentityId, account: &AccountKey) -> Result<PairLink> {
        let (kind, request_id) = (&intent.planned.facts.kind, intent.request_id("link"));
        for pause in BUSY_LANE {
            match intent.session.link(kind, identity, account, request_id, &intent.cause()).await {
                Err(error) if error.reason == Reason::LaneBusy => tokio::time::sleep(pause).await,
                outcome => return outcome,
            }
        }
        intent.session.link(kind, identity, account, request_id, &intent.cause()).await
    }

    /// Writes what differs under xavyo's authority to an account that has just been linked.
    async fn push(
        &self,
        intent: &Intent,
        identity: IdentityId,
        account: &AccountKey,
        push: &Changes,
    ) -> Result<()> {
        if push.is_empty() {
            return Ok(());
        }
        let draft = Draft {
            operation_type: OperationType::Update,
            identity_id: Some(identity),
            target_uid: None,
            payload: push.clone(),
            precondition: Precondition {
                immutable_id: account.immutable_id.clone(),
                linked: Some(true),
                ..Precondition::default()
            },
        };
        self.operate(intent, &draft).await
    }

    async fn operate(&self, intent: &Intent, draft: &Draft) -> Result<()> {
        let (id, reason) = (intent.record.id, intent.record.reason.as_deref());
        let kind = &intent.planned.facts.kind;
        let request_id = intent.request_id("operation");
        let operation = intent.session.create_operation(kind, draft, id, request_id, reason).await?;
        crash::point(Point::RemediationAsked);
        self.note(intent, operation.id).await?;
        ended(&intent.session.follow(operation.id).await?)
    }

    /// From now on callers can be told which operation does it.
    async fn note(&self, intent: &Intent, operation: OperationId) -> Result<()> {
        let mut tx = self.database.begin(intent.tenant).await?;
        remediation::note_operation(&mut tx, intent.tenant, intent.record.id, operation).await?;
        db::commit(tx).await
    }
}

impl Intent {
    /// The same for every attempt at the same step.
    fn request_id(&self, step: &str) -> Uuid {
        Uuid::new_v5(&self.record.id, step.as_bytes())
    }

    fn cause(&self) -> LinkCause<'_> {
        LinkCause { remediation: self.record.id, reason: self.record.reason.as_deref() }
    }
}

/// The refusal of what a link would push, before there is a link: half of it must not be done.
fn check_may_push(connector: &ConnectorView, push: &Changes) -> Result<()> {
    if push.is_empty() {
        return Ok(());
    }
    if connector.mode == Mode::Observe {
        let message = "the connector only observes: the link would change the account";
        return Err(Error::new(Reason::ModeForbids, message).with("mode", connector.mode.name()));
    }
    if !connector.policies.allowed_actions.update {
        let message = "the connector does not allow update: the link would change the account";
        return Err(Error::new(Reason::ActionNotAllowed, message).with("action", "update"));
    }
    Ok(())
}

/// What the plan was about is gone, or taken, by the time that the other service looks: the finding no longer holds.
fn as_found_gone(error: Error) -> Error {
    let is_gone = matches!(
        error.reason,
        Reason::NotFound | Reason::AlreadyExists | Reason::PremiseGone | Reason::EtagMismatch
    );
    if is_gone { no_longer(&error.message).caused_by(error) } else { error }
}

/// What the end of an operation means for the remediation that asked for it.
pub(super) fn ended(operation: &OperationView) -> Result<()> {
    let (code, message) = operation.error.clone().unwrap_or_default();
    match operation.status {
        OperationStatus::Completed | OperationStatus::Resolved => Ok(()),
        OperationStatus::Cancelled if code == Reason::PremiseGone.name() => Err(no_longer(&message)),
        OperationStatus::Cancelled => {
            let why = operation.notes.clone().unwrap_or(message);
            Err(Error::new(Reason::OperationCancelled, format!("the operation was cancelled: {why}")))
        }
        OperationStatus::DeadLetter => {
            let message = format!("the operation is a dead letter: {code}: {message}");
            Err(Error::new(Reason::TargetRefused, message))
        }
        OperationStatus::Pending
        | OperationStatus::InProgress
        | OperationStatus::Failed
        | OperationStatus::AwaitingSystem => {
            Err(Error::internal("an operation that has not ended was judged"))
        }
    }
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        Self { reason: error.reason.name().to_owned(), message: error.message.clone() }
    }
}
