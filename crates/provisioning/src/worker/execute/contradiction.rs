//! The target contradicts an operation: what the connector's policy makes of it. Automatic operations follow the identity,
//! whatever the target says; what was asked for is a conflict.

use xavyo_core::{
    account::Account,
    change::{ACCOUNT_STATE, Changes},
    conflict::{self, Clash, ConflictOutcome, ConflictRule, External},
};

use super::{Attempt, Completed, Outcome, Stop};
use crate::worker::outcome::Met;

/// What an attempt has seen of its account, between its reads.
#[derive(Default)]
pub(super) struct Seen {
    account: Option<Account>,
    met: Option<Met>,
    /// Attributes that are left to the target.
    left: Vec<String>,
}

impl Attempt<'_> {
    /// Goes on, with what is to be recorded; or stops, because ours is given up or a person decides. What a person has
    /// decided for this operation is obeyed.
    pub(super) fn contradicted(
        &self,
        clash: Clash,
        affected: Vec<String>,
        message: &str,
    ) -> Result<Option<Met>, Stop> {
        if self.operation.cause.kind.is_automatic() || self.operation.decided.is_some() {
            return Ok(None);
        }
        match clash.outcome(self.rule(clash)) {
            Some(outcome @ (ConflictOutcome::Applied | ConflictOutcome::Merged)) => {
                Ok(Some(Met { conflict_type: clash.conflict_type(), affected, outcome: Some(outcome) }))
            }
            outcome @ (Some(ConflictOutcome::Superseded | ConflictOutcome::Rejected) | None) => {
                let met = Met { conflict_type: clash.conflict_type(), affected, outcome };
                Err(Stop::With(Outcome::Conflict { met, message: message.to_owned() }))
            }
        }
    }

    /// Whether an account that is not provably ours is to be taken for ours.
    pub(super) fn adopts_anything(&self) -> bool {
        self.operation.decided == Some(ConflictOutcome::Applied)
            || self.rule(Clash::AccountExists) == Some(ConflictRule::Applied)
    }

    /// An account that was read once more because it changed before it could be written.
    pub(super) fn look_again(&self, seen: &mut Seen, live: &Account) -> Result<(), Stop> {
        let Some(before) = seen.account.replace(live.clone()) else { return Ok(()) };
        let object_type = self.program()?.object_type();
        let Some(found) = conflict::external(object_type, &self.operation.payload, &before, live) else {
            return Ok(());
        };
        let External { clash, affected_attributes } = found;
        let met = self.contradicted(clash, affected_attributes, "the target changed meanwhile")?;
        let has_common = clash != Clash::ExternalChange { authority: None };
        if let Some(met) =
            met.as_ref().filter(|met| has_common && met.outcome == Some(ConflictOutcome::Merged))
        {
            seen.left.clone_from(&met.affected);
        }
        seen.met = met;
        Ok(())
    }

    pub(super) fn rule(&self, clash: Clash) -> Option<ConflictRule> {
        self.target.connector.policies.conflicts.get(&clash.conflict_type()).copied()
    }
}

impl Seen {
    /// What is still to be written; the state, too, may be left to the target.
    pub(super) fn without_left(&self, mut changes: Changes) -> Changes {
        changes.retain(|name, _| !self.left.contains(name));
        changes
    }

    pub(super) fn leaves_state(&self) -> bool {
        self.left.iter().any(|name| name == ACCOUNT_STATE)
    }

    pub(super) fn recorded(self, completed: Completed) -> Completed {
        Completed { met: self.met.or(completed.met), ..completed }
    }
}
