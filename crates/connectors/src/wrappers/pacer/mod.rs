//! When a call may begin: places for what is under way at once, moments for beginnings.
//!
//! A process that has the target to itself has a [`Pacer::fixed`] pace. Where several share one, each waits for what a
//! [`Source`] grants, a second's worth at a time; no call begins after the grant has ended.
//!
//! Who has a place takes moments in it, one a call: [`Pacer::place`], then [`Pacer::moment`].

mod fixed;
mod grant;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{self, Instant},
};

use self::fixed::Fixed;
pub use self::grant::{Grant, Moments, Need, Pace, Rate, Source};

/// A grant that gives no place, or no moment, is asked for again after so long.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How many calls may begin in the next second where nothing limits it.
pub const UNLIMITED: u32 = u32::MAX;

#[derive(Debug)]
pub struct Pacer {
    source: Arc<dyn Source>,
    /// Places are taken in the order in which they were asked for: the first in line asks and waits for all.
    line: tokio::sync::Mutex<()>,
    in_line: AtomicU32,
    want_moments: AtomicU32,
    /// Held while a grant is asked for.
    asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// A place is free again.
    freed: Notify,
}

#[derive(Debug)]
struct State {
    taken: u32,
    grant: Option<Grant>,
    granted_at: Instant,
    /// Moments were asked for, too.
    had_asked_for_moments: bool,
    /// A grant is asked for: until it is there, what is taken only becomes less.
    is_asking: bool,
    /// When a place was last taken or given back.
    used_at: Instant,
}

/// A place taken, until it is dropped.
#[derive(Debug)]
pub struct Place {
    pacer: Arc<Pacer>,
}

/// What somebody who waits does next.
enum Next {
    Begin,
    Ask,
    /// Somebody asks.
    WaitForAnswer,
    /// Until a place is free, or then at the latest.
    WaitForPlace(Instant),
    WaitUntil(Instant),
}

impl Pacer {
    pub fn new(source: Arc<dyn Source>) -> Self {
        let now = Instant::now();
        let state = State {
            taken: 0,
            grant: None,
            granted_at: now,
            had_asked_for_moments: false,
            is_asking: false,
            used_at: now,
        };
        Self {
            source,
            line: tokio::sync::Mutex::default(),
            in_line: AtomicU32::default(),
            want_moments: AtomicU32::default(),
            asking: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
            freed: Notify::new(),
        }
    }

    /// For one process alone.
    pub fn fixed(pace: Pace) -> Self {
        Self::new(Arc::new(Fixed::new(pace)))
    }

    /// Waits for a place.
    pub async fn place(self: &Arc<Self>) -> Place {
        let _in_line = Counted::new(&self.in_line);
        let _first = self.line.lock().await;
        self.wait(Self::next_for_place).await;
        Place { pacer: Arc::clone(self) }
    }

    /// Waits for the moment at which a call may begin in a place.
    pub async fn moment(&self) {
        let _wanted = Counted::new(&self.want_moments);
        self.wait(Self::next_for_moment).await;
    }

    /// How many calls may begin in the next second, those that wait already among them. 0 = others have all places.
    pub async fn ahead(&self) -> u32 {
        if let Some(ahead) = self.calls_ahead() {
            return ahead;
        }
        let _in_line = Counted::new(&self.in_line);
        self.ask().await;
        self.calls_ahead().unwrap_or(0)
    }

    /// Whether calls are held to a rate, as far as the last grant said.
    pub fn is_limited(&self) -> bool {
        self.state().grant.is_some_and(|grant| grant.rate.is_some())
    }

    /// Keeps a grant alive, and lets others have what is not needed.
    pub async fn renew(&self) {
        if self.state().grant.is_some() {
            self.ask().await;
        }
    }

    /// The next call asks anew: what was granted no longer holds.
    pub fn expire(&self) {
        self.state().grant = None;
    }

    /// Gives everything back, unless it is needed. True = nothing is held now.
    pub async fn let_go(&self) -> bool {
        let Ok(_first) = self.line.try_lock() else { return false };
        let _only = self.asking.lock().await;
        let held = {
            let mut state = self.state();
            if state.taken > 0 {
                return false;
            }
            state.grant.take()
        };
        if held.is_some() {
            self.source.leave().await;
        }
        true
    }

    /// Since when no place was taken or given back; zero while one is taken.
    pub fn idle_for(&self) -> Duration {
        let state = self.state();
        if state.taken > 0 { Duration::ZERO } else { state.used_at.elapsed() }
    }

