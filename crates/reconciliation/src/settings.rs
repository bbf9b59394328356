//! Settings of the reconciliation service, over those of every service.

use std::time::Duration;

use crate::{provisioning::ProvisioningSettings, worker::Limits};

/// `XAVYO_*` environment variables, or flags of the same names.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    #[command(flatten)]
    pub provisioning: ProvisioningSettings,

    /// Runs that this process carries on at once; each holds an index of its connector's identities in memory.
    #[arg(long, env = "XAVYO_WORKER_RUNS", default_value_t = 2)]
    pub worker_runs: usize,

    /// Remediations left by their callers that this process looks after at once.
    #[arg(long, env = "XAVYO_WORKER_REMEDIATIONS", default_value_t = 8)]
    pub worker_remediations: usize,

    /// Milliseconds between two looks for work; starting a run here cuts the pause short.
    #[arg(long, env = "XAVYO_POLL_MILLISECONDS", default_value_t = 500)]
    pub poll_milliseconds: u64,
}

impl Settings {
    pub fn limits(&self) -> Limits {
        Limits {
            runs: self.worker_runs.max(1),
            remediations: self.worker_remediations.max(1),
            poll: Duration::from_millis(self.poll_milliseconds.max(1)),
        }
    }
}
