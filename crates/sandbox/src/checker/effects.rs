//! Q5: completed operations show, once. Q8: accounts are what they should be in the end.
//!
//! Each lane is replayed: the target's writes in their order, the operations in theirs, side by side.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use uuid::Uuid;

use super::{
    Index, Operation,
    index::{Attributed, account_key},
    report::Findings,
    report::Harm,
};
use crate::ledger::{Account, Attributes, Call, Write, texts};

pub(super) fn check(index: &Index<'_>, findings: &mut Findings<'_>) {
    for operation in index.operations.values() {
        once(index, operation, findings);
    }
    let mut writes: HashMap<Uuid, Vec<Attributed<'_>>> = HashMap::new();
    for attributed in index.writes.iter().filter(|attributed| attributed.write.applied) {
        let operation = attributed.tag.and_then(|tag| index.operations.get(&tag.operation));
        if let Some(operation) = operation {
            writes.entry(operation.lane).or_default().push(*attributed);
        }
    }
    for (lane, operations) in &index.lanes {
        let writes = writes.get(lane).map_or(&[][..], Vec::as_slice);
        shown(index, operations, writes, findings);
        finally(index, operations, findings);
    }
    nothing_behind_the_ledger(index, findings);
}

/// An operation makes or removes an object at most once, and no value of it stands there twice.
fn once(index: &Index<'_>, operation: &Operation, findings: &mut Findings<'_>) {
    let applied = || index.writes_of(operation.id).filter(|attributed| attributed.write.applied);
    for (call, did) in [(Call::Create, "created"), (Call::Delete, "deleted")] {
        let count = applied().filter(|attributed| attributed.write.call == call).count();
        if count > 1 {
            findings.add("Q5", Harm::Duplicated, Some(operation.id), format!("{did} {count} times"));
        }
    }
    let doubled = applied().find_map(|attributed| {
        let attributes = attributed.write.attributes.as_ref()?;
        let twice = |values: &Vec<String>| values.windows(2).any(|pair| pair[0] == pair[1]);
        attributes.iter().find(|(_, values)| twice(values)).map(|(name, _)| name.clone())
    });
    if let Some(name) = doubled {
        findings.add("Q5", Harm::Duplicated, Some(operation.id), format!("{name} holds a value twice"));
    }
}

/// Each completed operation shows once the target has come to it.
fn shown(
    index: &Index<'_>,
    operations: &[&Operation],
    writes: &[Attributed<'_>],
    findings: &mut Findings<'_>,
) {
    let mut writes = writes.iter().peekable();
    let mut account: Option<&Attributes> = None;
    for operation in operations {
        let up_to_it = |attributed: &&Attributed<'_>| {
            let writer = attributed.tag.and_then(|tag| index.operations.get(&tag.operation));
            writer.is_some_and(|writer| writer.sequence <= operation.sequence)
        };
        while let Some(attributed) = writes.next_if(|attributed| up_to_it(attributed)) {
            account = attributed.write.attributes.as_ref();
        }
        if operation.status == "completed"
            && let Err(message) = shows(operation, account, &overwritten(index, operation, operations))
        {
            findings.add("Q5", Harm::Lost, Some(operation.id), format!("is completed, but {message}"));
        }
    }
}

/// What later operations under the same claim wrote, too: after a lost lease the account is read once for all of them,
/// and shows only what they come to together.
fn overwritten<'a>(index: &Index<'_>, operation: &Operation, lane: &[&'a Operation]) -> HashSet<&'a str> {
    let fence = |id| index.attempts(id).iter().find(|attempt| attempt.success).map(|attempt| attempt.fence);
    let own = fence(operation.id);
    lane.iter()
        .filter(|later| later.sequence > operation.sequence && own.is_some() && fence(later.id) == own)
        .flat_map(|later| later.payload.keys().map(String::as_str))
        .collect()
}

fn shows(
    operation: &Operation,
    account: Option<&Attributes>,
    overwritten: &HashSet<&str>,
) -> Result<(), String> {
    match (operation.operation_type.as_str(), account) {
        ("delete", Some(_)) => Err("its account is still there".to_owned()),
        // A create that finds the account made keeps it as it is.
        ("delete", None) | ("create", Some(_)) => Ok(()),
        // Without an owner there is nobody to make the account again for.
        ("update", None) if !operation.has_identity => Ok(()),
        (_, None) => Err("its account is not there".to_owned()),
        (_, Some(account)) => {
            let hidden = operation.payload.iter().find(|(name, change)| {
                !overwritten.contains(name.as_str()) && !shows_change(account, name, change)
            });
            match hidden {
                Some((name, change)) => {
                    Err(format!("{name} does not show {change}: {:?}", account.get(name)))
                }
                None => Ok(()),
            }
        }
    }
}

fn shows_change(account: &Attributes, name: &str, change: &Value) -> bool {
    let held = held(account, name);
    match modification(change) {
        Some((add, remove)) => {
            add.iter().all(|value| held.contains(value)) && !remove.iter().any(|value| held.contains(value))
        }
        None => texts(change) == held,
    }
}

fn held<'a>(account: &'a Attributes, name: &str) -> &'a [String] {
    account.get(name).map_or(&[], Vec::as_slice)
}

