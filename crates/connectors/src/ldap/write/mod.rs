//! Writes.
//!
//! Where the server takes assertions (RFC 4528), each write carries one: the entry still has the immutable id, and the
//! version where one is asked for. So a write goes to the name that is known, at once; if the entry is not that one any
//! more, it is searched by its immutable id and the write follows it to its new name. Without assertions the entry is
//! read just before, which leaves a moment between check and write; so are members of groups before they are renamed or
//! deleted.
//!
//! An update is one request for the attributes, then one for the password, one for each group, one for the name: when one
//! fails, those before it stand. All may be repeated. A create that cannot be finished is undone.
//!
//! Begin with [`Session::create`] and [`Session::update`]; [`edit`] is the attributes, [`apart`] what is written in
//! another way, [`naming`] what entries are called.

mod apart;
mod edit;
mod membership;
mod naming;

use ldap3::LdapResult;
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{FailureKind, TargetFailure},
};

use self::{
    apart::{Apart, MEMBERSHIP},
    edit::Edit,
};
use super::{
    Ldap,
    connection::{self, Terms},
    dn::Dn,
    entry::Entry,
    failure::{self, Call},
    filter,
    session::Session,
};
use crate::{AccountUpdate, NewAccount, redaction::Redaction};

/// The names that a write follows an entry to before it gives up.
const MOST_NAMES: usize = 3;

/// One write to one entry.
#[derive(Clone, Debug)]
enum Step {
    Modify(Vec<Edit>),
    /// The new first step of the name.
    Rename(String),
    Delete,
}

/// What must hold of the entry that is written.
#[derive(Clone, Copy, Debug)]
struct Premise<'a> {
    key: &'a AccountKey,
    if_version: Option<&'a str>,
}

