//! Following a run: its state at once, its progress as it comes, its end. Works whichever replica carries the run on: the
//! row is polled, and a hint within the process only shortens the wait.
//!
//! What is told, and when, is decided in [`follower`]; this file waits and reads.

pub mod follower;

use std::{collections::VecDeque, time::Duration};

use futures::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{RunId, TenantId},
};
use xavyo_runtime::Caller;

use self::follower::{Event, Follower};
use super::Runs;
use crate::store::run;

/// Progress is told at most this often.
const AT_MOST: Duration = Duration::from_millis(200);
/// How long the row of a quiet run is left alone; a hint cuts it short.
const QUIET: Duration = Duration::from_secs(1);
/// So that a thousand watchers do not ask in step.
const JITTER_MILLIS: u64 = 40;

/// A message of the stream, and the sequence from which a later watch goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub event: Event,
    pub sequence: i64,
}

impl Runs {
    /// NOT_FOUND before the first message. `after` is the sequence that an earlier watch had come to.
    pub async fn watch(
        &self,
        caller: &Caller,
        id: RunId,
        after: Option<i64>,
        stop: CancellationToken,
    ) -> Result<impl Stream<Item = Result<Told>> + Send + 'static> {
        self.get(caller, id).await?;
        let watcher = Watcher {
            runs: self.clone(),
            tenant: caller.tenant,
            id,
            changes: self.nudges.runs(),
            stop,
            follower: Follower::new(after),
            ready: VecDeque::new(),
            wait: Duration::ZERO,
        };
        Ok(stream::try_unfold(watcher, Watcher::next))
    }
}

struct Watcher {
    runs: Runs,
    tenant: TenantId,
    id: RunId,
    changes: watch::Receiver<u64>,
    stop: CancellationToken,
    follower: Follower,
    ready: VecDeque<Event>,
    /// Before the row is read again.
    wait: Duration,
}

impl Watcher {
    async fn next(mut self) -> Result<Option<(Told, Self)>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                let told = Told { event, sequence: self.follower.sequence() };
                return Ok(Some((told, self)));
            }
            if self.follower.has_ended() {
                return Ok(None);
            }
            let stop = self.stop.clone();
            if stop.run_until_cancelled(self.pause()).await.is_none() {
                return Err(Error::new(
                    Reason::ShuttingDown,
                    "this process is stopping: resume on another one",
                ));
            }
            self.look().await?;
        }
    }

    async fn look(&mut self) -> Result<()> {
        let mut tx = self.runs.database.begin(self.tenant).await?;
        let record = run::get(&mut tx, self.tenant, self.id).await?;
        drop(tx);
        self.ready.extend(self.follower.observe(record, self.runs.clock.now()));
        self.wait = if self.ready.is_empty() { QUIET } else { AT_MOST };
        Ok(())
    }

    async fn pause(&mut self) {
        let until = Instant::now() + self.wait;
        let jitter = Duration::from_millis(rand::random_range(0..JITTER_MILLIS));
        sleep(self.wait.min(AT_MOST) + jitter).await;
        // Either the time has come, or somebody says that a run has changed: both mean to look again.
        let _ = timeout_at(until, self.changes.changed()).await;
    }
}
