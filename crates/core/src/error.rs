//! Errors as callers understand them: a stable reason out of a closed list, the facts, and the fields at fault.
//!
//! `wire::status` is the only place that turns them into gRPC statuses.

use std::fmt;

/// What went wrong, by family. Each family is one gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    InvalidArgument,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
    /// A race was lost: reading again and repeating the call may succeed.
    Aborted,
    OutOfRange,
    ResourceExhausted,
    Unauthenticated,
    PermissionDenied,
    Unavailable,
    DeadlineExceeded,
    Unimplemented,
    Internal,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $name:literal $kind:ident,)+) => {
        /// The closed list of reasons (`google.rpc.ErrorInfo.reason`), documented in docs/api.md.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)+ }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ }
            }
        }
    };
}

reasons! {
    /// One or more fields are malformed, missing, too large or out of range; the violations name them.
    InvalidField "INVALID_FIELD" InvalidArgument,
    /// The page token was not made by this method, tenant and filter, or was altered.
    InvalidPageToken "INVALID_PAGE_TOKEN" InvalidArgument,
    /// The action, type and direction do not go together.
    RemediationNotAllowed "REMEDIATION_NOT_ALLOWED" InvalidArgument,
    /// The attribute's mapping has no inverse expression.
    NoInverseMapping "NO_INVERSE_MAPPING" FailedPrecondition,
    /// An expression of the mapping failed; the message says where and why.
    ExpressionFailed "EXPRESSION_FAILED" FailedPrecondition,
    /// No such resource, or not this tenant's.
    NotFound "NOT_FOUND" NotFound,
    /// The name, source key or link is taken.
    AlreadyExists "ALREADY_EXISTS" AlreadyExists,
    /// The request id was used with another body.
    RequestIdReused "REQUEST_ID_REUSED" AlreadyExists,
    /// The connector has an active run; the facts name it.
    RunActive "RUN_ACTIVE" AlreadyExists,
    /// The state table has no such move; the facts name the state and the event.
    IllegalMove "ILLEGAL_MOVE" FailedPrecondition,
    /// A later delete of the same account overtook this dead letter.
    Overtaken "OVERTAKEN" FailedPrecondition,
    /// The connector's mode does not allow this.
    ModeForbids "MODE_FORBIDS" FailedPrecondition,
    /// The connector's allowed actions do not include this.
    ActionNotAllowed "ACTION_NOT_ALLOWED" FailedPrecondition,
    /// The account matches the connector's protected-accounts expression.
    ProtectedAccount "PROTECTED_ACCOUNT" FailedPrecondition,
    /// The connector is paused.
    ConnectorPaused "CONNECTOR_PAUSED" FailedPrecondition,
    /// Live operations or an active run still need the resource.
    InUse "IN_USE" FailedPrecondition,
    /// The target changed since the premise was stated; nothing was done.
    PremiseGone "PREMISE_GONE" FailedPrecondition,
    /// The operation that was to do it was cancelled before it did.
    OperationCancelled "OPERATION_CANCELLED" FailedPrecondition,
    /// The guard holds the plan until somebody approves exactly it; the facts name its digest.
    ApprovalRequired "APPROVAL_REQUIRED" FailedPrecondition,
    /// The conflict's operations cannot be brought to this outcome now; the facts name those possible.
    OutcomeImpossible "OUTCOME_IMPOSSIBLE" FailedPrecondition,
    /// The finding no longer holds; nothing was done.
    Superseded "SUPERSEDED" FailedPrecondition,
    /// The read of the target or of the expected side was not provably complete.
    IncompleteRead "INCOMPLETE_READ" FailedPrecondition,
    /// The master key that wraps the connector's secrets is not in the file: nothing opens until it is back.
    KeyLost "KEY_LOST" FailedPrecondition,
    /// The target refused the call for good.
    TargetRefused "TARGET_REFUSED" FailedPrecondition,
    /// The etag is not the resource's current one.
    EtagMismatch "ETAG_MISMATCH" Aborted,
    /// Live operations hold the lanes concerned.
    LaneBusy "LANE_BUSY" Aborted,
    /// Another process has taken over what this one had claimed.
    ClaimLost "CLAIM_LOST" Aborted,
    /// Others changed the same rows at the same moment, time after time; nothing was done.
    Contended "CONTENDED" Aborted,
    /// Another remediation of the discrepancy is under way.
    RemediationInFlight "REMEDIATION_IN_FLIGHT" Aborted,
    /// The resume token is older than what is kept.
    TokenTooOld "TOKEN_TOO_OLD" OutOfRange,
    /// A limit on sizes, counts or rates was met; the facts name it.
    LimitExceeded "LIMIT_EXCEEDED" ResourceExhausted,
    /// No bearer token, or one that does not verify.
    InvalidToken "INVALID_TOKEN" Unauthenticated,
    /// None of the caller's roles may call this method.
    RoleForbids "ROLE_FORBIDS" PermissionDenied,
    /// The address is not allowed by the egress policy.
    EgressDenied "EGRESS_DENIED" PermissionDenied,
    /// The target cannot be reached, or answers that it cannot serve now.
    TargetUnavailable "TARGET_UNAVAILABLE" Unavailable,
    /// The database cannot be reached.
    DatabaseUnavailable "DATABASE_UNAVAILABLE" Unavailable,
    /// The other service cannot be reached.
    PeerUnavailable "PEER_UNAVAILABLE" Unavailable,
    /// The process is shutting down.
    ShuttingDown "SHUTTING_DOWN" Unavailable,
    /// The deadline passed first.
    DeadlineExceeded "DEADLINE_EXCEEDED" DeadlineExceeded,
    /// The method is part of the contract and not yet served.
    NotImplemented "NOT_IMPLEMENTED" Unimplemented,
    /// A bug; the log has the details under the id that the message gives.
    Internal "INTERNAL" Internal,
}

