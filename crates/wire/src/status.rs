//! The one table of errors: `core`'s error → gRPC status, and back for a client of our own services.
//!
//! Every status carries `google.rpc.ErrorInfo` (a reason out of the closed list in docs/api.md, the service's domain, the
//! facts) and, for bad input, `google.rpc.BadRequest`. Nothing is logged here. A bug's status has a fixed text; the error
//! rides along as the status's source, which never leaves the process, for whoever logs it.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use xavyo_core::{Error, Kind, Reason, Violation};

/// The fact under which an internal error names the log entry that has its details.
pub const ERROR_ID: &str = "error_id";

/// Statuses travel in HTTP/2 headers, which clients bound to 8 KiB or so.
const MAX_MESSAGE: usize = 512;
const MAX_VIOLATIONS: usize = 2_048;

/// Facts that [`error_of`] keeps.
const FACTS: &[&str] = &[
    "account",
    "action",
    "attribute",
    "code",
    "conflict_type",
    "connector_id",
    "direction",
    "discrepancy_id",
    "discrepancy_type",
    ERROR_ID,
    "event",
    "field",
    "from",
    "key_id",
    "kind",
    "limit",
    "mode",
    "operation_id",
    "outcome",
    "pause_reason",
    "plan_digest",
    "possible",
    "request_id",
    "resource",
    "roles",
    "run_id",
];

static DOMAIN: OnceLock<Domain> = OnceLock::new();

/// Which service's errors these are (`google.rpc.ErrorInfo.domain`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    Provisioning,
    Reconciliation,
}

impl Domain {
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning.xavyo",
            Self::Reconciliation => "reconciliation.xavyo",
        }
    }
}

/// Says once, when the process starts, whose errors [`status`] makes. The first call counts; without one they are
/// provisioning's.
pub fn serve_as(domain: Domain) {
    DOMAIN.get_or_init(|| domain);
}

/// The status of an error, in the domain of this process.
pub fn status(error: Error) -> Status {
    status_in(*DOMAIN.get_or_init(|| Domain::Provisioning), error)
}

/// The status of a method that is in the contract and not yet served.
pub fn not_implemented(method: &'static str) -> Status {
    status(Error::new(Reason::NotImplemented, format!("{method} is not served yet")))
}

/// The status of an error, in the given domain.
pub fn status_in(domain: Domain, error: Error) -> Status {
    let facts: HashMap<String, String> =
        error.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let message = match error.kind() {
        Kind::Internal => internal_text(facts.get(ERROR_ID)),
        _ => shortened(&error.message),
    };
    let mut details = ErrorDetails::new();
    details.set_error_info(error.reason.name(), domain.name(), facts);
    add_violations(&mut details, &error.violations);
    let mut status = Status::with_error_details(code(error.kind()), message, details);
    status.set_source(Arc::new(error));
    status
}

/// The error that a status of one of our services stands for. A status of anything else (a proxy, the transport) becomes
/// the reason that its code suggests.
pub fn error_of(status: &Status) -> Error {
    let details = status.get_error_details();
    let info = details.error_info();
    let named = |name: &str| Reason::ALL.iter().copied().find(|reason| reason.name() == name);
    let reason = info.and_then(|info| named(&info.reason)).unwrap_or_else(|| suggested(status.code()));
    let mut error = Error::new(reason, status.message());
    for (name, value) in info.into_iter().flat_map(|info| &info.metadata) {
        if let Some(known) = FACTS.iter().copied().find(|known| known == name) {
            error = error.with(known, value);
        }
    }
    error.facts.sort_unstable();
    if let Some(bad) = details.bad_request() {
        let violation = |it: &tonic_types::FieldViolation| Violation {
            field: it.field.clone(),
            expected: it.description.clone(),
        };
        error.violations = bad.field_violations.iter().map(violation).collect();
    }
    error.caused_by(status.clone())
}

fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::Aborted => Code::Aborted,
        Kind::OutOfRange => Code::OutOfRange,
        Kind::ResourceExhausted => Code::ResourceExhausted,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::Unavailable => Code::Unavailable,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::Internal => Code::Internal,
    }
}

