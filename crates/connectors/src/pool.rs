//! Connections kept between calls.
//!
//! A caller takes a place, uses an idle connection or makes one, and puts it back when it is known to be good. Whatever
//! is not put back, because a call failed, timed out or was dropped, is closed by that: a connection in doubt is never
//! used again.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{self, Instant},
};
use xavyo_core::connector::{FailureKind, TargetFailure};

/// As many as the most calls at once that a connector's policy can ask for.
const MAX_CONNECTIONS: usize = 64;
/// Targets and firewalls drop idle connections, some without telling.
const MAX_IDLE: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Pool<C> {
    /// The last used is used next, so that a pool shrinks to what is needed.
    idle: Mutex<Vec<(C, Instant)>>,
    places: Semaphore,
}

/// The right to one connection.
#[derive(Debug)]
pub(crate) struct Place<'a, C> {
    pool: &'a Pool<C>,
    _permit: SemaphorePermit<'a>,
}

impl<C> Pool<C> {
    pub fn new() -> Self {
        Self { idle: Mutex::new(Vec::new()), places: Semaphore::new(MAX_CONNECTIONS) }
    }

    /// Waits until fewer than the most connections are in use.
    pub async fn place(&self, deadline: Instant) -> Result<Place<'_, C>, TargetFailure> {
        let Ok(permit) = time::timeout_at(deadline, self.places.acquire()).await else {
            let message = "every connection was in use until the time-out";
            return Err(TargetFailure::new(FailureKind::Busy, "CONNECTIONS_IN_USE", message));
        };
        Ok(Place { pool: self, _permit: permit.expect("the semaphore is never closed") })
    }

    /// Closes what was idle for too long, and hands out the rest.
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(C, Instant)>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < MAX_IDLE);
        idle
    }
}

impl<C> Place<'_, C> {
    /// A connection that was good when it was put back, and how long ago that was.
    pub fn take_idle(&self) -> Option<(C, Duration)> {
        self.pool.idle().pop().map(|(connection, since)| (connection, since.elapsed()))
    }

    pub fn put_back(self, connection: C) {
        self.pool.idle().push((connection, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn place<'a>(pool: &'a Pool<&'static str>) -> Place<'a, &'static str> {
        pool.place(Instant::now() + Duration::from_secs(1)).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_used_again_unless_it_was_idle_for_long() {
        let pool = Pool::new();
        place(&pool).await.put_back("first");
        assert_eq!(place(&pool).await.take_idle(), Some(("first", Duration::ZERO)));
        assert_eq!(place(&pool).await.take_idle(), None, "what is not put back is gone");

        place(&pool).await.put_back("second");
        time::advance(MAX_IDLE).await;
        assert_eq!(place(&pool).await.take_idle(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_every_place_taken_until_his_deadline_is_told_to_come_again() {
        let pool = Pool::<&str>::new();
        let taken = futures::future::join_all((0..MAX_CONNECTIONS).map(|_| place(&pool))).await;
        let refused = pool.place(Instant::now() + Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Busy);
        drop(taken);
        assert!(pool.place(Instant::now()).await.is_ok());
    }
}
