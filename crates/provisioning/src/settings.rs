//! Settings of the provisioning service, over those of every service.

use std::{path::PathBuf, time::Duration};

use chrono::TimeDelta;
use xavyo_connectors::Options;

use crate::{retention::Kept, worker::Limits};

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

    /// The most accounts in one claim; the first of a drain is smaller, and the next grow while calls are quick.
    #[arg(long, env = "XAVYO_LANES_PER_CLAIM", default_value_t = 512)]
    pub lanes_per_claim: i64,

    /// Milliseconds between two looks for work; enqueueing here cuts the pause short.
    #[arg(long, env = "XAVYO_POLL_MILLISECONDS", default_value_t = 200)]
    pub poll_milliseconds: u64,

    /// Days that ended operations are kept, with their attempts and logs; 0 = for ever. They go by the week.
    #[arg(long, env = "XAVYO_HISTORY_DAYS", default_value_t = 400)]
    pub history_days: u32,

    /// Days that events of links which exist no more are kept; 0 = for ever.
    #[arg(long, env = "XAVYO_LINK_EVENT_DAYS", default_value_t = 3_650)]
    pub link_event_days: u32,
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

    pub fn kept(&self) -> Kept {
        let days = |days: u32| (days > 0).then(|| TimeDelta::days(days.into()));
        Kept { history: days(self.history_days), link_events: days(self.link_event_days) }
    }

    pub fn worker_limits(&self) -> Limits {
        Limits {
            pairs: self.worker_pairs.max(1),
            lanes_per_claim: self.lanes_per_claim.clamp(1, 1_000),
            poll: Duration::from_millis(self.poll_milliseconds.max(1)),
        }
    }
}
