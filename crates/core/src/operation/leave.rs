//! A delete or disable never waits for a person, nor behind what has failed: what it does about the operations ahead of
//! it in its lane.
//!
//! A delete makes the updates ahead of it pointless: they end, and a dead letter is marked overtaken. A disable goes past
//! what stands still and takes along what can run; the passed come right behind it. A create whose outcome is unknown
//! may have made the account: it is read back first, and sent no more. What a worker has in hand is left to it. The guard
//! alone may hold either.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{HoldReason, Operation, OperationStatus, OperationType};
use crate::{
    account::AccountState,
    change::{self, Changes},
    ids::OperationId,
};

/// An operation that takes an account away from somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    Delete,
    Disable,
}

/// How far a leave reaches ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What stands still: failed, held, asked for later, dead letters.
    Stuck,
    /// And creates that were never sent: nobody who leaves gets an account first.
    StuckAndCreates,
    /// And all that nobody has claimed.
    All,
}

/// What becomes of an operation ahead of a leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Cancelled: the leave makes it pointless.
    Superseded,
    /// A dead letter that cannot be retried any more; it holds its lane no longer.
    Overtaken,
    /// A create that only finds out at once what became of its write.
    ReadBack,
    /// It comes right behind the leave.
    Passed,
}

/// What becomes of an operation, and the leave for which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub fate: Fate,
    pub leave: OperationId,
}

impl Leave {
    /// Which of both an operation is; none = neither, or not before a later time: until then it only keeps its place.
    pub fn of(
        operation_type: OperationType,
        payload: &Changes,
        not_before: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        if not_before.is_some_and(|at| at > now) {
            return None;
        }
        match operation_type {
            OperationType::Delete => Some(Self::Delete),
            OperationType::Update if change::wanted_state(payload) == Some(AccountState::Disabled) => {
                Some(Self::Disable)
            }
            OperationType::Create | OperationType::Update => None,
        }
    }

    /// What it does about one operation ahead of it; none = that one stands.
    pub fn fate(self, ahead: &Operation, reach: Reach, now: DateTime<Utc>) -> Option<Fate> {
        if ahead.status == OperationStatus::InProgress {
            return None;
        }
        let is_stuck = stands_still(ahead, now);
        match (ahead.operation_type, self) {
            (OperationType::Create, _) if ahead.outcome_unknown => {
                (!ahead.overtaken).then_some(Fate::ReadBack)
            }
            (OperationType::Create, _) if is_stuck || reach != Reach::Stuck => ended(ahead),
            (OperationType::Update, Self::Delete) if is_stuck || reach == Reach::All => ended(ahead),
            // Tried again behind the disable, it would undo it.
            (OperationType::Update, Self::Disable) if is_stuck && enables(ahead) => ended(ahead),
            (OperationType::Update | OperationType::Delete, Self::Disable)
                if is_stuck && !ahead.overtaken =>
            {
                Some(Fate::Passed)
            }
            // Both want the same; only what a person would have to revive is in the way.
            (OperationType::Delete, Self::Delete) if ahead.status == OperationStatus::DeadLetter => {
                ended(ahead)
            }
            (OperationType::Create | OperationType::Update | OperationType::Delete, _) => None,
        }
    }
}

/// It cannot run now, for another reason than what is ahead of it or the target's being down.
pub fn stands_still(operation: &Operation, now: DateTime<Utc>) -> bool {
    let is_stuck = match operation.status {
        OperationStatus::Failed | OperationStatus::DeadLetter => true,
        OperationStatus::Pending
        | OperationStatus::InProgress
        | OperationStatus::AwaitingSystem
        | OperationStatus::Completed
        | OperationStatus::Resolved
        | OperationStatus::Cancelled => false,
    };
    is_stuck || operation.hold_reason.is_some() || operation.not_before.is_some_and(|at| at > now)
}

