//! The pace of a process that has the target to itself.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Grant, Moments, Need, Pace, Rate, Source};

/// How far ahead a fixed pace lays out its moments.
const FIXED_MOMENTS: u32 = 1_000;

/// The pace of a process that is alone.
#[derive(Debug)]
pub(super) struct Fixed {
    pace: Pace,
    next: Mutex<Instant>,
}

impl Fixed {
    pub fn new(pace: Pace) -> Self {
        Self { pace, next: Mutex::new(Instant::now()) }
    }
}

#[async_trait]
impl Source for Fixed {
    async fn grant(&self, need: Need) -> Option<Grant> {
        let now = Instant::now();
        let rate = self.pace.per_second.map(|per_second| {
            let interval = Duration::from_secs(1) / per_second.max(1);
            let moments = need.lacks_moments.then(|| {
                let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
                let first = (*next).max(now);
                *next = first + interval * FIXED_MOMENTS;
                Moments { first, count: FIXED_MOMENTS, interval }
            });
            Rate { per_second: f64::from(per_second), moments }
        });
        Some(Grant { places: self.pace.at_once.max(1), until: now + Duration::from_hours(24), rate })
    }
}
