//! After a lost lease: several updates were under way at once, and which of them arrived is unknown. The account is read
//! once; the longest prefix whose effect shows is completed, the rest is written again.

use xavyo_core::{
    account::Account,
    change::{Change, Changes},
    mapping::References,
    operation::{Operation, OperationType},
};
use xavyo_runtime::Clock;

use super::{Attempt, Claim, Lease, OpenTarget, Outcome, Stop, Tried, attempt_on, one_by_one, present};

/// Whether several operations of the claim share one unknown outcome.
pub(super) fn needed(claim: &Claim) -> bool {
    claim.operations.len() > 1 && claim.operations.iter().any(|operation| operation.outcome_unknown)
}

pub(super) async fn recover(
    target: &OpenTarget,
    clock: &Clock,
    lease: &Lease,
    references: &References,
    claim: &Claim,
) -> Vec<Tried> {
    let Some(first) = claim.operations.first() else { return Vec::new() };
    let attempt = attempt_on(target, lease, references, claim, first);
    let started_at = clock.now();
    let live = match attempt.key() {
        Some(key) => attempt.read(&key).await,
        None => Ok(None),
    };
    let outcome = match live {
        Ok(Some(account)) => Ok(account),
        // One by one they find out for themselves that it is gone.
        Ok(None) => return one_by_one(target, clock, lease, references, claim).await,
        Err(Stop::LeaseEnded) => return Vec::new(),
        Err(Stop::With(outcome)) => Err(outcome),
    };
    match outcome {
        Err(outcome) => vec![Tried { started_at, completed_at: clock.now(), outcome }],
        Ok(account) => {
            let shown = shown(&attempt, &claim.operations, &account);
            let done = Tried {
                started_at,
                completed_at: clock.now(),
                outcome: Outcome::Completed(present("the account shows it already", account.key(), None)),
            };
            let rest = Claim { operations: claim.operations[shown..].to_vec(), ..claim.clone() };
            let mut tries = vec![done; shown];
            tries.extend(one_by_one(target, clock, lease, references, &rest).await);
            tries
        }
    }
}

/// How many of the operations, from the first on, show their joint effect on the account.
fn shown(attempt: &Attempt<'_>, operations: &[Operation], account: &Account) -> usize {
    (1..=operations.len())
        .rev()
        .find(|count| {
            let Some(joint) = joint(&operations[..*count]) else { return false };
            attempt.shows_changes(account, &joint)
        })
        .unwrap_or(0)
}

/// What operations that set whole values come to, one after the other. None where one does something else.
fn joint(operations: &[Operation]) -> Option<Changes> {
    let mut joint = Changes::new();
    for operation in operations {
        let whole = operation.payload.values().all(Change::sets_whole_value);
        if operation.operation_type != OperationType::Update || operation.payload.is_empty() || !whole {
            return None;
        }
        joint.extend(operation.payload.clone());
    }
    Some(joint)
}
