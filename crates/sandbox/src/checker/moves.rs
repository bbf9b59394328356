//! Q2: the log of an operation is a path of the table of moves. The table stands here a second time, on purpose.

use super::{Index, Move, Operation, report::Findings, report::Harm};

/// event, from, to.
const TABLE: [(&str, &str, &str); 17] = [
    ("claimed", "pending", "in_progress"),
    ("succeeded", "in_progress", "completed"),
    ("failed", "in_progress", "failed"),
    ("due", "failed", "pending"),
    ("retried", "failed", "pending"),
    ("gave_up", "failed", "dead_letter"),
    ("target_down", "in_progress", "awaiting_system"),
    ("target_back", "awaiting_system", "pending"),
    ("conflict_found", "in_progress", "pending"),
    ("lease_lost", "in_progress", "pending"),
    ("premise_gone", "pending", "cancelled"),
    ("premise_gone", "in_progress", "cancelled"),
    ("retried", "dead_letter", "pending"),
    ("resolved_by_person", "dead_letter", "resolved"),
    ("cancelled", "pending", "cancelled"),
    ("cancelled", "failed", "cancelled"),
    ("cancelled", "awaiting_system", "cancelled"),
];

/// States that nothing leaves.
const FINAL: [&str; 3] = ["completed", "resolved", "cancelled"];

pub(super) fn check(index: &Index<'_>, findings: &mut Findings<'_>) {
    for operation in index.operations.values() {
        if let Err((harm, message)) = path(index.moves(operation.id), operation) {
            findings.add("Q2", harm, Some(operation.id), message);
        }
    }
}

fn path(moves: &[&Move], operation: &Operation) -> Result<(), (Harm, String)> {
    let mut at: Option<&str> = None;
    for one in moves {
        if at.is_some_and(|at| FINAL.contains(&at)) {
            let message = format!("ended as {} and then as {}", at.unwrap_or_default(), one.to);
            return Err((Harm::Duplicated, message));
        }
        if one.from.as_deref() != at {
            let from = one.from.as_deref().unwrap_or("nothing");
            return Err((Harm::Record, format!("moves from {from}, but is {}", at.unwrap_or("nothing"))));
        }
        step(at, one).map_err(|message| (Harm::Record, message))?;
        at = Some(&one.to);
    }
    match at {
        Some(last) if last == operation.status => Ok(()),
        last => {
            let last = last.unwrap_or("nothing");
            Err((Harm::Record, format!("its log ends with {last}, its row says {}", operation.status)))
        }
    }
}

fn step(from: Option<&str>, one: &Move) -> Result<(), String> {
    let Some(from) = from else {
        let accepted = one.event == "accepted" && one.to == "pending";
        return if accepted { Ok(()) } else { Err(format!("begins with {} → {}", one.event, one.to)) };
    };
    if !TABLE.contains(&(one.event.as_str(), from, one.to.as_str())) {
        return Err(format!("no such move: {} from {from} to {}", one.event, one.to));
    }
    if from == "dead_letter" && one.actor.is_none() {
        return Err("left the dead letters, and nobody did it".to_owned());
    }
    Ok(())
}