fn suggested(code: Code) -> Reason {
    match code {
        Code::InvalidArgument => Reason::InvalidField,
        Code::NotFound => Reason::NotFound,
        Code::AlreadyExists => Reason::AlreadyExists,
        Code::FailedPrecondition => Reason::IllegalMove,
        Code::Aborted => Reason::Contended,
        Code::OutOfRange => Reason::TokenTooOld,
        Code::ResourceExhausted => Reason::LimitExceeded,
        Code::Unauthenticated => Reason::InvalidToken,
        Code::PermissionDenied => Reason::RoleForbids,
        // What a broken connection looks like to a client of ours.
        Code::Unavailable | Code::Cancelled | Code::Unknown => Reason::PeerUnavailable,
        Code::DeadlineExceeded => Reason::DeadlineExceeded,
        Code::Unimplemented => Reason::NotImplemented,
        Code::Internal | Code::DataLoss | Code::Ok => Reason::Internal,
    }
}

fn internal_text(id: Option<&String>) -> String {
    id.map_or_else(|| "internal error".to_owned(), |id| format!("internal error {id}"))
}

fn shortened(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    format!("{}…", &message[..message.floor_char_boundary(MAX_MESSAGE)])
}

/// As many as fit the headers, then how many more there are.
fn add_violations(details: &mut ErrorDetails, violations: &[Violation]) {
    let mut size = 0;
    for (index, violation) in violations.iter().enumerate() {
        size += violation.field.len() + violation.expected.len();
        if size > MAX_VIOLATIONS && index > 0 {
            details
                .add_bad_request_violation("", format!("and {} more violations", violations.len() - index));
            return;
        }
        details.add_bad_request_violation(shortened(&violation.field), shortened(&violation.expected));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, error::Error as _};

    use super::*;

    #[test]
    fn every_reason_survives_the_way_to_a_client() {
        for reason in Reason::ALL.iter().copied() {
            let error = Error::new(reason, "said so").with("run_id", "7");
            let back = error_of(&status_in(Domain::Reconciliation, error));
            assert_eq!(back.reason, reason);
            assert_eq!(back.facts, [("run_id", "7".to_owned())]);
        }
    }

    #[test]
    fn details_name_domain_reason_and_fields() {
        let error = Error::invalid("operations[7].payload.mail", "text without U+0000");
        let status = status_in(Domain::Provisioning, error);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("provisioning.xavyo", "INVALID_FIELD"));
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "operations[7].payload.mail");
        assert_eq!(error_of(&status).violations[0].expected, "text without U+0000");
    }

    #[test]
    fn a_bug_tells_nothing_but_the_id_of_its_log_entry() {
        let error = Error::internal("password hunter2").with(ERROR_ID, "42");
        let status = status_in(Domain::Provisioning, error);
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error 42"));
        assert!(!String::from_utf8_lossy(status.details()).contains("hunter2"));
        assert!(status.source().is_some());
    }

    #[test]
    fn a_thousand_violations_fit_the_headers() {
        let violation =
            |index| Violation { field: format!("operations[{index}].x"), expected: "x".repeat(90) };
        let status = status_in(Domain::Provisioning, Error::all_invalid((0..1_000).map(violation).collect()));
        assert!(status.details().len() + status.message().len() < 6_000);
        let violations = error_of(&status).violations;
        assert!(violations.last().unwrap().expected.ends_with("more violations"));
    }

    #[test]
    fn a_status_without_details_is_taken_by_its_code() {
        assert_eq!(error_of(&Status::unavailable("connection refused")).reason, Reason::PeerUnavailable);
        assert_eq!(error_of(&Status::unknown("h2 protocol error")).reason, Reason::PeerUnavailable);
        assert_eq!(error_of(&Status::deadline_exceeded("late")).reason, Reason::DeadlineExceeded);
    }

    #[test]
    fn docs_list_every_reason_with_its_code_and_no_other() {
        let rows: BTreeSet<(String, String)> = include_str!("../../../docs/api.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .filter_map(|(reason, rest)| Some((reason.to_owned(), rest.split_once(" |")?.0.replace('_', ""))))
            .collect();
        let code = |reason: &Reason| format!("{:?}", code(reason.kind())).to_uppercase();
        let reasons: BTreeSet<(String, String)> =
            Reason::ALL.iter().map(|reason| (reason.name().to_owned(), code(reason))).collect();
        let differing: Vec<_> = rows.symmetric_difference(&reasons).collect();
        assert!(differing.is_empty(), "docs/api.md and core::Reason differ in {differing:?}");
    }
}
