//! What a table says that it can hold.

use xavyo_core::connector::{AttributeSchema, AttributeType, MatchingRule, ObjectSchema, SqlSettings};

use super::Table;
use crate::sql::column::{Column, Kind};

/// The name of the class where there is no table to give it.
const CLASS: &str = "account";

pub(in crate::sql) fn of(table: &Table, settings: &SqlSettings) -> ObjectSchema {
    let class = if settings.table.is_empty() { CLASS } else { &settings.table };
    ObjectSchema {
        object_class: class.to_owned(),
        display_name: class.to_owned(),
        uid_attribute: Some(table.uid.name.clone()),
        attributes: table.columns.iter().map(|column| attribute(table, column)).collect(),
    }
}

fn attribute(table: &Table, column: &Column) -> AttributeSchema {
    let is_id = table.id.as_ref().is_some_and(|id| id.name == column.name);
    AttributeSchema {
        name: column.name.clone(),
        value_type: match column.kind {
            Kind::Text => AttributeType::Text,
            Kind::Integer => AttributeType::Integer,
            // Those that no double holds are text.
            Kind::Numeric => AttributeType::Unknown,
            Kind::Double => AttributeType::Double,
            Kind::Boolean => AttributeType::Boolean,
            Kind::Timestamp => AttributeType::Timestamp,
            Kind::Binary => AttributeType::Binary,
        },
        required: !column.optional,
        multi_valued: column.is_multi_valued(),
        readable: column.readable,
        writable_on_create: !column.generated,
        writable_on_update: !column.generated && !is_id,
        searchable: column.readable,
        // Collations are the database's own; what they hold for equal is asked of it.
        matching_rule: MatchingRule::Exact,
        description: column.type_name.clone(),
    }
}
