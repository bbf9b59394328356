//! Digests: 128 bits that are equal exactly when what they stand for is, so that a million unchanged accounts are
//! compared without their attributes.
//!
//! Stored beside links and sent between the services: the same input gives the same digest on every machine and in
//! every version of the same name.

mod attributes;

use std::fmt;

pub use attributes::{actual, expected};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The first 128 bits of a BLAKE3 hash. Shown as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 16]);

/// Feeds parts into a digest so that their borders count: `("ab", "c")` is not `("a", "bc")`.
#[derive(Debug)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// `name` keeps digests of different meanings and versions apart.
    pub fn new(name: &'static str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.text(name);
        hasher
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).expect("a length fits 64 bits");
        self.0.update(&length.to_le_bytes());
        self.0.update(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Nothing is not the same as something empty.
    pub fn optional(&mut self, bytes: Option<&[u8]>) {
        self.0.update(&[u8::from(bytes.is_some())]);
        if let Some(bytes) = bytes {
            self.bytes(bytes);
        }
    }

    /// Parts whose order, and number of repetitions, does not count.
    pub fn set<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) {
        let mut parts: Vec<&[u8]> = parts.collect();
        parts.sort_unstable();
        parts.dedup();
        self.bytes(&parts.len().to_le_bytes());
        for part in parts {
            self.bytes(part);
        }
    }

    pub fn finish(&self) -> Digest {
        let mut first = [0; 16];
        first.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        Digest(first)
    }
}

impl Digest {
    /// Reads 32 hex digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u128::from_str_radix(hex, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = String::deserialize(deserializer)?;
        Self::from_hex(&hex).ok_or_else(|| de::Error::custom("expected 32 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str]) -> Digest {
        let mut hasher = Hasher::new("test");
        for part in parts {
            hasher.text(part);
        }
        hasher.finish()
    }

    #[test]
    fn the_borders_of_parts_count() {
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
    }

    #[test]
    fn a_digest_survives_its_hex_form() {
        let digest = of(&["x"]);
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex("+0000000000000000000000000000000"), None);
    }
}
