//! Premises: what must still hold just before a write, checked against a live read.

use xavyo_core::{account::Account, change::Changes, effect, operation::Precondition};

use super::{Attempt, Outcome, Stop};

impl Attempt<'_> {
    /// Whether the operation states anything that only a live read can confirm.
    pub(super) fn has_premise(&self) -> bool {
        self.operation.precondition.is_some()
    }

    /// Checks the precondition against the account as it is now. An account that is not there fails every premise about
    /// it.
    pub(super) fn check_premise(&self, live: Option<&Account>) -> Result<(), Stop> {
        let Some(precondition) = &self.operation.precondition else { return Ok(()) };
        match self.broken(precondition, live) {
            Some(broken) => Err(Stop::With(Outcome::PremiseGone(broken))),
            None => Ok(()),
        }
    }

    fn broken(&self, precondition: &Precondition, live: Option<&Account>) -> Option<String> {
        let linked = self.link.is_some_and(|link| Some(link.identity_id) == self.operation.identity_id);
        if precondition.linked.is_some_and(|wanted| wanted != linked) {
            return Some("the account's link has changed".to_owned());
        }
        let active = self.identity.is_some_and(|identity| identity.active);
        if precondition.identity_active.is_some_and(|wanted| wanted != active) {
            return Some("the identity is no longer what it was".to_owned());
        }
        if let Some(immutable_id) = &precondition.immutable_id
            && live.and_then(|account| account.immutable_id.as_ref()) != Some(immutable_id)
        {
            return Some(format!("the account with the immutable id {immutable_id} is gone"));
        }
        if let Some(wanted) = &precondition.attributes_digest {
            let written = || self.operation.payload.keys().map(String::as_str);
            let shown = live
                .zip(self.program().ok())
                .map(|(account, program)| effect::digest_of(program, written(), account).to_string());
            if shown.as_ref() != Some(wanted) {
                return Some("the attributes have changed since they were compared".to_owned());
            }
        }
        None
    }

    /// Whether the account shows what the operation writes.
    pub(super) fn shows(&self, account: &Account) -> bool {
        self.shows_changes(account, &self.operation.payload)
    }

    pub(super) fn shows_changes(&self, account: &Account, changes: &Changes) -> bool {
        self.program().is_ok_and(|program| effect::shows(program, changes, account))
    }
}

pub(super) fn premise_gone() -> Stop {
    Stop::With(Outcome::PremiseGone("the account is gone".to_owned()))
}