/// The values that a change adds and removes, if it is of that kind.
fn modification(change: &Value) -> Option<(Vec<String>, Vec<String>)> {
    let fields = change.as_object()?;
    let part = |name: &str| fields.get(name).map(texts).unwrap_or_default();
    (fields.contains_key("add") || fields.contains_key("remove")).then(|| (part("add"), part("remove")))
}

/// Whether an operation is one whose attempt could have made this write: for ledgers without tags.
pub(super) fn could_have_written(operation: &Operation, write: &Write) -> bool {
    match (operation.operation_type.as_str(), write.call) {
        ("delete", Call::Delete) => true,
        // An update makes an account again that is gone.
        ("create" | "update", Call::Create) | ("update", Call::Update) => {
            write.attributes.as_ref().is_some_and(|account| {
                let made = write.call == Call::Create;
                operation.payload.iter().all(|(name, change)| match modification(change) {
                    Some((add, _)) if made => add.iter().all(|value| held(account, name).contains(value)),
                    Some(_) | None => shows_change(account, name, change),
                })
            })
        }
        _ => false,
    }
}

/// The account of a lane is what its operations make of it: those that were completed, and those whose outcome nobody
/// could know and whose write the target has.
fn finally(index: &Index<'_>, operations: &[&Operation], findings: &mut Findings<'_>) {
    let mut known: Option<Attributes> = None;
    let mut last = None;
    for operation in operations {
        let written = index.writes_of(operation.id).any(|attributed| attributed.write.applied);
        let unknown = index.attempts(operation.id).iter().any(|attempt| attempt.outcome_unknown)
            || index.is_claimed(operation);
        let counts = operation.status == "completed" || written;
        if written && operation.status != "completed" && !unknown {
            let message = format!("is {}, and yet was written", operation.status);
            findings.add("Q8", Harm::Unexpected, Some(operation.id), message);
        }
        if counts {
            apply(&mut known, operation, index);
            last = Some(operation);
        }
    }
    let Some(last) = last else { return };
    let account = account_of(index, operations);
    match (known, account) {
        (None, Some(_)) => {
            findings.add("Q8", Harm::Unexpected, Some(last.id), "the account should be gone, and is there");
        }
        (Some(_), None) => {
            findings.add("Q8", Harm::Lost, Some(last.id), "the account should be there, and is not");
        }
        (None, None) => {}
        (Some(known), Some(account)) => {
            for (name, wanted) in known {
                let held = held(&account.attributes, &name);
                if wanted != held {
                    let message = format!("{name} is {held:?}, and should be {wanted:?}");
                    findings.add("Q8", Harm::Lost, Some(last.id), message);
                }
            }
        }
    }
}

/// What an operation does to an account of which only some attributes are known: those that operations wrote.
fn apply(known: &mut Option<Attributes>, operation: &Operation, index: &Index<'_>) {
    let made = index
        .writes_of(operation.id)
        .any(|attributed| attributed.write.applied && attributed.write.call == Call::Create);
    match operation.operation_type.as_str() {
        "delete" => *known = None,
        "create" if known.is_some() && !made => {}
        "update" if known.is_none() && !operation.has_identity => {}
        _ => {
            if made {
                *known = None;
            }
            let attributes = known.get_or_insert_default();
            for (name, change) in &operation.payload {
                let before = attributes.remove(name).or_else(|| made.then(Vec::new));
                attributes.extend(changed(before, change).map(|values| (name.clone(), values)));
            }
        }
    }
}

/// None = nobody can tell.
fn changed(before: Option<Vec<String>>, change: &Value) -> Option<Vec<String>> {
    let Some((add, remove)) = modification(change) else { return Some(texts(change)) };
    let mut values = before?;
    values.retain(|value| !remove.contains(value));
    values.extend(add);
    values.sort();
    values.dedup();
    Some(values)
}

/// The account that a lane's operations name, as its target holds it now.
fn account_of<'a>(index: &Index<'a>, operations: &[&Operation]) -> Option<&'a Account> {
    let connector = operations.first()?.connector;
    let uids: Vec<String> =
        operations.iter().filter_map(|operation| Some(account_key(operation.target_uid.as_ref()?))).collect();
    let ledger = index.evidence.ledgers.iter().find(|ledger| ledger.connector == connector)?;
    ledger.accounts.iter().find(|account| uids.contains(&account_key(&account.external_uid)))
}

/// What a target holds is what its ledger comes to: else somebody wrote unseen.
fn nothing_behind_the_ledger(index: &Index<'_>, findings: &mut Findings<'_>) {
    for ledger in &index.evidence.ledgers {
        let mut left: BTreeMap<String, &Write> = BTreeMap::new();
        for write in ledger.writes.iter().filter(|write| write.applied) {
            left.insert(account_key(&write.external_uid), write);
        }
        for account in &ledger.accounts {
            let write = left.remove(&account_key(&account.external_uid));
            let same = write.and_then(|write| write.attributes.as_ref()).is_some_and(|attributes| {
                account
                    .attributes
                    .iter()
                    .all(|(name, values)| attributes.get(name).is_some_and(|written| written == values))
            });
            if !same {
                let message = format!("{} is not what its last write left", account.external_uid);
                findings.add("Q8", Harm::Unexpected, None, message);
            }
        }
        for (uid, _) in left.into_iter().filter(|(_, write)| write.attributes.is_some()) {
            findings.add("Q8", Harm::Lost, None, format!("{uid} was written, and is gone"));
        }
    }
}
