//! Q3: attempts are numbered, fenced and apart. Q7, as far as the database tells: one attempt at a time in a lane.

use super::{Attempt, Index, report::Findings, report::Harm};

pub(super) fn check(index: &Index<'_>, findings: &mut Findings<'_>) {
    for operation in index.operations.values() {
        let attempts = index.attempts(operation.id);
        let numbers: Vec<i32> = attempts.iter().map(|attempt| attempt.number).collect();
        if !numbers.iter().copied().eq(1..=operation.attempts) {
            let message = format!("has attempts {numbers:?}, and counts {}", operation.attempts);
            findings.add("Q3", Harm::Record, Some(operation.id), message);
        }
        for pair in attempts.windows(2) {
            let (one, next) = (pair[0], pair[1]);
            if next.fence <= one.fence {
                let message = format!("attempt {} has fence {} after {}", next.number, next.fence, one.fence);
                findings.add("Q3", Harm::Order, Some(operation.id), message);
            }
            if next.started_at < one.completed_at {
                let message = format!("attempt {} began before {} had ended", next.number, one.number);
                findings.add("Q3", Harm::Order, Some(operation.id), message);
            }
        }
    }
    for lane in index.lanes.values() {
        let mut attempts: Vec<&Attempt> =
            lane.iter().flat_map(|operation| index.attempts(operation.id).iter().copied()).collect();
        attempts.sort_by_key(|attempt| (attempt.started_at, attempt.fence));
        for pair in attempts.windows(2) {
            let (one, next) = (pair[0], pair[1]);
            // Under one claim several are taken over at once, with one time for all; within an operation it is Q3.
            let apart = one.fence == next.fence || one.operation == next.operation;
            if !apart && next.started_at < one.completed_at {
                let message =
                    format!("an attempt of {} had not ended when one of this operation began", one.operation);
                findings.add("Q7", Harm::Order, Some(next.operation), message);
            }
        }
    }
}
