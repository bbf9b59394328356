//! Who may call: the roles that a token carries.

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

impl Role {
    pub const ALL: [Self; 5] = [Self::Admin, Self::Operator, Self::Approver, Self::Auditor, Self::Service];

    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Service => "service",
        }
    }

    /// The role of that name; an unknown name grants nothing.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}
