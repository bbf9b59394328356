//! What a target can hold, as it says itself.

use xavyo_core::connector::{AttributeSchema, AttributeType, MatchingRule, ObjectSchema};

use crate::{fields::Fields, limits, numbers::Numbered, pb::connector as pb};

/// The words of a target about one of its attributes.
const MAX_DESCRIPTION: usize = 1_024;

/// The classes that a connector of somebody's own describes.
pub fn all_of_pb(fields: &mut Fields, schemas: Vec<pb::ObjectSchema>) -> Vec<ObjectSchema> {
    fields.each("object_schemas", schemas, limits::LISTED, of_pb)
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

#[cfg(test)]
mod tests {
    use super::*;

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
