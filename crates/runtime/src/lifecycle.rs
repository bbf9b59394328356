//! How a process ends: asked to, by a signal, or because one of its tasks died.
//!
//! Whoever runs long holds a [`CancellationToken`] and ends soon after it is cancelled: workers claim nothing new,
//! streams close, the server takes no new calls. What is still busy when the time to drain is over is cut off.

use std::{collections::HashMap, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use xavyo_core::Error;

use crate::StartError;

/// As a shell reports a process that ended on SIGINT.
const EXIT_AT_ONCE: i32 = 130;

/// The named background tasks of a process. Each runs until it is told to stop: one that ends earlier is dead, and ends
/// the process with a failing code, so that whoever runs it starts it afresh.
#[derive(Debug)]
pub struct Tasks {
    stop: CancellationToken,
    running: JoinSet<Result<(), Error>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, running: JoinSet::new(), names: HashMap::new() }
    }

    /// Cancelled when the process is to end.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task and hands it the stop token.
    pub fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let task = task(self.stop.clone()).instrument(tracing::info_span!("task", name));
        let handle = self.running.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Stays until the process was told to stop and every task has ended, or one died, or the drain took too long.
    pub async fn run(mut self, drain: Duration) -> Result<(), StartError> {
        let death = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            Some(ended) = self.running.join_next_with_id() => Some(self.death(ended)),
        };
        self.stop.cancel();
        let drained = tokio::time::timeout(drain, self.drain()).await;
        match (death, drained) {
            (Some(death), _) => Err(death),
            (None, Ok(outcome)) => outcome,
            (None, Err(_)) => Err(StartError::NotDrained { tasks: self.names.into_values().collect() }),
        }
    }

    /// Waits for every task, and answers with the first failure among them.
    async fn drain(&mut self) -> Result<(), StartError> {
        let mut outcome = Ok(());
        while let Some(ended) = self.running.join_next_with_id().await {
            if let Ok((id, Ok(()))) = ended {
                self.names.remove(&id);
            } else {
                let death = self.death(ended);
                outcome = outcome.and(Err(death));
            }
        }
        outcome
    }

    fn death(&mut self, ended: Result<(Id, Result<(), Error>), JoinError>) -> StartError {
        let (id, why) = match ended {
            Ok((id, Ok(()))) => (id, "it ended without being asked to".to_owned()),
            Ok((id, Err(error))) => (id, with_sources(&error)),
            Err(error) => (error.id(), error.to_string()),
        };
        StartError::TaskDied { name: self.names.remove(&id).unwrap_or("unnamed"), why }
    }
}

/// The signals that ask a process to end, caught from now on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Within a tokio runtime.
    pub fn catch() -> Result<Self, StartError> {
        let caught =
            |kind| signal(kind).map_err(|source| StartError::System { what: "a signal handler", source });
        Ok(Self { terminate: caught(SignalKind::terminate())?, interrupt: caught(SignalKind::interrupt())? })
    }

    /// The first SIGTERM or SIGINT cancels `stop`; the second ends the process at once.
    pub async fn run(mut self, stop: CancellationToken) {
        self.next().await;
        tracing::info!("asked to stop: finishing what has begun");
        stop.cancel();
        self.next().await;
        tracing::warn!("asked to stop again: ending at once");
        std::process::exit(EXIT_AT_ONCE);
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// An error with everything below it, in one line. Some errors print their source themselves: it is not said twice.
pub fn with_sources(error: &dyn std::error::Error) -> String {
    let below = std::iter::successors(error.source(), |error| error.source());
    below.map(ToString::to_string).fold(error.to_string(), |line, source| {
        if line.ends_with(&source) { line } else { format!("{line}: {source}") }
    })
}

#[cfg(test)]
mod tests {
    use xavyo_core::Reason;

    use super::*;

    const DRAIN: Duration = Duration::from_secs(20);

    fn tasks() -> Tasks {
        Tasks::new(CancellationToken::new())
    }

    async fn until_stopped(stop: CancellationToken) -> Result<(), Error> {
        stop.cancelled().await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_end_when_asked_to_end_the_process_well() {
        let mut tasks = tasks();
        tasks.spawn("one", until_stopped);
        tasks.spawn("two", until_stopped);
        tasks.stop().cancel();

        tasks.run(DRAIN).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_task_stops_the_others_and_is_named() {
        let mut tasks = tasks();
        let stop = tasks.stop();
        tasks.spawn("worker", until_stopped);
        tasks.spawn("sealer", |_| async { Err(Error::new(Reason::Internal, "broken")) });

        let death = tasks.run(DRAIN).await.unwrap_err();

        assert!(stop.is_cancelled());
        assert_eq!(death.to_string(), "task sealer is dead: broken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_without_being_asked_to_is_dead() {
        let mut tasks = tasks();
        tasks.spawn("worker", |_| async { Ok(()) });

        assert!(matches!(tasks.run(DRAIN).await, Err(StartError::TaskDied { name: "worker", .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_dead() {
        let mut tasks = tasks();
        tasks.spawn("worker", |_| async { panic!("as a test") });

        assert!(matches!(tasks.run(DRAIN).await, Err(StartError::TaskDied { name: "worker", .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_busy_when_the_drain_is_over_is_cut_off_and_named() {
        let mut tasks = tasks();
        tasks.spawn("quick", until_stopped);
        tasks.spawn("stuck", |_| std::future::pending());
        tasks.stop().cancel();

        let Err(StartError::NotDrained { tasks }) = tasks.run(DRAIN).await else { panic!("it was drained") };
        assert_eq!(tasks, ["stuck"]);
    }
}
