//! Accounts made from a seed: a million of them cost nothing until one is written.
//!
//! Account `n` of a seed is always the same, in every process and release: `user000123` with a mail address, names, a
//! department and so on. Tests and benches make the matching identities from the same function.

use std::{
    ops::Range,
    sync::{Arc, LazyLock},
};

use uuid::Uuid;
use xavyo_core::{
    account::{Account, AccountKey},
    value::{Attributes, Value},
};

use super::{ledger::Held, shown_attributes};
use crate::ALL_ATTRIBUTES;

/// The high half of the immutable ids of generated accounts; the low half is the account's number.
const ID_SPACE: u64 = 0x6765_6e65_7261_8000;

/// The attributes of a generated account. `groups` has none to three values, the others exactly one.
pub const GENERATED_ATTRIBUTES: [&str; 10] = [
    "uid",
    "mail",
    "given_name",
    "family_name",
    "display_name",
    "department",
    "title",
    "employee_number",
    "telephone_number",
    "groups",
];

const GIVEN: [&str; 16] = [
    "Amina", "Björn", "Chloé", "Dmitri", "Elena", "Farid", "Grace", "Hiroshi", "Ingrid", "João", "Kwame",
    "Lucía", "Mehmet", "Nadia", "Olu", "Zoë",
];
const FAMILY: [&str; 16] = [
    "Andersson",
    "Bianchi",
    "Chen",
    "Dubois",
    "Eze",
    "Fischer",
    "García",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Müller",
    "Nguyen",
    "O'Brien",
    "Petrov",
];
const DEPARTMENTS: [&str; 8] =
    ["Engineering", "Finance", "Legal", "Logistics", "Marketing", "Operations", "People", "Sales"];
const TITLES: [&str; 6] = ["Analyst", "Director", "Engineer", "Lead", "Manager", "Specialist"];

/// Of an account that was never written.
pub(super) const VERSION: &str = "1";

/// Shared by all accounts.
static NAMES: LazyLock<[Arc<str>; GENERATED_ATTRIBUTES.len()]> =
    LazyLock::new(|| GENERATED_ATTRIBUTES.map(Arc::from));

/// A seed and how many accounts it makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generator {
    pub count: u64,
    pub seed: i64,
}

/// Account number `index` of the seed, as a target shows it before anybody writes it.
pub fn generated(seed: i64, index: u64) -> Account {
    let generator = Generator { count: u64::MAX, seed };
    let attributes = shown_attributes(&generator.attributes(index, &[ALL_ATTRIBUTES.to_owned()]));
    Account { attributes, ..Generator::account(index) }
}

impl Generator {
    pub fn uid(index: u64) -> String {
        format!("user{index:06}")
    }

    pub fn immutable_id(index: u64) -> String {
        Uuid::from_u64_pair(ID_SPACE, index).to_string()
    }

    /// Without its attributes.
    fn account(index: u64) -> Account {
        Account {
            external_uid: Self::uid(index),
            immutable_id: Some(Self::immutable_id(index)),
            version: Some(VERSION.to_owned()),
            enabled: Some(true),
            attributes: Attributes::new(),
        }
    }

    /// The generated account of that key, without its attributes.
    pub fn named(self, key: &AccountKey) -> Option<Account> {
        let by_uid = || self.slot_of_uid(&key.external_uid);
        let slot = key.immutable_id.as_ref().map_or_else(by_uid, |id| self.slot_of_id(id));
        slot.map(Self::account)
    }

    /// The number of the account that was generated under this uid.
    pub fn slot_of_uid(self, uid: &str) -> Option<u64> {
        let index = uid.strip_prefix("user")?.parse().ok()?;
        (index < self.count && Self::uid(index) == uid).then_some(index)
    }

