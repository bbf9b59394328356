//! A new operation comes to its lane: what it contradicts, what it makes pointless, what it goes past.
//!
//! Begin with [`arrive`]. Conflicts arise only where at least one side was asked for; automatic updates, which follow the
//! identity, coalesce instead: the newest takes in the one before it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{
    Operation, OperationStatus, OperationType,
    leave::{Fate, Leave, Reach, stands_still},
};
use crate::{
    account::AccountState,
    change::{self, Changes},
    conflict::{self, Clash, ConflictOutcome, ConflictRule, ConflictType, Detected, Party},
    ids::{IdentityId, OperationId},
};

/// A new operation, before it stands in its lane.
#[derive(Clone, Copy, Debug)]
pub struct Arriving<'a> {
    pub id: OperationId,
    pub identity_id: Option<IdentityId>,
    pub operation_type: OperationType,
    pub payload: &'a Changes,
    pub has_premise: bool,
    pub not_before: Option<DateTime<Utc>>,
    /// Asked for by a person or a remediation, rather than following from the identity.
    pub is_explicit: bool,
}

/// What an arrival changes. Operations ahead that are not named stand as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrival {
    pub fates: BTreeMap<OperationId, Fate>,
    /// Cancelled, what it writes taken over by the new one.
    pub folded: Option<OperationId>,
    /// What the new one writes in place of its own payload.
    pub payload: Option<Changes>,
    pub conflict: Option<Arisen>,
}

/// A conflict between the new operation and one ahead.
#[derive(Clone, Debug, PartialEq)]
pub struct Arisen {
    pub with: OperationId,
    pub conflict_type: ConflictType,
    pub affected_attributes: Vec<String>,
    /// None = a person decides: the new one is held, and the other unless it is claimed, or a leave.
    pub outcome: Option<ConflictOutcome>,
    pub holds_other: bool,
}

/// What follows when `new` comes behind `ahead`: everything in its lane that has not ended, in order, with those that a
/// worker has in hand in progress.
pub fn arrive(
    new: Arriving<'_>,
    ahead: &[Operation],
    rules: &BTreeMap<ConflictType, ConflictRule>,
    now: DateTime<Utc>,
) -> Arrival {
    let leave = Leave::of(new.operation_type, new.payload, new.not_before, now);
    let mut arrival = Arrival::default();
    let detected = detect(new, ahead, leave, now);
    match detected.and_then(|detected| Some((ahead.iter().find(|one| one.id == detected.with)?, detected))) {
        Some((other, detected)) => arrival.decide(new, leave, other, detected, rules, now),
        None => arrival.coalesce(new, ahead, now),
    }
    if let Some(leave) = leave
        && !arrival.is_rejected()
    {
        let reach = reach(new, leave, rules);
        for one in ahead.iter().filter(|one| arrival.folded != Some(one.id)) {
            if let Some(fate) = leave.fate(one, reach, now) {
                arrival.fates.entry(one.id).or_insert(fate);
            }
        }
    }
    arrival
}

impl Arrival {
    /// The new operation ends before it begins.
    pub fn is_rejected(&self) -> bool {
        self.conflict.as_ref().is_some_and(|one| one.outcome == Some(ConflictOutcome::Rejected))
    }

    fn decide(
        &mut self,
        new: Arriving<'_>,
        leave: Option<Leave>,
        other: &Operation,
        detected: Detected,
        rules: &BTreeMap<ConflictType, ConflictRule>,
        now: DateTime<Utc>,
    ) {
        let Detected { with, clash, affected_attributes } = detected;
        let conflict_type = clash.conflict_type();
        // A delete or disable never waits for a person.
        let rule = rules.get(&conflict_type).copied();
        let rule = rule.filter(|rule| leave.is_none() || *rule != ConflictRule::Person);
        let mut outcome = clash.outcome(rule);
        if outcome == Some(ConflictOutcome::Merged) {
            if leave.is_some() && stands_still(other, now) {
                // What has failed would fail the leave.
                outcome = Some(ConflictOutcome::Superseded);
            } else {
                self.folded = Some(with);
                self.payload = Some(change::joined(&other.payload, new.payload));
            }
        }
        if outcome == Some(ConflictOutcome::Superseded) {
            self.fates.insert(with, Fate::Superseded);
        }
        let other_leaves = Leave::of(other.operation_type, &other.payload, other.not_before, now).is_some();
        let holds_other = outcome.is_none() && other.status != OperationStatus::InProgress && !other_leaves;
        self.conflict = Some(Arisen { with, conflict_type, affected_attributes, outcome, holds_other });
    }

