//! The second of the three steps: calling the target, outside any transaction.
//!
//! An attempt reads before it writes whenever something has to be known first: a premise, a protected account, an
//! earlier outcome that is unknown. It writes at most once. Begin with [`Attempt::run`].

mod contradiction;
mod create;
mod delete;
mod premise;
mod recovery;
mod unsealed;
mod update;

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use xavyo_connectors::Connector;
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{AllowedActions, FailureKind, TargetFailure},
    identity::Identity,
    link::Link,
    mapping::{Program, References},
    operation::{Operation, OperationType},
};
use xavyo_runtime::Clock;

use super::{
    claim::Claim,
    lease::Lease,
    outcome::{Completed, Effect, Outcome, Tried},
    record::Executed,
};
use crate::{
    crash::{self, Point},
    targets::OpenTarget,
};

/// How an attempt leaves early.
enum Stop {
    /// With an outcome that is not a success.
    With(Outcome),
    /// Nothing was written, and this process may not call any more: as if it had not begun, so that our own trouble
    /// uses no retry.
    LeaseEnded,
}

impl Stop {
    fn is(&self, kind: FailureKind) -> bool {
        match self {
            Self::With(outcome) => outcome.is(kind),
            Self::LeaseEnded => false,
        }
    }
}

/// Executes the operations of a claim in order, one try each, up to the first that does not succeed, all in one place of
/// the target's pacer. What was not begun has no try.
pub async fn execute(
    target: Arc<OpenTarget>,
    clock: Clock,
    lease: Lease,
    references: References,
    claim: Claim,
) -> Executed {
    let place = tokio::select! {
        place = target.pacer.place() => Some(place),
        () = lease.ended() => None,
    };
    let tries = if place.is_none() {
        Vec::new()
    } else if recovery::needed(&claim) {
        recovery::recover(&target, &clock, &lease, &references, &claim).await
    } else {
        one_by_one(&target, &clock, &lease, &references, &claim).await
    };
    // Whoever calls a target that serves nobody only meets the same; one that refuses us may lock our login for it.
    let last = tries.last().map(|tried| &tried.outcome);
    if last.is_some_and(|outcome| outcome.is(FailureKind::Down) || outcome.is(FailureKind::BadCredentials)) {
        lease.halt();
    }
    Executed { claim, tries }
}

async fn one_by_one(
    target: &OpenTarget,
    clock: &Clock,
    lease: &Lease,
    references: &References,
    claim: &Claim,
) -> Vec<Tried> {
    let mut tries = Vec::with_capacity(claim.operations.len());
    for operation in &claim.operations {
        if !lease.is_held() {
            break;
        }
        let started_at = clock.now();
        let attempt = attempt_on(target, lease, references, claim, operation);
        // A payload that makes a connector panic must not take the claims of others along (fault 22).
        let ended = AssertUnwindSafe(attempt.run()).catch_unwind().await;
        let Some(outcome) = ended.unwrap_or_else(|_| Some(panicked())) else { break };
        let succeeded = matches!(outcome, Outcome::Completed(_));
        tries.push(Tried { started_at, completed_at: clock.now(), outcome });
        if !succeeded {
            break;
        }
    }
    tries
}

fn attempt_on<'a>(
    target: &'a OpenTarget,
    lease: &'a Lease,
    references: &'a References,
    claim: &'a Claim,
    operation: &'a Operation,
) -> Attempt<'a> {
    Attempt {
        target,
        lease,
        references,
        operation,
        link: claim.link.as_ref(),
        identity: claim.identity.as_ref(),
        tag: format!("{}/{}/{}", operation.id, operation.attempts + 1, claim.fence),
    }
}

/// One try to execute one operation.
pub(super) struct Attempt<'a> {
    target: &'a OpenTarget,
    lease: &'a Lease,
    references: &'a References,
    operation: &'a Operation,
    link: Option<&'a Link>,
    identity: Option<&'a Identity>,
    /// Operation, attempt and fence, for the target's own log.
    tag: String,
}

