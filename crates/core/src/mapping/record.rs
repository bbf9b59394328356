//! Identities, accounts and links as expressions see them: read in place, nothing is copied until it is used.

use std::collections::BTreeMap;

use cel::{
    ExecutionError,
    common::{
        traits::Indexer,
        types::{CelBool, CelNull, CelString, Type},
        value::{CowVal, Val},
    },
};

use super::values;
use crate::{
    account::{Account, AccountKey},
    identity::Identity,
    value::Attributes,
};

/// The accounts that the identity has on other connectors, by the connector's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References(pub BTreeMap<String, AccountKey>);

/// What the variables `identity`, `account`, `links` and `links['x']` hold.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    Identity(&'a Identity),
    Account(&'a Account),
    Links(&'a References),
    /// A link to an account; none where the identity has no account there.
    Link(Option<&'a AccountKey>),
}

static TYPE: Type = Type::new_unspecified_type("record");

impl<'a> Record<'a> {
    fn field<'b>(self, name: &str) -> Result<CowVal<'b, 'a>, ExecutionError> {
        match self {
            Self::Identity(identity) => Ok(match name {
                "id" => CowVal::owned(CelString::from(identity.id.to_string())),
                "active" => CowVal::owned(CelBool::from(identity.active)),
                "source_key" => optional_text(identity.source_key.as_deref()),
                name => attribute(&identity.attributes, name),
            }),
            Self::Account(account) => Ok(match name {
                "external_uid" => optional_text(Some(&account.external_uid)),
                "immutable_id" => optional_text(account.immutable_id.as_deref()),
                "enabled" => {
                    account.enabled.map_or_else(null, |enabled| CowVal::owned(CelBool::from(enabled)))
                }
                name => attribute(&account.attributes, name),
            }),
            Self::Links(references) => Ok(CowVal::owned(Record::Link(references.0.get(name)))),
            Self::Link(link) => match name {
                "external_uid" => Ok(optional_text(link.map(|key| key.external_uid.as_str()))),
                "immutable_id" => Ok(optional_text(link.and_then(|key| key.immutable_id.as_deref()))),
                _ => Err(ExecutionError::no_such_key(name)),
            },
        }
    }
}

fn attribute<'b, 'a>(attributes: &'a Attributes, name: &str) -> CowVal<'b, 'a> {
    values::to_cel(attributes.get(name).map_or(&[], Vec::as_slice))
}

fn optional_text<'b>(text: Option<&str>) -> CowVal<'b, '_> {
    text.map_or_else(null, |text| CowVal::owned(CelString::from(text)))
}

fn null<'b, 'a>() -> CowVal<'b, 'a> {
    CowVal::owned(CelNull)
}

impl Indexer for Record<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        match index.downcast_ref::<CelString<'_>>() {
            Some(name) => self.field(name.inner()),
            None => Err(ExecutionError::UnexpectedType {
                got: index.get_type().name().to_owned(),
                want: "string".to_owned(),
            }),
        }
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl Val for Record<'_> {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}
