//! From the uids of callers to the names of entries.

use xavyo_core::{change::Change, connector::TargetFailure, value::Value};

use super::super::{Ldap, dn::Dn, failure};
use crate::AccountUpdate;

impl Ldap {
    /// The name of an account that is to be made: the naming attribute's value taken literally, or exactly the
    /// DN that would be made of one. Any other DN within the base is refused, so that nothing that a person chooses for
    /// himself chooses the place of an account.
    pub(in super::super) fn dn_of_new(&self, uid: &str) -> Result<Dn, TargetFailure> {
        let attribute = &self.settings.naming_attribute;
        match Dn::parse(uid) {
            Ok(dn) if dn.parent().is_same(&self.create_base) && dn.named_by(attribute).is_some() => Ok(dn),
            Ok(dn) if dn.is_within(&self.base) && !dn.is_root() => {
                let message =
                    format!("a new account is named by {attribute} right below {}", self.create_base);
                Err(failure::refused("LDAP_NAME", message))
            }
            Ok(_) | Err(_) if uid.is_empty() || uid.contains('\0') => {
                Err(failure::refused("LDAP_NAME", "a name is not empty and holds no NUL"))
            }
            Ok(_) | Err(_) => Ok(self.create_base.child(attribute, uid)),
        }
    }

    /// The name that a key or a sentinel stands for: a DN within the base, else the naming attribute's value.
    pub(in super::super) fn dn_of_key(&self, uid: &str) -> Dn {
        match Dn::parse(uid) {
            Ok(dn) if !dn.is_root() && dn.is_within(&self.base) => dn,
            Ok(_) | Err(_) => self.create_base.child(&self.settings.naming_attribute, uid),
        }
    }

    /// The update says something of the entry's name.
    pub(in super::super) fn may_rename(&self, update: &AccountUpdate) -> bool {
        let is_name = |attribute: &String| attribute.eq_ignore_ascii_case(&self.settings.naming_attribute);
        update.rename_to.is_some() || update.changes.keys().any(is_name)
    }

    /// The new value of the naming attribute, if an update gives the entry one: by its new uid, or by setting that
    /// attribute to values without the present one. The entry stays where it is.
    pub(in super::super) fn new_name(
        &self,
        dn: &Dn,
        update: &AccountUpdate,
    ) -> Result<Option<String>, TargetFailure> {
        let attribute = &self.settings.naming_attribute;
        if let Some(uid) = &update.rename_to {
            return match Dn::parse(uid) {
                Ok(new) if new.is_within(&self.base) && !new.is_root() => match new.named_by(attribute) {
                    Some(value) if new.parent().is_same(&dn.parent()) => Ok(Some(value.to_owned())),
                    Some(_) | None => {
                        Err(failure::refused("LDAP_NAME", "a rename keeps the entry where it is"))
                    }
                },
                Ok(_) | Err(_) if uid.is_empty() || uid.contains('\0') => {
                    Err(failure::refused("LDAP_NAME", "a name is not empty and holds no NUL"))
                }
                Ok(_) | Err(_) => Ok(Some(uid.clone())),
            };
        }
        let change = update.changes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        Ok(match (change, dn.named_by(attribute)) {
            (Some((_, Change::Set(values))), Some(name)) => {
                let texts: Vec<String> = values.iter().map(Value::to_text).collect();
                let kept = texts.iter().any(|text| text.to_lowercase() == name.to_lowercase());
                texts.into_iter().next().filter(|_| !kept)
            }
            _ => None,
        })
    }
}
