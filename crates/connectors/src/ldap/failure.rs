//! Result codes and broken connections by kind of failure (RFC 4511 appendix A).

use std::io;

use ldap3::{LdapError, LdapResult};
use xavyo_core::connector::{FailureKind, TargetFailure};

use crate::redaction::Redaction;

pub(super) const SUCCESS: u32 = 0;
pub(super) const TIME_LIMIT: u32 = 3;
pub(super) const SIZE_LIMIT: u32 = 4;
pub(super) const COMPARE_FALSE: u32 = 5;
pub(super) const COMPARE_TRUE: u32 = 6;
pub(super) const ADMIN_LIMIT: u32 = 11;
pub(super) const NO_SUCH_ATTRIBUTE: u32 = 16;
pub(super) const VALUE_EXISTS: u32 = 20;
pub(super) const NO_SUCH_OBJECT: u32 = 32;
pub(super) const INSUFFICIENT_RIGHTS: u32 = 50;
pub(super) const BUSY: u32 = 51;
pub(super) const UNWILLING: u32 = 53;
pub(super) const ENTRY_EXISTS: u32 = 68;
pub(super) const ASSERTION_FAILED: u32 = 122;
/// The cookie is too old (RFC 4533 §4.2).
pub(super) const SYNC_REFRESH_REQUIRED: u32 = 4_096;

/// What was being done: the same code means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Connecting, StartTLS, bind.
    Connect,
    Read,
    Create,
    Modify,
    Rename,
    Delete,
}

impl Call {
    fn writes(self) -> bool {
        match self {
            Self::Connect | Self::Read => false,
            Self::Create | Self::Modify | Self::Rename | Self::Delete => true,
        }
    }
}

/// The failure that a result other than success means.
pub(super) fn of_result(result: &LdapResult, call: Call, redaction: &Redaction) -> TargetFailure {
    let text = redaction.apply(&result.text);
    let message = match (text.is_empty(), name(result.rc)) {
        (true, name) => name.to_owned(),
        (false, name) => format!("{name}: {text}"),
    };
    TargetFailure::new(kind(result.rc, call), format!("LDAP_{}", result.rc), message)
}

/// The failure that an error of the library means. What was sent and not answered is unknown; ldap3 tells what was
/// never sent apart.
pub(super) fn of_error(error: &LdapError, call: Call) -> TargetFailure {
    let (kind, code) = match error {
        LdapError::OpSend { .. } | LdapError::IdScrubSend { .. } => (FailureKind::Down, "LDAP_CONNECTION"),
        LdapError::Timeout { .. } => return timed_out(call),
        LdapError::Io { source } if is_tls(source) => (FailureKind::Down, "LDAP_TLS"),
        LdapError::Rustls { .. } | LdapError::DNSName { .. } => (FailureKind::Down, "LDAP_TLS"),
        LdapError::Io { .. } | LdapError::ResultRecv { .. } | LdapError::EndOfStream => {
            (unanswered(call), "LDAP_CONNECTION")
        }
        LdapError::LdapResult { result } => return of_result(result, call, &Redaction::default()),
        _ => (FailureKind::Refused, "LDAP_REQUEST"),
    };
    TargetFailure::new(kind, code, Redaction::default().apply(&error.to_string()))
}

pub(super) fn timed_out(call: Call) -> TargetFailure {
    let (kind, message) = match call {
        Call::Connect => (FailureKind::Down, "no connection in time"),
        Call::Read => (FailureKind::Busy, "no answer in time"),
        Call::Create | Call::Modify | Call::Rename | Call::Delete => {
            (FailureKind::Unknown, "no answer in time")
        }
    };
    TargetFailure::new(kind, "LDAP_TIMEOUT", message)
}

/// The answer was not LDAP.
pub(super) fn garbled(call: Call) -> TargetFailure {
    TargetFailure::new(unanswered(call), "LDAP_GARBLED", "the server's answer is not LDAP")
}

pub(super) fn refused(code: &str, message: impl Into<String>) -> TargetFailure {
    TargetFailure::new(FailureKind::Refused, code, message)
}

pub(super) fn not_found() -> TargetFailure {
    TargetFailure::new(FailureKind::NotFound, "LDAP_32", "no such entry")
}

