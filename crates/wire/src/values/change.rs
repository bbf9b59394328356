//! Changes: the payload of an operation as a Struct, the changes of an update as messages of TargetService.

use pbjson_types::{Struct, Value as Json, value::Kind};
use xavyo_core::{
    change::{Change, Changes},
    value::Value,
};

use crate::{
    fields::Fields,
    pb::common::{AttributeChange, ValueDelta, ValueSet, attribute_change},
    value,
};

pub fn to_struct(changes: &Changes) -> Struct {
    Struct { fields: changes.iter().map(|(name, change)| (name.clone(), to_json(change))).collect() }
}

/// By attribute: a value or a list = exactly these, null or an empty list = cleared, `{"add": […], "remove": […]}`.
pub fn of_struct(fields: &mut Fields, field: &str, payload: Option<Struct>) -> Changes {
    let mut changes = Changes::new();
    fields.within(field, |fields| {
        for (name, json) in value::sorted(fields, payload.unwrap_or_default()) {
            if let Some(change) = of_json(fields, &name, json) {
                changes.insert(name, change);
            }
        }
    });
    changes
}

pub fn to_list(changes: &Changes) -> Vec<AttributeChange> {
    let all = |values: &[Value]| values.iter().map(value::to_pb).collect();
    let message = |(name, change): (&String, &Change)| {
        let change = match change {
            Change::Set(values) => attribute_change::Change::Set(ValueSet { values: all(values) }),
            Change::Clear => attribute_change::Change::Set(ValueSet::default()),
            Change::Modify { add, remove } => {
                attribute_change::Change::Delta(ValueDelta { add: all(add), remove: all(remove) })
            }
        };
        AttributeChange { name: name.clone(), change: Some(change) }
    };
    changes.iter().map(message).collect()
}

fn to_json(change: &Change) -> Json {
    match change {
        Change::Set(values) => value::values_to_json(values),
        Change::Clear => value::null(),
        Change::Modify { add, remove } => {
            let delta = [("add", add), ("remove", remove)];
            let fields = delta
                .into_iter()
                .map(|(name, values)| (name.to_owned(), value::list_to_json(values)))
                .collect();
            Kind::StructValue(Struct { fields }).into()
        }
    }
}

fn of_json(fields: &mut Fields, name: &str, json: Json) -> Option<Change> {
    match json.kind {
        Some(Kind::StructValue(delta)) if is_delta(&delta) => {
            let mut delta = delta.fields;
            let mut part = |part: &str| {
                let values = delta.remove(part).map_or(Ok(Vec::new()), value::values_of_json);
                value::checked(fields, name, values)
            };
            let (add, remove) = (part("add")?, part("remove")?);
            Some(Change::Modify { add, remove })
        }
        kind => {
            let values = value::checked(fields, name, value::values_of_json(Json { kind }))?;
            Some(if values.is_empty() { Change::Clear } else { Change::Set(values) })
        }
    }
}

fn is_delta(object: &Struct) -> bool {
    !object.fields.is_empty() && object.fields.keys().all(|name| name == "add" || name == "remove")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> xavyo_core::error::Result<Changes> {
        let mut fields = Fields::default();
        let parsed = of_struct(&mut fields, "payload", Some(serde_json::from_str(json).unwrap()));
        fields.finish(parsed)
    }

    #[test]
    fn the_forms_of_a_payload_are_those_of_the_databases() {
        for json in [
            r#"{"mail":"x"}"#,
            r#"{"mail":["x","y"]}"#,
            r#"{"mail":null}"#,
            r#"{"groups":{"add":["x"],"remove":[]}}"#,
            r#"{"age":7,"vip":true}"#,
        ] {
            let changes = parse(json).unwrap();
            assert_eq!(serde_json::to_string(&changes).unwrap(), json);
            assert_eq!(
                serde_json::to_value(to_struct(&changes)).unwrap(),
                serde_json::from_str::<serde_json::Value>(json).unwrap().float_numbers()
            );
        }
        assert_eq!(parse(r#"{"mail":[]}"#).unwrap()["mail"], Change::Clear);
    }

    #[test]
    fn deeper_objects_are_refused_by_their_path() {
        for json in [r#"{"mail":{"add":[{"x":1}]}}"#, r#"{"mail":{"replace":["x"]}}"#, r#"{"mail":{}}"#] {
            assert_eq!(parse(json).unwrap_err().violations[0].field, "payload.mail", "{json}");
        }
    }

    trait FloatNumbers {
        fn float_numbers(self) -> Self;
    }

    impl FloatNumbers for serde_json::Value {
        /// A Struct has no integers.
        fn float_numbers(self) -> Self {
            match self {
                Self::Number(number) => number.as_f64().unwrap().into(),
                Self::Object(fields) => {
                    fields.into_iter().map(|(name, value)| (name, value.float_numbers())).collect()
                }
                other => other,
            }
        }
    }
}
