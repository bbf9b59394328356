//! The master keys: what everything that the services seal or authenticate is derived from.
//!
//! They come from a file, `{"<id>": "<base64 of 32 bytes>", …}`, the same on every replica. A new key is added under an
//! id that sorts last: from then on it seals, and the older ones still open. Without the file nothing starts.

use std::{collections::BTreeMap, fmt, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::StartError;

const WHAT: &str = "master keys file";

/// At least one key, by id. `Debug` shows ids only.
#[derive(Clone)]
pub struct MasterKeys(BTreeMap<String, [u8; 32]>);

impl MasterKeys {
    pub fn read(path: &Path) -> Result<Self, StartError> {
        let text = std::fs::read_to_string(path).map_err(|source| StartError::Unreadable {
            what: WHAT,
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|problem| StartError::Unusable {
            what: WHAT,
            path: path.to_owned(),
            problem,
        })
    }

    /// The problem that it answers with never quotes a key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let texts: BTreeMap<String, String> =
            serde_json::from_str(text).map_err(|_| "not a JSON object of strings".to_owned())?;
        if texts.is_empty() {
            return Err("no key in it".to_owned());
        }
        let keys = texts.into_iter().map(|(id, key)| {
            let bytes = BASE64_STANDARD.decode(key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            bytes
                .map(|bytes| (id.clone(), bytes))
                .ok_or_else(|| format!("key {id}: not the base64 of 32 bytes"))
        });
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// The key that seals: the last in the order of ids.
    pub fn active(&self) -> (&str, &[u8; 32]) {
        let (id, key) = self.0.last_key_value().expect("`parse` refuses a file without a key");
        (id, key)
    }

    pub fn get(&self, id: &str) -> Option<&[u8; 32]> {
        self.0.get(id)
    }

    /// A key for one purpose, out of the first key in the order of ids: adding a key changes none of them. `context`
    /// names the purpose for good: `xavyo page token v1`.
    pub fn derive(&self, context: &str) -> [u8; 32] {
        let (_, key) = self.0.first_key_value().expect("`parse` refuses a file without a key");
        blake3::derive_key(context, key)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[&str]) -> MasterKeys {
        let texts: BTreeMap<_, _> = ids
            .iter()
            .map(|id| {
                let byte = id.as_bytes()[id.len() - 1];
                (*id, BASE64_STANDARD.encode([byte; 32]))
            })
            .collect();
        MasterKeys::parse(&serde_json::to_string(&texts).unwrap()).unwrap()
    }

    #[test]
    fn the_last_id_seals_and_the_older_keys_still_open() {
        let keys = keys(&["k1", "k2"]);

        assert_eq!(keys.active(), ("k2", &[b'2'; 32]));
        assert_eq!(keys.get("k1"), Some(&[b'1'; 32]));
        assert_eq!(keys.get("k3"), None);
    }

    #[test]
    fn adding_a_key_changes_no_derived_key() {
        let purpose = "xavyo test v1";

        assert_eq!(keys(&["k1"]).derive(purpose), keys(&["k1", "k2"]).derive(purpose));
        assert_ne!(keys(&["k1"]).derive(purpose), keys(&["k1"]).derive("xavyo other v1"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        for text in ["", "{}", "[]", r#"{"k1": 7}"#, r#"{"k1": "c2VjcmV0"}"#, r#"{"k1": "not base64!"}"#] {
            let problem = MasterKeys::parse(text).unwrap_err();
            assert!(!problem.contains("c2VjcmV0") && !problem.contains("base64!"), "{problem}");
        }
    }

    #[test]
    fn debug_shows_ids_only() {
        assert_eq!(format!("{:?}", keys(&["k1", "k2"])), r#"{"k1", "k2"}"#);
    }
}
