//! When a new operation contradicts one that is live in its lane.

use super::Clash;
use crate::{
    change::{Change, Changes},
    ids::OperationId,
    operation::OperationType,
};

/// What of an operation decides whether it contradicts another.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    pub id: OperationId,
    pub operation_type: OperationType,
    pub payload: &'a Changes,
    /// Asked for by a person or a remediation, rather than following from the identity.
    pub is_explicit: bool,
    pub is_claimed: bool,
    /// It states what must hold when it is written, and is judged by that then.
    pub has_premise: bool,
}

/// The one live operation that a new one contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    pub with: OperationId,
    pub clash: Clash,
    /// The attributes that both write differently.
    pub affected_attributes: Vec<String>,
}

/// Compares a new operation with the live ones of its lane, which come newest first, back to the last create or
/// delete: at most one conflict, with the newest that contradicts it.
pub fn detect<'a>(new: Party<'_>, newest_first: impl IntoIterator<Item = Party<'a>>) -> Option<Detected> {
    for live in newest_first {
        if live.is_explicit || new.is_explicit {
            let affected_attributes = differing(live.payload, new.payload);
            if let Some(clash) = clash(live, new, !affected_attributes.is_empty()) {
                return Some(Detected { with: live.id, clash, affected_attributes });
            }
        }
        match live.operation_type {
            OperationType::Create | OperationType::Delete => return None,
            OperationType::Update => {}
        }
    }
    None
}

fn clash(live: Party<'_>, new: Party<'_>, values_differ: bool) -> Option<Clash> {
    let a_stands = live.is_claimed;
    let premised = live.has_premise || new.has_premise;
    match (live.operation_type, new.operation_type) {
        (OperationType::Create, OperationType::Create) => Some(Clash::DuplicateCreate),
        (OperationType::Update, OperationType::Delete) => Some(Clash::UpdateThenDelete { a_stands }),
        (OperationType::Delete, OperationType::Update) => Some(Clash::DeleteThenUpdate { a_stands }),
        (OperationType::Update, OperationType::Update) if values_differ && !premised => {
            Some(Clash::ConcurrentUpdate { a_stands })
        }
        // One after the other is what both callers wanted.
        (OperationType::Create, OperationType::Update | OperationType::Delete)
        | (OperationType::Update, OperationType::Create | OperationType::Update)
        | (OperationType::Delete, OperationType::Create | OperationType::Delete) => None,
    }
}

fn differing(live: &Changes, new: &Changes) -> Vec<String> {
    let contradicts = |attribute: &String, change: &Change| {
        live.get(attribute).is_some_and(|earlier| contradict(earlier, change))
    };
    new.iter()
        .filter(|(attribute, change)| contradicts(attribute, change))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Whole values contradict unless they are equal; additions and removals only where one undoes the other.
fn contradict(earlier: &Change, later: &Change) -> bool {
    match (earlier, later) {
        (Change::Modify { add, remove }, Change::Modify { add: later_add, remove: later_remove }) => {
            add.iter().any(|value| later_remove.contains(value))
                || remove.iter().any(|value| later_add.contains(value))
        }
        (earlier, later) => earlier != later,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::value::Value;

    fn party(number: u128, operation_type: OperationType, payload: &Changes) -> Party<'_> {
        let id = OperationId(Uuid::from_u128(number));
        Party { id, operation_type, payload, is_explicit: true, is_claimed: false, has_premise: false }
    }

    fn set(attribute: &str, value: &str) -> Changes {
        Changes::from([(attribute.to_owned(), Change::Set(vec![Value::from(value)]))])
    }

    #[test]
    fn the_newest_contradicting_operation_is_the_one() {
        let (x, y, z) = (set("mail", "x"), set("mail", "y"), set("mail", "z"));
        let live = [party(2, OperationType::Update, &y), party(1, OperationType::Update, &x)];
        let found = detect(party(3, OperationType::Update, &z), live).unwrap();
        assert_eq!(found.with, live[0].id);
        assert_eq!(found.clash, Clash::ConcurrentUpdate { a_stands: false });
        assert_eq!(found.affected_attributes, ["mail"]);
    }

    #[test]
    fn nothing_before_the_last_create_or_delete_counts() {
        let (x, y) = (set("mail", "x"), set("mail", "y"));
        let live = [party(2, OperationType::Create, &y), party(1, OperationType::Delete, &x)];
        assert_eq!(detect(party(3, OperationType::Update, &x), live), None);
        assert_eq!(detect(party(3, OperationType::Create, &x), live).unwrap().clash, Clash::DuplicateCreate);
    }

    #[test]
    fn automatic_operations_never_conflict_among_themselves() {
        let (x, y) = (set("mail", "x"), set("mail", "y"));
        let automatic = |party: Party<'static>| Party { is_explicit: false, ..party };
        let (x, y): (&'static Changes, &'static Changes) = (Box::leak(Box::new(x)), Box::leak(Box::new(y)));
        let live = automatic(party(1, OperationType::Update, x));
        let new = automatic(party(2, OperationType::Update, y));
        assert_eq!(detect(new, [live]), None);
        assert!(detect(Party { is_explicit: true, ..new }, [live]).is_some());
    }

    #[test]
    fn additions_contradict_only_what_undoes_them() {
        let modify = |add: &str, remove: &str| {
            let list = |text: &str| if text.is_empty() { vec![] } else { vec![Value::from(text)] };
            Changes::from([("member".to_owned(), Change::Modify { add: list(add), remove: list(remove) })])
        };
        let (add_a, add_b, remove_a) = (modify("a", ""), modify("b", ""), modify("", "a"));
        let live = party(1, OperationType::Update, &add_a);
        assert_eq!(detect(party(2, OperationType::Update, &add_b), [live]), None);
        assert!(detect(party(2, OperationType::Update, &remove_a), [live]).is_some());
    }

    #[test]
    fn an_update_with_a_premise_of_its_own_is_judged_when_it_is_written() {
        let (x, y) = (set("mail", "x"), set("mail", "y"));
        let premised = Party { has_premise: true, ..party(2, OperationType::Update, &y) };
        assert_eq!(detect(premised, [party(1, OperationType::Update, &x)]), None);
        let delete = Changes::new();
        let premised = Party { has_premise: true, ..party(2, OperationType::Delete, &delete) };
        assert!(detect(premised, [party(1, OperationType::Update, &x)]).is_some());
    }

    #[test]
    fn the_same_value_twice_is_no_conflict() {
        let x = set("mail", "x");
        assert_eq!(detect(party(2, OperationType::Update, &x), [party(1, OperationType::Update, &x)]), None);
    }
}
