//! An operation's whole story, as a person would want to read it.

use uuid::Uuid;

use super::{Index, Outcome};

/// Everything that is known of an operation, in order of kind.
pub(super) fn of(index: &Index<'_>, id: Uuid) -> Vec<String> {
    let mut lines = Vec::new();
    match index.operations.get(&id) {
        Some(operation) => lines.push(format!(
            "{} {} of {} on {}, lane {} #{}: {}; payload {}; {} attempts, {} of {} retries, {} crashes{}",
            operation.operation_type,
            id,
            operation.target_uid.as_deref().unwrap_or("?"),
            name(index, operation.connector),
            operation.lane,
            operation.sequence,
            operation.status,
            serde_json::json!(operation.payload),
            operation.attempts,
            operation.retry_count,
            operation.max_retries,
            operation.crash_count,
            operation.error_code.as_ref().map(|code| format!("; {code}")).unwrap_or_default(),
        )),
        None => lines.push(format!("{id}: no such operation")),
    }
    for call in index.calls(id) {
        let outcome = match &call.outcome {
            Outcome::Ok(_) => "ok".to_owned(),
            Outcome::Failed(code) => format!("failed: {code}"),
            Outcome::Unknown(why) => format!("unknown: {why}"),
        };
        lines.push(format!("call     {} … {} {:?}: {outcome}", call.sent_at, call.answered_at, call.asked));
    }
    for one in index.moves(id) {
        let from = one.from.as_deref().unwrap_or("–");
        let fence = one.fence.map(|fence| format!(" fence {fence}")).unwrap_or_default();
        lines.push(format!("move     {} {}: {from} → {}{fence}; {}", one.at, one.event, one.to, one.message));
    }
    for attempt in index.attempts(id) {
        let end = match (&attempt.error_code, attempt.outcome_unknown) {
            (None, _) => "success".to_owned(),
            (Some(code), false) => code.clone(),
            (Some(code), true) => format!("{code}, outcome unknown"),
        };
        lines.push(format!(
            "attempt  {} … {} number {} fence {} worker {}: {end}",
            attempt.started_at, attempt.completed_at, attempt.number, attempt.fence, attempt.worker
        ));
    }
    for attributed in index.writes_of(id) {
        let write = attributed.write;
        lines.push(format!(
            "write    #{} {} of {} by {}{}: {}",
            write.position,
            write.call.name(),
            write.external_uid,
            attributed.tag.map(|tag| tag.to_string()).unwrap_or_default(),
            write.at.map(|at| format!(" at {at}")).unwrap_or_default(),
            if write.applied { "applied" } else { "not applied" },
        ));
    }
    lines
}

fn name(index: &Index<'_>, connector: Uuid) -> String {
    index.connectors.get(&connector).map_or_else(|| connector.to_string(), |found| found.name.clone())
}
