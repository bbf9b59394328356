//! Fingerprints: what makes two discrepancies of different runs the same finding.
//!
//! An ignore binds to it, supersession and `first_seen_at` follow it. It does not depend on the run, the time or the
//! row's id.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    digest::{Digest, Hasher},
    discrepancy::DiscrepancyType,
    ids::{ConnectorId, IdentityId},
};

/// 128 bits over what a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub Digest);

/// What a fingerprint is made of.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a> {
    pub connector_id: ConnectorId,
    pub object_class: &'a str,
    pub intent: &'a str,
    pub discrepancy_type: DiscrepancyType,
    pub identity_id: Option<IdentityId>,
    pub external_uid: Option<&'a str>,
    /// Stands in the uid's place where it is known: a renamed account is the same finding.
    pub immutable_id: Option<&'a str>,
    pub attribute_name: Option<&'a str>,
    /// Counts for a mismatch only: another value is another finding. Of a sensitive attribute pass a keyed digest,
    /// never the value.
    pub expected_value: Option<&'a str>,
    pub actual_value: Option<&'a str>,
    /// Counts for a collision only: the identities and accounts of its component, in any order.
    pub members: &'a [String],
}

impl Finding<'_> {
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = Hasher::new("xavyo finding 1");
        hasher.bytes(self.connector_id.0.as_bytes());
        hasher.text(self.object_class);
        hasher.text(self.intent);
        hasher.text(self.discrepancy_type.name());
        hasher.optional(self.identity_id.map(|id| id.0.into_bytes()).as_ref().map(<[u8; 16]>::as_slice));
        match self.immutable_id {
            Some(id) => hasher.optional(Some(format!("id {id}").as_bytes())),
            None => hasher
                .optional(self.external_uid.map(|uid| format!("uid {uid}")).as_deref().map(str::as_bytes)),
        }
        match self.discrepancy_type {
            DiscrepancyType::Mismatch => {
                for part in [self.attribute_name, self.expected_value, self.actual_value] {
                    hasher.optional(part.map(str::as_bytes));
                }
            }
            DiscrepancyType::Collision => hasher.set(self.members.iter().map(String::as_bytes)),
            DiscrepancyType::Missing
            | DiscrepancyType::Orphan
            | DiscrepancyType::Unlinked
            | DiscrepancyType::Deleted => {}
        }
        Fingerprint(hasher.finish())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn mismatch<'a>() -> Finding<'a> {
        Finding {
            connector_id: ConnectorId(Uuid::from_u128(1)),
            object_class: "account",
            intent: "default",
            discrepancy_type: DiscrepancyType::Mismatch,
            identity_id: Some(IdentityId(Uuid::from_u128(2))),
            external_uid: Some("jane"),
            immutable_id: Some("7"),
            attribute_name: Some("mail"),
            expected_value: Some("jane@example.org"),
            actual_value: None,
            members: &[],
        }
    }

    #[test]
    fn a_renamed_account_is_the_same_finding() {
        let renamed = Finding { external_uid: Some("jane.doe"), ..mismatch() };
        assert_eq!(renamed.fingerprint(), mismatch().fingerprint());
    }

    #[test]
    fn everything_else_makes_another_finding() {
        let base = mismatch();
        for other in [
            Finding { connector_id: ConnectorId(Uuid::from_u128(9)), ..base },
            Finding { object_class: "group", ..base },
            Finding { intent: "admin", ..base },
            Finding { discrepancy_type: DiscrepancyType::Deleted, ..base },
            Finding { identity_id: None, ..base },
            Finding { immutable_id: Some("8"), ..base },
            Finding { immutable_id: None, external_uid: Some("7"), ..base },
            Finding { attribute_name: Some("phone"), ..base },
            Finding { expected_value: None, actual_value: Some("jane@example.org"), ..base },
            Finding { actual_value: Some(""), ..base },
        ] {
            assert_ne!(other.fingerprint(), base.fingerprint(), "{other:?}");
        }
    }

    #[test]
    fn values_count_for_a_mismatch_only() {
        let missing = Finding { discrepancy_type: DiscrepancyType::Missing, ..mismatch() };
        assert_eq!(Finding { actual_value: Some("x"), ..missing }.fingerprint(), missing.fingerprint());
    }

    #[test]
    fn the_members_of_a_collision_have_no_order() {
        let members = ["a".to_owned(), "b".to_owned()];
        let turned = ["b".to_owned(), "a".to_owned()];
        let collision =
            Finding { discrepancy_type: DiscrepancyType::Collision, members: &members, ..mismatch() };
        assert_eq!(Finding { members: &turned, ..collision }.fingerprint(), collision.fingerprint());
        assert_ne!(Finding { members: &members[..1], ..collision }.fingerprint(), collision.fingerprint());
    }
}
