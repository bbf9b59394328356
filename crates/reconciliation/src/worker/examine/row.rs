//! Rows of findings: what was found, as a discrepancy that says everything a person needs, and what the policies plan.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use xavyo_core::{
    account::{Account, AccountKey, AccountState},
    change::{ACCOUNT_STATE, Change},
    classification::Near,
    comparison::Difference,
    connector::Authority,
    correlation,
    discrepancy::{Candidate, Discrepancy, DiscrepancyType, ResolutionStatus},
    fingerprint::Finding,
    ids::{DiscrepancyId, IdentityId, RunId, TenantId},
    mapping::Program,
    remediation::{Remedy, Situation, policy},
    value::Value,
};
use xavyo_runtime::Clock;

use crate::{
    provisioning::account::{Kind, PairLink},
    secret_values::SecretValues,
};

/// The longest value that a row shows; the rest is in the systems themselves.
const MAX_SHOWN: usize = 8_192;
/// The most candidates that a row lists.
const MAX_LISTED: usize = 1_000;

/// Writes the rows of one run about one kind of account.
pub(super) struct Author<'a> {
    pub tenant: TenantId,
    pub run_id: RunId,
    pub connector_revision: i32,
    pub kind: &'a Kind,
    pub program: &'a Program,
    /// What the run does by itself, by type.
    pub policies: &'a BTreeMap<DiscrepancyType, Remedy>,
    pub secret_values: &'a SecretValues,
    pub clock: &'a Clock,
    pub now: DateTime<Utc>,
}

/// The parts of a finding that differ between types.
#[derive(Default)]
struct Parts<'a> {
    identity: Option<IdentityId>,
    account: Option<&'a AccountKey>,
    attribute: Option<&'a str>,
    expected: Option<String>,
    actual: Option<String>,
    candidates: Vec<Candidate>,
    /// Of an attribute: what puts it right in the target.
    change: Option<&'a Change>,
    /// Of a linked account.
    disabled_by_us: bool,
}

