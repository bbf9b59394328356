//! Indexes from 128-bit hashes to positions.

use super::Hash;

const EMPTY: u32 = u32::MAX;

/// Positions by unique hash: an open-addressing table of four bytes a slot, at most half full. The hashes themselves
/// stay where the positions point to.
#[derive(Debug, Default)]
pub struct Table {
    slots: Vec<u32>,
    held: usize,
}

impl Table {
    pub fn with_capacity(count: usize) -> Self {
        Self { slots: vec![EMPTY; (count * 2).next_power_of_two().max(16)], held: 0 }
    }

    /// The position whose hash this is, if there is one.
    pub fn find(&self, hash: &Hash, hash_at: impl Fn(u32) -> Hash) -> Option<u32> {
        self.probe(hash)
            .map_while(|slot| Some(self.slots[slot]).filter(|at| *at != EMPTY))
            .find(|at| hash_at(*at) == *hash)
    }

    /// Adds a position. A hash that is there already keeps its first position.
    pub fn insert(&mut self, position: u32, hash_at: impl Fn(u32) -> Hash) {
        if self.held * 2 >= self.slots.len() {
            let former = std::mem::replace(self, Self::with_capacity(self.slots.len().max(8)));
            for position in former.slots.into_iter().filter(|position| *position != EMPTY) {
                self.place(position, &hash_at);
            }
        }
        self.place(position, &hash_at);
    }

    fn place(&mut self, position: u32, hash_at: &impl Fn(u32) -> Hash) {
        let hash = hash_at(position);
        let is_free = |slot: &usize| self.slots[*slot] == EMPTY || hash_at(self.slots[*slot]) == hash;
        let slot = self.probe(&hash).find(is_free).expect("half of the slots are free");
        if self.slots[slot] == EMPTY {
            self.slots[slot] = position;
            self.held += 1;
        }
    }

    /// All slots, from the hash's own on.
    fn probe(&self, hash: &Hash) -> impl Iterator<Item = usize> + use<> {
        let count = self.slots.len();
        let mut first = [0; 4];
        first.copy_from_slice(&hash[..4]);
        let home = u32::from_le_bytes(first) as usize;
        (0..count).map(move |step| (home + step) & (count - 1))
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

/// Positions by hashes that several may share: sorted once.
#[derive(Debug, Default)]
pub struct SharedIndex(Vec<(Hash, u32)>);

impl SharedIndex {
    pub fn of(mut pairs: Vec<(Hash, u32)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        pairs.shrink_to_fit();
        Self(pairs)
    }

    /// Every position of a hash, in order; the hash beside it.
    pub fn all(&self, hash: &Hash) -> &[(Hash, u32)] {
        let start = self.0.partition_point(|(other, _)| other < hash);
        let rest = &self.0[start..];
        &rest[..rest.partition_point(|(other, _)| other == hash)]
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(Hash, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::hash_of_uid;

    #[test]
    fn a_table_grows_and_keeps_the_first_position_of_a_hash() {
        let hashes: Vec<Hash> = (0..500).map(|n| hash_of_uid(&(n % 400).to_string())).collect();
        let mut table = Table::default();
        let hash_at = |position: u32| hashes[position as usize];
        (0..500).for_each(|position| table.insert(position, hash_at));
        for position in 0..400 {
            assert_eq!(table.find(&hash_at(position), hash_at), Some(position));
        }
        assert_eq!(table.find(&hash_of_uid("absent"), hash_at), None);
        assert_eq!(Table::default().find(&hash_of_uid("absent"), hash_at), None);
    }

    #[test]
    fn a_shared_index_yields_every_position_once() {
        let (a, b) = (hash_of_uid("a"), hash_of_uid("b"));
        let index = SharedIndex::of(vec![(a, 2), (b, 1), (a, 0), (a, 2)]);
        assert_eq!(index.all(&a), [(a, 0), (a, 2)]);
        assert_eq!(index.all(&hash_of_uid("c")), []);
    }
}
