//! Q4: no stale fence. Q6: no phantom. Q7: the order of each account's writes.

use std::collections::HashMap;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{Index, Operation, calls, index::Attributed, report::Findings, report::Harm};
use crate::ledger::Tag;

/// Target and worker share a machine, hence a clock; this is for its resolution.
const SLACK: TimeDelta = TimeDelta::milliseconds(20);

/// The last write of a lane so far.
#[derive(Clone, Copy)]
struct Last {
    fence: i64,
    sequence: i64,
}

pub(super) fn check(index: &Index<'_>, findings: &mut Findings<'_>) {
    let mut lanes: HashMap<Uuid, Last> = HashMap::new();
    for attributed in index.writes.iter().filter(|attributed| attributed.write.applied) {
        let (tag, operation) = match author(index, attributed) {
            Ok(found) => found,
            Err(message) => {
                let id = attributed.tag.map(|tag| tag.operation);
                let write = attributed.write;
                let message = format!(
                    "write #{} ({} of {}): {message}",
                    write.position,
                    write.call.name(),
                    write.external_uid
                );
                findings.add("Q6", Harm::Unexpected, id, message);
                continue;
            }
        };
        fenced(index, attributed, tag, operation, lanes.get(&operation.lane).copied(), findings);
        let last = lanes.entry(operation.lane).or_insert(Last { fence: tag.fence, sequence: 0 });
        if operation.sequence < last.sequence {
            let message = format!(
                "was written (#{}) after a later operation of its account had been",
                attributed.write.position
            );
            findings.add("Q7", Harm::Order, Some(operation.id), message);
        }
        *last = Last { fence: last.fence.max(tag.fence), sequence: last.sequence.max(operation.sequence) };
    }
}

/// The operation and attempt that a write belongs to; or why it belongs to none.
fn author<'a>(index: &Index<'a>, attributed: &Attributed<'_>) -> Result<(Tag, &'a Operation), String> {
    let Some(tag) = attributed.tag else { return Err("nobody was at this account then".to_owned()) };
    let operation = *index.operations.get(&tag.operation).ok_or("of an operation that does not exist")?;
    let connector = attributed.ledger.connector;
    if operation.connector != connector {
        return Err(format!("of an operation of the connector {}, not {connector}", operation.connector));
    }
    if index.connectors.get(&connector).is_some_and(|found| found.tenant != operation.tenant) {
        return Err(format!("of an operation of another tenant, {}", operation.tenant));
    }
    match index.attempt(tag) {
        Some(attempt) if attempt.fence != tag.fence => {
            Err(format!("under fence {}, but its attempt has {}", tag.fence, attempt.fence))
        }
        Some(attempt) => match calls::cancelled_at(index, operation) {
            Some(at) if at < attempt.started_at => Err("of an operation cancelled before that".to_owned()),
            Some(_) | None => Ok((tag, operation)),
        },
        None if index.is_claimed(operation) => Ok((tag, operation)),
        None => Err(format!("of attempt {}, which does not exist", tag.attempt)),
    }
}

fn fenced(
    index: &Index<'_>,
    attributed: &Attributed<'_>,
    tag: Tag,
    operation: &Operation,
    last: Option<Last>,
    findings: &mut Findings<'_>,
) {
    if let Some(last) = last.filter(|last| tag.fence < last.fence) {
        let message = format!("wrote under fence {} after {} had written", tag.fence, last.fence);
        findings.add("Q4", Harm::Unexpected, Some(operation.id), message);
    }
    // Where the target notes the time: also after another had taken over and only read.
    let over = index.attempt(tag).map(|attempt| attempt.completed_at + SLACK);
    if let (Some(at), Some(over)) = (attributed.write.at, over)
        && at > over
    {
        let message = format!("wrote at {at} under fence {}, which was taken from it before", tag.fence);
        findings.add("Q4", Harm::Unexpected, Some(operation.id), message);
    }
}
