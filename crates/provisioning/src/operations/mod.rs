//! What a person or a service can ask of operations. One public function a question; each is one transaction.
//!
//! An RPC moves only what nobody has claimed, under the lane's lock; a worker moves what it has claimed. Both ask
//! core's table of moves.

mod accept;
mod dead_letters;
mod ends;
mod group;
mod held;
mod moves;
mod read;
pub(crate) mod seal;
mod waits;
mod watch;
mod whose;

use xavyo_core::{
    account::AccountState,
    change::Changes,
    connector::AllowedActions,
    ids::{ConnectorId, IdentityId, OperationId},
    operation::{OperationType, Precondition},
};
use xavyo_runtime::{Clock, Database};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xavyo_core::cause::CauseKind;

pub use dead_letters::{BatchRetry, ListGroups, Retried};
pub use held::{DecideHeld, HeldGroup, ListHeld, RegisterPlan, Registered};
pub(crate) use read::statistics_in;
pub use read::{Listed, Statistics};
pub(crate) use waits::explain;
pub use waits::{Wait, WaitKind};
pub use watch::{Change, WatchFilter, Watched};

use self::{ends::Ends, group::Groups};
use crate::{secrets::Vault, worker::Nudge};

/// The use cases of OperationService; cheap to clone.
#[derive(Clone, Debug)]
pub struct Operations {
    database: Database,
    clock: Clock,
    vault: Vault,
    nudge: Nudge,
    ends: Ends,
    stop: CancellationToken,
    groups: Groups,
}

/// What a caller asks for with CreateOperation.
#[derive(Clone, Debug, Serialize)]
pub struct CreateOperation {
    pub connector_id: ConnectorId,
    pub identity_id: Option<IdentityId>,
    pub operation_type: OperationType,
    pub object_class: String,
    pub intent: String,
    pub target_uid: Option<String>,
    pub priority: i32,
    /// None = the connector's policy.
    pub max_retries: Option<i32>,
    pub payload: Changes,
    pub precondition: Option<Precondition>,
    pub not_before: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    pub cause: Option<(CauseKind, Option<Uuid>)>,
}

/// A change of one operation that nobody has claimed.
#[derive(Clone, Debug)]
pub struct ChangeOperation {
    pub operation_id: OperationId,
    /// The version that the caller saw; None = any.
    pub etag: Option<i64>,
    /// Why it is cancelled, or how it was resolved.
    pub notes: Option<String>,
}

impl Operations {
    /// Watches end when `stop` is cancelled.
    pub fn new(
        database: Database,
        clock: Clock,
        vault: Vault,
        nudge: Nudge,
        stop: CancellationToken,
    ) -> Self {
        let ends = Ends::new(database.clone(), stop.clone());
        Self { database, clock, vault, nudge, ends, stop, groups: Groups::default() }
    }
}

impl CreateOperation {
    /// The state that it asks for by the reserved attribute, if it does.
    fn wanted_state(&self) -> Option<AccountState> {
        xavyo_core::change::wanted_state(&self.payload)
    }

    /// The action that the connector must allow: its name, and whether it does.
    fn action(&self, allowed: AllowedActions) -> (&'static str, bool) {
        match (self.operation_type, self.wanted_state()) {
            (OperationType::Create, _) => ("create", allowed.create),
            (OperationType::Delete, _) => ("delete", allowed.delete),
            (OperationType::Update, Some(AccountState::Disabled)) => ("disable", allowed.disable),
            (OperationType::Update, Some(AccountState::Enabled | AccountState::Absent) | None) => {
                ("update", allowed.update)
            }
        }
    }
}
