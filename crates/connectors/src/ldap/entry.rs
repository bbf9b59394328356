//! Entries as servers send them, and as accounts.

use chrono::{DateTime, SecondsFormat, Utc};
use ldap3::asn1::StructureTag;
use xavyo_core::{
    account::Account,
    value::{Attributes, Value},
};

use super::{dialect::Server, dn::Dn};
use crate::ALL_ATTRIBUTES;

/// Attributes whose values are bytes even where they happen to be text (RFC 4523, RFC 2798, Active Directory).
const BINARY: [&str; 13] = [
    "audio",
    "cacertificate",
    "certificaterevocationlist",
    "jpegphoto",
    "msexchmailboxguid",
    "objectguid",
    "objectsid",
    "personalsignature",
    "photo",
    "thumbnailphoto",
    "usercertificate",
    "userpkcs12",
    "usersmimecertificate",
];

/// When an entry was last written: how servers without a better way tell what changed.
pub(super) const MODIFIED: &str = "modifyTimestamp";

/// An entry, or the part of it that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// Reads a SearchResultEntry (RFC 4511 §4.5.2). None for anything else.
    pub fn parse(tag: StructureTag) -> Option<Self> {
        let mut parts = tag.match_id(4)?.expect_constructed()?.into_iter();
        let dn = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
        let attributes =
            parts.next()?.expect_constructed()?.into_iter().map(attribute).collect::<Option<_>>()?;
        Some(Self { dn, attributes })
    }

    /// What is known of the entry, under the name that it has by now.
    pub fn named(self, dn: &Dn) -> Self {
        Self { dn: dn.to_string(), ..self }
    }

    pub fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        found.map(|(_, values)| values.as_slice()).unwrap_or_default()
    }

    /// Values that are text.
    pub fn texts<'a>(&'a self, attribute: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.values(attribute).iter().filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The account of the entry, with those of its attributes that are wanted, spelled as they are wanted. None when
    /// the entry's name cannot be read.
    pub fn account(self, server: &Server, wanted: &[String]) -> Option<Account> {
        let (version, enabled) = (server.version(&self), server.enabled(&self));
        let immutable_id = server.immutable_id(&self);
        let external_uid = Dn::spelled(self.dn).ok()?;
        let all = wanted.iter().any(|name| name == ALL_ATTRIBUTES);
        let mut attributes = Attributes::new();
        for (name, values) in self.attributes.into_iter().filter(|(_, values)| !values.is_empty()) {
            let spelled = wanted.iter().find(|wanted| wanted.eq_ignore_ascii_case(&name)).cloned();
            let binary = is_binary(&name);
            if let Some(name) = spelled.or((all && !server.is_own(&name)).then_some(name)) {
                attributes.insert(name, values.into_iter().map(|value| read(value, binary)).collect());
            }
        }
        Some(Account { external_uid, immutable_id, version, enabled, attributes })
    }
}

impl Server {
    /// What a read has to ask for to make accounts with these attributes.
    pub(super) fn requested(&self, wanted: &[String]) -> Vec<String> {
        let own = [Some(self.id_attribute()), Some(self.version_attribute()), self.state_attribute()];
        let own = own.into_iter().flatten().map(str::to_owned);
        wanted.iter().cloned().chain(own).collect()
    }

    /// The attribute is asked for on our own account.
    fn is_own(&self, name: &str) -> bool {
        [self.id_attribute(), self.version_attribute(), MODIFIED]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
    }
}

/// A value as the server is to store it: booleans and times in LDAP's own syntaxes (RFC 4517).
pub(super) fn written(value: &Value) -> Vec<u8> {
    match value {
        Value::Binary(bytes) => bytes.clone(),
        Value::Boolean(true) => b"TRUE".to_vec(),
        Value::Boolean(false) => b"FALSE".to_vec(),
        Value::Timestamp(at) => generalized_time(at).into_bytes(),
        Value::Text(_) | Value::Integer(_) | Value::Double(_) => value.to_text().into_bytes(),
    }
}

fn generalized_time(at: &DateTime<Utc>) -> String {
    let text = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    text.chars().filter(|character| !matches!(character, '-' | ':' | 'T')).collect()
}

fn read(value: Vec<u8>, binary: bool) -> Value {
    if binary {
        return Value::Binary(value);
    }
    String::from_utf8(value).map_or_else(|error| Value::Binary(error.into_bytes()), Value::Text)
}

fn is_binary(name: &str) -> bool {
    let (base, options) = name.split_once(';').unwrap_or((name, ""));
    BINARY.iter().any(|binary| binary.eq_ignore_ascii_case(base))
        || options.split(';').any(|option| option.eq_ignore_ascii_case("binary"))
}

fn attribute(tag: StructureTag) -> Option<(String, Vec<Vec<u8>>)> {
    let mut parts = tag.expect_constructed()?.into_iter();
    let name = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
    let values = parts.next()?.expect_constructed()?.into_iter().map(StructureTag::expect_primitive);
    Some((name, values.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_forms_of_ldap() {
        let at: DateTime<Utc> = "2024-02-29T12:30:00Z".parse().unwrap();
        for (value, bytes) in [
            (Value::from(true), "TRUE"),
            (Value::Timestamp(at), "20240229123000Z"),
            (Value::from(-7), "-7"),
            (Value::from("é"), "é"),
        ] {
            assert_eq!(written(&value), bytes.as_bytes());
        }
    }

    #[test]
    fn bytes_are_text_unless_they_are_not_or_the_attribute_is_binary() {
        assert_eq!(read(b"abc".to_vec(), is_binary("cn")), Value::from("abc"));
        assert_eq!(read(b"abc".to_vec(), is_binary("jpegPhoto")), Value::Binary(b"abc".to_vec()));
        assert_eq!(
            read(b"abc".to_vec(), is_binary("userCertificate;binary")),
            Value::Binary(b"abc".to_vec())
        );
        assert_eq!(read(vec![0xff], is_binary("cn")), Value::Binary(vec![0xff]));
    }
}
