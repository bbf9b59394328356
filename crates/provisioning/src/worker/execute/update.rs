//! Updating an account: attributes, its state, its name.

use xavyo_connectors::AccountUpdate;
use xavyo_core::{
    account::{Account, AccountKey, AccountState},
    change::{ACCOUNT_STATE, Changes},
    comparison,
    conflict::Clash,
    connector::FailureKind,
    mapping::Evaluation,
    value::Attributes,
};

use super::{
    Attempt, Completed, Effect, Stop,
    contradiction::Seen,
    failed,
    premise::premise_gone,
    present, refused,
    unsealed::{hidden_texts, silenced},
};

/// How often an attempt reads again when the account changes between its read and its write.
const READS: usize = 3;

impl Attempt<'_> {
    pub(super) async fn update(&self) -> Result<Completed, Stop> {
        let Some(key) = self.key() else { return self.without_account().await };
        let state = self.operation.wanted_state();
        match state {
            Some(AccountState::Disabled) => self.check_allowed("disable", |allowed| allowed.disable)?,
            Some(AccountState::Enabled | AccountState::Absent) | None => {
                self.check_allowed("update", |allowed| allowed.update)?;
            }
        }
        let mut seen = Seen::default();
        for _ in 1..READS {
            match self.read_and_write(&key, state, &mut seen).await {
                Err(stop) if stop.is(FailureKind::PreconditionFailed) => {}
                Err(stop) if stop.is(FailureKind::NotFound) => return self.without_account().await,
                Ok(completed) => return Ok(seen.recorded(completed)),
                stopped => return stopped,
            }
        }
        let completed = self.read_and_write(&key, state, &mut seen).await?;
        Ok(seen.recorded(completed))
    }

    async fn read_and_write(
        &self,
        key: &AccountKey,
        state: Option<AccountState>,
        seen: &mut Seen,
    ) -> Result<Completed, Stop> {
        let live = if self.reads_first(state)? {
            match self.read(key).await? {
                None if self.has_premise() => return Err(premise_gone()),
                None => return self.without_account().await,
                Some(live) => Some(live),
            }
        } else {
            None
        };
        if let Some(live) = &live {
            self.check_unprotected(live)?;
            if self.operation.outcome_unknown && !self.operation.payload.is_empty() && self.shows(live) {
                return Ok(self.updated("the account shows it already", live.key(), state));
            }
            self.check_premise(Some(live))?;
            self.look_again(seen, live)?;
        }
        let changes = seen.without_left(self.changes(live.as_ref())?);
        let state = state.filter(|_| !seen.leaves_state());
        if changes.is_empty() && state.is_none() {
            return Ok(present("nothing to change", key.clone(), None));
        }
        self.send_update(live.as_ref(), key, changes, state).await
    }

    async fn send_update(
        &self,
        live: Option<&Account>,
        key: &AccountKey,
        changes: Changes,
        state: Option<AccountState>,
    ) -> Result<Completed, Stop> {
        let message = described(&changes, state);
        let changes = self.opened_changes(changes).await?;
        let written =
            changes.iter().flat_map(|(name, change)| change.values().map(move |value| (name, value)));
        let hidden = hidden_texts(self.program()?, written);
        self.may_call().await?;
        let guarded = self.connector().capabilities().versions;
        let update = AccountUpdate {
            changes,
            enabled: state.map(|state| state == AccountState::Enabled),
            rename_to: None,
            if_version: live.and_then(|live| live.version.clone()).filter(|_| guarded),
            tag: self.tag.clone(),
        };
        let key = live.map_or_else(|| key.clone(), Account::key);
        let written = self.connector().update(&self.operation.object_class, &key, &update).await;
        let account = written.map_err(|failure| failed(silenced(failure, &hidden)))?;
        Ok(self.updated(&message, account.key(), state))
    }

    fn updated(&self, message: &str, account: AccountKey, state: Option<AccountState>) -> Completed {
        // An immutable id that we knew and the answer leaves out is still the account's.
        let known = self.link.and_then(|link| link.account.immutable_id.clone());
        let account = AccountKey { immutable_id: account.immutable_id.or(known), ..account };
        present(message, account, state.map(|state| state == AccountState::Disabled))
    }

    /// What only a live read can tell: a premise, protection, an unknown outcome, the difference to the identity; and
    /// nobody is disabled unread (R2).
    fn reads_first(&self, state: Option<AccountState>) -> Result<bool, Stop> {
        Ok(self.has_premise()
            || self.operation.outcome_unknown
            || self.operation.payload.is_empty()
            || state == Some(AccountState::Disabled)
            || !self.program()?.object_type().protected.is_empty())
    }

    /// The payload, or what the identity calls for.
    fn changes(&self, live: Option<&Account>) -> Result<Changes, Stop> {
        if !self.operation.payload.is_empty() {
            let mut changes = self.operation.payload.clone();
            changes.remove(ACCOUNT_STATE);
            return Ok(changes);
        }
        let identity = self.identity.ok_or_else(|| {
            refused("NO_IDENTITY", "an empty payload needs an identity to be computed from")
        })?;
        let program = self.program()?;
        let expected = program.expected(identity, self.references);
        if let Some((attribute, error)) = expected.failures.first() {
            return Err(refused("EXPRESSION_FAILED", format!("{attribute}: {error}")));
        }
        let none = Attributes::new();
        let actual = live.map_or(&none, |account| &account.attributes);
        Ok(comparison::changes_towards(program, &expected, actual))
    }

    /// The account to update is gone: it is created again if the identity should have it, else there is nothing to do. A
    /// disable finds nothing to disable: nobody gets a disabled account by leaving.
    async fn without_account(&self) -> Result<Completed, Stop> {
        if self.has_premise() {
            return Err(premise_gone());
        }
        let leaves = self.operation.wanted_state() == Some(AccountState::Disabled);
        let message = "the account is gone".to_owned();
        if leaves {
            return Ok(Completed { message, effect: Effect::Gone, met: None });
        }
        let met = self.contradicted(Clash::MissingTarget, Vec::new(), &message)?;
        let gone = Completed { message, effect: Effect::Gone, met: met.clone() };
        let Some(identity) = self.identity else { return Ok(gone) };
        match self.program()?.scope(identity) {
            Evaluation::In => {
                self.check_allowed("create", |allowed| allowed.create)?;
                let created = self.create_unlinked().await?;
                Ok(Completed { met: created.met.clone().or(met), ..created })
            }
            Evaluation::Out => Ok(gone),
            Evaluation::Unknown(error) => Err(refused("SCOPE_UNKNOWN", error)),
        }
    }
}

fn described(changes: &Changes, state: Option<AccountState>) -> String {
    let mut parts: Vec<&str> = changes.keys().map(String::as_str).collect();
    parts.extend(state.map(AccountState::name));
    format!("wrote {}", parts.join(", "))
}
