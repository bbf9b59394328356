//! The pairs that this process works on, one task each, and whose turn is next: tenants share the process evenly, and
//! connectors their tenant's part (Q10).

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use xavyo_core::{
    ids::{ConnectorId, TenantId},
    turns::Turns,
};

use crate::store::connector::work::Pair;

/// How long a pair is worked on before others that wait have their turn: with as many as are waiting, each has many in
/// half a minute.
pub const TURN: Duration = Duration::from_secs(1);

/// Clones share it.
#[derive(Clone, Debug)]
pub struct Busy(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    pairs: HashSet<Pair>,
    turns: Turns<TenantId, ConnectorId>,
    others_wait: bool,
}

/// Work on a pair, until it is dropped: also when it panics.
#[derive(Debug)]
pub struct Turn {
    pub pair: Pair,
    begun: Instant,
    all: Busy,
}

impl Default for Busy {
    fn default() -> Self {
        let state = State { pairs: HashSet::new(), turns: Turns::new(TURN), others_wait: false };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Busy {
    /// Begins the turn of the one of `due` that is next, and takes it out. None when all of them are being worked on.
    pub fn begin_next(&self, due: &mut Vec<Pair>) -> Option<Turn> {
        let mut state = self.state();
        due.retain(|pair| !state.pairs.contains(pair));
        let waiting: Vec<_> = due.iter().map(|pair| (pair.tenant, pair.connector)).collect();
        let (tenant, connector) = state.turns.next(&waiting)?;
        let pair = Pair { tenant, connector };
        due.retain(|one| *one != pair);
        state.pairs.insert(pair);
        state.turns.begin((tenant, connector));
        Some(Turn { pair, begun: Instant::now(), all: self.clone() })
    }

    /// Begins work on this very pair. None when it is being worked on.
    pub fn begin(&self, pair: Pair) -> Option<Turn> {
        self.begin_next(&mut vec![pair])
    }

    /// What the last look for work found.
    pub fn set_others_wait(&self, others_wait: bool) {
        self.state().others_wait = others_wait;
    }

    /// Whether a pair that has been worked on for so long gives way.
    pub fn is_turn_over(&self, worked: Duration) -> bool {
        worked >= TURN && self.state().others_wait
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.all.state();
        state.pairs.remove(&self.pair);
        state.turns.end((self.pair.tenant, self.pair.connector), self.begun.elapsed());
    }
}
