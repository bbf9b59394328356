//! What a store holds: generated accounts by their number, those written since, and those made since.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use xavyo_core::value::Value;

use super::{
    generator::Generator,
    ledger::{Entry, Record},
};
use crate::ALL_ATTRIBUTES;

#[derive(Debug, Default)]
pub(super) struct Accounts {
    generator: Generator,
    /// Generated accounts that were written; None = deleted or renamed away from their number.
    written: BTreeMap<u64, Option<Arc<Record>>>,
    /// All others, by uid.
    made: BTreeMap<String, Arc<Record>>,
    made_uids: HashMap<String, String>,
}

/// Where a page begins.
#[derive(Clone, Debug)]
pub(super) enum Cursor {
    Generated(u64),
    MadeAfter(String),
}

impl Cursor {
    pub const START: Self = Self::Generated(0);
}

impl Accounts {
    pub fn generated_by(generator: Generator) -> Self {
        Self { generator, ..Self::default() }
    }

    /// Makes what an entry says so.
    pub fn apply(&mut self, entry: &Entry) {
        if !entry.took_effect() {
            return;
        }
        if let Some(id) = &entry.immutable_id {
            self.remove(id);
        }
        if let Some(record) = &entry.after {
            self.put(record.clone());
        }
    }

    pub fn by_uid(&self, uid: &str) -> Option<Arc<Record>> {
        self.made.get(uid).cloned().or_else(|| self.slot(self.generator.slot_of_uid(uid)?))
    }

    pub fn by_id(&self, immutable_id: &str) -> Option<Arc<Record>> {
        match self.made_uids.get(immutable_id) {
            Some(uid) => self.made.get(uid).cloned(),
            None => self.slot(self.generator.slot_of_id(immutable_id)?),
        }
    }

    /// Accounts that satisfy the predicate, at most `limit` of them, and where the next page begins.
    pub fn page(
        &self,
        from: Cursor,
        limit: usize,
        object_class: &str,
        wanted: &[String],
    ) -> (Vec<Arc<Record>>, Option<Cursor>) {
        let mut page = Vec::with_capacity(limit);
        let after = match from {
            Cursor::Generated(mut index) => {
                while index < self.generator.count {
                    if page.len() == limit {
                        return (page, Some(Cursor::Generated(index)));
                    }
                    page.extend(self.shown(index, wanted));
                    index += 1;
                }
                Bound::Unbounded
            }
            Cursor::MadeAfter(uid) => Bound::Excluded(uid),
        };
        for (uid, record) in self.made.range((after, Bound::Unbounded)) {
            if record.is_of(object_class) {
                page.push(record.clone());
            }
            if page.len() >= limit {
                return (page, Some(Cursor::MadeAfter(uid.clone())));
            }
        }
        (page, None)
    }

    /// Accounts whose attribute holds the value; `external_uid` names the uid. At most `limit`.
    pub fn find(&self, object_class: &str, attribute: &str, value: &Value, limit: usize) -> Vec<Arc<Record>> {
        if attribute == "external_uid" {
            let found = self.by_uid(&value.to_text()).filter(|record| record.is_of(object_class));
            return found.into_iter().collect();
        }
        let holds = |record: &&Arc<Record>| {
            record.is_of(object_class)
                && record.attributes.get(attribute).is_some_and(|held| held.contains(value))
        };
        let written = self.written.values().flatten();
        let mut found: Vec<_> =
            written.chain(self.made.values()).filter(holds).take(limit).cloned().collect();
        let candidates = self.generator.slots_of_value(attribute, value);
        let untouched = candidates
            .filter(|index| !self.written.contains_key(index))
            .filter(|index| self.generator.values(*index, attribute).contains(value));
        found.extend(untouched.take(limit.saturating_sub(found.len())).filter_map(|index| self.slot(index)));
        found
    }

    fn put(&mut self, record: Arc<Record>) {
        match self.generator.slot_of_id(&record.immutable_id) {
            Some(index) if Generator::uid(index) == record.external_uid => {
                self.written.insert(index, Some(record));
            }
            slot => {
                if let Some(index) = slot {
                    self.written.insert(index, None);
                }
                self.made_uids.insert(record.immutable_id.clone(), record.external_uid.clone());
                self.made.insert(record.external_uid.clone(), record);
            }
        }
    }

    fn remove(&mut self, immutable_id: &str) {
        if let Some(uid) = self.made_uids.remove(immutable_id) {
            self.made.remove(&uid);
        } else if let Some(index) = self.generator.slot_of_id(immutable_id) {
            self.written.insert(index, None);
        }
    }

    fn slot(&self, index: u64) -> Option<Arc<Record>> {
        self.shown(index, &[ALL_ATTRIBUTES.to_owned()])
    }

    fn shown(&self, index: u64, wanted: &[String]) -> Option<Arc<Record>> {
        match self.written.get(&index) {
            Some(written) => written.clone(),
            None => Some(Arc::new(Record {
                object_class: String::new(),
                external_uid: Generator::uid(index),
                immutable_id: Generator::immutable_id(index),
                version: 1,
                enabled: true,
                attributes: self.generator.attributes(index, wanted),
            })),
        }
    }
}

impl Record {
    pub(super) fn is_of(&self, object_class: &str) -> bool {
        self.object_class.is_empty() || self.object_class == object_class
    }
}
