//! The guard: how many effects a connector may have before a person is asked.
//!
//! It stands twice. A run weighs its whole plan before the first effect ([`weigh`]), and wherever writes happen a claim
//! takes only what the sliding [`Window`] has room for, whatever their cause (R3).

mod approved;
mod window;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use approved::ApprovedItem;
pub use window::Window;

use crate::{
    account::AccountState,
    change::{self, Change, Changes},
    connector::{GuardLimit, GuardPolicy},
    digest::{Digest, Hasher},
    names::names,
    operation::OperationType,
};

/// Over which time effects are counted.
pub const WINDOW: TimeDelta = TimeDelta::hours(24);

/// What an operation does, as far as the guard is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// A delete, a disable, or the removal of values.
    Destructive,
    /// A create or any other update.
    Constructive,
}

names!(Effect {
    Destructive "destructive",
    Constructive "constructive",
});

/// How many effects of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    pub destructive: i64,
    pub constructive: i64,
}

/// Why a plan waits for its approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    pub effect: Effect,
    pub planned: i64,
    /// Those that the window holds already, whatever their cause.
    pub in_window: i64,
    pub limit: i64,
}

/// What an operation of this type and payload counts as. What an update takes away whose payload is yet to be computed, the
/// live account alone can tell: it counts as the worse.
pub fn effect(operation_type: OperationType, payload: &Changes) -> Effect {
    match operation_type {
        OperationType::Delete => Effect::Destructive,
        OperationType::Create => Effect::Constructive,
        OperationType::Update => {
            let takes_away = payload.values().any(|change| match change {
                Change::Clear => true,
                Change::Modify { remove, .. } => !remove.is_empty(),
                Change::Set(values) => values.is_empty(),
            });
            let disables = change::wanted_state(payload) == Some(AccountState::Disabled);
            let is_computed = payload.is_empty();
            if takes_away || disables || is_computed { Effect::Destructive } else { Effect::Constructive }
        }
    }
}

/// Whether an operation that is to be claimed has to be weighed. One that was claimed in the last 24 hours has been:
/// what is tried again counts once. One that comes again later, out of an outage or the dead letters, has its effect
/// today, and is counted today.
pub fn is_weighed(first_claimed_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    first_claimed_at.is_none_or(|at| at <= now - WINDOW)
}

/// The most effects in the window: max(floor, min(percent of the live links, count)). `live_links` counts those when
/// the window began. None = no limit.
pub fn most(limit: GuardLimit, live_links: i64) -> Option<i64> {
    match limit {
        GuardLimit::None => None,
        GuardLimit::AtMost { percent, count, floor } => {
            // In hundredths of a percent, so that no rounding lets one more through.
            #[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=10,000")]
            let hundredths = (percent.clamp(0.0, 100.0) * 100.0).round() as i64;
            let share = i128::from(live_links.max(0)) * i128::from(hundredths) / 10_000;
            Some(i64::try_from(share).unwrap_or(i64::MAX).min(count).max(floor))
        }
    }
}

/// Whether a plan may be carried out without asking. The destructive excess is named first.
pub fn weigh(
    policy: &GuardPolicy,
    planned: Effects,
    in_window: Effects,
    live_links: i64,
) -> Result<(), Excess> {
    let kinds = [
        (Effect::Destructive, policy.destructive, planned.destructive, in_window.destructive),
        (Effect::Constructive, policy.constructive, planned.constructive, in_window.constructive),
    ];
    for (effect, limit, planned, in_window) in kinds {
        if let Some(limit) = most(limit, live_links)
            && planned > 0
            && planned + in_window > limit
        {
            return Err(Excess { effect, planned, in_window, limit });
        }
    }
    Ok(())
}

/// The digest of a plan: what an approval names. It covers every item, in any order.
pub fn plan_digest<'i>(items: impl IntoIterator<Item = &'i str>) -> Digest {
    let mut hasher = Hasher::new("xavyo plan 1");
    hasher.set(items.into_iter().map(str::as_bytes));
    hasher.finish()
}

impl GuardPolicy {
    pub fn limit(&self, effect: Effect) -> GuardLimit {
        match effect {
            Effect::Destructive => self.destructive,
            Effect::Constructive => self.constructive,
        }
    }
}

