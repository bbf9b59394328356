//! What a pacer lives on: who gives it places and moments, what it needs, what it gets.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

/// How fast a connector may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Calls under way at once; at least 1 is taken.
    pub at_once: u32,
    /// Calls begun a second, evenly spread; None = no limit. A page of a read is a call.
    pub per_second: Option<u32>,
}

/// Gives out what processes share.
#[async_trait]
pub trait Source: Send + Sync + Debug {
    /// A new grant. None = nobody can say now: it is asked again a little later.
    async fn grant(&self, need: Need) -> Option<Grant>;

    /// Nothing is needed any more, until a grant is asked for again.
    async fn leave(&self) {}
}

/// What is under way, and what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Places taken.
    pub under_way: u32,
    /// Those in line for a place.
    pub waiting: u32,
    /// Somebody waits for a moment, and none is left.
    pub lacks_moments: bool,
}

/// Until when how many places may be taken, and when calls may begin in them.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub places: u32,
    pub until: Instant,
    /// None = at any moment.
    pub rate: Option<Rate>,
}

#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub per_second: f64,
    /// None were asked for, or none are to be had.
    pub moments: Option<Moments>,
}

/// Evenly spread moments at which a call may begin.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub first: Instant,
    pub count: u32,
    pub interval: Duration,
}

impl Moments {
    pub(super) fn pass(&mut self) {
        self.first += self.interval;
        self.count -= 1;
    }
}
