//! What a remedy amounts to now. Pure: out of the finding and the present comes one plan, or the reason why there is none.
//!
//! A finding is only acted on while it holds exactly as it was found: the person who decided saw these values and no
//! others. Anything else is SUPERSEDED, and nothing is done.

mod draft;
#[cfg(test)]
mod tests;

use xavyo_core::{
    Error, Reason,
    account::{Account, AccountKey, AccountState},
    change::{ACCOUNT_STATE, Changes},
    comparison::{self, Difference},
    connector::Authority,
    discrepancy::{Discrepancy, DiscrepancyType},
    error::Result,
    ids::IdentityId,
    operation::Precondition,
    remediation::{RemediationAction, RemediationDirection, Remedy},
    value::{Attributes, Value},
};

use super::facts::{Facts, no_longer};
use crate::provisioning::{
    account::{Pair, PairLink},
    operation::Draft,
};

/// What is to be done, step by step in the order of the fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    Operate(Draft),
    Link {
        /// A link of the identity whose account is gone.
        dead_link: Option<PairLink>,
        identity: IdentityId,
        account: AccountKey,
        /// What differs under xavyo's authority, pushed once they are linked. Empty = nothing.
        push: Changes,
    },
    Unlink(PairLink),
    /// Remembers that the account is not the identity's.
    Reject {
        identity: IdentityId,
        account: AccountKey,
    },
    SetIdentity {
        identity: IdentityId,
        attribute: String,
        values: Vec<Value>,
    },
    Inactivate(IdentityId),
    /// An inactive identity for an account that has none.
    Adopt {
        attributes: Attributes,
        account: AccountKey,
    },
}

/// `is_same` tells whether a difference is the one that was found.
pub fn plan(
    discrepancy: &Discrepancy,
    remedy: Remedy,
    facts: &Facts,
    is_same: impl Fn(&AccountKey, &Difference) -> bool,
) -> Result<Plan> {
    match (discrepancy.discrepancy_type, remedy.action) {
        (DiscrepancyType::Missing, action) => of_missing(action, facts),
        (DiscrepancyType::Deleted, action) => of_deleted(action, facts),
        (DiscrepancyType::Mismatch, action) => {
            of_mismatch(discrepancy, action, remedy.direction, facts, is_same)
        }
        (DiscrepancyType::Unlinked, _) => link(facts),
        (DiscrepancyType::Orphan | DiscrepancyType::Collision, action) => of_unowned(action, facts),
    }
}

fn of_missing(action: RemediationAction, facts: &Facts) -> Result<Plan> {
    let (identity, pair) = identity(facts)?;
    if pair.link.is_some() {
        return Err(no_longer("the identity has an account by now"));
    }
    if pair.should_have != Some(true) {
        return Err(no_longer("the identity should have no account any more"));
    }
    match action {
        RemediationAction::InactivateIdentity => Ok(Plan::Inactivate(identity)),
        _ => Ok(Plan::Operate(draft::create(
            identity,
            Precondition { linked: Some(false), ..draft::active() },
        ))),
    }
}

fn of_deleted(action: RemediationAction, facts: &Facts) -> Result<Plan> {
    let (identity, pair) = identity(facts)?;
    let link = pair.link.clone().ok_or_else(|| no_longer("the identity has no link any more"))?;
    if pair.live.is_some() {
        return Err(no_longer("the account is there"));
    }
    match action {
        RemediationAction::InactivateIdentity => Ok(Plan::Inactivate(identity)),
        RemediationAction::Unlink => Ok(Plan::Unlink(link)),
        _ if pair.should_have == Some(true) => Ok(Plan::Operate(draft::create(identity, draft::active()))),
        _ => Ok(Plan::Operate(draft::create(identity, Precondition::default()))),
    }
}

fn of_mismatch(
    discrepancy: &Discrepancy,
    action: RemediationAction,
    direction: RemediationDirection,
    facts: &Facts,
    is_same: impl Fn(&AccountKey, &Difference) -> bool,
) -> Result<Plan> {
    let (identity, pair) = identity(facts)?;
    let (Some(live), Some(_)) = (&pair.live, &pair.link) else {
        return Err(no_longer("the account is gone, or linked no more"));
    };
    check_unprotected(pair)?;
    let attribute = discrepancy.attribute_name.as_deref().unwrap_or_default();
    let payload = if attribute == ACCOUNT_STATE {
        state_change(discrepancy, pair, live)?
    } else {
        attribute_change(attribute, facts, pair, live, is_same)?
    };
    match (action, direction) {
        (RemediationAction::Delete, _) => Ok(Plan::Operate(draft::delete(Some(identity), live))),
        (_, RemediationDirection::TargetToXavyo) => set_identity(identity, attribute, facts, live),
        (_, RemediationDirection::XavyoToTarget) => {
            Ok(Plan::Operate(draft::update(&facts.program, identity, live, payload)))
        }
    }
}

/// An account without owner: an orphan, or one of a collision.
fn of_unowned(action: RemediationAction, facts: &Facts) -> Result<Plan> {
    match action {
        RemediationAction::Link => link(facts),
        RemediationAction::Unlink => {
            let (identity, _) = identity(facts)?;
            Ok(Plan::Reject { identity, account: free_for(identity, facts)?.key() })
        }
        RemediationAction::Delete => Ok(Plan::Operate(draft::delete(None, unowned(facts)?))),
        RemediationAction::Update => disable(facts),
        RemediationAction::Create | RemediationAction::InactivateIdentity => adopt(facts, unowned(facts)?),
    }
}

