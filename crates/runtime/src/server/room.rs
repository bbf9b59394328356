//! Room for so many calls at once. Whoever finds none is refused at once instead of waiting: a queue would only answer
//! later, to callers that have gone.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use xavyo_core::{Error, Reason, error::Result};

use crate::{
    auth::access::{Access, Rule, Shape},
    settings::Limits,
};

/// Calls without a token have few places of their own: nobody without one takes another's.
const OPEN_CALLS: usize = 64;

pub(super) struct Room {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Room {
    pub(super) fn with(limits: &Limits) -> Self {
        let places = |count: u32| {
            let count = usize::try_from(count).unwrap_or(Semaphore::MAX_PERMITS);
            Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
        };
        Self {
            calls: places(limits.max_calls),
            streams: places(limits.max_streams),
            open: Arc::new(Semaphore::new(OPEN_CALLS)),
        }
    }

    /// A place, for as long as the permit is held.
    pub(super) fn take(&self, rule: &Rule) -> Result<OwnedSemaphorePermit> {
        let (places, limit) = match (rule.access, rule.shape) {
            (Access::Open, _) => (&self.open, "open_calls"),
            (Access::Roles(_), Shape::Unary) => (&self.calls, "max_calls"),
            (Access::Roles(_), Shape::Stream) => (&self.streams, "max_streams"),
        };
        places.clone().try_acquire_owned().map_err(|_| {
            Error::new(Reason::LimitExceeded, "this process has as many calls as it takes on")
                .with("limit", limit)
        })
    }
}
