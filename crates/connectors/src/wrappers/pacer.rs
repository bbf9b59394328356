//! When a call may begin: places for calls at once, moments for their beginnings.
//!
//! A process that has the target to itself has a [`Pacer::fixed`] pace. Where several share one, each call waits for what
//! a [`Source`] grants, a moment's worth at a time; no call begins after the grant has ended.

use std::{
    fmt::Debug,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

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
    pub under_way: u32,
    pub waiting: u32,
    /// A call waits, and no moment is left at which it may begin.
    pub lacks_moments: bool,
}

/// Until when how many calls may be under way, and when they may begin.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub places: u32,
    pub until: Instant,
    pub beginnings: Beginnings,
}

#[derive(Clone, Copy, Debug)]
pub enum Beginnings {
    /// As soon as there is a place.
    AtOnce,
    /// At these moments, evenly spread. `count` may be 0: others are asked for then.
    At { first: Instant, count: u32, interval: Duration },
}

/// A grant that gives no place is asked for again after so long.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How many calls may begin in the next second where nothing limits it.
pub const UNLIMITED: u32 = u32::MAX;

/// How far ahead a fixed pace lays out its moments.
const FIXED_MOMENTS: u32 = 1_000;

#[derive(Debug)]
pub struct Pacer {
    source: Arc<dyn Source>,
    /// Calls wait in the order in which they came: the first of them asks and waits for all.
    line: tokio::sync::Mutex<()>,
    waiting: AtomicU32,
    state: Mutex<State>,
    /// A call has ended.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    under_way: u32,
    grant: Option<Grant>,
    granted_at: Instant,
    /// When the last call began or ended.
    used_at: Instant,
}

/// A call under way, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    pacer: Arc<Pacer>,
}

/// What the first in line does next.
enum Next {
    Begin,
    Ask,
    /// Until a call ends, or then at the latest.
    WaitForEnd(Instant),
    WaitUntil(Instant),
}

impl Pacer {
    pub fn new(source: Arc<dyn Source>) -> Self {
        let now = Instant::now();
        let state = State { under_way: 0, grant: None, granted_at: now, used_at: now };
        Self {
            source,
            line: tokio::sync::Mutex::default(),
            waiting: AtomicU32::default(),
            state: Mutex::new(state),
            ended: Notify::new(),
        }
    }

    /// For one process alone.
    pub fn fixed(pace: Pace) -> Self {
        Self::new(Arc::new(Fixed { pace, next: Mutex::new(Instant::now()) }))
    }

    /// Waits for a place and a moment.
    pub async fn turn(self: &Arc<Self>) -> Turn {
        let waiting = Waiting::new(&self.waiting);
        let _first = self.line.lock().await;
        self.moment(true).await;
        drop(waiting);
        Turn { pacer: Arc::clone(self) }
    }

    /// For a call that goes on in its place: another page.
    pub async fn another_moment(&self) {
        let _first = self.line.lock().await;
        self.moment(false).await;
    }

    /// How many calls may begin in the next second, those that wait already among them. 0 = others have all places.
    pub async fn ahead(&self) -> u32 {
        if let Some(ahead) = self.calls_ahead() {
            return ahead;
        }
        let _waiting = Waiting::new(&self.waiting);
        let _first = self.line.lock().await;
        if self.calls_ahead().is_none() {
            self.ask().await;
        }
        self.calls_ahead().unwrap_or(0)
    }

    /// Whether calls are held to a rate, as far as the last grant said.
    pub fn is_limited(&self) -> bool {
        matches!(self.state().grant.map(|grant| grant.beginnings), Some(Beginnings::At { .. }))
    }

    fn calls_ahead(&self) -> Option<u32> {
        let state = self.state();
        let grant = state.grant.filter(|grant| Instant::now() < grant.until && grant.places > 0)?;
        match grant.beginnings {
            Beginnings::AtOnce => Some(UNLIMITED),
            Beginnings::At { count: 0, .. } => None,
            Beginnings::At { interval, .. } => {
                let in_a_second = Duration::from_secs(1).as_nanos() / interval.as_nanos().max(1);
                Some(u32::try_from(in_a_second).unwrap_or(UNLIMITED).max(1))
            }
        }
    }

    async fn moment(&self, takes_place: bool) {
        loop {
            let ended = self.ended.notified();
            match self.next(takes_place) {
                Next::Begin => return,
                Next::Ask => self.ask().await,
                Next::WaitUntil(at) => time::sleep_until(at).await,
                Next::WaitForEnd(latest) => drop(time::timeout_at(latest, ended).await),
            }
        }
    }

    fn next(&self, takes_place: bool) -> Next {
        let now = Instant::now();
        let mut state = self.state();
        let asked_at = state.granted_at;
        let State { under_way, grant, used_at, .. } = &mut *state;
        let under_way_then = *under_way + u32::from(takes_place);
        let Some(grant) = grant.as_mut().filter(|grant| now < grant.until) else { return Next::Ask };
        if takes_place && under_way_then > grant.places {
            let latest = if *under_way == 0 { grant.until.min(asked_at + ASK_AGAIN) } else { grant.until };
            return if latest <= now { Next::Ask } else { Next::WaitForEnd(latest) };
        }
        if let Beginnings::At { first, count, interval } = &mut grant.beginnings {
            // A moment that has been missed by a whole interval is lost: the next one's turn has come.
            while *count > 0 && *first + *interval <= now && !interval.is_zero() {
                *first += *interval;
                *count -= 1;
            }
            if *count == 0 {
                return Next::Ask;
            }
            if *first > now {
                return Next::WaitUntil(*first);
            }
            *first += *interval;
            *count -= 1;
        }
        if takes_place {
            *under_way = under_way_then;
        }
        *used_at = now;
        Next::Begin
    }

