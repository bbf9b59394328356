//! What is mapped like an attribute and written in another way: passwords, and membership in groups.

use xavyo_core::{
    change::{Change, Changes},
    connector::{LdapTls, TargetFailure},
    value::{Attributes, Value},
};

use super::super::{Ldap, dialect::Kind, dialect::Server, failure};

/// The attribute in which servers show the groups that an entry is a member of.
pub(super) const MEMBERSHIP: &str = "memberOf";

/// The part of a write that is not the entry's own attributes.
#[derive(Debug, Default)]
pub(super) struct Apart {
    /// To be set by an operation of its own.
    pub password: Option<String>,
    pub membership: Option<Change>,
}

impl Apart {
    /// Takes its part out of an update's changes.
    pub fn of_changes(ldap: &Ldap, server: &Server, changes: &mut Changes) -> Result<Self, TargetFailure> {
        let membership = take(changes, |name| is_membership(ldap, name)).map(|(_, change)| change);
        let mut password = None;
        if let Some((name, change)) = take(changes, |name| is_password(server, name)) {
            match change {
                Change::Set(values) => password = encode(ldap, server, &name, values, changes)?,
                Change::Clear => drop(changes.insert(name, Change::Clear)),
                Change::Modify { .. } => return Err(one_password()),
            }
        }
        Ok(Self { password, membership })
    }

    /// Takes its part out of a new account's attributes.
    pub fn of_attributes(
        ldap: &Ldap,
        server: &Server,
        attributes: &mut Attributes,
    ) -> Result<Self, TargetFailure> {
        let set = std::mem::take(attributes).into_iter().filter(|(_, values)| !values.is_empty());
        let mut changes: Changes = set.map(|(name, values)| (name, Change::Set(values))).collect();
        let apart = Self::of_changes(ldap, server, &mut changes)?;
        attributes.extend(changes.into_iter().filter_map(|(name, change)| match change {
            Change::Set(values) => Some((name, values)),
            Change::Clear | Change::Modify { .. } => None,
        }));
        Ok(apart)
    }

    pub fn is_nothing(&self) -> bool {
        self.password.is_none() && self.membership.is_none()
    }
}

fn is_membership(ldap: &Ldap, name: &str) -> bool {
    ldap.group_base.is_some() && name.eq_ignore_ascii_case(MEMBERSHIP)
}

fn is_password(server: &Server, name: &str) -> bool {
    name.eq_ignore_ascii_case(server.password_attribute())
}

/// The password that is to be set by its own operation; or none, and the attribute as it is to be written.
fn encode(
    ldap: &Ldap,
    server: &Server,
    name: &str,
    mut values: Vec<Value>,
    changes: &mut Changes,
) -> Result<Option<String>, TargetFailure> {
    let (Some(Value::Text(password)), true) = (values.pop(), values.is_empty()) else {
        return Err(one_password());
    };
    if password.is_empty() || password.contains('\0') {
        return Err(failure::refused("LDAP_PASSWORD", "a password is not empty and holds no NUL"));
    }
    match server.kind {
        Kind::ActiveDirectory if ldap.settings.tls == LdapTls::None => {
            Err(failure::refused("LDAP_PASSWORD", "Active Directory takes passwords over TLS only"))
        }
        Kind::ActiveDirectory => {
            changes.insert(name.to_owned(), Change::Set(vec![Value::Binary(unicode(&password))]));
            Ok(None)
        }
        Kind::OpenLdap | Kind::Dirsrv389 if server.sets_passwords => Ok(Some(password)),
        Kind::OpenLdap | Kind::Dirsrv389 => {
            changes.insert(name.to_owned(), Change::Set(vec![Value::Text(password)]));
            Ok(None)
        }
    }
}

/// As `unicodePwd` wants it: in quotes, in UTF-16 ([MS-ADTS] §3.1.1.3.1.5).
fn unicode(password: &str) -> Vec<u8> {
    format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn take(changes: &mut Changes, is: impl Fn(&str) -> bool) -> Option<(String, Change)> {
    let name = changes.keys().find(|name| is(name))?.clone();
    changes.remove_entry(&name)
}

fn one_password() -> TargetFailure {
    failure::refused("LDAP_PASSWORD", "a password is one text, set as a whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_directory_reads_passwords_in_quotes_in_utf_16() {
        assert_eq!(unicode("aé"), b"\"\0a\0\xe9\0\"\0");
    }
}
