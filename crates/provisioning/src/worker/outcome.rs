//! What an attempt comes to, and what that makes of the operation. Pure: the recorder writes what [`settle`] decides.

use chrono::{DateTime, TimeDelta, Utc};
use xavyo_core::{
    account::AccountKey,
    conflict::{ConflictOutcome, ConflictType},
    connector::{FailureKind, RetryPolicy, TargetFailure},
    operation::{Event, Operation, OperationStatus},
    retry,
};

use crate::store::operation::log::Level;

/// The longest that a target's Retry-After is believed.
const LONGEST_DELAY: TimeDelta = TimeDelta::days(7);

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Completed(Completed),
    Failed(TargetFailure),
    /// What the operation was premised on no longer holds; nothing was written.
    PremiseGone(String),
    /// The target contradicts the operation; nothing was written.
    Conflict {
        /// Its outcome is that ours is given up; none = a person decides.
        met: Met,
        message: String,
    },
}

impl Outcome {
    /// Whether the target serves: it did what it was asked for, or said why not.
    pub fn is_answered(&self) -> bool {
        let is_mute =
            [FailureKind::Down, FailureKind::Unknown, FailureKind::Busy, FailureKind::BadCredentials];
        !is_mute.into_iter().any(|kind| self.is(kind))
    }

    /// Whether the target failed in this way.
    pub fn is(&self, kind: FailureKind) -> bool {
        matches!(self, Self::Failed(failure) if failure.kind == kind)
    }
}

/// A conflict with the target that an attempt met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub conflict_type: ConflictType,
    pub affected: Vec<String>,
    /// By the connector's policy; none = a person decides.
    pub outcome: Option<ConflictOutcome>,
}

/// The effect shows on the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed {
    /// For the log: `created uid=ann`, `already gone`.
    pub message: String,
    pub effect: Effect,
    /// A conflict in which ours was written all the same.
    pub met: Option<Met>,
}

/// What a completed operation means for the link.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The account exists under this key; `disabled` says what the operation did to its state, if anything.
    Present {
        account: AccountKey,
        disabled: Option<bool>,
    },
    Gone,
}

/// A try and its times.
#[derive(Clone, Debug)]
pub struct Tried {
    pub started_at: DateTime<Utc>,
    pub completed_at: DateTime<Utc>,
    pub outcome: Outcome,
}

/// What becomes of an operation after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// What moves it out of in_progress, in order; at least one.
    pub events: &'static [Event],
    /// Where they lead.
    pub status: OperationStatus,
    pub level: Level,
    pub message: String,
    pub retry_count: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub error: Option<(String, String)>,
    /// The next attempt reads the account before it writes.
    pub outcome_unknown: bool,
}

/// Decides what an attempt makes of an operation in progress. `jitter` is in −1..=1.
pub fn settle(
    operation: &Operation,
    outcome: &Outcome,
    policy: &RetryPolicy,
    now: DateTime<Utc>,
    jitter: f64,
) -> Settled {
    match outcome {
        Outcome::Completed(completed) => {
            ended(operation, &[Event::Succeeded], OperationStatus::Completed, completed.message.clone())
        }
        Outcome::PremiseGone(message) => Settled {
            level: Level::Warn,
            error: Some(("PREMISE_GONE".to_owned(), message.clone())),
            ..ended(operation, &[Event::PremiseGone], OperationStatus::Cancelled, message.clone())
        },
        Outcome::Conflict { met, message } => {
            // What is given up ends before any write, like what has lost its premise.
            let (events, status): (&[Event], _) = match met.outcome {
                None => (&[Event::ConflictFound], OperationStatus::Pending),
                Some(_) => (&[Event::PremiseGone], OperationStatus::Cancelled),
            };
            Settled {
                level: Level::Warn,
                error: Some((met.conflict_type.name().to_uppercase(), message.clone())),
                ..ended(operation, events, status, message.clone())
            }
        }
        Outcome::Failed(failure) => failed(operation, failure, policy, now, jitter),
    }
}

fn ended(
    operation: &Operation,
    events: &'static [Event],
    status: OperationStatus,
    message: String,
) -> Settled {
    Settled {
        events,
        status,
        level: Level::Info,
        message,
        retry_count: operation.retry_count,
        next_attempt_at: None,
        error: None,
        outcome_unknown: false,
    }
}

fn failed(
    operation: &Operation,
    failure: &TargetFailure,
    policy: &RetryPolicy,
    now: DateTime<Utc>,
    jitter: f64,
) -> Settled {
    // What was unknown before stays so: a failure says nothing about what an earlier write has done.
    let outcome_unknown = failure.kind == FailureKind::Unknown || operation.outcome_unknown;
    let failed = Settled {
        level: Level::Warn,
        message: storable(&failure.to_string()),
        error: Some((storable(&failure.code), storable(&failure.message))),
        outcome_unknown,
        ..ended(operation, &[Event::Failed], OperationStatus::Failed, String::new())
    };
    match failure.kind {
        FailureKind::Down | FailureKind::BadCredentials => {
            Settled { events: &[Event::TargetDown], status: OperationStatus::AwaitingSystem, ..failed }
        }
        FailureKind::Busy | FailureKind::Unknown | FailureKind::PreconditionFailed
            if operation.retry_count < operation.max_retries =>
        {
            let retry_count = operation.retry_count + 1;
            let delay = retry::delay(policy, retry_count, jitter, failure.retry_after);
            let delay = TimeDelta::from_std(delay).unwrap_or(LONGEST_DELAY).min(LONGEST_DELAY);
            Settled { retry_count, next_attempt_at: Some(now + delay), ..failed }
        }
        FailureKind::Busy
        | FailureKind::Unknown
        | FailureKind::PreconditionFailed
        | FailureKind::Refused
        | FailureKind::AlreadyExists
        | FailureKind::NotFound => gave_up(failed),
    }
}

/// Postgres stores no NUL, and a target may send one.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Both moves are logged, in one commit: in_progress → failed → dead_letter.
fn gave_up(failed: Settled) -> Settled {
    Settled {
        events: &[Event::Failed, Event::GaveUp],
        status: OperationStatus::DeadLetter,
        level: Level::Error,
        ..failed
    }
}
