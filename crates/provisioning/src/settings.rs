//! Settings of the provisioning service, over those of every service.

use std::{path::PathBuf, time::Duration};

use xavyo_connectors::Options;

use crate::worker::Limits;

/// `XAVYO_*` environment variables, or flags of the same names.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Allow connectors of the kind `memory`: tests and benches only.
    #[arg(long, env = "XAVYO_ALLOW_MEMORY")]
    pub allow_memory: bool,

    /// Where memory connectors keep their accounts and ledgers; without it they live in the process alone.
    #[arg(long, env = "XAVYO_MEMORY_DIRECTORY")]
    pub memory_directory: Option<PathBuf>,

    /// Allow connectors to reach their targets without TLS.
    #[arg(long, env = "XAVYO_ALLOW_CLEAR_TEXT")]
    pub allow_clear_text: bool,

    /// Allow connectors to reach Postgres through Unix sockets.
    #[arg(long, env = "XAVYO_ALLOW_SOCKETS")]
    pub allow_sockets: bool,

    /// Pairs of tenant and connector that this process works on at once.
    #[arg(long, env = "XAVYO_WORKER_PAIRS", default_value_t = 16)]
    pub worker_pairs: usize,

    /// Accounts in one claim.
    #[arg(long, env = "XAVYO_LANES_PER_CLAIM", default_value_t = 128)]
    pub lanes_per_claim: i64,

    /// Milliseconds between two looks for work; enqueueing here cuts the pause short.
    #[arg(long, env = "XAVYO_POLL_MILLISECONDS", default_value_t = 200)]
    pub poll_milliseconds: u64,
}

impl Settings {
    /// What this process allows connectors.
    pub fn connector_options(&self) -> Options {
        Options {
            allow_memory: self.allow_memory,
            memory_directory: self.memory_directory.clone(),
            allow_clear_text: self.allow_clear_text,
            allow_sockets: self.allow_sockets,
            ..Options::default()
        }
    }

    pub fn worker_limits(&self) -> Limits {
        Limits {
            pairs: self.worker_pairs.max(1),
            lanes_per_claim: self.lanes_per_claim.clamp(1, 1_000),
            poll: Duration::from_millis(self.poll_milliseconds.max(1)),
        }
    }
}
