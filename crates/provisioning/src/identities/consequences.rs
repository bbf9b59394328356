//! What a changed identity calls for on one object type of one connector: a pure decision.
//!
//! Begin with [`follow`]. It compares what the rules said of the identity before the change with what they say after
//! it, and answers at most one operation: what nobody changed is left alone, so that an import of a million unchanged
//! records enqueues nothing, and drift is left for a run to find.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use xavyo_core::{
    Reason,
    account::AccountState,
    change::{ACCOUNT_STATE, Change, Changes},
    connector::{AllowedActions, AttributeRule, Deprovision, ObjectType, Ownership},
    link::Link,
    mapping::ExpectedValue,
    operation::OperationType,
    value::Value,
};

/// What the rules say of an identity at one time.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It should have an account.
    In(Expectation),
    /// It is inactive, out of scope, deleted or not yet there.
    Out,
    /// An expression failed: neither is claimed. The text says which, and why.
    Unknown(String),
}

/// The account that an identity should have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectation {
    /// Attributes whose expression failed are not among them.
    pub attributes: BTreeMap<String, ExpectedValue>,
    /// Why a new account would have no name: matters to a create only.
    pub naming_failure: Option<String>,
}

/// What stands already between the identity and the target.
#[derive(Clone, Copy, Debug, Default)]
pub struct Situation<'a> {
    pub link: Option<&'a Link>,
    /// A create that is not final waits in the lane.
    pub has_live_create: bool,
    /// A delete or disable that is not final waits in the lane.
    pub has_live_leave: bool,
}

/// The policies that decide.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub object_type: &'a ObjectType,
    pub deprovision: Deprovision,
    pub allowed: AllowedActions,
}

/// What follows from a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Consequence {
    pub write: Option<Write>,
    pub staged_delete: StagedDelete,
}

/// An operation that is called for.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub operation_type: OperationType,
    /// Empty = computed from the identity when claimed.
    pub payload: Changes,
    /// Why it is not enqueued although it follows.
    pub refused: Option<Reason>,
}

/// What becomes of the date on which the link's account is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StagedDelete {
    #[default]
    Unchanged,
    Due(DateTime<Utc>),
    /// The identity has returned in time.
    Dropped,
}

/// What a change from `before` to `after` calls for. The error is the failure of an expression: nothing follows then.
pub fn follow(
    rules: Rules,
    before: &Standing,
    after: &Standing,
    situation: Situation,
    now: DateTime<Utc>,
) -> Result<Consequence, String> {
    let exists = situation.link.is_some() || situation.has_live_create;
    match (before, after) {
        (_, Standing::Unknown(failure)) => Err(failure.clone()),
        (_, Standing::In(expected)) if !exists => match &expected.naming_failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(rules.create()),
        },
        (before, Standing::In(expected)) => Ok(rules.keep(before, &expected.attributes, situation)),
        (Standing::In(_) | Standing::Unknown(_), Standing::Out) if exists => Ok(rules.leave(now)),
        (_, Standing::Out) => Ok(Consequence::default()),
    }
}

impl Write {
    /// The second stage: enqueued when it is due.
    pub fn staged_delete() -> Self {
        Self { operation_type: OperationType::Delete, payload: Changes::new(), refused: None }
    }

    /// Whether it takes something away: deletes, disables, removals of owned values.
    pub fn is_destructive(&self) -> bool {
        let takes_away = |(name, change): (&String, &Change)| match change {
            Change::Set(values) => {
                name == ACCOUNT_STATE && *values == [Value::from(AccountState::Disabled.name())]
            }
            Change::Clear => false,
            Change::Modify { remove, .. } => !remove.is_empty(),
        };
        self.operation_type == OperationType::Delete || self.payload.iter().any(takes_away)
    }
}

