//! What an identity calls for: taken from its link, or evaluated.

use chrono::{DateTime, Utc};
use xavyo_core::{
    account::{AccountKey, AccountState},
    account_state,
    connector::Deprovision,
    correlation::CorrelationKey,
    digest::{self, Digest},
    identity::Identity,
    ids::LinkId,
    mapping::{Evaluation, Program, References},
};

use super::ExpectedAccount;
use crate::store::{
    account::expected::{Basis, Row},
    link::kept::{Fresh, Kept},
};

/// What every record is judged by.
pub(super) struct Rules {
    pub program: Program,
    pub deprovision: Deprovision,
    pub revision: i32,
    pub now: DateTime<Utc>,
}

/// A row with all that its evaluation needs.
pub(super) struct Record {
    pub row: Row,
    pub in_flight: bool,
    pub references: References,
    pub rejected: Vec<AccountKey>,
}

/// What evaluating a record made.
pub(super) struct Evaluated {
    pub account: ExpectedAccount,
    pub is_unevaluable: bool,
    /// To be kept for the next run.
    pub fresh: Option<Fresh>,
}

/// What an identity calls for.
struct Called {
    standing: Evaluation,
    keys: Option<Vec<CorrelationKey>>,
    digest: Option<Digest>,
    is_unevaluable: bool,
}

impl Rules {
    pub fn evaluate(&self, record: Record) -> Evaluated {
        let Record { row: Row { identity_id, changed, link, basis }, in_flight, references, rejected } =
            record;
        let (called, fresh) = match basis {
            Basis::Kept(kept) => (Called::from(kept), None),
            Basis::Identity(identity) => {
                let called = self.called_for(&identity, &references, link.is_some());
                let fresh = link.as_ref().and_then(|link| self.fresh(link.id, identity.version, &called));
                (called, fresh)
            }
        };
        let account = ExpectedAccount {
            identity_id,
            state: link.as_ref().and_then(|link| self.state(&called.standing, link.deprovision_due_at)),
            standing: called.standing,
            // The day of a staged deletion comes without a write.
            changed: changed || link.as_ref().is_some_and(|link| link.deprovision_due_at.is_some()),
            link,
            digest: called.digest,
            correlation_keys: called.keys,
            in_flight,
            rejected,
        };
        Evaluated { account, is_unevaluable: called.is_unevaluable, fresh }
    }

    fn called_for(&self, identity: &Identity, references: &References, is_linked: bool) -> Called {
        let standing = self.program.scope(identity);
        let keys = self.program.correlation_keys_of_identity(identity).ok();
        let mut is_unevaluable = matches!(standing, Evaluation::Unknown(_)) || keys.is_none();
        let digest = is_linked.then(|| self.program.expected(identity, references)).and_then(|expected| {
            is_unevaluable |= !expected.failures.is_empty();
            digest::expected(&self.program, &expected)
        });
        Called { standing, keys, digest, is_unevaluable }
    }

    /// What may be kept: nothing of it is unknown, nor made from what changes without a trace.
    fn fresh(&self, link_id: LinkId, identity_version: i64, called: &Called) -> Option<Fresh> {
        let in_scope = match called.standing {
            Evaluation::In => true,
            Evaluation::Out => false,
            Evaluation::Unknown(_) => return None,
        };
        let kept = Kept { in_scope, digest: called.digest?, keys: called.keys.clone()? };
        let may_be_kept = !called.is_unevaluable && self.kept_by().is_some();
        may_be_kept.then_some(Fresh { link_id, identity_version, kept })
    }

    /// Of which revision something is kept. References change behind its back.
    pub fn kept_by(&self) -> Option<i32> {
        (!self.program.uses_links()).then_some(self.revision)
    }

    fn state(&self, standing: &Evaluation, due_at: Option<DateTime<Utc>>) -> Option<AccountState> {
        state(standing, self.deprovision, due_at, self.now)
    }
}

impl From<Kept> for Called {
    fn from(kept: Kept) -> Self {
        let standing = if kept.in_scope { Evaluation::In } else { Evaluation::Out };
        Self { standing, keys: Some(kept.keys), digest: Some(kept.digest), is_unevaluable: false }
    }
}

/// The state that a linked account should be in; None = no opinion.
pub(in crate::accounts) fn state(
    standing: &Evaluation,
    deprovision: Deprovision,
    due_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<AccountState> {
    let is_due = due_at.is_some_and(|due_at| due_at <= now);
    match standing {
        Evaluation::In => account_state::expected(true, deprovision, is_due),
        Evaluation::Out => account_state::expected(false, deprovision, is_due),
        Evaluation::Unknown(_) => None,
    }
}