impl<'a> Attempt<'a> {
    /// None = it was not begun.
    async fn run(&self) -> Option<Outcome> {
        let outcome = match self.operation.operation_type {
            OperationType::Create => self.create().await,
            OperationType::Update => self.update().await,
            OperationType::Delete => self.delete().await,
        };
        crash::point(Point::CallAfter);
        match outcome {
            Ok(completed) => Some(Outcome::Completed(completed)),
            Err(Stop::With(outcome)) => Some(outcome),
            Err(Stop::LeaseEnded) => None,
        }
    }

    fn connector(&self) -> &dyn Connector {
        self.target.unpaced.as_ref()
    }

    fn program(&self) -> Result<&'a Program, Stop> {
        self.target
            .program(&self.operation.object_class, &self.operation.intent)
            .map(AsRef::as_ref)
            .ok_or_else(|| refused("OBJECT_TYPE_GONE", "the connector no longer holds this object type"))
    }

    /// Waits for the moment of a call. The lease is the licence to call, looked at last of all: a worker that lost it while
    /// it waited must not write any more.
    async fn may_call(&self) -> Result<(), Stop> {
        tokio::select! {
            () = self.target.pacer.moment() => {}
            () = self.lease.ended() => {}
        }
        if self.lease.is_held() { Ok(()) } else { Err(Stop::LeaseEnded) }
    }

    /// A live read. Its failures leave nothing unknown.
    async fn read(&self, key: &AccountKey) -> Result<Option<Account>, Stop> {
        self.may_call().await?;
        let attributes = self.program()?.target_attributes();
        let found = self.connector().get(&self.operation.object_class, key, attributes).await;
        crash::point(Point::CallBefore);
        found.map_err(|failure| failed(harmless(failure)))
    }

    /// Refuses what the connector's policy no longer allows, though it did when the operation was accepted.
    fn check_allowed(&self, action: &str, allowed: impl Fn(&AllowedActions) -> bool) -> Result<(), Stop> {
        if allowed(&self.target.connector.policies.allowed_actions) {
            Ok(())
        } else {
            Err(refused("ACTION_NOT_ALLOWED", format!("the connector does not allow {action}")))
        }
    }

    /// Protected accounts are never written, whoever asks.
    fn check_unprotected(&self, account: &Account) -> Result<(), Stop> {
        match self.target.is_protected(self.program()?, account) {
            Ok(false) => Ok(()),
            Ok(true) => Err(refused("PROTECTED_ACCOUNT", format!("{} is protected", account.external_uid))),
            Err(error) => Err(refused("PROTECTION_UNKNOWN", format!("whether it is protected: {error}"))),
        }
    }

    /// The account that the operation is about, as far as it is known: the link's, else the one it names.
    fn key(&self) -> Option<AccountKey> {
        let named = self.operation.target_uid.as_ref().map(|uid| AccountKey {
            external_uid: uid.clone(),
            immutable_id: self.operation.precondition.as_ref().and_then(|one| one.immutable_id.clone()),
        });
        self.link.map(|link| link.account.clone()).or(named)
    }
}

fn present(message: impl Into<String>, account: AccountKey, disabled: Option<bool>) -> Completed {
    Completed { message: message.into(), effect: Effect::Present { account, disabled }, met: None }
}

fn failed(failure: TargetFailure) -> Stop {
    Stop::With(Outcome::Failed(failure))
}

/// Whether anything was sent is unknown then.
fn panicked() -> Outcome {
    let message = "the attempt panicked; the log of the process says where";
    Outcome::Failed(TargetFailure::new(FailureKind::Unknown, "PANICKED", message))
}

fn refused(code: &str, message: impl Into<String>) -> Stop {
    failed(TargetFailure::new(FailureKind::Refused, code, message))
}

/// A read that was cut off can simply be repeated.
fn harmless(failure: TargetFailure) -> TargetFailure {
    match failure.kind {
        FailureKind::Unknown => TargetFailure { kind: FailureKind::Busy, ..failure },
        FailureKind::Refused
        | FailureKind::Busy
        | FailureKind::Down
        | FailureKind::BadCredentials
        | FailureKind::AlreadyExists
        | FailureKind::NotFound
        | FailureKind::PreconditionFailed => failure,
    }
}