pub(super) fn changed_meanwhile() -> TargetFailure {
    TargetFailure::new(FailureKind::PreconditionFailed, "LDAP_122", "the entry has another version")
}

fn unanswered(call: Call) -> FailureKind {
    if call.writes() { FailureKind::Unknown } else { FailureKind::Down }
}

fn is_tls(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<rustls::Error>())
}

fn kind(code: u32, call: Call) -> FailureKind {
    match (code, call) {
        (7 | 8 | 13 | 48 | 49 | 53, Call::Connect) | (49, _) => FailureKind::BadCredentials,
        (52, _) | (_, Call::Connect) => FailureKind::Down,
        // operationsError and other: servers say so of passing troubles of their own.
        (1 | TIME_LIMIT | ADMIN_LIMIT | BUSY | 80, _) => FailureKind::Busy,
        (ASSERTION_FAILED, _) => FailureKind::PreconditionFailed,
        (ENTRY_EXISTS, Call::Create | Call::Rename) => FailureKind::AlreadyExists,
        (NO_SUCH_OBJECT, Call::Modify | Call::Rename | Call::Delete) => FailureKind::NotFound,
        _ => FailureKind::Refused,
    }
}

fn name(code: u32) -> &'static str {
    match code {
        1 => "operationsError",
        2 => "protocolError",
        TIME_LIMIT => "timeLimitExceeded",
        SIZE_LIMIT => "sizeLimitExceeded",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        ADMIN_LIMIT => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        NO_SUCH_ATTRIBUTE => "noSuchAttribute",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        VALUE_EXISTS => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        NO_SUCH_OBJECT => "noSuchObject",
        34 => "invalidDNSyntax",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        INSUFFICIENT_RIGHTS => "insufficientAccessRights",
        BUSY => "busy",
        52 => "unavailable",
        UNWILLING => "unwillingToPerform",
        64 => "namingViolation",
        65 => "objectClassViolation",
        66 => "notAllowedOnNonLeaf",
        67 => "notAllowedOnRDN",
        ENTRY_EXISTS => "entryAlreadyExists",
        69 => "objectClassModsProhibited",
        71 => "affectsMultipleDSAs",
        80 => "other",
        ASSERTION_FAILED => "assertionFailed",
        _ => "the server refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_of_the_kind_that_decides_what_happens_next() {
        for (code, call, expected) in [
            (49, Call::Connect, FailureKind::BadCredentials),
            (13, Call::Connect, FailureKind::BadCredentials),
            (52, Call::Connect, FailureKind::Down),
            (51, Call::Read, FailureKind::Busy),
            (3, Call::Read, FailureKind::Busy),
            (52, Call::Modify, FailureKind::Down),
            (53, Call::Modify, FailureKind::Refused),
            (50, Call::Delete, FailureKind::Refused),
            (68, Call::Create, FailureKind::AlreadyExists),
            (68, Call::Rename, FailureKind::AlreadyExists),
            (32, Call::Create, FailureKind::Refused),
            (32, Call::Delete, FailureKind::NotFound),
            (122, Call::Modify, FailureKind::PreconditionFailed),
            (10, Call::Modify, FailureKind::Refused),
            (66, Call::Delete, FailureKind::Refused),
            // A modification of the naming attribute: 67 of OpenLDAP and Active Directory, 64 of others.
            (64, Call::Modify, FailureKind::Refused),
            (67, Call::Modify, FailureKind::Refused),
            (19, Call::Modify, FailureKind::Refused),
        ] {
            assert_eq!(kind(code, call), expected, "{code} {call:?}");
        }
    }

    #[test]
    fn a_write_without_an_answer_is_unknown_and_a_read_is_not() {
        assert_eq!(of_error(&LdapError::EndOfStream, Call::Read).kind, FailureKind::Down);
        assert_eq!(of_error(&LdapError::EndOfStream, Call::Modify).kind, FailureKind::Unknown);
        assert_eq!(timed_out(Call::Delete).kind, FailureKind::Unknown);
        assert_eq!(timed_out(Call::Connect).kind, FailureKind::Down);
    }
}
