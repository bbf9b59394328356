//! What a gRPC status means: the table of `target_service.proto`, and what our own transport says.

use std::{error::Error as StdError, fmt};

use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;
use xavyo_core::{
    Error,
    connector::{FailureKind, TargetFailure},
};

use crate::redaction::Redaction;

/// The longest code of its own that is kept.
const MAX_CODE: usize = 64;

/// What was being done: the same status means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Read,
    Create,
    Update,
    Delete,
}

/// Why no connection was made; nothing was sent.
#[derive(Debug)]
pub(super) struct Unreached(pub TargetFailure);

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Unreached {}

/// The failure that a status means. One with a source was made on our side: the other side said nothing.
pub(super) fn of_status(status: &Status, call: Call, redaction: &Redaction) -> TargetFailure {
    match status.source() {
        Some(source) => of_transport(source, call),
        None => of_answer(status, call, redaction),
    }
}

/// The table that whoever writes a connector goes by.
fn of_answer(status: &Status, call: Call, redaction: &Redaction) -> TargetFailure {
    let kind = match (status.code(), call) {
        (Code::ResourceExhausted, _) => FailureKind::Busy,
        (Code::Unavailable, _) => FailureKind::Down,
        (Code::Unauthenticated, _) => FailureKind::BadCredentials,
        (Code::AlreadyExists, Call::Create | Call::Update) => FailureKind::AlreadyExists,
        (Code::NotFound, Call::Update | Call::Delete) => FailureKind::NotFound,
        (Code::Aborted, Call::Update | Call::Delete) => FailureKind::PreconditionFailed,
        (
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::AlreadyExists
            | Code::NotFound
            | Code::Aborted,
            _,
        ) => FailureKind::Refused,
        (
            Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::DataLoss
            | Code::Ok,
            call,
        ) => unclear(call),
    };
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str()).filter(|reason| is_code(reason));
    let code = reason.map_or_else(|| format!("GRPC_{}", name(status.code())), str::to_owned);
    let retry_after = details.retry_info().and_then(|info| info.retry_delay);
    let message = match redaction.apply(status.message()) {
        text if text.is_empty() => format!("the connector answered {}", name(status.code())),
        text => text,
    };
    TargetFailure { retry_after, ..TargetFailure::new(kind, code, message) }
}

/// Without a connection nothing was sent; with one, nobody knows how far it got.
fn of_transport(source: &(dyn StdError + 'static), call: Call) -> TargetFailure {
    let chain: Vec<&(dyn StdError + 'static)> = chain(source);
    if let Some(Unreached(failure)) = chain.iter().find_map(|error| error.downcast_ref()) {
        return failure.clone();
    }
    let last = chain.last().map(ToString::to_string).unwrap_or_default();
    let message = Redaction::default().apply(&last);
    if chain.iter().any(|error| error.is::<ConnectError>()) {
        return TargetFailure::new(FailureKind::Down, "REMOTE_TLS", message);
    }
    let kind = if call == Call::Read { FailureKind::Down } else { FailureKind::Unknown };
    TargetFailure::new(kind, "REMOTE_CONNECTION", message)
}

/// An error and all that lies below it.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut chain = vec![error];
    while let Some(below) = chain[chain.len() - 1].source() {
        chain.push(below);
    }
    chain
}

pub(super) fn timed_out(call: Call) -> TargetFailure {
    TargetFailure::new(unclear(call), "REMOTE_TIMEOUT", "no answer in time")
}

/// The answer is not what the contract says.
pub(super) fn garbled(call: Call, error: &Error) -> TargetFailure {
    let kind = if call == Call::Read { FailureKind::Refused } else { FailureKind::Unknown };
    let fields: Vec<&str> = error.violations.iter().map(|violation| violation.field.as_str()).collect();
    TargetFailure::new(kind, "REMOTE_GARBLED", format!("the answer is out of shape: {}", fields.join(", ")))
}

/// A write was answered without a part that every such answer has.
pub(super) fn lacks(part: &str) -> TargetFailure {
    TargetFailure::new(FailureKind::Unknown, "REMOTE_GARBLED", format!("the answer lacks {part}"))
}

pub(super) fn refused(code: &str, message: impl Into<String>) -> TargetFailure {
    TargetFailure::new(FailureKind::Refused, code, message)
}

/// It may or may not have happened. A read is simply asked for again.
fn unclear(call: Call) -> FailureKind {
    match call {
        Call::Read => FailureKind::Busy,
        Call::Create | Call::Update | Call::Delete => FailureKind::Unknown,
    }
}

fn is_code(reason: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !reason.is_empty() && reason.len() <= MAX_CODE && reason.bytes().all(fits)
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use tonic_types::ErrorDetails;
    use xavyo_core::value::Value;

    use super::*;

    #[test]
    fn a_status_is_of_the_kind_that_decides_what_happens_next() {
        for (code, call, expected) in [
            (Code::InvalidArgument, Call::Create, FailureKind::Refused),
            (Code::PermissionDenied, Call::Update, FailureKind::Refused),
            (Code::Unimplemented, Call::Delete, FailureKind::Refused),
            (Code::ResourceExhausted, Call::Create, FailureKind::Busy),
            (Code::Unavailable, Call::Create, FailureKind::Down),
            (Code::Unauthenticated, Call::Read, FailureKind::BadCredentials),
            (Code::AlreadyExists, Call::Create, FailureKind::AlreadyExists),
            (Code::AlreadyExists, Call::Update, FailureKind::AlreadyExists),
            (Code::NotFound, Call::Delete, FailureKind::NotFound),
            (Code::NotFound, Call::Read, FailureKind::Refused),
            (Code::Aborted, Call::Update, FailureKind::PreconditionFailed),
            (Code::Internal, Call::Update, FailureKind::Unknown),
            (Code::Unknown, Call::Create, FailureKind::Unknown),
            (Code::DeadlineExceeded, Call::Delete, FailureKind::Unknown),
            (Code::Internal, Call::Read, FailureKind::Busy),
        ] {
            let status = Status::new(code, "no");
            assert_eq!(of_status(&status, call, &Redaction::default()).kind, expected, "{code:?} {call:?}");
        }
    }

    #[test]
    fn its_own_code_and_patience_are_kept_and_its_words_without_what_was_written() {
        let mut details = ErrorDetails::with_error_info("HTTP_422", "x", HashMap::new());
        details.set_retry_info(Some(Duration::from_secs(7)));
        let status = Status::with_error_details(Code::ResourceExhausted, "hunter2 is bad", details);
        let failure = of_status(&status, Call::Create, &Redaction::of([&Value::from("hunter2")]));
        assert_eq!((failure.code.as_str(), failure.message.as_str()), ("HTTP_422", "*** is bad"));
        assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_code_out_of_shape_is_replaced() {
        for reason in ["", "lower", "WITH SPACE", &"X".repeat(65)] {
            let details = ErrorDetails::with_error_info(reason, "x", HashMap::new());
            let status = Status::with_error_details(Code::Internal, "", details);
            let failure = of_status(&status, Call::Update, &Redaction::default());
            assert_eq!(failure.code, "GRPC_INTERNAL", "{reason}");
        }
    }
}
