//! What a target can hold, as it says itself.

use xavyo_core::connector::{AttributeSchema, AttributeType, MatchingRule, ObjectSchema};

use crate::{fields::Fields, limits, numbers::Numbered, pb::connector as pb};

/// The words of a target about one of its attributes.
const MAX_DESCRIPTION: usize = 1_024;

/// The classes that a connector of somebody's own describes.
pub fn all_of_pb(fields: &mut Fields, schemas: Vec<pb::ObjectSchema>) -> Vec<ObjectSchema> {
    fields.each("object_schemas", schemas, limits::LISTED, of_pb)
}

pub fn to_pb(schema: &ObjectSchema) -> pb::ObjectSchema {
    pb::ObjectSchema {
        object_class: schema.object_class.clone(),
        display_name: schema.display_name.clone(),
        uid_attribute: schema.uid_attribute.clone().unwrap_or_default(),
        attributes: schema.attributes.iter().map(attribute_to_pb).collect(),
    }
}

fn of_pb(fields: &mut Fields, schema: pb::ObjectSchema) -> ObjectSchema {
    ObjectSchema {
        object_class: fields.text("object_class", schema.object_class, limits::ATTRIBUTE_NAME),
        display_name: fields.any_text("display_name", schema.display_name, limits::ATTRIBUTE_NAME),
        uid_attribute: fields.optional_text(
            "uid_attribute",
            Some(schema.uid_attribute),
            limits::ATTRIBUTE_NAME,
        ),
        attributes: fields.each("attributes", schema.attributes, limits::LISTED, attribute_of_pb),
    }
}

fn attribute_of_pb(fields: &mut Fields, attribute: pb::AttributeSchema) -> AttributeSchema {
    AttributeSchema {
        name: fields.text("name", attribute.name, limits::ATTRIBUTE_NAME),
        value_type: type_of_pb(attribute.r#type),
        required: attribute.required,
        multi_valued: attribute.multi_valued,
        readable: attribute.readable,
        writable_on_create: attribute.writable_on_create,
        writable_on_update: attribute.writable_on_update,
        searchable: attribute.searchable,
        matching_rule: MatchingRule::numbered(attribute.matching_rule).unwrap_or_default(),
        description: fields.any_text("description", attribute.description, MAX_DESCRIPTION),
    }
}

fn attribute_to_pb(attribute: &AttributeSchema) -> pb::AttributeSchema {
    pb::AttributeSchema {
        name: attribute.name.clone(),
        r#type: type_to_pb(attribute.value_type).into(),
        required: attribute.required,
        multi_valued: attribute.multi_valued,
        readable: attribute.readable,
        writable_on_create: attribute.writable_on_create,
        writable_on_update: attribute.writable_on_update,
        searchable: attribute.searchable,
        matching_rule: attribute.matching_rule.number(),
        description: attribute.description.clone(),
    }
}

/// A type that a newer contract has is one that we do not know.
fn type_of_pb(number: i32) -> AttributeType {
    match pb::AttributeType::try_from(number) {
        Ok(pb::AttributeType::Unspecified) | Err(_) => AttributeType::Unknown,
        Ok(pb::AttributeType::String) => AttributeType::Text,
        Ok(pb::AttributeType::Integer) => AttributeType::Integer,
        Ok(pb::AttributeType::Double) => AttributeType::Double,
        Ok(pb::AttributeType::Boolean) => AttributeType::Boolean,
        Ok(pb::AttributeType::Binary) => AttributeType::Binary,
        Ok(pb::AttributeType::Timestamp) => AttributeType::Timestamp,
        Ok(pb::AttributeType::Reference) => AttributeType::Reference,
    }
}

fn type_to_pb(value_type: AttributeType) -> pb::AttributeType {
    match value_type {
        AttributeType::Unknown => pb::AttributeType::Unspecified,
        AttributeType::Text => pb::AttributeType::String,
        AttributeType::Integer => pb::AttributeType::Integer,
        AttributeType::Double => pb::AttributeType::Double,
        AttributeType::Boolean => pb::AttributeType::Boolean,
        AttributeType::Binary => pb::AttributeType::Binary,
        AttributeType::Timestamp => pb::AttributeType::Timestamp,
        AttributeType::Reference => pb::AttributeType::Reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_as_it_was() {
        let types = [
            AttributeType::Unknown,
            AttributeType::Text,
            AttributeType::Integer,
            AttributeType::Double,
            AttributeType::Boolean,
            AttributeType::Binary,
            AttributeType::Timestamp,
            AttributeType::Reference,
        ];
        // Each fact is true of another attribute, so that none can stand in for another.
        let attribute = |(index, value_type): (usize, AttributeType)| AttributeSchema {
            name: format!("a{index}"),
            value_type,
            required: index == 0,
            multi_valued: index == 1,
            readable: index == 2,
            writable_on_create: index == 3,
            writable_on_update: index == 4,
            searchable: index == 5,
            matching_rule: if index == 6 { MatchingRule::Dn } else { MatchingRule::Exact },
            description: if index == 7 { "the eighth".to_owned() } else { String::new() },
        };
        let schema = |uid_attribute: Option<&str>| ObjectSchema {
            object_class: "account".to_owned(),
            display_name: "An account".to_owned(),
            uid_attribute: uid_attribute.map(str::to_owned),
            attributes: types.into_iter().enumerate().map(attribute).collect(),
        };
        let all = vec![schema(None), schema(Some("a1"))];
        let mut fields = Fields::default();
        let read = all_of_pb(&mut fields, all.iter().map(to_pb).collect());
        assert_eq!(fields.finish(read).unwrap(), all);
    }

    #[test]
    fn a_schema_is_read_and_a_nameless_attribute_is_refused_at_its_place() {
        let attribute = |name: &str| pb::AttributeSchema {
            name: name.to_owned(),
            r#type: pb::AttributeType::Integer.into(),
            readable: true,
            ..Default::default()
        };
        let schema = |names: [&str; 2]| pb::ObjectSchema {
            object_class: "account".to_owned(),
            attributes: names.map(attribute).into(),
            ..Default::default()
        };
        let mut fields = Fields::default();
        let read = all_of_pb(&mut fields, vec![schema(["age", "size"])]);
        let read = fields.finish(read).unwrap();
        assert_eq!(read[0].attributes[1].name, "size");
        assert_eq!(read[0].attributes[0].value_type, AttributeType::Integer);
        assert_eq!((read[0].uid_attribute.as_deref(), read[0].attributes[0].required), (None, false));

        let mut fields = Fields::default();
        all_of_pb(&mut fields, vec![schema(["age", ""])]);
        let error = fields.finish(()).unwrap_err();
        assert_eq!(error.violations[0].field, "object_schemas[0].attributes[1].name");
    }
}
