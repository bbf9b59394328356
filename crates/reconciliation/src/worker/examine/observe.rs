//! Records of the streams as the index takes them: borrowed, without a copy of a name.

use uuid::Uuid;
use xavyo_core::{
    Error,
    account::AccountState,
    classification::{AccountRef, Expectation, ExpectedLink, Matcher, Reading, Standing, TargetRecord},
    correlation::CorrelationKey,
    error::Result,
    ids::IdentityId,
};
use xavyo_wire::{
    Numbered,
    pb::provisioning::{self as pb, ExpectedAccount, TargetAccount},
    reads::{digest_of_pb, keys_of_pb},
};

use crate::provisioning::account::digest_of;

/// Loads one identity.
pub(super) fn expect(matcher: &mut Matcher, account: &ExpectedAccount) -> Result<()> {
    let are_known = !account.correlation_keys_unknown;
    let keys: Option<Vec<CorrelationKey>> =
        if are_known { Some(keys_of_pb(&account.correlation_keys)?) } else { None };
    let rejected: Vec<AccountRef<'_>> = account.rejected_accounts.iter().map(rejected).collect();
    matcher.expect(Expectation {
        identity: identity(&account.identity_id)?,
        standing: standing(account.expectation)?,
        link: account.link.as_ref().map(|link| expected_link(account, link)).transpose()?,
        keys: keys.as_deref(),
        rejected: &rejected,
        in_flight: account.in_flight,
    });
    Ok(())
}

/// Shows one account of the target to the index.
pub(super) fn observe(reading: &mut Reading, account: &TargetAccount) -> Result<()> {
    let keys = keys_of_pb(&account.correlation_keys)?;
    reading.observe(TargetRecord {
        account: AccountRef {
            external_uid: &account.external_uid,
            immutable_id: account.immutable_id.as_deref(),
        },
        state: match account.enabled {
            Some(false) => AccountState::Disabled,
            Some(true) | None => AccountState::Enabled,
        },
        digest: digest_of(account)?,
        keys: &keys,
        protected: account.is_protected,
    });
    Ok(())
}

fn expected_link<'a>(account: &'a ExpectedAccount, link: &'a pb::ExpectedLink) -> Result<ExpectedLink<'a>> {
    let state = account.expected_state.map(|number| {
        AccountState::numbered(number)
            .ok_or_else(|| Error::internal("an expected account has no known state"))
    });
    Ok(ExpectedLink {
        account: AccountRef { external_uid: &link.external_uid, immutable_id: link.immutable_id.as_deref() },
        state: state.transpose()?,
        digest: account.digest.as_deref().map(digest_of_pb).transpose()?,
    })
}

fn rejected(account: &pb::RejectedAccount) -> AccountRef<'_> {
    AccountRef { external_uid: &account.external_uid, immutable_id: account.immutable_id.as_deref() }
}

pub(super) fn identity(text: &str) -> Result<IdentityId> {
    Uuid::try_parse(text).map(IdentityId).map_err(Error::internal)
}

fn standing(number: i32) -> Result<Standing> {
    match pb::Expectation::try_from(number) {
        Ok(pb::Expectation::ShouldHave) => Ok(Standing::ShouldHave),
        Ok(pb::Expectation::ShouldNotHave) => Ok(Standing::ShouldNotHave),
        Ok(pb::Expectation::Unknown) => Ok(Standing::Unknown),
        Ok(pb::Expectation::Unspecified) | Err(_) => {
            Err(Error::internal("an expected account says nothing of its identity's standing"))
        }
    }
}
