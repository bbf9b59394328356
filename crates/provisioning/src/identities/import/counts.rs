//! What an import has done so far.

use xavyo_core::{Error, Reason};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub created: i64,
    pub updated: i64,
    pub unchanged: i64,
    pub inactivated: i64,
    /// Records refused, each with its error.
    pub failed: i64,
    pub operations_enqueued: i64,
}

/// One committed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub counts: Counts,
    /// Everything up to it is durable.
    pub last_source_key: String,
    pub errors: Vec<RefusedRecord>,
}

/// A record that was refused; the others went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its place in the import, from 0.
    pub index: i64,
    pub source_key: String,
    pub reason: Reason,
    pub field: String,
    pub message: String,
}

/// What transactions have done, before it is acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    pub counts: Counts,
    pub errors: Vec<RefusedRecord>,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.inactivated += other.inactivated;
        self.failed += other.failed;
        self.operations_enqueued += other.operations_enqueued;
    }
}

impl RefusedRecord {
    pub fn invalid(index: i64, source_key: String, field: String, expected: String) -> Self {
        Self { index, source_key, reason: Reason::InvalidField, field, message: expected }
    }

    /// A record that was good and could not be taken.
    pub fn of(index: i64, source_key: String, error: &Error) -> Self {
        Self { index, source_key, reason: error.reason, field: String::new(), message: error.message.clone() }
    }
}

impl Committed {
    pub fn refuse(&mut self, records: Vec<RefusedRecord>) {
        self.counts.failed += i64::try_from(records.len()).unwrap_or(i64::MAX);
        self.errors.extend(records);
        self.errors.sort_by_key(|record| record.index);
    }

    pub fn join(mut self, other: Self) -> Self {
        self.counts.add(&other.counts);
        self.errors.extend(other.errors);
        self
    }

    pub fn acknowledge(self, last_source_key: String) -> Acknowledgement {
        Acknowledgement { counts: self.counts, last_source_key, errors: self.errors }
    }
}