    /// For the first in line only: what is under way can then only become less until the answer is there.
    async fn ask(&self) {
        let Some(grant) = self.source.grant(self.need()).await else { return time::sleep(ASK_AGAIN).await };
        let mut state = self.state();
        let left = state.grant.map(|old| old.beginnings);
        let beginnings = match (grant.beginnings, left) {
            // None was asked for: those that are left are still ours.
            (Beginnings::At { count: 0, .. }, Some(left @ Beginnings::At { .. })) => left,
            (granted, _) => granted,
        };
        state.grant = Some(Grant { beginnings, ..grant });
        state.granted_at = Instant::now();
    }

    /// Keeps a grant alive, and lets others have what is not needed. Where calls are in line, the first of them asks.
    pub async fn renew(&self) {
        let Ok(_first) = self.line.try_lock() else { return };
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
        let held = {
            let mut state = self.state();
            if state.under_way > 0 {
                return false;
            }
            state.grant.take()
        };
        if held.is_some() {
            self.source.leave().await;
        }
        true
    }

    fn need(&self) -> Need {
        let state = self.state();
        let waiting = self.waiting.load(Ordering::Acquire);
        let has_moments = match state.grant.map(|grant| grant.beginnings) {
            Some(Beginnings::At { count, .. }) => count > 0,
            Some(Beginnings::AtOnce) | None => false,
        };
        Need { under_way: state.under_way, waiting, lacks_moments: waiting > 0 && !has_moments }
    }

    /// Since when no call has begun or ended; zero while one is under way.
    pub fn idle_for(&self) -> Duration {
        let state = self.state();
        if state.under_way > 0 { Duration::ZERO } else { state.used_at.elapsed() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.pacer.state();
        state.under_way -= 1;
        state.used_at = Instant::now();
        drop(state);
        self.pacer.ended.notify_one();
    }
}

/// Counted while it waits, also when its caller gives up.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The pace of a process that is alone.
#[derive(Debug)]
struct Fixed {
    pace: Pace,
    next: Mutex<Instant>,
}

#[async_trait]
impl Source for Fixed {
    async fn grant(&self, _: Need) -> Option<Grant> {
        let now = Instant::now();
        let beginnings = match self.pace.per_second {
            None => Beginnings::AtOnce,
            Some(rate) => {
                let interval = Duration::from_secs(1) / rate.max(1);
                let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
                let first = (*next).max(now);
                *next = first + interval * FIXED_MOMENTS;
                Beginnings::At { first, count: FIXED_MOMENTS, interval }
            }
        };
        Some(Grant { places: self.pace.at_once.max(1), until: now + Duration::from_hours(24), beginnings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grants what it is told, in that order, and keeps what was needed.
    #[derive(Debug, Default)]
    struct Told {
        grants: Mutex<Vec<Option<Grant>>>,
        needs: Mutex<Vec<Need>>,
    }

    #[async_trait]
    impl Source for Told {
        async fn grant(&self, need: Need) -> Option<Grant> {
            self.needs.lock().unwrap().push(need);
            self.grants.lock().unwrap().pop().flatten()
        }
    }

    fn told(mut grants: Vec<Option<Grant>>) -> (Arc<Pacer>, Arc<Told>) {
        grants.reverse();
        let told = Arc::new(Told { grants: Mutex::new(grants), needs: Mutex::default() });
        (Arc::new(Pacer::new(told.clone())), told)
    }

    fn grant(places: u32, seconds: u64, beginnings: Beginnings) -> Option<Grant> {
        Some(Grant { places, until: Instant::now() + Duration::from_secs(seconds), beginnings })
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_begins_after_its_grant_or_without_a_place_q11() {
        let (at_once, start) = (Beginnings::AtOnce, Instant::now());
        let (pacer, told) =
            told(vec![grant(1, 1, at_once), None, grant(0, 9, at_once), grant(1, 9, at_once)]);
        drop(pacer.turn().await);
        time::advance(Duration::from_secs(1)).await;
        drop(pacer.turn().await);
        assert_eq!(start.elapsed(), Duration::from_millis(1_200), "twice a little later");
        assert_eq!(told.needs.lock().unwrap().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_that_was_missed_is_lost_q11() {
        let interval = Duration::from_millis(100);
        let moments = |first, count| Beginnings::At { first, count, interval };
        let start = Instant::now();
        let late = start + Duration::from_secs(3);
        let (pacer, _) = told(vec![grant(9, 10, moments(start, 5)), grant(9, 10, moments(late, 1))]);
        assert_eq!(pacer.ahead().await, 10);
        time::advance(Duration::from_millis(450)).await;
        drop(pacer.turn().await);
        assert_eq!(start.elapsed(), Duration::from_millis(450), "the fifth is still there");
        drop(pacer.turn().await);
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_asks_for_no_moment_and_keeps_those_that_are_left() {
        let interval = Duration::from_millis(100);
        let moments = |count| Beginnings::At { first: Instant::now(), count, interval };
        let (pacer, told) = told(vec![grant(2, 9, moments(5)), grant(1, 9, moments(0))]);
        drop(pacer.turn().await);
        pacer.renew().await;
        assert!(!told.needs.lock().unwrap()[1].lacks_moments);
        drop(pacer.turn().await);
        assert_eq!(told.needs.lock().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_lets_go_only_while_nothing_is_under_way() {
        let (pacer, _) = told(vec![grant(1, 9, Beginnings::AtOnce)]);
        let turn = pacer.turn().await;
        assert!(!pacer.let_go().await);
        assert_eq!(pacer.ahead().await, UNLIMITED, "the place is ours, though it is taken");
        drop(turn);
        assert!(pacer.let_go().await);
    }
}