/// What every leave in a lane does about what has come to stand still ahead of it. `lane` is in order.
pub fn make_way(lane: &[Operation], now: DateTime<Utc>) -> BTreeMap<OperationId, Way> {
    let mut ways: BTreeMap<OperationId, Way> = BTreeMap::new();
    for (place, operation) in lane.iter().enumerate() {
        let leave = Leave::of(operation.operation_type, &operation.payload, operation.not_before, now);
        let Some(leave) = leave.filter(|_| is_coming(operation)) else { continue };
        for ahead in &lane[..place] {
            match (ways.get(&ahead.id).map(|way| way.fate), leave.fate(ahead, Reach::Stuck, now)) {
                // Further back there may be another disable that passes it, or a delete that ends it.
                (None | Some(Fate::Passed), Some(fate)) => {
                    ways.insert(ahead.id, Way { fate, leave: operation.id });
                }
                (Some(Fate::Superseded | Fate::Overtaken | Fate::ReadBack), _) | (_, None) => {}
            }
        }
    }
    ways
}

/// The lane behind the first leave that passes something, in its new order: the passed come right behind the leave that
/// passes them. Nothing where nobody is passed.
pub fn reordered(lane: &[OperationId], ways: &BTreeMap<OperationId, Way>) -> Vec<OperationId> {
    let passed_by =
        |id: OperationId| ways.get(&id).filter(|way| way.fate == Fate::Passed).map(|way| way.leave);
    let behind = |leave: OperationId| lane.iter().copied().filter(move |id| passed_by(*id) == Some(leave));
    let first = lane.iter().position(|id| behind(*id).next().is_some());
    let rest = first.map_or(&[][..], |first| &lane[first..]);
    let standing = rest.iter().copied().filter(|id| passed_by(*id).is_none());
    // The first leave itself stays where it is.
    standing.flat_map(|id| std::iter::once(id).chain(behind(id))).skip(1).collect()
}

/// It goes by itself as soon as it is its turn; a worker that has it in hand needs no way any more.
fn is_coming(operation: &Operation) -> bool {
    operation.status == OperationStatus::Pending && operation.hold_reason != Some(HoldReason::Conflict)
}

fn ended(ahead: &Operation) -> Option<Fate> {
    if ahead.status == OperationStatus::DeadLetter {
        (!ahead.overtaken).then_some(Fate::Overtaken)
    } else {
        Some(Fate::Superseded)
    }
}

