//! Hints within the process that something has happened: they carry no data and may be lost. Polling is the truth.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

/// Cheap to clone; clones share the hints.
#[derive(Clone, Debug)]
pub struct Nudges {
    work: Arc<Notify>,
    runs: watch::Sender<u64>,
}

impl Nudges {
    pub fn new() -> Self {
        Self { work: Arc::new(Notify::new()), runs: watch::Sender::new(0) }
    }

    /// There is something to do for a worker.
    pub fn work(&self) {
        self.work.notify_one();
    }

    /// Resolves when there may be something to do.
    pub async fn worked(&self) {
        self.work.notified().await;
    }

    /// Some run has changed.
    pub fn run_changed(&self) {
        self.runs.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Where changes of runs are told from now on.
    pub fn runs(&self) -> watch::Receiver<u64> {
        self.runs.subscribe()
    }
}

impl Default for Nudges {
    fn default() -> Self {
        Self::new()
    }
}