impl Session<'_> {
    pub(super) async fn create(&self, ldap: &Ldap, account: &NewAccount) -> Result<Account, TargetFailure> {
        let dn = ldap.dn_of_new(&account.external_uid)?;
        let redaction = Redaction::of_attributes(&account.attributes);
        let mut given = account.attributes.clone();
        let apart = Apart::of_attributes(ldap, &self.server, &mut given)?;
        let attributes = edit::new_entry(ldap, &self.server, &dn, account, &given)?;
        let terms = Terms { post_read: self.post_read(), ..Terms::default() };
        let result = self.connection.add(&dn.to_string(), attributes, terms, self.deadline).await?;
        if result.rc != failure::SUCCESS {
            return Err(failure::of_result(&result, Call::Create, &redaction));
        }
        let made = self.left(&dn, &result).await?;
        if apart.is_nothing() {
            return Ok(made);
        }
        match self.write_apart(ldap, &dn, &apart, &redaction).await {
            Ok(()) => self.unchanged(ldap, Premise { key: &made.key(), if_version: None }).await,
            Err(failure) => Err(self.undone(ldap, &made.key(), failure).await),
        }
    }

    /// Takes back an entry that could not be finished, so that the next try begins with nothing.
    async fn undone(&self, ldap: &Ldap, key: &AccountKey, failure: TargetFailure) -> TargetFailure {
        if failure.kind == FailureKind::Unknown || self.delete(ldap, key, None).await.is_ok() {
            return failure;
        }
        let message = format!("the entry was made and could not be finished ({failure}), nor removed");
        TargetFailure::new(FailureKind::Unknown, failure.code, message)
    }

    pub(super) async fn update(
        &self,
        ldap: &Ldap,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        let redaction = Redaction::of_changes(&update.changes);
        let mut update = update.clone();
        let apart = Apart::of_changes(ldap, &self.server, &mut update.changes)?;
        let mut dn = ldap.dn_of_key(&key.external_uid);
        let mut premise = Premise { key, if_version: update.if_version.as_deref() };
        if ldap.may_rename(&update) || !apart.is_nothing() {
            // What follows is written by name, which may be another than the one we knew.
            dn = self.located(ldap, premise).await?;
        }
        let renamed = ldap.new_name(&dn, &update)?;
        let name = dn.named_by(&ldap.settings.naming_attribute).filter(|_| renamed.is_some());
        let mut edits = edit::edits(ldap, &update, name)?;
        if let Some(enabled) = update.enabled {
            edits.extend(self.state_edit(&dn, enabled).await?);
        }
        let mut last = None;
        if !edits.is_empty() {
            (dn, last) = self.write(ldap, dn, Step::Modify(edits), premise, &redaction).await?;
            premise.if_version = None;
        }
        if !apart.is_nothing() {
            self.write_apart(ldap, &dn, &apart, &redaction).await?;
            (premise.if_version, last) = (None, None);
        }
        if let Some(value) = renamed
            && dn.named_by(&ldap.settings.naming_attribute) != Some(&value)
        {
            let named = dn.parent().child(&ldap.settings.naming_attribute, &value);
            let step = Step::Rename(named.rdn());
            let renamed = self.write(ldap, dn, step, premise, &redaction).await?;
            last = renamed.1;
            dn = renamed.0.parent().child(&ldap.settings.naming_attribute, &value);
        }
        match last {
            Some(result) => self.left(&dn, &result).await,
            None => self.unchanged(ldap, premise).await,
        }
    }

    /// Sets the password, then joins and leaves groups.
    async fn write_apart(
        &self,
        ldap: &Ldap,
        dn: &Dn,
        apart: &Apart,
        redaction: &Redaction,
    ) -> Result<(), TargetFailure> {
        if let Some(password) = &apart.password {
            let result = self.connection.set_password(&dn.to_string(), password, self.deadline).await?;
            if result.rc != failure::SUCCESS {
                return Err(failure::of_result(&result, Call::Modify, redaction));
            }
        }
        match &apart.membership {
            Some(change) => self.write_membership(ldap, dn, change).await,
            None => Ok(()),
        }
    }

    pub(super) async fn delete(
        &self,
        ldap: &Ldap,
        key: &AccountKey,
        if_version: Option<&str>,
    ) -> Result<(), TargetFailure> {
        let dn = ldap.dn_of_key(&key.external_uid);
        self.write(ldap, dn, Step::Delete, Premise { key, if_version }, &Redaction::default()).await?;
        Ok(())
    }

    /// Writes to the entry of the premise, wherever it is by now. Returns its name when written, and the answer; no
    /// answer when nothing was left to write.
    async fn write(
        &self,
        ldap: &Ldap,
        mut dn: Dn,
        mut step: Step,
        premise: Premise<'_>,
        redaction: &Redaction,
    ) -> Result<(Dn, Option<LdapResult>), TargetFailure> {
        let call = step.call();
        if !self.server.asserts || premise.key.external_uid.is_empty() {
            dn = self.located(ldap, premise).await?;
        }
        for _ in 0..MOST_NAMES {
            if matches!(&step, Step::Rename(rdn) if *rdn == dn.rdn()) {
                return Ok((dn, None));
            }
            let asserts = self.server.asserts && !self.moves_groups(&dn, &step).await?;
            if self.server.asserts && !asserts {
                dn = self.located(ldap, premise).await?;
            }
            let result = self.send(&dn, &step, premise, asserts).await?;
            match (result.rc, &mut step) {
                (failure::SUCCESS, _) => return Ok((dn, Some(result))),
                (failure::ASSERTION_FAILED | failure::NO_SUCH_OBJECT, _) => {
                    let now = self.located(ldap, premise).await?;
                    if now.is_same(&dn) {
                        return Err(failure::of_result(&result, call, redaction));
                    }
                    dn = now;
                }
                (
                    failure::NO_SUCH_ATTRIBUTE
                    | failure::VALUE_EXISTS
                    | failure::ENTRY_EXISTS
                    | failure::UNWILLING,
                    Step::Modify(edits),
                ) if edits.iter().any(Edit::alters) => {
                    if !self.keep_what_is_left(&dn, edits).await? {
                        return Err(failure::of_result(&result, call, redaction));
                    }
                    if edits.is_empty() {
                        return Ok((dn, None));
                    }
                }
                _ => return Err(failure::of_result(&result, call, redaction)),
            }
        }
        Err(TargetFailure::new(
            FailureKind::Busy,
            "LDAP_CHANGING",
            "the entry keeps changing; nothing was written",
        ))
    }

    /// Groups must follow the entry. OpenLDAP's `memberof` writes them under the request's own controls: an assertion
    /// about the entry fails there, and leaves the groups, without a word, to whoever gets the name next.
    async fn moves_groups(&self, dn: &Dn, step: &Step) -> Result<bool, TargetFailure> {
        match step {
            Step::Modify(_) => Ok(false),
            Step::Rename(_) | Step::Delete => {
                let entry = self.entry_at(dn, &[MEMBERSHIP.to_owned()]).await?.unwrap_or_default();
                Ok(!entry.values(MEMBERSHIP).is_empty())
            }
        }
    }

    async fn send(
        &self,
        dn: &Dn,
        step: &Step,
        premise: Premise<'_>,
        asserts: bool,
    ) -> Result<LdapResult, TargetFailure> {
        // Where an id can be a name, the write goes to the id, whatever happens to the name meanwhile.
        let by_id = premise.key.immutable_id.as_deref().and_then(|id| self.server.name_of_id(id));
        let dn = by_id.unwrap_or_else(|| dn.to_string());
        let terms = Terms {
            assertion: asserts.then(|| self.assertion(premise)).flatten(),
            post_read: self.post_read(),
            permissive: false,
        };
        match step {
            Step::Modify(edits) => {
                let modifications = edits.iter().flat_map(Edit::modifications).collect();
                let terms = Terms { permissive: self.server.permissive, ..terms };
                self.connection.modify(&dn, modifications, terms, self.deadline).await
            }
            Step::Rename(rdn) => self.connection.rename(&dn, rdn, terms, self.deadline).await,
            Step::Delete => {
                self.connection.delete(&dn, Terms { post_read: None, ..terms }, self.deadline).await
            }
        }
    }

    fn assertion(&self, premise: Premise<'_>) -> Option<String> {
        let id = premise.key.immutable_id.as_deref().and_then(|id| self.server.id_value(id));
        let id = id.map(|id| filter::equals(self.server.id_attribute(), &id));
        let version = premise.if_version;
        let version =
            version.map(|version| filter::equals(self.server.version_attribute(), version.as_bytes()));
        let conditions: Vec<String> = id.into_iter().chain(version).collect();
        (!conditions.is_empty()).then(|| filter::all(conditions))
    }

    fn post_read(&self) -> Option<Vec<String>> {
        self.server.post_reads.then(|| self.server.requested(&[]))
    }

    /// Where the premise's entry is now.
    async fn located(&self, ldap: &Ldap, premise: Premise<'_>) -> Result<Dn, TargetFailure> {
        let account = self.unchanged(ldap, premise).await?;
        Dn::parse(&account.external_uid).map_err(|_| failure::garbled(Call::Read))
    }

    /// The account of the premise, as it is.
    async fn unchanged(&self, ldap: &Ldap, premise: Premise<'_>) -> Result<Account, TargetFailure> {
        let account = self.get(ldap, premise.key, &[]).await?.ok_or_else(failure::not_found)?;
        match premise.if_version {
            Some(version) if account.version.as_deref() != Some(version) => Err(failure::changed_meanwhile()),
            Some(_) | None => Ok(account),
        }
    }

    /// The account that a write left: from its own answer, or read. A read that fails hides nothing: it was written.
    async fn left(&self, dn: &Dn, result: &LdapResult) -> Result<Account, TargetFailure> {
        let entry = match connection::post_read(result) {
            Some(entry) => entry,
            None => self.entry_at(dn, &[]).await.ok().flatten().unwrap_or_default(),
        };
        entry.named(dn).account(&self.server, &[]).ok_or_else(|| failure::garbled(Call::Read))
    }

    async fn state_edit(&self, dn: &Dn, enabled: bool) -> Result<Option<Edit>, TargetFailure> {
        let entry = if self.server.state_is_relative() {
            self.entry_at(dn, &[]).await?.unwrap_or_default()
        } else {
            Entry::default()
        };
        let edit = |(attribute, values): (&str, Vec<String>)| {
            Edit::Replace(attribute.to_owned(), values.into_iter().map(String::into_bytes).collect())
        };
        Ok(self.server.state_values(&entry, enabled).map(edit))
    }

    /// Takes out of the edits what is there already, and what is gone already. False: there was no such thing.
    async fn keep_what_is_left(&self, dn: &Dn, edits: &mut Vec<Edit>) -> Result<bool, TargetFailure> {
        let dn = dn.to_string();
        let mut has_less = false;
        for edit in edits.iter_mut() {
            let Edit::Alter { attribute, add, remove } = edit else { continue };
            for (values, needless) in [(add, true), (remove, false)] {
                for value in values.clone() {
                    if self.connection.holds(&dn, attribute, &value, self.deadline).await? == Some(needless) {
                        has_less |= values.remove(&value);
                    }
                }
            }
        }
        edits.retain(|edit| !edit.is_done());
        Ok(has_less)
    }
}

impl Step {
    fn call(&self) -> Call {
        match self {
            Self::Modify(_) => Call::Modify,
            Self::Rename(_) => Call::Rename,
            Self::Delete => Call::Delete,
        }
    }
}
