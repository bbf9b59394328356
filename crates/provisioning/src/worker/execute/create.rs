//! Creating an account. One that is already there is adopted if it is provably ours, and never overwritten.

use xavyo_connectors::NewAccount;
use xavyo_core::{
    account::{Account, AccountKey, AccountState},
    change::{ACCOUNT_STATE, Change},
    comparison,
    conflict::{Clash, ConflictOutcome, ConflictType},
    connector::FailureKind,
    effect,
    value::Attributes,
};

use super::{
    Attempt, Completed, Outcome, Stop, failed, present, refused,
    unsealed::{hidden_texts, silenced},
};
use crate::worker::outcome::Met;

/// Names tried when the mapping's naming expression makes others for taken ones.
const MAX_ITERATION: u32 = 99;

impl Attempt<'_> {
    pub(super) async fn create(&self) -> Result<Completed, Stop> {
        if self.operation.overtaken {
            return self.read_back().await;
        }
        self.check_allowed("create", |allowed| allowed.create)?;
        if let Some(linked) = self.linked().await? {
            return Ok(linked);
        }
        self.check_premise(None)?;
        self.create_unlinked().await
    }

    async fn linked(&self) -> Result<Option<Completed>, Stop> {
        let Some(link) = self.link else { return Ok(None) };
        let account = self.read(&link.account).await?;
        Ok(account.map(|account| present("the account exists and is linked", account.key(), None)))
    }

    /// What takes the account away waits behind: nothing is sent any more, but what was made before is found and named.
    async fn read_back(&self) -> Result<Completed, Stop> {
        if let Some(linked) = self.linked().await? {
            return Ok(linked);
        }
        let attributes = self.initial_attributes()?;
        let mut tried: Option<String> = None;
        for iteration in 0..=MAX_ITERATION {
            let external_uid = self.name(iteration)?;
            if tried.as_ref() == Some(&external_uid) {
                break;
            }
            match self.read_by_name(&external_uid).await? {
                Some(existing) if self.is_ours(&existing, &attributes)? => {
                    return Ok(present("found as an earlier attempt left it", existing.key(), None));
                }
                Some(_) => tried = Some(external_uid),
                // A free name was given to nobody, and none after it was tried.
                None => break,
            }
        }
        let gone = "it made no account before a later delete or disable overtook it";
        Err(Stop::With(Outcome::PremiseGone(gone.to_owned())))
    }

    /// Creates the account under the first name that is free, or adopts the one that has it.
    pub(super) async fn create_unlinked(&self) -> Result<Completed, Stop> {
        let attributes = self.initial_attributes()?;
        let enabled = self.initial_state()?;
        let mut tried: Option<String> = None;
        for iteration in 0..=MAX_ITERATION {
            let external_uid = self.name(iteration)?;
            if tried.as_ref() == Some(&external_uid) {
                break;
            }
            // An earlier attempt may have created it: look before creating it again.
            if self.operation.outcome_unknown
                && let Some(existing) = self.read_by_name(&external_uid).await?
                && self.is_ours(&existing, &attributes)?
            {
                return Ok(present("found as an earlier attempt left it", existing.key(), None));
            }
            match self.send_create(&external_uid, &attributes, enabled).await {
                Ok(account) => {
                    let message = format!("created {}", account.external_uid);
                    return Ok(present(message, account.key(), enabled.map(|enabled| !enabled)));
                }
                Err(stop) if stop.is(FailureKind::AlreadyExists) => {
                    if let Some(adopted) = self.adopt(&external_uid, &attributes).await? {
                        return Ok(adopted);
                    }
                }
                Err(stop) => return Err(stop),
            }
            tried = Some(external_uid);
        }
        let message = format!("{} belongs to another account", tried.unwrap_or_default());
        let outcome = Clash::AccountExists.outcome(self.rule(Clash::AccountExists));
        // Not even an automatic create takes what is another's.
        let outcome = outcome.filter(|outcome| *outcome != ConflictOutcome::Applied);
        let met = Met { conflict_type: ConflictType::AccountExists, affected: Vec::new(), outcome };
        Err(Stop::With(Outcome::Conflict { met, message }))
    }

    async fn send_create(
        &self,
        external_uid: &str,
        attributes: &Attributes,
        enabled: Option<bool>,
    ) -> Result<Account, Stop> {
        let attributes = self.opened_attributes(attributes).await?;
        let written =
            attributes.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let hidden = hidden_texts(self.program()?, written);
        self.may_call().await?;
        let account = NewAccount {
            object_class: self.operation.object_class.clone(),
            external_uid: external_uid.to_owned(),
            attributes,
            enabled,
            tag: self.tag.clone(),
        };
        let created = self.connector().create(&account).await;
        created.map_err(|failure| failed(silenced(failure, &hidden)))
    }

    async fn read_by_name(&self, external_uid: &str) -> Result<Option<Account>, Stop> {
        self.read(&AccountKey { external_uid: external_uid.to_owned(), immutable_id: None }).await
    }

    /// The account that has the name, if it is provably ours. Its password is never touched.
    async fn adopt(&self, external_uid: &str, attributes: &Attributes) -> Result<Option<Completed>, Stop> {
        let Some(existing) = self.read_by_name(external_uid).await? else { return Ok(None) };
        self.check_unprotected(&existing)?;
        let adopted = || present(format!("adopted {}", existing.external_uid), existing.key(), None);
        if self.is_ours(&existing, attributes)? {
            return Ok(Some(adopted()));
        }
        if !self.adopts_anything() {
            return Ok(None);
        }
        let met = self.contradicted(Clash::AccountExists, Vec::new(), "the account is another's")?;
        Ok(Some(Completed { met, ..adopted() }))
    }

    /// Ours is what correlates with the identity; and, after an unknown outcome, what holds just what we wrote.
    fn is_ours(&self, account: &Account, attributes: &Attributes) -> Result<bool, Stop> {
        let program = self.program()?;
        let correlates = match self.identity {
            Some(identity) => effect::correlates(program, identity, account)
                .map_err(|error| refused("CORRELATION_UNKNOWN", error))?,
            None => false,
        };
        Ok(correlates || (self.operation.outcome_unknown && effect::holds(program, attributes, account)))
    }

    /// What the operation says, over what the mapping yields.
    fn initial_attributes(&self) -> Result<Attributes, Stop> {
        let mut attributes = match self.identity {
            Some(identity) => {
                let program = self.program()?;
                let expected = program.expected(identity, self.references);
                if let Some((attribute, error)) = expected.failures.first() {
                    return Err(refused("EXPRESSION_FAILED", format!("{attribute}: {error}")));
                }
                comparison::initial_attributes(program, &expected)
            }
            None => Attributes::new(),
        };
        for (name, change) in &self.operation.payload {
            match change {
                _ if name == ACCOUNT_STATE => {}
                Change::Set(values) | Change::Modify { add: values, .. } => {
                    attributes.insert(name.clone(), values.clone());
                }
                Change::Clear => {
                    attributes.remove(name);
                }
            }
        }
        Ok(attributes)
    }

    fn initial_state(&self) -> Result<Option<bool>, Stop> {
        if !self.connector().capabilities().disables {
            return Ok(None);
        }
        match self.operation.wanted_state() {
            None | Some(AccountState::Enabled) => Ok(Some(true)),
            Some(AccountState::Disabled) => Ok(Some(false)),
            Some(AccountState::Absent) => {
                Err(refused("INVALID_STATE", "an account cannot be created absent"))
            }
        }
    }

    fn name(&self, iteration: u32) -> Result<String, Stop> {
        match (&self.operation.target_uid, self.identity) {
            (Some(uid), _) => Ok(uid.clone()),
            (None, Some(identity)) => {
                self.program()?.name(identity, iteration).map_err(|error| refused("NAMING_FAILED", error))
            }
            (None, None) => Err(refused("NO_NAME", "neither a uid nor an identity names the account")),
        }
    }
}
