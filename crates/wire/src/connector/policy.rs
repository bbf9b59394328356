//! Policies of connectors: absent parts become the careful defaults of `core`, numbers are held to their ranges.

use std::collections::BTreeMap;

use xavyo_core::{
    conflict::{ConflictOutcome, ConflictRule, ConflictType},
    connector::{
        AllowedActions, CallTimeout, Concurrency, Deprovision, GuardLimit, GuardPolicy, InitialPassword,
        OnDeadLetter, Policies, RetryPolicy,
    },
    discrepancy::DiscrepancyType,
    operation::MAX_RETRIES_LIMIT,
    remediation::{self, Remedy},
};

use crate::{
    fields::Fields,
    numbers::Numbered,
    pb::provisioning::{self as pb, conflict_policy::Decision, guard_limit::Limit},
};

const MAX_CONCURRENCY: i32 = 64;
const MAX_CALL_SECONDS: i32 = 300;
const MAX_STAGED_DAYS: i32 = 3_650;
const BASE_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;
const MAX_CAP_MS: i64 = 86_400_000;
const MAX_GUARD: i64 = 1_000_000_000;

pub fn to_pb(policies: &Policies) -> pb::Policies {
    let Policies { retry, allowed_actions, guard, .. } = policies;
    pb::Policies {
        retry: Some(pb::RetryPolicy {
            base_ms: Some(retry.base_ms),
            cap_ms: Some(retry.cap_ms),
            max_retries: Some(retry.max_retries),
        }),
        on_dead_letter: policies.on_dead_letter.number(),
        deprovision: Some(deprovision_to_pb(policies.deprovision)),
        allowed_actions: Some(pb::AllowedActions {
            create: Some(allowed_actions.create),
            update: Some(allowed_actions.update),
            disable: Some(allowed_actions.disable),
            delete: Some(allowed_actions.delete),
        }),
        initial_password: policies.initial_password.number(),
        guard: Some(pb::GuardPolicy {
            destructive: Some(limit_to_pb(guard.destructive)),
            constructive: Some(limit_to_pb(guard.constructive)),
            four_eyes: guard.four_eyes,
        }),
        max_concurrency: policies.max_concurrency.0,
        max_calls_per_second: policies.max_calls_per_second,
        call_timeout_seconds: policies.call_timeout.0,
        skip_first_run: policies.skip_first_run,
        remediation: policies.remediation.iter().map(remedy_to_pb).collect(),
        conflict_policies: policies.conflicts.iter().map(rule_to_pb).collect(),
    }
}

/// The policies at the path `policies`.
pub fn of_pb(fields: &mut Fields, policies: Option<pb::Policies>) -> Policies {
    let Some(it) = policies else { return Policies::default() };
    fields.within("policies", |fields| Policies {
        retry: fields.within("retry", |fields| retry_of_pb(fields, it.retry.unwrap_or_default())),
        on_dead_letter: fields.choice_or("on_dead_letter", it.on_dead_letter, OnDeadLetter::default()),
        deprovision: fields.within("deprovision", |fields| deprovision_of_pb(fields, it.deprovision)),
        allowed_actions: allowed_of_pb(it.allowed_actions.unwrap_or_default()),
        initial_password: fields.choice_or(
            "initial_password",
            it.initial_password,
            InitialPassword::default(),
        ),
        guard: fields.within("guard", |fields| guard_of_pb(fields, it.guard.unwrap_or_default())),
        max_concurrency: Concurrency(fields.number(
            "max_concurrency",
            given(it.max_concurrency),
            1..=MAX_CONCURRENCY,
            Concurrency::default().0,
        )),
        max_calls_per_second: it
            .max_calls_per_second
            .map(|rate| fields.number("max_calls_per_second", Some(rate), 1..=i32::MAX, 1)),
        call_timeout: CallTimeout(fields.number(
            "call_timeout_seconds",
            given(it.call_timeout_seconds),
            1..=MAX_CALL_SECONDS,
            CallTimeout::default().0,
        )),
        skip_first_run: it.skip_first_run,
        remediation: remedies_of_pb(fields, it.remediation),
        conflicts: rules_of_pb(fields, it.conflict_policies),
    })
}

/// 0 stands for the default.
fn given(number: i32) -> Option<i32> {
    Some(number).filter(|number| *number != 0)
}

fn retry_of_pb(fields: &mut Fields, retry: pb::RetryPolicy) -> RetryPolicy {
    let usual = RetryPolicy::default();
    let base_ms = fields.number("base_ms", retry.base_ms, BASE_MS, usual.base_ms);
    RetryPolicy {
        base_ms,
        cap_ms: fields.number("cap_ms", retry.cap_ms, base_ms..=MAX_CAP_MS, usual.cap_ms),
        max_retries: fields.number(
            "max_retries",
            retry.max_retries,
            0..=MAX_RETRIES_LIMIT,
            usual.max_retries,
        ),
    }
}