    async fn wait(&self, next: impl Fn(&Self) -> Next) {
        loop {
            let freed = self.freed.notified();
            match next(self) {
                Next::Begin => return,
                Next::Ask => self.ask().await,
                Next::WaitForAnswer => drop(self.asking.lock().await),
                Next::WaitForPlace(latest) => drop(time::timeout_at(latest, freed).await),
                Next::WaitUntil(at) => time::sleep_until(at).await,
            }
        }
    }

    fn next_for_place(&self) -> Next {
        let now = Instant::now();
        let mut state = self.state();
        if state.is_asking {
            return Next::WaitForAnswer;
        }
        let Some(grant) = state.grant.filter(|grant| now < grant.until) else { return Next::Ask };
        if state.taken < grant.places {
            state.taken += 1;
            state.used_at = now;
            return Next::Begin;
        }
        let again = state.granted_at + ASK_AGAIN;
        let latest = if state.taken == 0 { grant.until.min(again) } else { grant.until };
        if latest <= now { Next::Ask } else { Next::WaitForPlace(latest) }
    }

    fn next_for_moment(&self) -> Next {
        let now = Instant::now();
        let mut state = self.state();
        let again = if state.had_asked_for_moments { state.granted_at + ASK_AGAIN } else { now };
        let is_asking = state.is_asking;
        let Some(grant) = state.grant.as_mut().filter(|grant| now < grant.until) else { return Next::Ask };
        let Some(rate) = &mut grant.rate else { return Next::Begin };
        let Some(moments) = rate.moments.as_mut().filter(|moments| moments.count > 0) else {
            return if is_asking || again <= now { Next::Ask } else { Next::WaitUntil(again) };
        };
        // A moment that has been missed by a whole interval is lost: the next one's turn has come.
        while moments.count > 0 && moments.first + moments.interval <= now && !moments.interval.is_zero() {
            moments.pass();
        }
        match (moments.count, moments.first) {
            (0, _) => Next::Ask,
            (_, first) if first > now => Next::WaitUntil(first),
            _ => {
                moments.pass();
                Next::Begin
            }
        }
    }

    fn calls_ahead(&self) -> Option<u32> {
        let grant = self.state().grant.filter(|grant| Instant::now() < grant.until && grant.places > 0)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 1..=1,000,000"
        )]
        Some(grant.rate.map_or(UNLIMITED, |rate| rate.per_second.clamp(1.0, 1_000_000.0) as u32))
    }

    async fn ask(&self) {
        let _only = self.asking.lock().await;
        let mut asking = Asking::begin(self);
        let Some(grant) = self.source.grant(asking.need).await else {
            drop(asking);
            return time::sleep(ASK_AGAIN).await;
        };
        asking.is_answered = true;
        let mut state = self.state();
        let left = state.grant.and_then(|old| old.rate?.moments).filter(|left| left.count > 0);
        // Where none was asked for, those that are left are still ours.
        let rate = grant.rate.map(|rate| Rate { moments: rate.moments.or(left), ..rate });
        state.grant = Some(Grant { rate, ..grant });
        state.granted_at = Instant::now();
        state.had_asked_for_moments = asking.need.lacks_moments;
    }

    fn need(&self, state: &State) -> Need {
        let moments = state.grant.and_then(|grant| grant.rate?.moments);
        let has_moments = moments.is_some_and(|moments| moments.count > 0);
        Need {
            under_way: state.taken,
            waiting: self.in_line.load(Ordering::Acquire),
            lacks_moments: self.want_moments.load(Ordering::Acquire) > 0 && !has_moments,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.pacer.state();
        state.taken -= 1;
        state.used_at = Instant::now();
        drop(state);
        self.pacer.freed.notify_one();
    }
}

/// Nobody takes a place while it lasts. Without an answer nobody knows what is ours: then nothing is.
struct Asking<'a> {
    pacer: &'a Pacer,
    need: Need,
    is_answered: bool,
}

impl<'a> Asking<'a> {
    fn begin(pacer: &'a Pacer) -> Self {
        let mut state = pacer.state();
        state.is_asking = true;
        Self { pacer, need: pacer.need(&state), is_answered: false }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut state = self.pacer.state();
        state.is_asking = false;
        if !self.is_answered {
            state.grant = None;
        }
    }
}

/// Counted while it waits, also when its caller gives up.
struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
