//! What a plan changes, for people: by attribute what it is and what it becomes. Values of sensitive and write-only
//! attributes are `***`.

use serde_json::{Map, Value as Json, json};
use xavyo_core::{
    account::{Account, AccountState},
    change::{ACCOUNT_STATE, Change, Changes},
    comparison,
    mapping::Program,
    operation::OperationType,
    value::{Attributes, Value, display},
};

use super::{facts::Facts, plan::Plan};

const HIDDEN: &str = "***";

pub fn shown(plan: &Plan, facts: &Facts) -> Json {
    let mut changes = Map::new();
    match plan {
        Plan::Operate(draft) => match draft.operation_type {
            OperationType::Create => created(&mut changes, facts),
            OperationType::Update => written(&mut changes, facts, &draft.payload),
            OperationType::Delete => state(&mut changes, facts, Some(AccountState::Absent.name())),
        },
        Plan::Link { identity, account, push, .. } => {
            let link = json!({ "identity_id": identity, "external_uid": account.external_uid });
            changes.insert("link".to_owned(), json!({ "from": null, "to": link }));
            written(&mut changes, facts, push);
        }
        Plan::Unlink(link) => {
            let link = json!({ "identity_id": link.identity_id, "external_uid": link.account.external_uid });
            changes.insert("link".to_owned(), json!({ "from": link, "to": null }));
        }
        Plan::Reject { identity, account } => {
            let pair = json!({ "identity_id": identity, "external_uid": account.external_uid });
            changes.insert("rejected_pair".to_owned(), json!({ "from": null, "to": pair }));
        }
        Plan::SetIdentity { attribute, values, .. } => {
            let to = if is_hidden_inverse(&facts.program, attribute) {
                Some(HIDDEN.to_owned())
            } else {
                display(values)
            };
            changes.insert(attribute.clone(), json!({ "to": to }));
        }
        Plan::Inactivate(_) => {
            changes.insert("active".to_owned(), json!({ "from": true, "to": false }));
        }
        Plan::Adopt { attributes, .. } => {
            changes.insert("active".to_owned(), json!({ "from": null, "to": false }));
            for (name, values) in attributes {
                let hidden = is_hidden_inverse(&facts.program, name);
                let to = if hidden { Some(HIDDEN.to_owned()) } else { display(values) };
                changes.insert(name.clone(), json!({ "from": null, "to": to }));
            }
        }
    }
    Json::Object(changes)
}

/// The changes of an operation as it may be shown.
pub fn masked(program: &Program, changes: &Changes) -> Changes {
    let hidden = || vec![Value::from(HIDDEN)];
    let mask = |(name, change): (&String, &Change)| {
        let shown = match change {
            _ if !is_hidden(program, name) => change.clone(),
            Change::Set(_) => Change::Set(hidden()),
            Change::Clear => Change::Clear,
            Change::Modify { .. } => Change::Modify { add: hidden(), remove: hidden() },
        };
        (name.clone(), shown)
    };
    changes.iter().map(mask).collect()
}

fn created(changes: &mut Map<String, Json>, facts: &Facts) {
    let Some(pair) = &facts.identity else { return };
    for (name, values) in comparison::initial_attributes(&facts.program, &pair.expected) {
        let to = value(&facts.program, &name, &values);
        changes.insert(name, json!({ "from": null, "to": to }));
    }
}

fn written(changes: &mut Map<String, Json>, facts: &Facts, payload: &Changes) {
    let none = Attributes::new();
    let attributes = live(facts).map_or(&none, |account| &account.attributes);
    for (name, change) in payload {
        if name == ACCOUNT_STATE {
            let to = match change {
                Change::Set(values) => display(values),
                Change::Clear | Change::Modify { .. } => None,
            };
            state(changes, facts, to.as_deref());
            continue;
        }
        let before = attributes.get(name).map_or(&[][..], Vec::as_slice);
        let from = value(&facts.program, name, before);
        let to = value(&facts.program, name, &after(before, change));
        changes.insert(name.clone(), json!({ "from": from, "to": to }));
    }
}

fn state(changes: &mut Map<String, Json>, facts: &Facts, to: Option<&str>) {
    let from = live(facts).map(|account| account.state().name());
    changes.insert(ACCOUNT_STATE.to_owned(), json!({ "from": from, "to": to }));
}

/// The values that an attribute has once the change is made.
fn after(before: &[Value], change: &Change) -> Vec<Value> {
    match change {
        Change::Set(values) => values.clone(),
        Change::Clear => Vec::new(),
        Change::Modify { add, remove } => {
            let kept = before.iter().filter(|value| !remove.contains(value));
            let added = add.iter().filter(|value| !before.contains(value));
            kept.chain(added).cloned().collect()
        }
    }
}

/// The account concerned, as the target shows it.
fn live(facts: &Facts) -> Option<&Account> {
    facts.account.as_ref().or(facts.identity.as_ref()).and_then(|pair| pair.live.as_ref())
}

fn value(program: &Program, attribute: &str, values: &[Value]) -> Option<String> {
    display(values).map(|text| if is_hidden(program, attribute) { HIDDEN.to_owned() } else { text })
}

fn is_hidden(program: &Program, attribute: &str) -> bool {
    let rules = &program.object_type().mapping;
    rules.iter().any(|rule| rule.name == attribute && (rule.sensitive || rule.write_only))
}

/// An identity attribute that a sensitive target attribute is written back to.
fn is_hidden_inverse(program: &Program, attribute: &str) -> bool {
    let rules = program.object_type().mapping.iter().filter(|rule| rule.sensitive || rule.write_only);
    rules.filter_map(|rule| rule.inverse.as_ref()).any(|inverse| inverse.identity_attribute == attribute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<Value> {
        values.iter().map(|text| Value::from(*text)).collect()
    }

    #[test]
    fn values_that_stay_are_part_of_what_an_attribute_becomes() {
        let change = Change::Modify { add: texts(&["c", "a"]), remove: texts(&["b"]) };
        assert_eq!(after(&texts(&["a", "b"]), &change), texts(&["a", "c"]));
        assert!(after(&texts(&["a"]), &Change::Clear).is_empty());
    }
}
