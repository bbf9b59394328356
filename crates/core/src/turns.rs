//! Whose turn it is: tenants share the work of a process evenly, however many connectors each has, and connectors share
//! their tenant's.
//!
//! Weighted round-robin by time worked: the tenant that has had least is next. Who was idle begins where the others are:
//! nothing is saved up. Across processes nothing needs to be agreed: what is even in each is even in all.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// The account of one process. `T` names tenants, `C` connectors.
#[derive(Clone, Debug)]
pub struct Turns<T, C> {
    tenants: Round<T>,
    connectors: HashMap<T, Round<C>>,
    /// The longest turn: what a turn under way may still take.
    turn: Duration,
}

/// Those that share something, and what each has had of it.
#[derive(Clone, Debug)]
struct Round<K> {
    taken: HashMap<K, Taken>,
    /// What the last one that began had had by then: who was idle begins here.
    reached: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    time: Duration,
    under_way: u32,
}

/// Of more tenants than this, those without a turn under way are forgotten: as if they had been idle.
const MOST_KNOWN: usize = 10_000;

impl<T: Copy + Eq + Hash, C: Copy + Eq + Hash> Turns<T, C> {
    pub fn new(turn: Duration) -> Self {
        Self { tenants: Round::default(), connectors: HashMap::new(), turn }
    }

    /// Of those that have work, the one whose turn it is: of the tenant that has had least, the connector that has; in the
    /// order given where that is even.
    pub fn next(&self, waiting: &[(T, C)]) -> Option<(T, C)> {
        let (tenant, _) =
            waiting.iter().min_by_key(|(tenant, _)| self.tenants.standing(tenant, self.turn))?;
        let of_tenant = waiting.iter().filter(|(of, _)| of == tenant);
        let standing = |connector| {
            self.connectors.get(tenant).map_or(Duration::ZERO, |round| round.standing(connector, self.turn))
        };
        of_tenant.min_by_key(|(_, connector)| standing(connector)).copied()
    }

    /// A turn begins.
    pub fn begin(&mut self, (tenant, connector): (T, C)) {
        if self.connectors.len() > MOST_KNOWN {
            self.tenants.taken.retain(|_, taken| taken.under_way > 0);
            self.connectors.retain(|tenant, _| self.tenants.taken.contains_key(tenant));
        }
        self.tenants.begin(tenant);
        self.connectors.entry(tenant).or_default().begin(connector);
    }

    /// It ends, after so long.
    pub fn end(&mut self, (tenant, connector): (T, C), worked: Duration) {
        self.tenants.end(&tenant, worked);
        if let Some(round) = self.connectors.get_mut(&tenant) {
            round.end(&connector, worked);
        }
    }
}

impl<K: Eq + Hash> Round<K> {
    /// What one has had, and what its turns under way may come to.
    fn standing(&self, key: &K, turn: Duration) -> Duration {
        match self.taken.get(key) {
            Some(taken) if taken.under_way > 0 => taken.time + turn * taken.under_way,
            Some(taken) => taken.time.max(self.reached),
            None => self.reached,
        }
    }

    fn begin(&mut self, key: K) {
        let taken = self.taken.entry(key).or_default();
        if taken.under_way == 0 {
            taken.time = taken.time.max(self.reached);
            self.reached = taken.time;
        }
        taken.under_way += 1;
    }

    fn end(&mut self, key: &K, worked: Duration) {
        if let Some(taken) = self.taken.get_mut(key) {
            taken.under_way = taken.under_way.saturating_sub(1);
            taken.time += worked;
        }
    }
}

impl<K> Default for Round<K> {
    fn default() -> Self {
        Self { taken: HashMap::new(), reached: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const TURN: Duration = Duration::from_secs(1);

    /// Tenants of which the first has twenty connectors and every other one.
    fn unlike(tenants: u32) -> Vec<(u32, u32)> {
        (0..20).map(|connector| (0, connector)).chain((1..tenants).map(|tenant| (tenant, 0))).collect()
    }

    /// So many places work for so many turns; all pairs always have work. The turns that each tenant had.
    fn worked(pairs: &[(u32, u32)], places: usize, steps: usize) -> BTreeMap<u32, usize> {
        let mut turns = Turns::new(TURN);
        let mut had = BTreeMap::new();
        for _ in 0..steps {
            let mut waiting = pairs.to_vec();
            let under_way: Vec<(u32, u32)> = (0..places)
                .map_while(|_| {
                    let next = turns.next(&waiting)?;
                    turns.begin(next);
                    waiting.retain(|pair| *pair != next);
                    Some(next)
                })
                .collect();
            for pair in under_way {
                turns.end(pair, TURN);
                *had.entry(pair.0).or_default() += 1;
            }
        }
        had
    }

    #[test]
    fn each_of_many_tenants_gets_at_least_half_its_share_in_thirty_seconds_q10() {
        for (tenants, places) in [(2, 1), (3, 1), (8, 1), (15, 1), (2, 2), (5, 4), (100, 16)] {
            let had = worked(&unlike(tenants), places, 30);
            for tenant in 0..tenants {
                let turns = had.get(&tenant).copied().unwrap_or(0);
                assert!(turns * 2 * tenants as usize >= 30 * places, "{tenant} of {tenants}: {had:?}");
            }
        }
    }

    #[test]
    fn in_the_long_run_shares_are_even_q10() {
        let had = worked(&unlike(10), 4, 1_000);
        assert!(had.values().all(|turns| (395..=405).contains(turns)), "{had:?}");
    }

    #[test]
    fn connectors_of_a_tenant_take_turns() {
        let mut turns = Turns::new(TURN);
        let pairs = [(1, 1), (1, 2), (1, 3)];
        let mut order = Vec::new();
        for _ in 0..6 {
            let next = turns.next(&pairs).unwrap();
            turns.begin(next);
            turns.end(next, TURN);
            order.push(next.1);
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn who_was_idle_saves_nothing_up_and_short_turns_cost_little() {
        let mut turns = Turns::new(TURN);
        for _ in 0..100 {
            turns.begin((1, 1));
            turns.end((1, 1), TURN);
        }
        turns.begin((1, 1));
        turns.begin((2, 1));
        turns.end((2, 1), Duration::from_millis(10));
        turns.end((1, 1), TURN);
        let mut first = 0;
        for _ in 0..10 {
            let next = turns.next(&[(1, 1), (2, 1)]).unwrap();
            turns.begin(next);
            turns.end(next, TURN);
            first += u32::from(next.0 == 1);
        }
        assert!((4..=5).contains(&first), "{first} of ten");
    }
}