impl Author<'_> {
    pub fn missing(&self, identity: IdentityId) -> Discrepancy {
        self.row(Situation::Missing, Parts { identity: Some(identity), ..Parts::default() })
    }

    pub fn deleted(&self, identity: IdentityId, account: &AccountKey, should_have: bool) -> Discrepancy {
        let parts = Parts { identity: Some(identity), account: Some(account), ..Parts::default() };
        self.row(Situation::Deleted { should_have }, parts)
    }

    pub fn orphan(&self, account: &Account, near: &[Near]) -> Discrepancy {
        let candidates: Vec<Candidate> = near.iter().map(|near| self.candidate(account, near)).collect();
        let situation = Situation::Orphan { near_match: !candidates.is_empty() };
        self.row(situation, Parts { account: Some(&account.key()), candidates, ..Parts::default() })
    }

    pub fn unlinked(&self, account: &Account, near: &Near) -> Discrepancy {
        let parts = Parts {
            identity: Some(near.identity),
            account: Some(&account.key()),
            candidates: vec![self.candidate(account, near)],
            ..Parts::default()
        };
        self.row(Situation::Unlinked, parts)
    }

    pub fn collision(&self, edges: &[(&Account, Near)]) -> Discrepancy {
        let listed = edges.iter().take(MAX_LISTED);
        let candidates = listed.map(|(account, near)| self.candidate(account, near)).collect();
        self.row(Situation::Collision, Parts { candidates, ..Parts::default() })
    }

    pub fn state(&self, link: &PairLink, expected: AccountState, actual: &Account) -> Discrepancy {
        let parts = Parts {
            identity: Some(link.identity_id),
            account: Some(&actual.key()),
            disabled_by_us: link.disabled_by_us,
            attribute: Some(ACCOUNT_STATE),
            expected: Some(expected.name().to_owned()),
            actual: Some(actual.state().name().to_owned()),
            ..Parts::default()
        };
        self.row(Situation::AccountState { expected }, parts)
    }

    pub fn difference(
        &self,
        identity: IdentityId,
        account: &AccountKey,
        difference: &Difference,
        change: Option<&Change>,
    ) -> Discrepancy {
        let rules = &self.program.object_type().mapping;
        let rule = rules.iter().find(|rule| rule.name == difference.attribute);
        let authority = rule.map_or(Authority::None, |rule| rule.authority);
        let (expected, actual) = self.secret_values.of(self.tenant, difference);
        let parts = Parts {
            identity: Some(identity),
            account: Some(account),
            attribute: Some(&difference.attribute),
            expected,
            actual,
            change,
            ..Parts::default()
        };
        let row = self.row(Situation::Mismatch { authority }, parts);
        Discrepancy {
            expected_value: difference.expected_text().map(shortened),
            actual_value: difference.actual_text().map(shortened),
            ..row
        }
    }

    fn row(&self, situation: Situation, parts: Parts<'_>) -> Discrepancy {
        let discrepancy_type = situation.discrepancy_type();
        let members: Vec<String> = match discrepancy_type {
            DiscrepancyType::Collision => members(&parts.candidates),
            _ => Vec::new(),
        };
        let finding = Finding {
            connector_id: self.kind.connector_id,
            object_class: &self.kind.object_class,
            intent: &self.kind.intent,
            discrepancy_type,
            identity_id: parts.identity,
            external_uid: parts.account.map(|account| account.external_uid.as_str()),
            immutable_id: parts.account.and_then(|account| account.immutable_id.as_deref()),
            attribute_name: parts.attribute,
            expected_value: parts.expected.as_deref(),
            actual_value: parts.actual.as_deref(),
            members: &members,
        };
        let change = parts.change;
        let disabled_by_us = parts.disabled_by_us;
        let row = Discrepancy {
            id: DiscrepancyId(self.clock.new_id()),
            connector_id: self.kind.connector_id,
            run_id: self.run_id,
            discrepancy_type,
            object_class: self.kind.object_class.clone(),
            intent: self.kind.intent.clone(),
            identity_id: parts.identity,
            external_uid: parts.account.map(|account| account.external_uid.clone()),
            immutable_id: parts.account.and_then(|account| account.immutable_id.clone()),
            attribute_name: parts.attribute.map(str::to_owned),
            fingerprint: finding.fingerprint(),
            expected_value: parts.expected,
            actual_value: parts.actual,
            candidates: parts.candidates,
            connector_revision: self.connector_revision,
            first_seen_at: self.now,
            suggested: situation.suggestion(),
            planned: None,
            planned_effect: None,
            resolution_status: ResolutionStatus::Pending,
            resolved_at: None,
            resolved_by: None,
            resolution_note: None,
            superseded_by_id: None,
            created_at: self.now,
            version: 1,
        };
        self.with_plan(row, change, disabled_by_us)
    }

    /// What the policy for its type does about the row, if anything.
    fn with_plan(&self, row: Discrepancy, change: Option<&Change>, disabled_by_us: bool) -> Discrepancy {
        let policy = self.policies.get(&row.discrepancy_type).copied();
        let planned = policy::planned(policy, &row, disabled_by_us);
        let planned_effect = planned.and_then(|remedy| policy::effect(remedy, &row, change));
        Discrepancy { planned, planned_effect, ..row }
    }

    /// Why the account resembles the identity, without the values of sensitive attributes.
    fn candidate(&self, account: &Account, near: &Near) -> Candidate {
        let object_type = self.program.object_type();
        let mut shown = account.clone();
        for rule in object_type.mapping.iter().filter(|rule| rule.sensitive) {
            if let Some(values) = shown.attributes.get_mut(&rule.name) {
                *values = vec![Value::from("***")];
            }
        }
        Candidate {
            identity_id: near.identity,
            account: account.key(),
            score: near.score,
            reasons: correlation::explain(&object_type.correlation, near.rules, &shown),
        }
    }
}

/// The identities and accounts of a collision, however often each is named.
fn members(candidates: &[Candidate]) -> Vec<String> {
    let names = |candidate: &Candidate| {
        let account = candidate.account.immutable_id.as_ref().unwrap_or(&candidate.account.external_uid);
        [format!("identity {}", candidate.identity_id), format!("account {account}")]
    };
    candidates.iter().flat_map(names).collect()
}

fn shortened(text: String) -> String {
    if text.len() <= MAX_SHOWN {
        return text;
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(MAX_SHOWN)], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_too_long_for_a_row_is_cut_and_says_so() {
        assert_eq!(shortened("x".repeat(MAX_SHOWN)).len(), MAX_SHOWN);
        let cut = shortened("é".repeat(MAX_SHOWN));
        assert!(cut.ends_with("… (16384 bytes)"), "{}", &cut[cut.len() - 30..]);
    }
}
