//! The names of accounts, one after the other in one text.

use super::AccountRef;

/// Where an account's names stand in its roster.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    start: usize,
    uid_bytes: u32,
    /// None is no immutable id; an empty one is one.
    id_bytes: Option<u32>,
}

#[derive(Debug, Default)]
pub struct Roster {
    names: String,
}

impl Roster {
    pub fn add(&mut self, account: AccountRef<'_>) -> Entry {
        let bytes = |name: &str| u32::try_from(name.len()).expect("a name has fewer than 2^32 bytes");
        let entry = Entry {
            start: self.names.len(),
            uid_bytes: bytes(account.external_uid),
            id_bytes: account.immutable_id.map(bytes),
        };
        self.names += account.external_uid;
        self.names += account.immutable_id.unwrap_or_default();
        entry
    }

    pub fn get(&self, entry: Entry) -> AccountRef<'_> {
        let rest = &self.names[entry.start..];
        let (external_uid, rest) = rest.split_at(entry.uid_bytes as usize);
        AccountRef { external_uid, immutable_id: entry.id_bytes.map(|bytes| &rest[..bytes as usize]) }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.names.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_went_in() {
        let accounts = [("jane", Some("7")), ("", None), ("jürgen", Some(""))];
        let accounts = accounts.map(|(external_uid, immutable_id)| AccountRef { external_uid, immutable_id });
        let mut roster = Roster::default();
        let entries = accounts.map(|account| roster.add(account));
        assert_eq!(entries.map(|entry| roster.get(entry)), accounts);
    }
}
