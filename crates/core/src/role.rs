//! Who may call: the roles that a token carries.

use crate::names::names;

/// A role in a token's `roles` claim. Default deny: a method lists the roles that may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Everything.
    Admin,
    /// Runs, remediation, retry, cancel, resolve; and every read.
    Operator,
    /// Approves what the guard holds, and plans; and every read.
    Approver,
    /// Reads only.
    Auditor,
    /// The other service. Its token carries no tenant: each call names the tenant and the acting subject.
    Service,
}

// An unknown name grants nothing.
names!(Role {
    Admin "admin",
    Operator "operator",
    Approver "approver",
    Auditor "auditor",
    Service "service",
});