    /// An automatic update takes in the one right ahead of it: newest wins, and the account is written once.
    fn coalesce(&mut self, new: Arriving<'_>, ahead: &[Operation], now: DateTime<Utc>) {
        let Some(last) = ahead.last() else { return };
        let updates = |operation_type, payload: &Changes| {
            operation_type == OperationType::Update && !payload.is_empty()
        };
        let is_foldable = match last.status {
            OperationStatus::Pending | OperationStatus::Failed | OperationStatus::AwaitingSystem => {
                last.cause.kind.is_automatic()
                    && last.identity_id == new.identity_id
                    && last.precondition.is_none()
                    && last.not_before.is_none()
                    && !last.outcome_unknown
                    && updates(last.operation_type, &last.payload)
            }
            OperationStatus::InProgress
            | OperationStatus::DeadLetter
            | OperationStatus::Completed
            | OperationStatus::Resolved
            | OperationStatus::Cancelled => false,
        };
        let returns = change::wanted_state(new.payload) == Some(AccountState::Enabled);
        let is_in_hand = last.status == OperationStatus::InProgress;
        if !new.is_explicit
            && returns
            && last.cause.kind.is_automatic()
            && last.operation_type == OperationType::Delete
            && last.status.is_live()
            && !is_in_hand
            && !last.outcome_unknown
        {
            // Who returns in time keeps the account.
            self.fates.insert(last.id, Fate::Superseded);
            return;
        }
        let folds = !new.is_explicit
            && !new.has_premise
            && new.not_before.is_none()
            && updates(new.operation_type, new.payload);
        let is_leave = Leave::of(new.operation_type, new.payload, None, now).is_some();
        if folds && is_foldable && !(is_leave && stands_still(last, now)) {
            self.folded = Some(last.id);
            self.payload = Some(change::joined(&last.payload, new.payload));
        }
    }
}

fn reach(new: Arriving<'_>, leave: Leave, rules: &BTreeMap<ConflictType, ConflictRule>) -> Reach {
    match leave {
        // The connector's rule says that what was asked for before comes first.
        Leave::Delete if rules.get(&ConflictType::DeleteUpdate) == Some(&ConflictRule::Applied) => {
            Reach::Stuck
        }
        Leave::Delete => Reach::All,
        Leave::Disable if new.is_explicit => Reach::Stuck,
        Leave::Disable => Reach::StuckAndCreates,
    }
}