fn allowed_of_pb(allowed: pb::AllowedActions) -> AllowedActions {
    let usual = AllowedActions::default();
    AllowedActions {
        create: allowed.create.unwrap_or(usual.create),
        update: allowed.update.unwrap_or(usual.update),
        disable: allowed.disable.unwrap_or(usual.disable),
        delete: allowed.delete.unwrap_or(usual.delete),
    }
}

fn deprovision_to_pb(deprovision: Deprovision) -> pb::Deprovision {
    let (kind, delete_after_days) = match deprovision {
        Deprovision::Disable => (pb::DeprovisionKind::Disable, None),
        Deprovision::Delete => (pb::DeprovisionKind::Delete, None),
        Deprovision::Retain => (pb::DeprovisionKind::Retain, None),
        Deprovision::Staged { delete_after_days } => (pb::DeprovisionKind::Staged, Some(delete_after_days)),
    };
    pb::Deprovision { kind: kind.into(), delete_after_days }
}

fn deprovision_of_pb(fields: &mut Fields, deprovision: Option<pb::Deprovision>) -> Deprovision {
    let pb::Deprovision { kind, delete_after_days } = deprovision.unwrap_or_default();
    let kind = pb::DeprovisionKind::try_from(kind);
    if kind == Ok(pb::DeprovisionKind::Staged) {
        let days = fields.required("delete_after_days", delete_after_days);
        let delete_after_days = fields.number("delete_after_days", days, 1..=MAX_STAGED_DAYS, 1);
        return Deprovision::Staged { delete_after_days };
    }
    if delete_after_days.is_some() {
        fields.refuse("delete_after_days", "only with DEPROVISION_KIND_STAGED");
    }
    match kind {
        Ok(pb::DeprovisionKind::Delete) => Deprovision::Delete,
        Ok(pb::DeprovisionKind::Retain) => Deprovision::Retain,
        Ok(pb::DeprovisionKind::Unspecified | pb::DeprovisionKind::Disable | pb::DeprovisionKind::Staged) => {
            Deprovision::Disable
        }
        Err(_) => {
            fields.refuse("kind", "a DeprovisionKind");
            Deprovision::Disable
        }
    }
}

fn limit_to_pb(limit: GuardLimit) -> pb::GuardLimit {
    let limit = match limit {
        GuardLimit::None => Limit::None(pb::NoLimit {}),
        GuardLimit::AtMost { percent, count, floor } => Limit::AtMost(pb::AtMost { percent, count, floor }),
    };
    pb::GuardLimit { limit: Some(limit) }
}

fn guard_of_pb(fields: &mut Fields, guard: pb::GuardPolicy) -> GuardPolicy {
    let usual = GuardPolicy::default();
    GuardPolicy {
        destructive: limit_of_pb(fields, "destructive", guard.destructive, usual.destructive),
        constructive: limit_of_pb(fields, "constructive", guard.constructive, usual.constructive),
        four_eyes: guard.four_eyes,
    }
}

fn limit_of_pb(
    fields: &mut Fields,
    field: &str,
    limit: Option<pb::GuardLimit>,
    usual: GuardLimit,
) -> GuardLimit {
    match limit.and_then(|limit| limit.limit) {
        None => usual,
        Some(Limit::None(pb::NoLimit {})) => GuardLimit::None,
        Some(Limit::AtMost(it)) => fields.within(&format!("{field}.at_most"), |fields| GuardLimit::AtMost {
            percent: fields.number("percent", Some(it.percent), 0.0..=100.0, 0.0),
            count: fields.number("count", Some(it.count), 0..=MAX_GUARD, 0),
            floor: fields.number("floor", Some(it.floor), 0..=MAX_GUARD, 0),
        }),
    }
}

fn remedy_to_pb((kind, remedy): (&DiscrepancyType, &Remedy)) -> (String, pb::RemediationPolicy) {
    let policy =
        pb::RemediationPolicy { action: remedy.action.number(), direction: remedy.direction.number() };
    (kind.name().to_owned(), policy)
}

/// Only triples of the table are let in.
fn remedies_of_pb(
    fields: &mut Fields,
    policies: BTreeMap<String, pb::RemediationPolicy>,
) -> BTreeMap<DiscrepancyType, Remedy> {
    let mut remedies = BTreeMap::new();
    for (name, policy) in policies {
        let Some(kind) = DiscrepancyType::named(&name) else {
            fields.refuse("remediation", format!("types of discrepancy as keys, not {name:?}"));
            continue;
        };
        let path = format!("remediation.{name}");
        let remedy = fields.within(&path, |fields| {
            let action = fields.choice("action", policy.action)?;
            let direction = fields.optional_choice("direction", Some(policy.direction));
            fields.take(remediation::choose_for_type(kind, action, direction))
        });
        remedies.extend(remedy.map(|remedy| (kind, remedy)));
    }
    remedies
}

fn rule_to_pb((kind, rule): (&ConflictType, &ConflictRule)) -> (String, pb::ConflictPolicy) {
    let decision = match rule.outcome() {
        Some(outcome) => Decision::Outcome(outcome.number()),
        None => Decision::Person(pb::Person {}),
    };
    (kind.name().to_owned(), pb::ConflictPolicy { decision: Some(decision) })
}