fn link(facts: &Facts) -> Result<Plan> {
    let (identity, pair) = identity(facts)?;
    let account = free_for(identity, facts)?;
    let is_it = |link: &PairLink| link.account.external_uid == account.external_uid;
    let other_link = pair.link.clone().filter(|link| !is_it(link));
    if other_link.is_some() && pair.live.is_some() {
        return Err(no_longer("the identity has another account by now"));
    }
    let rules = &facts.program.object_type().mapping;
    let is_ours =
        |name: &str| rules.iter().any(|rule| rule.name == name && rule.authority == Authority::Xavyo);
    let mut push = comparison::changes_towards(&facts.program, &pair.expected, &account.attributes);
    push.retain(|name, _| is_ours(name));
    Ok(Plan::Link { dead_link: other_link, identity, account: account.key(), push })
}

fn state_change(discrepancy: &Discrepancy, pair: &Pair, live: &Account) -> Result<Changes> {
    let (expected, actual) = (pair.expected_state.map(AccountState::name), live.state().name());
    let as_found = (discrepancy.expected_value.as_deref(), discrepancy.actual_value.as_deref());
    if as_found != (expected, Some(actual)) {
        return Err(no_longer("the account's state, or what it should be, has changed"));
    }
    // An absent account is a disabled one, where it is not to be deleted.
    let state = match pair.expected_state {
        Some(AccountState::Enabled) => AccountState::Enabled,
        Some(AccountState::Disabled | AccountState::Absent) | None => AccountState::Disabled,
    };
    Ok(draft::to_state(state))
}

fn attribute_change(
    attribute: &str,
    facts: &Facts,
    pair: &Pair,
    live: &Account,
    is_same: impl Fn(&AccountKey, &Difference) -> bool,
) -> Result<Changes> {
    let differences = comparison::differences(&facts.program, &pair.expected, &live.attributes);
    let found = differences.iter().find(|difference| difference.attribute == attribute);
    if !found.is_some_and(|difference| is_same(&live.key(), difference)) {
        return Err(no_longer("the attribute is as it should be, or differs otherwise"));
    }
    let mut changes = comparison::changes_towards(&facts.program, &pair.expected, &live.attributes);
    changes.retain(|name, _| name == attribute);
    Ok(changes)
}

fn set_identity(identity: IdentityId, attribute: &str, facts: &Facts, live: &Account) -> Result<Plan> {
    match facts.program.inverse(attribute, live)? {
        Some((attribute, values)) => Ok(Plan::SetIdentity { identity, attribute, values }),
        None => Err(Error::new(
            Reason::NoInverseMapping,
            format!("the inverse of {attribute} leaves the identity alone for this account"),
        )),
    }
}

fn adopt(facts: &Facts, account: &Account) -> Result<Plan> {
    let mut attributes = Attributes::new();
    let rules = facts.program.object_type().mapping.iter().filter(|rule| rule.inverse.is_some());
    for rule in rules {
        if let Some((attribute, values)) = facts.program.inverse(&rule.name, account)?
            && !values.is_empty()
        {
            attributes.insert(attribute, values);
        }
    }
    if attributes.is_empty() {
        let message = "no attribute of the account says anything of an identity: the mapping has no inverse";
        return Err(Error::new(Reason::NoInverseMapping, message));
    }
    Ok(Plan::Adopt { attributes, account: account.key() })
}

fn disable(facts: &Facts) -> Result<Plan> {
    let account = unowned(facts)?;
    if account.state() == AccountState::Disabled {
        return Err(no_longer("the account is disabled by now"));
    }
    Ok(Plan::Operate(draft::disable(&facts.program, account)))
}

fn identity(facts: &Facts) -> Result<(IdentityId, &Pair)> {
    let pair = facts.subject.identity_id.zip(facts.identity.as_ref());
    pair.ok_or_else(|| Error::internal("the remedy needs an identity that was not read"))
}

/// The account, which must live, belong to nobody and be free to be touched.
fn unowned(facts: &Facts) -> Result<&Account> {
    owned_by(None, facts)
}

/// The same; that it belongs to this identity already is what an interrupted attempt leaves.
fn free_for(identity: IdentityId, facts: &Facts) -> Result<&Account> {
    owned_by(Some(identity), facts)
}

fn owned_by(owner: Option<IdentityId>, facts: &Facts) -> Result<&Account> {
    let pair = facts
        .account
        .as_ref()
        .ok_or_else(|| Error::internal("the remedy needs an account that was not read"))?;
    let account = pair.live.as_ref().ok_or_else(|| no_longer("the account is gone"))?;
    if pair.link.as_ref().is_some_and(|link| Some(link.identity_id) != owner) {
        return Err(no_longer("the account belongs to an identity by now"));
    }
    check_unprotected(pair)?;
    Ok(account)
}

fn check_unprotected(pair: &Pair) -> Result<()> {
    if pair.is_protected {
        return Err(Error::new(Reason::ProtectedAccount, "the account is protected"));
    }
    Ok(())
}
