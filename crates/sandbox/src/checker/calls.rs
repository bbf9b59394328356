//! Q1: what was answered is what there is. Q9: what was cancelled is not written any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::{Asked, ClientCall, Index, Operation, Outcome, report::Findings, report::Harm};

pub(super) fn check(index: &Index<'_>, findings: &mut Findings<'_>) {
    one_row_each(index, findings);
    let mut by_request: HashMap<(Uuid, Uuid), BTreeSet<Uuid>> = HashMap::new();
    for operation in index.operations.values() {
        if let Some(request) = operation.request_id {
            by_request.entry((operation.tenant, request)).or_default().insert(operation.id);
        }
    }
    for call in &index.evidence.history {
        match &call.asked {
            Asked::Enqueue { operations } => {
                let made = by_request.remove(&(call.tenant, call.id)).unwrap_or_default();
                enqueued(call, *operations, &made, findings);
            }
            Asked::Cancel(id) => cancelled(index, call, *id, findings),
            Asked::Retry(_) | Asked::Resolve(_) => {}
        }
    }
    nobody_asked(index, &by_request, findings);
}

/// An operation is either live or past.
fn one_row_each(index: &Index<'_>, findings: &mut Findings<'_>) {
    let mut rows: BTreeMap<Uuid, usize> = BTreeMap::new();
    for operation in &index.evidence.snapshot.operations {
        *rows.entry(operation.id).or_default() += 1;
    }
    for (id, count) in rows.into_iter().filter(|(_, count)| *count > 1) {
        findings.add("Q1", Harm::Duplicated, Some(id), format!("the operation has {count} rows"));
    }
}

fn enqueued(call: &ClientCall, asked: usize, made: &BTreeSet<Uuid>, findings: &mut Findings<'_>) {
    match &call.outcome {
        Outcome::Ok(answered) => {
            let answered: BTreeSet<Uuid> = answered.iter().copied().collect();
            for id in answered.difference(made) {
                let message = format!("call {} was answered with an operation that has no row", call.id);
                findings.add("Q1", Harm::Lost, Some(*id), message);
            }
            for id in made.difference(&answered) {
                let message = format!("call {} made an operation beside those of its answer", call.id);
                findings.add("Q1", Harm::Duplicated, Some(*id), message);
            }
        }
        Outcome::Unknown(_) => {
            // All or nothing, whichever.
            if !made.is_empty() && made.len() != asked {
                let message = format!("call {} of {asked} operations made {}", call.id, made.len());
                findings.add("Q1", Harm::Unexpected, made.first().copied(), message);
            }
        }
        Outcome::Failed(code) => {
            for id in made {
                let message = format!("call {} was refused ({code}), and yet made an operation", call.id);
                findings.add("Q1", Harm::Unexpected, Some(*id), message);
            }
        }
    }
}

/// Operations that a client caused by a call that no client made.
fn nobody_asked(
    index: &Index<'_>,
    left_over: &HashMap<(Uuid, Uuid), BTreeSet<Uuid>>,
    findings: &mut Findings<'_>,
) {
    for operation in index.operations.values().filter(|operation| operation.cause == "api") {
        if operation.request_id.is_none_or(|request| left_over.contains_key(&(operation.tenant, request))) {
            findings.add("Q1", Harm::Unexpected, Some(operation.id), "nobody asked for this operation");
        }
    }
}

fn cancelled(index: &Index<'_>, call: &ClientCall, id: Uuid, findings: &mut Findings<'_>) {
    let (Outcome::Ok(_), Some(operation)) = (&call.outcome, index.operations.get(&id)) else { return };
    if operation.status != "cancelled" {
        findings.add(
            "Q9",
            Harm::Unexpected,
            Some(id),
            format!("was cancelled with an ok, and is {}", operation.status),
        );
        return;
    }
    for attributed in index.writes_of(id).filter(|attributed| attributed.write.applied) {
        let began_before = attributed
            .tag
            .and_then(|tag| index.attempt(tag))
            .is_some_and(|attempt| cancelled_at(index, operation).is_none_or(|at| attempt.started_at <= at));
        let written_after = attributed.write.at.is_some_and(|at| at > call.answered_at);
        if !began_before || written_after {
            findings.add(
                "Q9",
                Harm::Unexpected,
                Some(id),
                "was written after its cancel was answered with ok",
            );
        }
    }
}

/// When the log says that it was cancelled.
pub(super) fn cancelled_at(
    index: &Index<'_>,
    operation: &Operation,
) -> Option<chrono::DateTime<chrono::Utc>> {
    index.moves(operation.id).iter().rfind(|one| one.to == "cancelled").map(|one| one.at)
}
