//! Writes.
//!
//! Where the server takes assertions (RFC 4528), each write carries one: the entry still has the immutable id, and the
//! version where one is asked for. So a write goes to the name that is known, at once; if the entry is not that one any
//! more, it is searched by its immutable id and the write follows it to its new name. Without assertions the entry is
//! read just before, which leaves a moment between check and write.
//!
//! An update that changes both attributes and name is two requests, attributes first: when the second fails, the first
//! stands. Both may be repeated.

use ldap3::{LdapResult, Mod};
use xavyo_core::{
    account::{Account, AccountKey},
    change::Change,
    connector::{FailureKind, TargetFailure},
    value::Value,
};

use super::{
    Ldap,
    connection::{self, Terms, Values},
    dialect::Server,
    dn::Dn,
    entry::{Entry, written},
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

/// The change of one attribute, in the server's terms.
#[derive(Clone, Debug)]
enum Edit {
    Replace(String, Values),
    Alter { attribute: String, add: Values, remove: Values },
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
        let attributes = new_entry(ldap, &self.server, &dn, account)?;
        let terms = Terms { assertion: None, post_read: self.post_read() };
        let result = self.connection.add(&dn.to_string(), attributes, terms, self.deadline).await?;
        if result.rc != failure::SUCCESS {
            let redaction = Redaction::of_attributes(&account.attributes);
            return Err(failure::of_result(&result, Call::Create, &redaction));
        }
        self.left(&dn, &result).await
    }

    pub(super) async fn update(
        &self,
        ldap: &Ldap,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        let redaction = Redaction::of_changes(&update.changes);
        let mut dn = ldap.dn_of_key(&key.external_uid);
        let mut premise = Premise { key, if_version: update.if_version.as_deref() };
        if ldap.may_rename(update) {
            // The new name depends on the present one, which may be another than the one we knew.
            dn = self.located(ldap, premise).await?;
        }
        let renamed = ldap.new_name(&dn, update)?;
        let name = dn.named_by(&ldap.settings.naming_attribute).filter(|_| renamed.is_some());
        let mut edits = edits(ldap, update, name)?;
        if let Some(enabled) = update.enabled {
            edits.extend(self.state_edit(&dn, enabled).await?);
        }
        let mut last = None;
        if !edits.is_empty() {
            (dn, last) = self.write(ldap, dn, Step::Modify(edits), premise, &redaction).await?;
            premise.if_version = None;
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
        if !self.server.asserts {
            dn = self.located(ldap, premise).await?;
        }
        for _ in 0..MOST_NAMES {
            if matches!(&step, Step::Rename(rdn) if *rdn == dn.rdn()) {
                return Ok((dn, None));
            }
            let result = self.send(&dn, &step, premise).await?;
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
                    failure::NO_SUCH_ATTRIBUTE | failure::VALUE_EXISTS | failure::ENTRY_EXISTS,
                    Step::Modify(edits),
                ) if edits.iter().any(Edit::alters) => {
                    self.keep_what_is_left(&dn, edits).await?;
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

    async fn send(&self, dn: &Dn, step: &Step, premise: Premise<'_>) -> Result<LdapResult, TargetFailure> {
        let dn = dn.to_string();
        let terms = Terms { assertion: self.assertion(premise), post_read: self.post_read() };
        match step {
            Step::Modify(edits) => {
                let modifications = edits.iter().flat_map(Edit::modifications).collect();
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
        (self.server.asserts && !conditions.is_empty()).then(|| filter::all(conditions))
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

    /// Takes out of the edits what is there already, and what is gone already.
    async fn keep_what_is_left(&self, dn: &Dn, edits: &mut Vec<Edit>) -> Result<(), TargetFailure> {
        let dn = dn.to_string();
        for edit in edits.iter_mut() {
            let Edit::Alter { attribute, add, remove } = edit else { continue };
            for (values, needless) in [(add, true), (remove, false)] {
                for value in values.clone() {
                    if self.connection.holds(&dn, attribute, &value, self.deadline).await? == Some(needless) {
                        values.remove(&value);
                    }
                }
            }
        }
        edits.retain(|edit| match edit {
            Edit::Replace(..) => true,
            Edit::Alter { add, remove, .. } => !add.is_empty() || !remove.is_empty(),
        });
        Ok(())
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

impl Edit {
    fn alters(&self) -> bool {
        matches!(self, Self::Alter { .. })
    }

    fn modifications(&self) -> Vec<Mod<Vec<u8>>> {
        match self {
            Self::Replace(attribute, values) => {
                vec![Mod::Replace(attribute.clone().into_bytes(), values.clone())]
            }
            Self::Alter { attribute, add, remove } => {
                let attribute = attribute.clone().into_bytes();
                let removed = (!remove.is_empty()).then(|| Mod::Delete(attribute.clone(), remove.clone()));
                let added = (!add.is_empty()).then(|| Mod::Add(attribute.clone(), add.clone()));
                removed.into_iter().chain(added).collect()
            }
        }
    }
}

/// An update's changes as edits. When a rename follows, the naming attribute's first value is its business; further
/// values are set here, beside the present name, which the rename then takes away.
fn edits(ldap: &Ldap, update: &AccountUpdate, name: Option<&str>) -> Result<Vec<Edit>, TargetFailure> {
    let is_name = |attribute: &str| attribute.eq_ignore_ascii_case(&ldap.settings.naming_attribute);
    let mut edits = Vec::new();
    for (attribute, change) in &update.changes {
        check_name(attribute)?;
        match change {
            Change::Set(values) if name.is_some() && is_name(attribute) => {
                let further = bytes(values)?.into_iter().chain(name.map(|name| name.as_bytes().to_vec()));
                if values.len() > 1 {
                    edits.push(Edit::Replace(attribute.clone(), further.collect()));
                }
            }
            Change::Set(values) => edits.push(Edit::Replace(attribute.clone(), bytes(values)?)),
            Change::Clear => edits.push(Edit::Replace(attribute.clone(), Values::new())),
            Change::Modify { add, remove } => {
                let (add, remove) = (bytes(add)?, bytes(remove)?);
                if !add.is_empty() || !remove.is_empty() {
                    edits.push(Edit::Alter { attribute: attribute.clone(), add, remove });
                }
            }
        }
    }
    Ok(edits)
}

fn new_entry(
    ldap: &Ldap,
    server: &Server,
    dn: &Dn,
    account: &NewAccount,
) -> Result<Vec<(Vec<u8>, Values)>, TargetFailure> {
    let settings = &ldap.settings;
    let mut attributes: Vec<(String, Values)> = Vec::new();
    let mut put = |name: &str, values: Values| match attributes
        .iter_mut()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        Some((_, known)) => known.extend(values),
        None => attributes.push((name.to_owned(), values)),
    };
    let classes = settings.create_object_classes.iter().chain([&account.object_class]);
    put(
        "objectClass",
        classes.filter(|class| !class.is_empty()).map(|class| class.clone().into_bytes()).collect(),
    );
    for (name, values) in account.attributes.iter().filter(|(_, values)| !values.is_empty()) {
        check_name(name)?;
        put(name, bytes(values)?);
    }
    if let Some(name) = dn.named_by(&settings.naming_attribute) {
        put(&settings.naming_attribute, [name.as_bytes().to_vec()].into());
    }
    if let Some(enabled) = account.enabled
        && let Some((attribute, values)) = server.state_values(&Entry::default(), enabled)
        && !values.is_empty()
    {
        put(attribute, values.into_iter().map(String::into_bytes).collect());
    }
    Ok(attributes.into_iter().map(|(name, values)| (name.into_bytes(), values)).collect())
}

fn bytes(values: &[Value]) -> Result<Values, TargetFailure> {
    if values.iter().any(|value| matches!(value, Value::Text(text) if text.contains('\0'))) {
        return Err(failure::refused("LDAP_NUL", "a text value holds NUL"));
    }
    Ok(values.iter().map(written).collect())
}

fn check_name(name: &str) -> Result<(), TargetFailure> {
    if super::is_attribute(name) {
        return Ok(());
    }
    Err(failure::refused("LDAP_ATTRIBUTE", "a mapped attribute's name is no attribute description"))
}
