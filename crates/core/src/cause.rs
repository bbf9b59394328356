//! Why an operation, link event or run exists: who asked, through what, and the trace that it belongs to.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ids::SubjectId, names::names};

/// The closed list of what can cause an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    Api,
    IdentityChange,
    Import,
    ConnectorRevision,
    Run,
    Remediation,
    Revert,
}

/// The cause of everything. `id` is the identity, import, revision, run or remediation; for `api` there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    pub kind: CauseKind,
    pub id: Option<Uuid>,
    pub requested_by: SubjectId,
    pub reason: Option<String>,
    pub trace_id: Option<String>,
}

names!(CauseKind {
    Api "api",
    IdentityChange "identity_change",
    Import "import",
    ConnectorRevision "connector_revision",
    Run "run",
    Remediation "remediation",
    Revert "revert",
});

impl CauseKind {
    /// Nobody asked for the operation itself: it follows from a change of the identity or of the connector.
    pub fn is_automatic(self) -> bool {
        match self {
            Self::IdentityChange | Self::Import | Self::ConnectorRevision => true,
            Self::Api | Self::Run | Self::Remediation | Self::Revert => false,
        }
    }
}
