//! Changes in the server's terms.

use ldap3::Mod;
use xavyo_core::{
    change::Change,
    connector::TargetFailure,
    value::{Attributes, Value},
};

use super::super::{
    Ldap, connection::Values, dialect::Server, dn::Dn, entry::Entry, entry::written, failure,
};
use crate::{AccountUpdate, NewAccount};

/// The change of one attribute.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Replace(String, Values),
    Alter { attribute: String, add: Values, remove: Values },
}

impl Edit {
    pub fn alters(&self) -> bool {
        matches!(self, Self::Alter { .. })
    }

    /// Nothing of it is left to do.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Replace(..) => false,
            Self::Alter { add, remove, .. } => add.is_empty() && remove.is_empty(),
        }
    }

    pub fn modifications(&self) -> Vec<Mod<Vec<u8>>> {
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
pub(super) fn edits(
    ldap: &Ldap,
    update: &AccountUpdate,
    name: Option<&str>,
) -> Result<Vec<Edit>, TargetFailure> {
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
                let edit =
                    Edit::Alter { attribute: attribute.clone(), add: bytes(add)?, remove: bytes(remove)? };
                edits.extend((!edit.is_done()).then_some(edit));
            }
        }
    }
    Ok(edits)
}

/// The attributes that a new entry is made with.
pub(super) fn new_entry(
    ldap: &Ldap,
    server: &Server,
    dn: &Dn,
    account: &NewAccount,
    given: &Attributes,
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
    for (name, values) in given.iter().filter(|(_, values)| !values.is_empty()) {
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
    if super::super::is_attribute(name) {
        return Ok(());
    }
    Err(failure::refused("LDAP_ATTRIBUTE", "a mapped attribute's name is no attribute description"))
}