impl Rules<'_> {
    fn create(self) -> Consequence {
        write(OperationType::Create, Changes::new(), self.allowed.create)
    }

    /// An account of an identity that should have it: what changed is written; an account that we disabled, or are
    /// about to, is enabled and brought up to date in every attribute, because changes passed it by.
    fn keep(
        self,
        before: &Standing,
        expected: &BTreeMap<String, ExpectedValue>,
        situation: Situation,
    ) -> Consequence {
        let returns = situation.has_live_leave || situation.link.is_some_and(|link| link.disabled_by_us);
        let known = match before {
            Standing::In(known) if !returns => Some(&known.attributes),
            Standing::In(_) | Standing::Out | Standing::Unknown(_) => None,
        };
        let mut payload = self.changes(known, expected);
        if returns {
            payload.insert(ACCOUNT_STATE.to_owned(), state(AccountState::Enabled));
        }
        let was_due = situation.link.is_some_and(|link| link.deprovision_due_at.is_some());
        let consequence = if payload.is_empty() {
            Consequence::default()
        } else {
            write(OperationType::Update, payload, self.allowed.update)
        };
        let staged_delete = if was_due { StagedDelete::Dropped } else { StagedDelete::Unchanged };
        Consequence { staged_delete, ..consequence }
    }

    fn leave(self, now: DateTime<Utc>) -> Consequence {
        match self.deprovision {
            Deprovision::Disable => self.disable(),
            Deprovision::Delete => write(OperationType::Delete, Changes::new(), self.allowed.delete),
            Deprovision::Retain => Consequence::default(),
            Deprovision::Staged { delete_after_days } => Consequence {
                staged_delete: StagedDelete::Due(now + TimeDelta::days(delete_after_days.into())),
                ..self.disable()
            },
        }
    }

    fn disable(self) -> Consequence {
        let payload = Changes::from([(ACCOUNT_STATE.to_owned(), state(AccountState::Disabled))]);
        write(OperationType::Update, payload, self.allowed.disable)
    }

    /// The attributes whose expected value changed; all of them where none is known. Attributes that only a create
    /// writes (initial values, passwords) are never written again.
    fn changes(
        self,
        known: Option<&BTreeMap<String, ExpectedValue>>,
        expected: &BTreeMap<String, ExpectedValue>,
    ) -> Changes {
        let kept = self.object_type.mapping.iter().filter(|rule| !rule.on_create_only && !rule.write_only);
        let changed = kept.filter_map(|rule| {
            let old = known.and_then(|known| known.get(&rule.name));
            let new = expected.get(&rule.name)?;
            let is_new = old != Some(new);
            is_new.then(|| change(rule, old, new)).flatten().map(|change| (rule.name.clone(), change))
        });
        changed.collect()
    }
}

fn write(operation_type: OperationType, payload: Changes, is_allowed: bool) -> Consequence {
    let refused = (!is_allowed).then_some(Reason::ActionNotAllowed);
    let write = Write { operation_type, payload, refused };
    Consequence { write: Some(write), staged_delete: StagedDelete::Unchanged }
}

/// Values of a multi-valued attribute that are not ours may stand beside ours, so ours are added and removed one by
/// one; anything else is set whole.
fn change(rule: &AttributeRule, old: Option<&ExpectedValue>, new: &ExpectedValue) -> Option<Change> {
    let wanted: &[Value] = match new {
        ExpectedValue::Values(values) => values,
        ExpectedValue::Absent => &[],
        ExpectedValue::Unmanaged => return None,
    };
    if rule.multi_valued && rule.ownership != Ownership::All {
        let ours: &[Value] = match old {
            Some(ExpectedValue::Values(values)) => values,
            Some(ExpectedValue::Absent | ExpectedValue::Unmanaged) | None => &[],
        };
        let missing_from = |there: &[Value], values: &[Value]| -> Vec<Value> {
            values.iter().filter(|value| !there.contains(value)).cloned().collect()
        };
        let (add, remove) = (missing_from(ours, wanted), missing_from(wanted, ours));
        return (!add.is_empty() || !remove.is_empty()).then_some(Change::Modify { add, remove });
    }
    Some(match wanted {
        [] => Change::Clear,
        values => Change::Set(values.to_vec()),
    })
}

fn state(state: AccountState) -> Change {
    Change::Set(vec![Value::from(state.name())])
}

#[cfg(test)]
mod tests;
