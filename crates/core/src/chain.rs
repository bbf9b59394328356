//! Chains of hashes: an append-only log in which nothing can be altered, left out or moved unseen.
//!
//! Each entry's link is a keyed BLAKE3 hash over the link before it and the entry itself. Without the key, which is not in
//! the database, no chain can be laid anew. What a chain cannot show is that its end was cut off: whoever fears that
//! keeps the last hash elsewhere.

use serde::Serialize;

use crate::error::{Error, Result};

/// An entry's hash.
pub type Link = [u8; 32];

/// What stands before the first entry.
pub const ORIGIN: Link = [0; 32];

/// Makes the links of one kind of log.
#[derive(Clone)]
pub struct Chain {
    key: [u8; 32],
}

/// An entry's place in the chain, as it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// 1, 2, 3 … without a gap.
    pub position: i64,
    pub previous_hash: Link,
    pub hash: Link,
}

/// Walks along a chain and stops at the first entry that is not as it was sealed.
#[derive(Clone, Debug)]
pub struct Walk {
    chain: Chain,
    position: i64,
    last: Link,
}

impl Chain {
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The entry behind `last`: none = the first. Equal entries serialise equally: structs, sorted maps.
    pub fn seal(&self, last: Option<&Seal>, entry: &impl Serialize) -> Result<Seal> {
        let (position, previous_hash) = last.map_or((1, ORIGIN), |last| (last.position + 1, last.hash));
        Ok(Seal { position, previous_hash, hash: self.link(position, &previous_hash, entry)? })
    }

    /// Begins behind `last`: none = with the first entry.
    pub fn walk(&self, last: Option<&Seal>) -> Walk {
        let (position, last) = last.map_or((0, ORIGIN), |last| (last.position, last.hash));
        Walk { chain: self.clone(), position, last }
    }

    fn link(&self, position: i64, previous: &Link, entry: &impl Serialize) -> Result<Link> {
        let entry = serde_json::to_vec(entry).map_err(Error::internal)?;
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&position.to_le_bytes());
        hasher.update(previous);
        hasher.update(&entry);
        Ok(*hasher.finalize().as_bytes())
    }
}

impl Walk {
    /// Whether this is the next entry of the chain, and as it was sealed.
    pub fn step(&mut self, seal: &Seal, entry: &impl Serialize) -> Result<bool> {
        let follows = seal.position == self.position + 1 && seal.previous_hash == self.last;
        let is_whole = follows && self.chain.link(seal.position, &seal.previous_hash, entry)? == seal.hash;
        (self.position, self.last) = (seal.position, seal.hash);
        Ok(is_whole)
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chain(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: Chain = Chain { key: [7; 32] };

    fn laid(entries: &[&str]) -> Vec<(Seal, String)> {
        let mut laid: Vec<(Seal, String)> = Vec::new();
        for entry in entries {
            let last = laid.last().map(|(seal, _)| *seal);
            laid.push((CHAIN.seal(last.as_ref(), entry).unwrap(), (*entry).to_owned()));
        }
        laid
    }

    /// Where the walk along these entries stops.
    fn broken_at(chain: &[(Seal, String)]) -> Option<usize> {
        let mut walk = CHAIN.walk(None);
        chain.iter().position(|(seal, entry)| !walk.step(seal, entry).unwrap())
    }

    #[test]
    fn a_chain_is_whole_from_any_entry_on() {
        let chain = laid(&["a", "b", "c"]);
        assert_eq!(broken_at(&chain), None);
        let mut from_the_second = CHAIN.walk(Some(&chain[0].0));
        assert!(chain[1..].iter().all(|(seal, entry)| from_the_second.step(seal, entry).unwrap()));
    }

    #[test]
    fn altered_missing_moved_and_foreign_entries_are_found() {
        let chain = laid(&["a", "b", "c", "d"]);
        let mut altered = chain.clone();
        altered[1].1 = "x".to_owned();
        assert_eq!(broken_at(&altered), Some(1));

        let mut missing = chain.clone();
        missing.remove(2);
        assert_eq!(broken_at(&missing), Some(2));

        let mut moved = chain.clone();
        moved.swap(1, 2);
        assert_eq!(broken_at(&moved), Some(1));
        assert_eq!(broken_at(&chain[1..]), Some(0), "the beginning is missing");

        // Whoever alters an entry and lays the rest anew, without the key.
        let mut forged = chain;
        forged[1] = (Chain { key: [8; 32] }.seal(Some(&forged[0].0), &"x").unwrap(), "x".to_owned());
        assert_eq!(broken_at(&forged), Some(1));
    }
}
