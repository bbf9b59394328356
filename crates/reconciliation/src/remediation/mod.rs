//! What can be done about discrepancies: shown, done one by one, done in bulk.
//!
//! The present is read live ([`facts`]), the plan is made of it by a pure function ([`plan`]), the intent is recorded
//! ([`begin`]), and only then is anything asked of the other service ([`execute`]). The outcome, its audit row and the
//! discrepancy's end are recorded in one transaction ([`finish`]). A process that dies in between leaves an intent that
//! another one carries on ([`carry_on`]): everything that is asked for has a request id derived from the remediation's.
//!
//! Never here: a change without an intent; a write to a target that provisioning does not make.

mod begin;
mod bulk;
mod carry_on;
pub mod changes;
mod execute;
pub mod facts;
mod finish;
pub mod plan;
mod preview;
pub mod record;

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{DiscrepancyId, RunId},
    remediation::{RemediationAction, RemediationDirection},
};
use xavyo_runtime::{Caller, Clock, Database, Deadline};

use self::{
    begin::Begun,
    record::{Choice, RemediationRecord},
};
pub use self::{
    bulk::{BulkOutcome, BulkRemediate},
    preview::{Preview, PreviewRemediation},
};
use crate::{
    provisioning::{Provisioning, Session},
    secret_values::SecretValues,
    worker::{Busy, lease::Lease},
};

/// How long it takes to say that something is under way.
const TELLING: Duration = Duration::from_millis(300);

#[derive(Clone, Debug)]
pub struct Remediations {
    pub database: Database,
    pub clock: Clock,
    pub provisioning: Provisioning,
    /// In whose name intents are recorded as being in hand here.
    pub lease: Lease,
    pub busy: Busy,
    pub secret_values: SecretValues,
    /// What goes on when its caller has gone.
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

/// One remediation to be done. Its JSON is the body that a request id is bound to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Remediate {
    pub discrepancy_id: DiscrepancyId,
    pub action: RemediationAction,
    /// None = the first that the action has for the type.
    pub direction: Option<RemediationDirection>,
    pub choice: Choice,
    pub reason: Option<String>,
    pub dry_run: bool,
    /// The run whose policy asks for it; none = a caller does.
    #[serde(skip)]
    pub run_id: Option<RunId>,
    #[serde(skip)]
    pub request_id: Option<Uuid>,
}

impl Remediations {
    /// Does it and waits for its end, at most until the deadline: then the answer says that it is under way.
    pub async fn remediate(
        &self,
        caller: &Caller,
        command: Remediate,
        deadline: Deadline,
    ) -> Result<RemediationRecord> {
        match self.begin(caller, &command, "RemediateDiscrepancy", None).await? {
            Begun::Before(record) => Ok(*record),
            Begun::Now(intent) => {
                let done = self.spawn((*intent).clone());
                match tokio::time::timeout_at(patience(deadline), done).await {
                    Ok(Ok(Err(error))) if !finish::passes(&error) => Err(error),
                    Ok(Ok(Ok(record))) => Ok(record),
                    // The deadline has come first, or somebody else carries on.
                    Ok(Ok(Err(_)) | Err(_)) | Err(_) => self.still_under_way(&intent).await,
                }
            }
        }
    }

    fn session(&self, caller: &Caller) -> Session {
        self.provisioning.session(caller.tenant, caller.subject, Some(&caller.trace_id))
    }
}

/// Until when a call waits for what it has begun: what is under way by then must still be looked up and told in time.
fn patience(deadline: Deadline) -> Instant {
    deadline.0.checked_sub(TELLING).unwrap_or(deadline.0)
}