fn enables(operation: &Operation) -> bool {
    operation.wanted_state() == Some(AccountState::Enabled)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        change::{ACCOUNT_STATE, Change},
        operation::samples,
        tables,
        value::Value,
    };

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn numbered(number: u128, operation: Operation) -> Operation {
        Operation { id: OperationId(Uuid::from_u128(number)), ..operation }
    }

    fn of_type(operation_type: OperationType) -> Operation {
        let payload =
            if operation_type == OperationType::Delete { Changes::new() } else { samples::update().payload };
        Operation { operation_type, payload, ..samples::update() }
    }

    fn state(state: &str) -> Operation {
        let payload = Changes::from([(ACCOUNT_STATE.to_owned(), Change::Set(vec![Value::from(state)]))]);
        Operation { payload, ..samples::update() }
    }

    fn word(fate: Option<Fate>) -> String {
        match fate {
            None => "stands",
            Some(Fate::Superseded) => "superseded",
            Some(Fate::Overtaken) => "overtaken",
            Some(Fate::ReadBack) => "read back",
            Some(Fate::Passed) => "passed",
        }
        .to_owned()
    }

    /// Named as the table names them.
    fn situations() -> Vec<(&'static str, Operation)> {
        let with = |status, operation_type| Operation { status, ..of_type(operation_type) };
        let (update, create, delete) = (OperationType::Update, OperationType::Create, OperationType::Delete);
        let (pending, failed, dead) =
            (OperationStatus::Pending, OperationStatus::Failed, OperationStatus::DeadLetter);
        let held = Operation { hold_reason: Some(HoldReason::Conflict), ..of_type(update) };
        let unknown = |status| Operation { outcome_unknown: true, ..with(status, create) };
        vec![
            ("update, claimed", with(OperationStatus::InProgress, update)),
            ("update, pending", with(pending, update)),
            ("update, awaiting_system", with(OperationStatus::AwaitingSystem, update)),
            ("update, failed", with(failed, update)),
            ("update, held", held),
            ("update, dead_letter", with(dead, update)),
            ("enable, failed", Operation { status: failed, ..state("enabled") }),
            ("enable, dead_letter", Operation { status: dead, ..state("enabled") }),
            ("create, pending", with(pending, create)),
            ("create, failed", with(failed, create)),
            ("create, dead_letter", with(dead, create)),
            ("create, outcome unknown", unknown(pending)),
            ("create, dead_letter, outcome unknown", unknown(dead)),
            ("delete, pending", with(pending, delete)),
            ("delete, failed", with(failed, delete)),
            ("delete, dead_letter", with(dead, delete)),
        ]
    }

    #[test]
    fn what_is_ahead_of_a_leave_becomes_what_is_documented() {
        let header = ["ahead", "delete", "disable", "disable, automatic"].map(str::to_owned).to_vec();
        let rows = situations().into_iter().map(|(name, ahead)| {
            let fate = |leave: Leave, reach| word(leave.fate(&ahead, reach, NOW));
            vec![
                name.to_owned(),
                fate(Leave::Delete, Reach::All),
                fate(Leave::Disable, Reach::Stuck),
                fate(Leave::Disable, Reach::StuckAndCreates),
            ]
        });
        tables::compare(&tables::markdown(header, rows), include_str!("../../tables/leave.md"));
    }

    #[test]
    fn one_that_is_asked_for_later_only_keeps_its_place() {
        let later = Some(NOW + chrono::TimeDelta::seconds(1));
        assert_eq!(Leave::of(OperationType::Delete, &Changes::new(), later, NOW), None);
        assert_eq!(Leave::of(OperationType::Delete, &Changes::new(), Some(NOW), NOW), Some(Leave::Delete));
    }

    #[test]
    fn the_passed_come_right_behind_the_disable_that_passes_them() {
        let failed =
            |number| numbered(number, Operation { status: OperationStatus::Failed, ..samples::update() });
        let lane = [
            failed(1),
            numbered(2, samples::update()),
            numbered(3, state("disabled")),
            numbered(4, samples::update()),
        ];
        let ids: Vec<OperationId> = lane.iter().map(|operation| operation.id).collect();
        let ways = make_way(&lane, NOW);
        assert_eq!(ways, BTreeMap::from([(ids[0], Way { fate: Fate::Passed, leave: ids[2] })]));
        assert_eq!(reordered(&ids, &ways), [ids[0], ids[3]]);
        assert_eq!(reordered(&ids, &BTreeMap::new()), []);
    }

    #[test]
    fn the_last_disable_is_passed_too_and_a_delete_ends_what_was_passed() {
        let stuck = numbered(1, Operation { status: OperationStatus::DeadLetter, ..samples::update() });
        let disable = |number| numbered(number, state("disabled"));
        let twice = [stuck.clone(), disable(2), disable(3)];
        assert_eq!(
            make_way(&twice, NOW),
            BTreeMap::from([(stuck.id, Way { fate: Fate::Passed, leave: twice[2].id })])
        );
        let deleted = [stuck.clone(), disable(2), numbered(3, of_type(OperationType::Delete))];
        assert_eq!(make_way(&deleted, NOW)[&stuck.id].fate, Fate::Overtaken);
    }

    #[test]
    fn a_leave_that_the_guard_holds_ends_what_it_makes_pointless_all_the_same() {
        let stuck = numbered(1, Operation { status: OperationStatus::Failed, ..samples::update() });
        let held = Operation { hold_reason: Some(HoldReason::Guard), ..of_type(OperationType::Delete) };
        assert_eq!(make_way(&[stuck.clone(), numbered(2, held)], NOW)[&stuck.id].fate, Fate::Superseded);
    }
}
