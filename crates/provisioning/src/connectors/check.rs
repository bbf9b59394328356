//! Trying a connection, step by step. Changes nothing in the target.

use tokio::time::timeout;
use xavyo_connectors::CheckStep;
use xavyo_core::{connector::TargetFailure, error::Result, ids::ConnectorId};
use xavyo_runtime::auth::Caller;

use super::{Connectors, LONGEST};
use crate::{store::connector, targets};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// In the order tried; the last one is where it failed.
    pub steps: Vec<CheckStep>,
}

impl Check {
    pub fn is_ok(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.ok)
    }
}

impl Connectors {
    /// Works on a paused connector too: it is how one finds out whether to resume. A target that refuses or cannot be
    /// reached is an answer, not an error.
    pub async fn check(&self, caller: &Caller, id: ConnectorId) -> Result<Check> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let connector = connector::get(&mut tx, caller.tenant, id).await?;
        drop(tx);
        let open = self.targets.open(caller.tenant, &connector).await?;
        let steps = match timeout(LONGEST, open.target.check()).await {
            Ok(Ok(steps)) => steps,
            Ok(Err(failure)) => vec![failed(&failure)],
            Err(_) => vec![failed(&targets::timed_out(LONGEST))],
        };
        Ok(Check { steps })
    }
}

fn failed(failure: &TargetFailure) -> CheckStep {
    CheckStep { name: "connect".to_owned(), ok: false, detail: failure.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_without_steps_proves_nothing() {
        assert!(!Check { steps: Vec::new() }.is_ok());
    }
}