fn detect(
    new: Arriving<'_>,
    ahead: &[Operation],
    leave: Option<Leave>,
    now: DateTime<Utc>,
) -> Option<Detected> {
    let is_later = new.not_before.is_some_and(|at| at > now);
    let party = Party {
        id: new.id,
        operation_type: new.operation_type,
        payload: new.payload,
        is_explicit: new.is_explicit,
        is_claimed: false,
        has_premise: new.has_premise,
    };
    // A disable goes past a delete that stands still: it is not behind it.
    let is_passed = |one: &Operation| {
        leave == Some(Leave::Disable) && one.operation_type == OperationType::Delete && stands_still(one, now)
    };
    let live = ahead.iter().rev().filter(|one| one.status.is_live() && !is_passed(one)).map(|one| Party {
        id: one.id,
        operation_type: one.operation_type,
        payload: &one.payload,
        is_explicit: !one.cause.kind.is_automatic(),
        // What was asked for another identity is not this one's to fold or cancel either.
        is_claimed: one.status == OperationStatus::InProgress || one.identity_id != new.identity_id,
        has_premise: one.precondition.is_some(),
    });
    let detected = conflict::detect(party, live)?;
    match detected.clash {
        // Until its time has come it only keeps its place.
        Clash::UpdateThenDelete { .. } if is_later => None,
        Clash::ConcurrentUpdate { .. }
        | Clash::DuplicateCreate
        | Clash::UpdateThenDelete { .. }
        | Clash::DeleteThenUpdate { .. }
        | Clash::ExternalChange { .. }
        | Clash::MissingTarget
        | Clash::AccountExists => Some(detected),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        cause::CauseKind,
        change::{ACCOUNT_STATE, Change},
        operation::samples,
        value::Value,
    };

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const NEW: OperationId = OperationId(Uuid::from_u128(99));

    fn set(attribute: &str, value: &str) -> Changes {
        Changes::from([(attribute.to_owned(), Change::Set(vec![Value::from(value)]))])
    }

    fn all<const N: usize>(parts: [Changes; N]) -> Changes {
        parts.into_iter().flatten().collect()
    }

    fn ahead(number: u128, payload: Changes) -> Operation {
        Operation { id: OperationId(Uuid::from_u128(number)), payload, ..samples::update() }
    }

    fn automatic(operation: Operation) -> Operation {
        let cause = crate::cause::Cause { kind: CauseKind::IdentityChange, ..operation.cause.clone() };
        Operation { cause, ..operation }
    }

    fn new(operation_type: OperationType, payload: &Changes) -> Arriving<'_> {
        Arriving {
            id: NEW,
            identity_id: None,
            operation_type,
            payload,
            has_premise: false,
            not_before: None,
            is_explicit: true,
        }
    }

    fn come(new: Arriving<'_>, ahead: &[Operation]) -> Arrival {
        arrive(new, ahead, &BTreeMap::new(), NOW)
    }

    fn outcome(arrival: &Arrival) -> Option<ConflictOutcome> {
        arrival.conflict.as_ref().and_then(|conflict| conflict.outcome)
    }

    #[test]
    fn the_newer_of_two_contradicting_updates_takes_in_the_older() {
        let both = all([set("mail", "1"), set("title", "x")]);
        let other = ahead(1, both);
        let payload = set("mail", "2");
        let arrival = come(new(OperationType::Update, &payload), std::slice::from_ref(&other));
        assert_eq!(outcome(&arrival), Some(ConflictOutcome::Merged));
        assert_eq!(arrival.folded, Some(other.id));
        assert_eq!(arrival.payload, Some(all([set("title", "x"), set("mail", "2")])));
    }

    #[test]
    fn what_a_worker_has_in_hand_is_followed() {
        let claimed = Operation { status: OperationStatus::InProgress, ..ahead(1, set("mail", "1")) };
        let payload = set("mail", "2");
        let arrival = come(new(OperationType::Update, &payload), &[claimed]);
        assert_eq!((outcome(&arrival), arrival.folded), (Some(ConflictOutcome::Applied), None));
    }

    #[test]
    fn a_delete_ends_everything_that_nobody_has_claimed() {
        let nothing = Changes::new();
        let lane = [
            Operation { status: OperationStatus::InProgress, ..ahead(1, set("mail", "1")) },
            automatic(ahead(2, set("mail", "2"))),
            ahead(3, set("title", "x")),
        ];
        let arrival = come(new(OperationType::Delete, &nothing), &lane);
        assert_eq!(outcome(&arrival), Some(ConflictOutcome::Superseded));
        let ended = BTreeMap::from([(lane[1].id, Fate::Superseded), (lane[2].id, Fate::Superseded)]);
        assert_eq!(arrival.fates, ended);
    }

    #[test]
    fn a_rule_lets_what_was_asked_for_first_stand_before_a_delete_unless_it_is_stuck() {
        let rules = BTreeMap::from([(ConflictType::DeleteUpdate, ConflictRule::Applied)]);
        let nothing = Changes::new();
        let stuck = Operation { status: OperationStatus::Failed, ..ahead(1, set("mail", "1")) };
        let lane = [stuck, ahead(2, set("title", "x"))];
        let arrival = arrive(new(OperationType::Delete, &nothing), &lane, &rules, NOW);
        assert_eq!(arrival.fates, BTreeMap::from([(lane[0].id, Fate::Superseded)]));
    }

    #[test]
    fn an_update_behind_a_delete_is_rejected_and_does_nothing_else() {
        let delete = Operation { operation_type: OperationType::Delete, ..ahead(1, Changes::new()) };
        let payload = set(ACCOUNT_STATE, "disabled");
        let arrival = come(new(OperationType::Update, &payload), std::slice::from_ref(&delete));
        assert!(arrival.is_rejected() && arrival.fates.is_empty());
        let stuck = Operation { status: OperationStatus::Failed, ..delete };
        let arrival = come(new(OperationType::Update, &payload), std::slice::from_ref(&stuck));
        assert_eq!((outcome(&arrival), arrival.fates[&stuck.id]), (None, Fate::Passed));
    }

    #[test]
    fn a_person_is_asked_where_the_rule_says_so_but_no_leave_waits_for_one() {
        let rules: BTreeMap<_, _> =
            ConflictType::ALL.into_iter().map(|one| (one, ConflictRule::Person)).collect();
        let (mail, disable) = (set("mail", "2"), set(ACCOUNT_STATE, "disabled"));
        let lane = [ahead(1, set("mail", "1"))];
        let asked = arrive(new(OperationType::Update, &mail), &lane, &rules, NOW).conflict.unwrap();
        assert_eq!((asked.outcome, asked.holds_other), (None, true));
        let enable = [ahead(1, set(ACCOUNT_STATE, "enabled"))];
        let leave = arrive(new(OperationType::Update, &disable), &enable, &rules, NOW);
        assert_eq!(outcome(&leave), Some(ConflictOutcome::Merged));
        let behind = [ahead(1, disable)];
        let enable = set(ACCOUNT_STATE, "enabled");
        let asked = arrive(new(OperationType::Update, &enable), &behind, &rules, NOW).conflict.unwrap();
        assert_eq!((asked.outcome, asked.holds_other), (None, false), "the disable ahead goes on");
    }

    #[test]
    fn a_disable_takes_in_no_update_that_has_failed() {
        let payload = set(ACCOUNT_STATE, "disabled");
        let failed = Operation { status: OperationStatus::Failed, ..ahead(1, set(ACCOUNT_STATE, "enabled")) };
        let arrival = come(new(OperationType::Update, &payload), std::slice::from_ref(&failed));
        assert_eq!((arrival.folded, arrival.fates[&failed.id]), (None, Fate::Superseded));
    }

    #[test]
    fn automatic_updates_coalesce_with_the_one_right_ahead() {
        let payload = set("mail", "2");
        let follows = Arriving { is_explicit: false, ..new(OperationType::Update, &payload) };
        let lane = [automatic(ahead(1, set("mail", "1"))), automatic(ahead(2, set("title", "x")))];
        let arrival = come(follows, &lane);
        assert_eq!((arrival.folded, arrival.conflict), (Some(lane[1].id), None));
        assert_eq!(arrival.payload, Some(all([set("mail", "2"), set("title", "x")])));
        let asked = [lane[0].clone(), ahead(3, set("title", "y"))];
        assert_eq!(come(follows, &asked).folded, None, "an explicit one stands in between");
        let claimed = [Operation { status: OperationStatus::InProgress, ..lane[0].clone() }];
        assert_eq!(come(follows, &claimed).folded, None);
    }

    #[test]
    fn who_returns_while_the_delete_still_waits_keeps_the_account() {
        let delete =
            automatic(Operation { operation_type: OperationType::Delete, ..ahead(1, Changes::new()) });
        let payload = set(ACCOUNT_STATE, "enabled");
        let returns = Arriving { is_explicit: false, ..new(OperationType::Update, &payload) };
        let arrival = come(returns, std::slice::from_ref(&delete));
        assert_eq!((arrival.fates[&delete.id], arrival.conflict), (Fate::Superseded, None));
        let unknown = Operation { outcome_unknown: true, ..delete };
        assert!(come(returns, &[unknown]).fates.is_empty(), "it may have been done already");
    }

    #[test]
    fn what_was_asked_for_another_identity_is_followed_not_folded() {
        let identity_id = Some(IdentityId(Uuid::from_u128(5)));
        let other = Operation { identity_id, ..ahead(1, set("mail", "1")) };
        let payload = set("mail", "2");
        let arrival = come(new(OperationType::Update, &payload), &[other]);
        assert_eq!((outcome(&arrival), arrival.folded), (Some(ConflictOutcome::Applied), None));
    }

    #[test]
    fn a_create_behind_a_live_create_is_rejected_and_a_later_delete_supersedes_nothing_yet() {
        let create = Operation { operation_type: OperationType::Create, ..ahead(1, set("mail", "1")) };
        let payload = set("mail", "1");
        assert!(come(new(OperationType::Create, &payload), &[create]).is_rejected());
        let nothing = Changes::new();
        let later = Some(NOW + chrono::TimeDelta::days(1));
        let delete = Arriving { not_before: later, ..new(OperationType::Delete, &nothing) };
        assert_eq!(come(delete, &[ahead(1, set("mail", "1"))]), Arrival::default());
    }
}