impl Effects {
    pub fn of(&self, effect: Effect) -> i64 {
        match effect {
            Effect::Destructive => self.destructive,
            Effect::Constructive => self.constructive,
        }
    }

    pub fn add(&mut self, effect: Effect) {
        match effect {
            Effect::Destructive => self.destructive += 1,
            Effect::Constructive => self.constructive += 1,
        }
    }
}

impl FromIterator<Effect> for Effects {
    fn from_iter<I: IntoIterator<Item = Effect>>(effects: I) -> Self {
        let mut counted = Self::default();
        for effect in effects {
            counted.add(effect);
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{change::ACCOUNT_STATE, value::Value};

    fn changes(attribute: &str, change: Change) -> Changes {
        [(attribute.to_owned(), change)].into()
    }

    #[test]
    fn deleting_disabling_and_removing_are_destructive() {
        let set = |text: &str| Change::Set(vec![Value::from(text)]);
        let (add, remove) = (vec![Value::from("x")], vec![Value::from("x")]);
        for (operation_type, payload, expected) in [
            (OperationType::Delete, Changes::new(), Effect::Destructive),
            (OperationType::Create, changes("mail", set("x")), Effect::Constructive),
            (OperationType::Update, changes("mail", set("x")), Effect::Constructive),
            (OperationType::Update, changes("mail", Change::Clear), Effect::Destructive),
            (
                OperationType::Update,
                changes("member", Change::Modify { add, remove: vec![] }),
                Effect::Constructive,
            ),
            (
                OperationType::Update,
                changes("member", Change::Modify { add: vec![], remove }),
                Effect::Destructive,
            ),
            (OperationType::Update, changes(ACCOUNT_STATE, set("disabled")), Effect::Destructive),
            (OperationType::Update, changes(ACCOUNT_STATE, set("enabled")), Effect::Constructive),
            (OperationType::Update, changes("mail", Change::Set(vec![])), Effect::Destructive),
            (OperationType::Update, Changes::new(), Effect::Destructive),
        ] {
            assert_eq!(effect(operation_type, &payload), expected, "{operation_type} {payload:?}");
        }
    }

    #[test]
    fn the_limit_is_the_smaller_of_share_and_count_but_at_least_the_floor() {
        let limit = GuardPolicy::default().destructive;
        for (live_links, expected) in
            [(0, 3), (40, 3), (100, 5), (119, 5), (9_999, 499), (10_000, 500), (1_000_000, 500)]
        {
            assert_eq!(most(limit, live_links), Some(expected), "{live_links}");
        }
        assert_eq!(most(GuardLimit::None, 7), None);
        assert_eq!(most(GuardLimit::AtMost { percent: 0.07, count: 500, floor: 0 }, 10_000), Some(7));
    }

    #[test]
    fn exactly_the_limit_passes_and_one_more_waits() {
        let policy = GuardPolicy::default();
        let destructive = |destructive| Effects { destructive, constructive: 0 };
        assert_eq!(weigh(&policy, destructive(50), destructive(0), 1_000), Ok(()));
        let excess = Excess { effect: Effect::Destructive, planned: 51, in_window: 0, limit: 50 };
        assert_eq!(weigh(&policy, destructive(51), destructive(0), 1_000), Err(excess));
    }

    #[test]
    fn what_other_causes_did_before_counts_too() {
        let policy = GuardPolicy::default();
        let (planned, before) =
            (Effects { destructive: 30, constructive: 0 }, Effects { destructive: 30, constructive: 0 });
        assert!(weigh(&policy, planned, before, 1_000).is_err());
        assert_eq!(
            weigh(&policy, Effects::default(), Effects { destructive: 99, constructive: 0 }, 1_000),
            Ok(())
        );
    }

    #[test]
    fn a_plan_has_the_same_digest_in_any_order_and_another_one_with_any_other_item() {
        assert_eq!(plan_digest(["a", "b"]), plan_digest(["b", "a"]));
        assert_ne!(plan_digest(["a", "b"]), plan_digest(["a"]));
    }
}
