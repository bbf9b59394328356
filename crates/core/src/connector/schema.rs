//! What a target says that it can hold.

use super::MatchingRule;

/// One class of object of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSchema {
    /// The name under which operations and object types use it.
    pub object_class: String,
    pub display_name: String,
    /// The attribute that the external uid is. None where the uid is no attribute: the DN of an LDAP entry.
    pub uid_attribute: Option<String>,
    pub attributes: Vec<AttributeSchema>,
}

/// One attribute of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one attribute")]
pub struct AttributeSchema {
    pub name: String,
    pub value_type: AttributeType,
    /// An account cannot be made without it.
    pub required: bool,
    pub multi_valued: bool,
    /// False for what can only be written: passwords.
    pub readable: bool,
    pub writable_on_create: bool,
    pub writable_on_update: bool,
    /// Accounts can be found by a value of it.
    pub searchable: bool,
    /// How the target itself compares its values.
    pub matching_rule: MatchingRule,
    /// The target's own words about it.
    pub description: String,
}

/// The type of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeType {
    /// Not known: values are taken as they come.
    Unknown,
    Text,
    Integer,
    Double,
    Boolean,
    Binary,
    Timestamp,
    /// The uid of another object of the target.
    Reference,
}
