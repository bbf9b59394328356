//! Policies: what a connector allows, and within which limits. Every default is the careful one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    conflict::{ConflictRule, ConflictType},
    discrepancy::DiscrepancyType,
    operation::DEFAULT_MAX_RETRIES,
    remediation::Remedy,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policies {
    pub retry: RetryPolicy,
    pub on_dead_letter: OnDeadLetter,
    pub deprovision: Deprovision,
    pub allowed_actions: AllowedActions,
    pub initial_password: InitialPassword,
    pub guard: GuardPolicy,
    /// The most calls under way at once, over all replicas.
    pub max_concurrency: Concurrency,
    /// The most calls a second, over all replicas; none = unlimited.
    pub max_calls_per_second: Option<i32>,
    /// Calls that take longer are given up, their outcome unknown.
    pub call_timeout: CallTimeout,
    /// `enforce` without a first complete full run.
    pub skip_first_run: bool,
    /// What a non-dry run does by itself about each type of discrepancy. Absent = report only.
    pub remediation: BTreeMap<DiscrepancyType, Remedy>,
    /// What is done about each type of conflict. Absent = its default outcome.
    pub conflicts: BTreeMap<ConflictType, ConflictRule>,
}

/// Calls at once: 1–64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Concurrency(pub i32);

/// Seconds: 1–300.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallTimeout(pub i32);

/// Delay n = min(base · 2^(n−1), cap) ± 25 %; a Retry-After of the target wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    pub base_ms: i64,
    pub cap_ms: i64,
    /// Tries after the first.
    pub max_retries: i32,
}

/// What a dead letter does to the operations behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadLetter {
    #[default]
    Hold,
    Continue,
}

/// What becomes of an account whose identity should no longer have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Deprovision {
    #[default]
    Disable,
    Delete,
    Retain,
    /// Disable now, delete after so many days.
    Staged {
        delete_after_days: i32,
    },
}

/// Which operations may be written at all. Delete is off until switched on.
#[expect(clippy::struct_excessive_bools, reason = "one switch an action, each named in the contract")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowedActions {
    pub create: bool,
    pub update: bool,
    pub disable: bool,
    pub delete: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialPassword {
    Generate,
    FromOperation,
    #[default]
    None,
}

/// The most effects in 24 h, whatever their cause; more are held until somebody approves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardPolicy {
    /// Deletes, disables, removals of owned values.
    pub destructive: GuardLimit,
    /// Creates and updates.
    pub constructive: GuardLimit,
    /// The approver must be another person than the one who started.
    pub four_eyes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum GuardLimit {
    /// No limit: for demos and benches.
    None,
    /// max(floor, min(percent of the live links, count)).
    AtMost { percent: f64, count: i64, floor: i64 },
}

impl Default for Concurrency {
    fn default() -> Self {
        Self(8)
    }
}

impl Default for CallTimeout {
    fn default() -> Self {
        Self(30)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { base_ms: 30_000, cap_ms: 3_600_000, max_retries: DEFAULT_MAX_RETRIES }
    }
}

impl Default for AllowedActions {
    fn default() -> Self {
        Self { create: true, update: true, disable: true, delete: false }
    }
}

impl Default for GuardPolicy {
    fn default() -> Self {
        Self {
            destructive: GuardLimit::AtMost { percent: 5.0, count: 500, floor: 3 },
            constructive: GuardLimit::AtMost { percent: 20.0, count: 5_000, floor: 10 },
            four_eyes: false,
        }
    }
}
