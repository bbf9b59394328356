//! A replica, and what can be done to it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::sleep;

use crate::{
    process::{GLANCE, Signal},
    service::Service,
};

pub struct Replica {
    pub service: Service,
    /// The crash point that it is armed with, and the file that says that it stands there.
    armed: Option<(String, PathBuf)>,
    is_stopped: bool,
    pub counts: Counts,
}

/// What was done to the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `kill -9` of a replica.
    pub kills: usize,
    /// Starts of a replica after its first, and of Postgres.
    pub restarts: usize,
    /// Replicas stopped past their lease.
    pub stops: usize,
    /// Postgres ended as by a power cut.
    pub database_crashes: usize,
    /// Faults of the proxies that did harm.
    pub bites: u64,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.restarts += other.restarts;
        self.stops += other.stops;
        self.database_crashes += other.database_crashes;
        self.bites += other.bites;
    }
}

impl Replica {
    pub fn of(service: Service) -> Self {
        Self { service, armed: None, is_stopped: false, counts: Counts::default() }
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.counts.kills += 1;
        self.is_stopped = false;
        self.service.kill()
    }

    /// Starts it again, armed with nothing.
    pub async fn restart(&mut self) -> Result<()> {
        self.armed = None;
        self.service.set_environment("XAVYO_CRASH_AT", None);
        self.start().await
    }

    /// Starts it again, to stand still for good at the n-th pass of a crash point. Only a binary with crash points does.
    pub async fn restart_armed(&mut self, point: &str, pass: usize) -> Result<()> {
        let log = self.service.log();
        let marker = log.with_extension(format!("{}.{point}", self.counts.restarts));
        self.service.set_environment("XAVYO_CRASH_AT", Some(point));
        self.service.set_environment("XAVYO_CRASH_PASS", Some(&pass.to_string()));
        self.service.set_environment("XAVYO_CRASH_MARKER", marker.to_str());
        self.armed = Some((point.to_owned(), marker));
        self.start().await
    }

    async fn start(&mut self) -> Result<()> {
        self.counts.restarts += 1;
        self.is_stopped = false;
        self.service.restart().await
    }

    /// The crash point at which it stands.
    pub fn stands_at(&self) -> Option<&str> {
        self.armed.as_ref().filter(|(_, marker)| marker.exists()).map(|(point, _)| point.as_str())
    }

    /// Waits until it stands at its crash point. False = it did not come there in time.
    pub async fn comes_to_stand(&self, limit: Duration) -> bool {
        let began = Instant::now();
        while self.stands_at().is_none() {
            if began.elapsed() > limit {
                return false;
            }
            sleep(GLANCE).await;
        }
        true
    }

    /// SIGSTOP: it does nothing, and knows nothing of it.
    pub fn stop(&mut self) -> Result<()> {
        self.counts.stops += 1;
        self.is_stopped = true;
        self.service.process().signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn go_on(&mut self) -> Result<()> {
        self.is_stopped = false;
        self.service.process().signal(Signal::CONT)
    }

    /// Runs again, whatever state it is in.
    pub async fn heal(&mut self) -> Result<()> {
        if self.is_stopped {
            self.go_on()?;
        }
        let is_armed = self.armed.is_some();
        if is_armed || self.service.process().ended().is_some() {
            self.restart().await?;
        }
        Ok(())
    }
}
