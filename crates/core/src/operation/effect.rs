//! What an account proves: that a write took effect, that a premise holds, that it is an identity's.

use crate::{
    account::Account,
    change::{self, ACCOUNT_STATE, Change, Changes},
    comparison::{self, NormalSet, is_compared},
    connector::{AttributeRule, MatchingRule},
    correlation::{self, RuleSet},
    digest::{Digest, Hasher},
    identity::Identity,
    mapping::Program,
    value::{Attributes, Value},
};

/// Whether the account shows every one of the changes, by each attribute's matching rule. What cannot be read back
/// (write-only attributes) never shows.
pub fn shows(program: &Program, changes: &Changes, account: &Account) -> bool {
    changes.iter().all(|(name, change)| {
        if name == ACCOUNT_STATE {
            return change::wanted_state(changes).is_none_or(|state| state == account.state());
        }
        !is_write_only(program, name) && shows_change(matching(program, name), change, values(account, name))
    })
}

/// Whether the account holds every compared attribute just as given.
pub fn holds(program: &Program, attributes: &Attributes, account: &Account) -> bool {
    let compared = |name: &str| rule(program, name).is_none_or(is_compared);
    attributes
        .iter()
        .filter(|(name, _)| compared(name))
        .all(|(name, wanted)| comparison::equal(matching(program, name), wanted, values(account, name)))
}

/// Digest of some attributes as an account shows them, normalised: the `attributes_digest` of a precondition. Whoever
/// states the premise and whoever checks it use this.
pub fn digest_of<'n>(program: &Program, names: impl Iterator<Item = &'n str>, account: &Account) -> Digest {
    let mut hasher = Hasher::new("xavyo premise v1");
    for name in names {
        hasher.text(name);
        if name == ACCOUNT_STATE {
            hasher.text(account.state().name());
        } else {
            let set = NormalSet::of(matching(program, name), values(account, name));
            hasher.set(set.iter().map(str::as_bytes));
        }
    }
    hasher.finish()
}

/// Whether the account is provably the identity's: the rules that match weigh at least the policy's threshold. An error
/// is the identity's expression that failed.
pub fn correlates(program: &Program, identity: &Identity, account: &Account) -> Result<bool, String> {
    let policy = &program.object_type().correlation;
    let wanted = program.correlation_keys_of_identity(identity)?;
    let mut matching = RuleSet::default();
    for key in program.correlation_keys_of_account(account) {
        if wanted.contains(&key) {
            matching.insert(key.rule);
        }
    }
    Ok(!policy.rules.is_empty() && correlation::score(policy, matching) >= policy.threshold.max(1))
}

fn shows_change(matching: MatchingRule, change: &Change, actual: &[Value]) -> bool {
    let shown = NormalSet::of(matching, actual);
    let has = |value: &Value| shown.contains(&comparison::normalise(matching, value));
    match change {
        Change::Set(values) => comparison::equal(matching, values, actual),
        Change::Clear => actual.is_empty(),
        Change::Modify { add, remove } => add.iter().all(has) && !remove.iter().any(has),
    }
}

fn values<'a>(account: &'a Account, name: &str) -> &'a [Value] {
    account.attributes.get(name).map_or(&[], Vec::as_slice)
}

fn rule<'p>(program: &'p Program, name: &str) -> Option<&'p AttributeRule> {
    program.object_type().mapping.iter().find(|rule| rule.name == name)
}

fn matching(program: &Program, name: &str) -> MatchingRule {
    rule(program, name).map_or_else(MatchingRule::default, |rule| rule.matching)
}

fn is_write_only(program: &Program, name: &str) -> bool {
    rule(program, name).is_some_and(|rule| rule.write_only)
}
