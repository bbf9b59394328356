//! Connectors: a configured connection to one target system.
//!
//! Begin with [`Connector`]. [`settings`] says how to reach the target, [`object_type`] what is kept in step there,
//! [`policy`] what may happen to it, [`failure`] how a target can fail.

mod failure;
mod object_type;
mod policy;
mod schema;
mod settings;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use failure::{FailureKind, TargetFailure};
pub use object_type::{
    AttributeRule, Authority, CorrelationPolicy, CorrelationRule, DEFAULT_INTENT, Inverse, MatchingRule,
    Normaliser, ObjectType, Ownership,
};
pub use policy::{
    AllowedActions, CallTimeout, Concurrency, Deprovision, GuardLimit, GuardPolicy, InitialPassword,
    OnDeadLetter, Policies, RetryPolicy,
};
pub use schema::{AttributeSchema, AttributeType, ObjectSchema};
pub use settings::{
    LdapDialect, LdapSettings, LdapTls, MemoryFault, MemorySettings, RemoteSettings, ScimSettings, Settings,
    SqlDialect, SqlSettings, SqlStatements,
};

use crate::{ids::ConnectorId, names::names};

/// What a connector may do by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Reads only.
    #[default]
    Observe,
    /// Explicit operations and remediation.
    Manual,
    /// Automatic operations too. Needs one complete full run first, or `skip_first_run`.
    Enforce,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Connector {
    pub id: ConnectorId,
    pub name: String,
    pub mode: Mode,
    pub settings: Settings,
    /// At least one; unique by (object class, intent).
    pub object_types: Vec<ObjectType>,
    pub policies: Policies,
    /// Rises with every change of scope, mapping, correlation or policy.
    pub revision: i32,
    pub paused: bool,
    pub pause_reason: Option<String>,
    /// When the first complete full run ended: from then on `enforce` is allowed.
    pub first_full_run_at: Option<DateTime<Utc>>,
    /// Rises by one with every change of the row; the etag.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

names!(Mode {
    Observe "observe",
    Manual "manual",
    Enforce "enforce",
});

impl Connector {
    pub fn object_type(&self, object_class: &str, intent: &str) -> Option<&ObjectType> {
        self.object_types.iter().find(|kind| kind.object_class == object_class && kind.intent == intent)
    }
}
