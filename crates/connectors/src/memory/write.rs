//! Writes, decided purely: what a store holds and what is asked make the entry that says what happened.

use std::sync::Arc;

use uuid::Uuid;
use xavyo_core::{
    account::AccountKey,
    change::{Change, Changes},
    value::{Attributes, Value},
};

use super::{
    accounts::Accounts,
    ledger::{Call, Entry, Held, Outcome, Record},
};
use crate::{AccountUpdate, NewAccount};

/// The high half of the immutable ids of accounts that were created; the low half is the sequence of the creation.
const ID_SPACE: u64 = 0x6d61_6465_0000_8000;

#[derive(Clone, Debug)]
pub(super) enum Write {
    Create(NewAccount),
    Update { object_class: String, key: AccountKey, update: AccountUpdate },
    Delete { object_class: String, key: AccountKey, if_version: Option<String>, tag: String },
}

impl Write {
    pub fn call(&self) -> Call {
        match self {
            Self::Create(_) => Call::Create,
            Self::Update { .. } => Call::Update,
            Self::Delete { .. } => Call::Delete,
        }
    }

    /// What happens, as the entry of this sequence. A fault on demand comes first, except one that strikes after the
    /// write: that needs a write that would have worked.
    pub fn decide(self, accounts: &Accounts, sequence: u64, fault: Option<(String, Outcome)>) -> Entry {
        match fault {
            Some((fault, outcome)) if outcome != Outcome::UnknownAfter => {
                Entry { outcome, fault: Some(fault), ..self.asked() }
            }
            struck => {
                let done = match self.effect(accounts, sequence) {
                    Ok((immutable_id, after)) => Entry { immutable_id, after, ..self.asked() },
                    Err(outcome) => Entry { outcome, ..self.asked() },
                };
                match struck {
                    Some((fault, outcome)) if done.outcome == Outcome::Applied => {
                        Entry { outcome, fault: Some(fault), ..done }
                    }
                    _ => done,
                }
            }
        }
    }

    /// The entry before its outcome is known.
    fn asked(self) -> Entry {
        let entry = Entry::new(self.call(), Outcome::Applied);
        match self {
            Self::Create(account) => Entry {
                tag: account.tag,
                external_uid: account.external_uid,
                attributes: whole_values(&account.attributes),
                ..entry
            },
            Self::Update { key, update, .. } => Entry {
                tag: update.tag,
                external_uid: key.external_uid,
                immutable_id: key.immutable_id,
                attributes: update.changes,
                ..entry
            },
            Self::Delete { key, tag, .. } => {
                Entry { tag, external_uid: key.external_uid, immutable_id: key.immutable_id, ..entry }
            }
        }
    }

    /// The immutable id of the account that is replaced, and the account as it is afterwards.
    fn effect(
        &self,
        accounts: &Accounts,
        sequence: u64,
    ) -> Result<(Option<String>, Option<Arc<Record>>), Outcome> {
        match self {
            Self::Create(account) => {
                if accounts.by_uid(&account.external_uid).is_some() {
                    return Err(Outcome::AlreadyExists);
                }
                let record = Record {
                    object_class: account.object_class.clone(),
                    external_uid: account.external_uid.clone(),
                    immutable_id: Uuid::from_u64_pair(ID_SPACE, sequence).to_string(),
                    version: 1,
                    enabled: account.enabled.unwrap_or(true),
                    attributes: held(&account.attributes),
                };
                Ok((None, Some(Arc::new(record))))
            }
            Self::Update { object_class, key, update } => {
                let record = found(accounts, object_class, key, update.if_version.as_deref())?;
                let renamed = update.rename_to.as_ref().filter(|uid| **uid != record.external_uid);
                if renamed.is_some_and(|uid| accounts.by_uid(uid).is_some()) {
                    return Err(Outcome::AlreadyExists);
                }
                let after = Record {
                    object_class: record.object_class.clone(),
                    external_uid: renamed.unwrap_or(&record.external_uid).clone(),
                    immutable_id: record.immutable_id.clone(),
                    version: record.version + 1,
                    enabled: update.enabled.unwrap_or(record.enabled),
                    attributes: changed(&record.attributes, &update.changes),
                };
                Ok((Some(record.immutable_id.clone()), Some(Arc::new(after))))
            }
            Self::Delete { object_class, key, if_version, .. } => {
                let record = found(accounts, object_class, key, if_version.as_deref())?;
                Ok((Some(record.immutable_id.clone()), None))
            }
        }
    }
}

/// The account of a key: by immutable id where there is one, else by uid.
pub(super) fn lookup(accounts: &Accounts, object_class: &str, key: &AccountKey) -> Option<Arc<Record>> {
    let record = match &key.immutable_id {
        Some(id) => accounts.by_id(id),
        None => accounts.by_uid(&key.external_uid),
    };
    record.filter(|record| record.is_of(object_class))
}

fn found(
    accounts: &Accounts,
    object_class: &str,
    key: &AccountKey,
    if_version: Option<&str>,
) -> Result<Arc<Record>, Outcome> {
    let record = lookup(accounts, object_class, key).ok_or(Outcome::NotFound)?;
    match if_version {
        Some(version) if version != record.version.to_string() => Err(Outcome::PreconditionFailed),
        Some(_) | None => Ok(record),
    }
}

fn changed(attributes: &Held, changes: &Changes) -> Held {
    let mut attributes = attributes.clone();
    for (name, change) in changes {
        let values = match change {
            Change::Set(values) => values.clone(),
            Change::Clear => Vec::new(),
            Change::Modify { add, remove } => {
                modified(attributes.get(name.as_str()).map_or(&[], AsRef::as_ref), add, remove)
            }
        };
        match attributes.get_mut(name.as_str()) {
            _ if values.is_empty() => {
                attributes.remove(name.as_str());
            }
            Some(held) => *held = values.into(),
            None => {
                attributes.insert(name.as_str().into(), values.into());
            }
        }
    }
    attributes
}

fn modified(held: &[Value], add: &[Value], remove: &[Value]) -> Vec<Value> {
    let mut values: Vec<Value> = held.iter().filter(|value| !remove.contains(value)).cloned().collect();
    for value in add {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    values
}

fn present(attributes: &Attributes) -> impl Iterator<Item = (&String, &Vec<Value>)> {
    attributes.iter().filter(|(_, values)| !values.is_empty())
}

fn held(attributes: &Attributes) -> Held {
    present(attributes).map(|(name, values)| (name.as_str().into(), values.as_slice().into())).collect()
}

fn whole_values(attributes: &Attributes) -> Changes {
    present(attributes).map(|(name, values)| (name.clone(), Change::Set(values.clone()))).collect()
}
