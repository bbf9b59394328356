//! How many operations at the head of a lane one claim may take.
//!
//! Order in a lane is strict, so several at once are several calls one after the other under one claim. If the worker
//! dies in between, which of them arrived is unknown: that is only bearable where writing again does no harm.

use crate::{
    change::{ACCOUNT_STATE, Change},
    operation::{Operation, OperationStatus, OperationType},
    value::sealed,
};

/// How many of `operations`, the first ones of a lane in order, may be claimed together. 0 when the first may not run.
///
/// More than one only for a run of one identity's updates that set whole values of attributes, on a connector whose
/// updates may be repeated (`repeatable`), in a lane that does not run singly. Operations that share one unknown outcome are taken
/// together whatever the lane says: the account is read once for all of them.
pub fn claimable_prefix(operations: &[Operation], repeatable: bool, runs_singly: bool) -> usize {
    let person = operations.first().and_then(|operation| operation.identity_id);
    let ready = operations
        .iter()
        .enumerate()
        .take_while(|(place, operation)| may_run(operation, *place == 0) && operation.identity_id == person)
        .count();
    let ready = &operations[..ready];
    let unknown = ready.iter().take_while(|operation| operation.outcome_unknown).count();
    if unknown > 1 && ready[..unknown].iter().all(only_sets_values) {
        return unknown;
    }
    if runs_singly || !repeatable || unknown > 0 {
        return ready.len().min(1);
    }
    match ready.iter().take_while(|operation| only_sets_values(operation)).count() {
        0 => ready.len().min(1),
        several => several,
    }
}

/// Held operations and whatever has another state stand still, and everything behind them. The lane wakes when the retry
/// of its first operation is due; that of a later one may have to wait.
fn may_run(operation: &Operation, is_first: bool) -> bool {
    let runs = match operation.status {
        OperationStatus::Pending => true,
        OperationStatus::Failed => is_first,
        OperationStatus::InProgress
        | OperationStatus::Completed
        | OperationStatus::DeadLetter
        | OperationStatus::AwaitingSystem
        | OperationStatus::Resolved
        | OperationStatus::Cancelled => false,
    };
    runs && operation.hold_reason.is_none()
}

/// Writing it twice leaves what writing it once does. A premise is of its own moment; a computed payload, a state or
/// values added and removed are not repeatable.
fn only_sets_values(operation: &Operation) -> bool {
    operation.operation_type == OperationType::Update
        && operation.precondition.is_none()
        && operation.not_before.is_none()
        && !operation.payload.is_empty()
        && !operation.payload.contains_key(ACCOUNT_STATE)
        && operation.payload.values().all(Change::sets_whole_value)
        // It cannot be read whether a password arrived.
        && !sealed::in_changes(&operation.payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        change::Changes,
        ids::IdentityId,
        operation::{HoldReason, samples::update},
        value::Value,
    };

    fn delete() -> Operation {
        Operation { operation_type: OperationType::Delete, payload: Changes::new(), ..update() }
    }

    fn unknown() -> Operation {
        Operation { outcome_unknown: true, ..update() }
    }

    #[test]
    fn a_run_of_updates_that_set_whole_values_is_claimed_at_once() {
        assert_eq!(claimable_prefix(&[update(), update(), delete(), update()], true, false), 2);
    }

    #[test]
    fn one_at_a_time_where_repeating_could_do_harm() {
        let removes = Change::Modify { add: vec![], remove: vec![Value::from("x")] };
        let removal = Operation { payload: Changes::from([("mail".to_owned(), removes)]), ..update() };
        assert_eq!(claimable_prefix(&[update(), update()], false, false), 1);
        assert_eq!(claimable_prefix(&[update(), update()], true, true), 1);
        assert_eq!(claimable_prefix(&[delete(), update()], true, false), 1);
        assert_eq!(claimable_prefix(&[removal, update()], true, false), 1);
    }

    #[test]
    fn nothing_passes_what_stands_still() {
        let held = Operation { hold_reason: Some(HoldReason::Guard), ..update() };
        let waiting = Operation { status: OperationStatus::AwaitingSystem, ..update() };
        assert_eq!(claimable_prefix(&[held, update()], true, false), 0);
        assert_eq!(claimable_prefix(&[update(), waiting, update()], true, false), 1);
        assert_eq!(claimable_prefix(&[], true, false), 0);
    }

    #[test]
    fn a_claim_is_one_identitys_and_a_retry_waits_for_its_own_time() {
        let other = Operation { identity_id: Some(IdentityId(uuid::Uuid::nil())), ..update() };
        let failed = Operation { status: OperationStatus::Failed, ..update() };
        assert_eq!(claimable_prefix(&[update(), other, update()], true, false), 1);
        assert_eq!(claimable_prefix(&[failed.clone(), update()], true, false), 2);
        assert_eq!(claimable_prefix(&[update(), failed], true, false), 1);
    }

    #[test]
    fn operations_of_one_unknown_outcome_are_read_together() {
        assert_eq!(claimable_prefix(&[unknown(), unknown(), update()], true, true), 2);
        assert_eq!(claimable_prefix(&[unknown(), update()], true, false), 1);
    }
}