    /// The number of the account that was generated with this immutable id.
    pub fn slot_of_id(self, immutable_id: &str) -> Option<u64> {
        let id = Uuid::parse_str(immutable_id).ok()?;
        let (space, index) = id.as_u64_pair();
        let is_ours = space == ID_SPACE && index < self.count;
        // No other spelling of it.
        let is_spelled_so = id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == immutable_id;
        (is_ours && is_spelled_so).then_some(index)
    }

    /// The numbers of the accounts that can be generated with this value: one at most for attributes that name one.
    pub fn slots_of_value(self, attribute: &str, value: &Value) -> Range<u64> {
        let uid = match (attribute, value) {
            ("uid", Value::Text(uid)) => Some(uid.as_str()),
            ("mail", Value::Text(mail)) => mail.strip_suffix("@example.com"),
            ("uid" | "mail", _) => None,
            _ => return 0..self.count,
        };
        uid.and_then(|uid| self.slot_of_uid(uid)).map_or(0..0, |slot| slot..slot + 1)
    }

    /// Those of the generated attributes that are wanted.
    pub fn attributes(self, index: u64, wanted: &[String]) -> Held {
        let all = wanted.iter().any(|name| name == ALL_ATTRIBUTES);
        NAMES
            .iter()
            .filter(|name| all || wanted.iter().any(|wanted| **wanted == ***name))
            .map(|name| (Arc::clone(name), self.values(index, name)))
            .filter(|(_, values)| !values.is_empty())
            .collect()
    }

    pub fn values(self, index: u64, attribute: &str) -> Arc<[Value]> {
        let given = || self.pick(index, 1, &GIVEN);
        let family = || self.pick(index, 2, &FAMILY);
        let one = match attribute {
            "uid" => Value::Text(Self::uid(index)),
            "mail" => Value::Text(format!("{}@example.com", Self::uid(index))),
            "given_name" => Value::from(given()),
            "family_name" => Value::from(family()),
            "display_name" => Value::Text(format!("{} {}", given(), family())),
            "department" => Value::from(self.pick(index, 3, &DEPARTMENTS)),
            "title" => Value::from(self.pick(index, 4, &TITLES)),
            "employee_number" => {
                Value::Integer(i64::try_from(index).unwrap_or(i64::MAX).saturating_add(100_000))
            }
            "telephone_number" => Value::Text(format!("+49 30 {:07}", self.draw(index, 5) % 10_000_000)),
            "groups" => return self.groups(index),
            _ => return Arc::default(),
        };
        Arc::new([one])
    }

    fn groups(self, index: u64) -> Arc<[Value]> {
        let first = self.draw(index, 6);
        (0..first % 4).map(|step| Value::Text(format!("group{:02}", (first / 4 + step) % 50))).collect()
    }

    fn pick(self, index: u64, field: u64, list: &'static [&'static str]) -> &'static str {
        let length = u64::try_from(list.len()).expect("a short list");
        let position =
            usize::try_from(self.draw(index, field) % length).expect("below a short list's length");
        list[position]
    }

    /// A number that depends on seed, account and field alone (splitmix64).
    fn draw(self, index: u64, field: u64) -> u64 {
        let mixed = self.seed.cast_unsigned() ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (field << 56);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_of_a_seed_is_always_the_same() {
        let account = generated(7, 123);
        assert_eq!(account, generated(7, 123));
        assert_eq!(account.external_uid, "user000123");
        assert_eq!(account.attributes["mail"], [Value::from("user000123@example.com")]);
        assert_ne!(account.attributes, generated(8, 123).attributes);
    }

    #[test]
    fn uids_and_ids_lead_back_to_the_number() {
        let generator = Generator { count: 1_000_001, seed: 1 };
        for index in [0, 42, 999_999, 1_000_000] {
            assert_eq!(generator.slot_of_uid(&Generator::uid(index)), Some(index));
            assert_eq!(generator.slot_of_id(&Generator::immutable_id(index)), Some(index));
        }
        for uid in ["user1000001", "user42", "user+00042", "User000042", "admin"] {
            assert_eq!(generator.slot_of_uid(uid), None, "{uid}");
        }
    }
}