/// One field at fault: its path (`operations[7].payload.mail`) and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub field: String,
    pub expected: String,
}

/// An error with everything a caller can use. The message prints this layer only; `source` has the rest.
#[derive(Debug)]
pub struct Error {
    pub reason: Reason,
    pub message: String,
    /// Machine-readable facts (`google.rpc.ErrorInfo.metadata`). Never a secret, never another tenant's data.
    pub facts: Vec<(&'static str, String)>,
    pub violations: Vec<Violation>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), facts: Vec::new(), violations: Vec::new(), source: None }
    }

    /// The same answer for what does not exist and for what belongs to another tenant (S1): it names no id.
    pub fn not_found(resource: &'static str) -> Self {
        Self::new(Reason::NotFound, format!("no such {resource}")).with("resource", resource)
    }

    pub fn invalid(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::all_invalid(vec![Violation { field: field.into(), expected: expected.into() }])
    }

    /// `violations` must not be empty.
    pub fn all_invalid(violations: Vec<Violation>) -> Self {
        let message = violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.expected))
            .collect::<Vec<_>>()
            .join("; ");
        Self { violations, ..Self::new(Reason::InvalidField, message) }
    }

    pub fn illegal_move(resource: &'static str, from: impl fmt::Display, event: impl fmt::Display) -> Self {
        Self::new(Reason::IllegalMove, format!("a {from} {resource} takes no event {event}"))
            .with("resource", resource)
            .with("from", from.to_string())
            .with("event", event.to_string())
    }

    /// A bug or an unforeseen failure below. Callers see a fixed text; the source goes to the log.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Reason::Internal, "internal error").caused_by(source)
    }

    #[must_use]
    pub fn with(mut self, fact: &'static str, value: impl Into<String>) -> Self {
        self.facts.push((fact, value.into()));
        self
    }

    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Prefixes the path of every violation: `x` becomes `{prefix}.x`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        for violation in &mut self.violations {
            violation.field = format!("{prefix}.{}", violation.field);
        }
        self
    }

    pub fn kind(&self) -> Kind {
        self.reason.kind()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