fn rules_of_pb(
    fields: &mut Fields,
    policies: BTreeMap<String, pb::ConflictPolicy>,
) -> BTreeMap<ConflictType, ConflictRule> {
    let mut rules = BTreeMap::new();
    for (name, policy) in policies {
        let Some(kind) = ConflictType::named(&name) else {
            fields.refuse("conflict_policies", format!("types of conflict as keys, not {name:?}"));
            continue;
        };
        let path = format!("conflict_policies.{name}");
        let rule = fields.within(&path, |fields| match fields.required("decision", policy.decision)? {
            Decision::Person(pb::Person {}) => Some(ConflictRule::Person),
            Decision::Outcome(outcome) => fields.choice("outcome", outcome).map(rule_of),
        });
        match rule {
            Some(rule) if !rule.suits(kind) => fields.refuse(&path, format!("an outcome of {name}")),
            Some(rule) => {
                rules.insert(kind, rule);
            }
            None => {}
        }
    }
    rules
}

fn rule_of(outcome: ConflictOutcome) -> ConflictRule {
    match outcome {
        ConflictOutcome::Applied => ConflictRule::Applied,
        ConflictOutcome::Superseded => ConflictRule::Superseded,
        ConflictOutcome::Merged => ConflictRule::Merged,
        ConflictOutcome::Rejected => ConflictRule::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(policies: pb::Policies) -> xavyo_core::error::Result<Policies> {
        let mut fields = Fields::default();
        let parsed = of_pb(&mut fields, Some(policies));
        fields.finish(parsed)
    }

    fn refused(policies: pb::Policies) -> Vec<String> {
        parse(policies).unwrap_err().violations.into_iter().map(|violation| violation.field).collect()
    }

    fn outcome(outcome: pb::ConflictOutcome) -> pb::ConflictPolicy {
        pb::ConflictPolicy { decision: Some(Decision::Outcome(outcome.into())) }
    }

    fn remedy(action: i32) -> pb::RemediationPolicy {
        pb::RemediationPolicy { action, direction: 0 }
    }

    #[test]
    fn nothing_said_is_the_careful_default() {
        assert_eq!(parse(pb::Policies::default()).unwrap(), Policies::default());
    }

    #[test]
    fn policies_survive_the_wire() {
        let policies = pb::Policies {
            deprovision: Some(pb::Deprovision {
                kind: pb::DeprovisionKind::Staged.into(),
                delete_after_days: Some(30),
            }),
            guard: Some(pb::GuardPolicy {
                destructive: Some(pb::GuardLimit { limit: Some(Limit::None(pb::NoLimit {})) }),
                four_eyes: true,
                ..Default::default()
            }),
            remediation: [("missing".to_owned(), remedy(1))].into(),
            conflict_policies: [
                ("concurrent_update".to_owned(), outcome(pb::ConflictOutcome::Applied)),
                (
                    "missing_target".to_owned(),
                    pb::ConflictPolicy { decision: Some(Decision::Person(pb::Person {})) },
                ),
            ]
            .into(),
            max_calls_per_second: Some(7),
            ..Default::default()
        };
        let parsed = parse(policies).unwrap();
        assert_eq!(parsed.guard.destructive, GuardLimit::None);
        assert_eq!(parse(to_pb(&parsed)).unwrap(), parsed);
        assert_eq!(parse(to_pb(&Policies::default())).unwrap(), Policies::default());
    }

    #[test]
    fn ranges_and_the_table_of_remedies_are_kept() {
        let retry = pb::RetryPolicy { base_ms: Some(5_000), cap_ms: Some(1_000), max_retries: Some(21) };
        let percent = Limit::AtMost(pb::AtMost { percent: f64::NAN, count: 1, floor: 1 });
        let bad = pb::Policies {
            retry: Some(retry),
            deprovision: Some(pb::Deprovision { kind: 4, delete_after_days: None }),
            guard: Some(pb::GuardPolicy {
                constructive: Some(pb::GuardLimit { limit: Some(percent) }),
                ..Default::default()
            }),
            max_concurrency: 65,
            remediation: [("missing".to_owned(), remedy(3)), ("lost".to_owned(), remedy(1))].into(),
            conflict_policies: [
                ("duplicate_create".to_owned(), outcome(pb::ConflictOutcome::Merged)),
                ("missing_target".to_owned(), pb::ConflictPolicy { decision: None }),
                ("quarrel".to_owned(), outcome(pb::ConflictOutcome::Applied)),
            ]
            .into(),
            ..Default::default()
        };
        let paths = [
            "policies.retry.cap_ms",
            "policies.retry.max_retries",
            "policies.deprovision.delete_after_days",
            "policies.guard.constructive.at_most.percent",
            "policies.max_concurrency",
            "policies.remediation",
            "policies.remediation.missing",
            "policies.conflict_policies.duplicate_create",
            "policies.conflict_policies.missing_target.decision",
            "policies.conflict_policies",
        ];
        assert_eq!(refused(bad), paths);
    }
}
