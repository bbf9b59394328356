//! The operations of a PATCH (RFC 7644 section 3.5.2): only what differs from what the server showed.

use serde_json::{Value as Json, json};
use xavyo_core::{change::Change, connector::TargetFailure, value::Value};

use super::{
    failure::refused,
    path::{Path, quoted},
    profile::Profile,
    resource,
};
use crate::changed;

/// What turns the resource into one that holds the change; nothing where it does already.
pub(super) fn operations(
    held: &Json,
    path: &Path,
    change: &Change,
    profile: &Profile,
) -> Result<Vec<Json>, TargetFailure> {
    let before = resource::values(held, path, profile);
    let after = changed::after(&before, change);
    let is_multi_valued = resource::is_multi_valued(path, profile);
    if after.len() > 1 && !is_multi_valued {
        return Err(refused("SCIM_SINGLE_VALUED", format!("{path} holds one value")));
    }
    let kind = profile.kind(path);
    let same = before.len() == after.len()
        && before.iter().all(|held| {
            after.iter().any(|wanted| resource::json(wanted, kind) == resource::json(held, kind))
        });
    Ok(match (after.first(), change) {
        _ if same => Vec::new(),
        (None, _) => vec![json!({"op": "remove", "path": removed(path).to_string()})],
        (Some(_), Change::Modify { .. }) if is_multi_valued => modified(path, &before, &after, profile),
        (Some(_), _) if is_multi_valued => {
            let mut whole = held.clone();
            resource::set(&mut whole, path, &after, profile)?;
            let root = path.schema.as_deref().map_or(Some(&whole), |urn| resource::field_of(&whole, urn));
            let value = root.and_then(|root| resource::field_of(root, &path.attribute));
            vec![json!({"op": "replace", "path": path.top(), "value": value})]
        }
        (Some(value), _) if path.element.is_some() && before.is_empty() => {
            let element = resource::element(value, path, profile);
            vec![json!({"op": "add", "path": path.top(), "value": [element]})]
        }
        (Some(value), _) => {
            vec![json!({"op": "replace", "path": path.to_string(), "value": resource::json(value, kind)})]
        }
    })
}

/// Removing the value of one element removes the element.
fn removed(path: &Path) -> Path {
    let is_value = path.element.is_some() && path.value() == "value";
    Path { sub: path.sub.clone().filter(|_| !is_value), ..path.clone() }
}

fn modified(path: &Path, before: &[Value], after: &[Value], profile: &Profile) -> Vec<Json> {
    let gone = before.iter().filter(|value| !after.contains(value));
    let mut operations: Vec<Json> = gone
        .map(|value| {
            let filter = format!("{}[{} eq {}]", path.top(), path.value(), quoted(&value.to_text()));
            json!({"op": "remove", "path": filter})
        })
        .collect();
    let new = after.iter().filter(|value| !before.contains(value));
    let elements: Vec<Json> = new.map(|value| resource::element(value, path, profile)).collect();
    if !elements.is_empty() {
        operations.push(json!({"op": "add", "path": path.top(), "value": elements}));
    }
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(held: &Json, name: &str, change: &Change) -> Vec<Json> {
        operations(held, &Path::parse(name).unwrap(), change, &Profile::of(None, None)).unwrap()
    }

    fn set(texts: &[&str]) -> Change {
        Change::Set(texts.iter().map(|text| Value::from(*text)).collect())
    }

    #[test]
    fn only_what_differs_is_sent_and_each_value_by_itself() {
        let held = json!({
            "displayName": "Ada", "active": true,
            "roles": [{"value": "a"}, {"value": "b", "type": "x"}],
            "emails": [{"type": "home", "value": "a@home"}],
        });
        assert_eq!(of(&held, "displayName", &set(&["Ada"])), Vec::<Json>::new());
        assert_eq!(of(&held, "nickName", &Change::Clear), Vec::<Json>::new());
        assert_eq!(
            of(&held, "displayName", &set(&["Ada L."])),
            [json!({"op": "replace", "path": "displayName", "value": "Ada L."})]
        );
        assert_eq!(
            of(&held, "displayName", &Change::Clear),
            [json!({"op": "remove", "path": "displayName"})]
        );
        let change =
            Change::Modify { add: vec!["b".into(), "c\"]".into()], remove: vec!["a".into(), "gone".into()] };
        assert_eq!(
            of(&held, "roles", &change),
            [
                json!({"op": "remove", "path": "roles[value eq \"a\"]"}),
                json!({"op": "add", "path": "roles", "value": [{"value": "c\"]"}]}),
            ]
        );
        assert_eq!(
            of(&held, "roles", &set(&["b", "c"])),
            [
                json!({"op": "replace", "path": "roles", "value": [{"value": "b", "type": "x"}, {"value": "c"}]})
            ]
        );
    }

    #[test]
    fn one_element_of_many_is_added_replaced_and_removed_by_itself() {
        let held = json!({"emails": [{"type": "home", "value": "a@home"}]});
        assert_eq!(
            of(&held, "emails[type eq \"work\"].value", &set(&["a@work"])),
            [json!({"op": "add", "path": "emails", "value": [{"type": "work", "value": "a@work"}]})]
        );
        assert_eq!(
            of(&held, "emails[type eq \"home\"].value", &set(&["b@home"])),
            [json!({"op": "replace", "path": "emails[type eq \"home\"].value", "value": "b@home"})]
        );
        assert_eq!(
            of(&held, "emails[type eq \"home\"].value", &Change::Clear),
            [json!({"op": "remove", "path": "emails[type eq \"home\"]"})]
        );
    }
}
