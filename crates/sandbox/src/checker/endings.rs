//! Q10: after healing and draining, what has not ended has a reason. Q12: a dead letter has a cause.

use super::{Index, Operation, report::Findings, report::Harm};

const FINAL: [&str; 3] = ["completed", "resolved", "cancelled"];
/// A worker died this often with nothing else in hand.
const MAX_CRASHES: i32 = 3;
/// Errors that pass: only exhausted retries make a dead letter of them.
const TRANSIENT: [&str; 6] =
    ["LEASE_LOST", "LEASE_ENDED", "MEMORY_BUSY", "MEMORY_TIMEOUT", "MEMORY_UNKNOWN", "MEMORY_DOWN"];

pub(super) fn check(index: &Index<'_>, findings: &mut Findings<'_>) {
    for lane in index.lanes.values() {
        let mut stands = None;
        for operation in lane {
            if FINAL.contains(&operation.status.as_str()) {
                continue;
            }
            stands = stands.or_else(|| reason(index, operation));
            if stands.is_none() {
                let message = format!("is still {}, and nothing holds it", operation.status);
                findings.add("Q10", Harm::Lost, Some(operation.id), message);
            }
        }
    }
    for operation in index.operations.values() {
        if operation.status == "dead_letter" && !has_cause(operation) {
            findings.add("Q12", Harm::Lost, Some(operation.id), "is a dead letter without a cause");
        }
        let used = retries_used(index, operation);
        if used != operation.retry_count {
            let message = format!("counts {} retries, and used {used}", operation.retry_count);
            findings.add("Q12", Harm::Record, Some(operation.id), message);
        }
    }
}

/// Why an operation, and all behind it in its lane, may stand still.
fn reason(index: &Index<'_>, operation: &Operation) -> Option<&'static str> {
    let connector = index.connectors.get(&operation.connector);
    if operation.status == "dead_letter" {
        Some("a dead letter waits for a person")
    } else if connector.is_none_or(|connector| connector.paused) {
        Some("its connector is paused")
    } else if connector.is_some_and(|connector| connector.breaker_open) {
        Some("its target is down")
    } else if operation.hold_reason.is_some() {
        Some("it is held")
    } else if operation.not_before.is_some() {
        Some("it is to wait")
    } else {
        None
    }
}

fn has_cause(operation: &Operation) -> bool {
    let permanent = operation.error_code.as_ref().is_some_and(|code| !TRANSIENT.contains(&code.as_str()));
    permanent || operation.retry_count >= operation.max_retries || operation.crash_count >= MAX_CRASHES
}

/// Failures that were to be retried, since a person last set the count back. Outages and lost leases use none.
fn retries_used(index: &Index<'_>, operation: &Operation) -> i32 {
    let mut used = 0;
    for one in index.moves(operation.id) {
        match (one.event.as_str(), one.from.as_deref()) {
            ("failed", _) => used += 1,
            // The failure that ended it was not to be retried.
            ("gave_up", _) => used -= 1,
            ("retried", Some("dead_letter")) => used = 0,
            _ => {}
        }
    }
    used
}
