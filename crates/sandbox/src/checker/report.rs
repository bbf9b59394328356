//! What the judge answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Index, story};

/// The verdict, with every violation found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Operations that were judged.
    pub operations: usize,
    /// Writes that were judged.
    pub writes: usize,
    pub lost: usize,
    pub unexpected: usize,
    pub duplicated: usize,
    pub order_violations: usize,
    pub violations: Vec<Violation>,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// `Q7`.
    pub invariant: String,
    pub harm: Harm,
    pub message: String,
    pub operation: Option<Uuid>,
    /// Everything that is known of the operation, a line each.
    pub story: Vec<String>,
}

/// What a violation means to whoever relies on the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// Something that was accepted, or completed, does not show.
    Lost,
    /// Something shows that nobody asked for.
    Unexpected,
    Duplicated,
    Order,
    /// The effects are right, but what is said of them is not.
    Record,
}

impl Harm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Unexpected => "unexpected",
            Self::Duplicated => "duplicated",
            Self::Order => "order",
            Self::Record => "record",
        }
    }
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The rules that were broken.
    pub fn invariants(&self) -> BTreeSet<&str> {
        self.violations.iter().map(|violation| violation.invariant.as_str()).collect()
    }

    /// Of the violations of each rule the first few, whole.
    pub fn excerpt(&self, each: usize) -> String {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut text = String::new();
        for violation in &self.violations {
            let count = seen.entry(&violation.invariant).or_default();
            *count += 1;
            if *count <= each {
                text.push_str(&violation.to_string());
            }
        }
        let more = seen.into_iter().filter(|(_, count)| *count > each);
        text.extend(more.map(|(invariant, count)| format!("{invariant}: {} more\n", count - each)));
        text
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}): {}", self.invariant, self.harm.name(), self.message)?;
        self.story.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// Violations as the rules find them.
pub(super) struct Findings<'a> {
    index: &'a Index<'a>,
    violations: Vec<Violation>,
}

impl<'a> Findings<'a> {
    pub fn new(index: &'a Index<'a>) -> Self {
        Self { index, violations: Vec::new() }
    }

    /// A broken rule, of one operation or of none in particular.
    pub fn add(&mut self, invariant: &str, harm: Harm, operation: Option<Uuid>, message: impl Into<String>) {
        self.violations.push(Violation {
            invariant: invariant.to_owned(),
            harm,
            message: message.into(),
            operation,
            story: operation.map(|id| story::of(self.index, id)).unwrap_or_default(),
        });
    }

    pub fn into_report(self) -> Report {
        let count = |harm| self.violations.iter().filter(|violation| violation.harm == harm).count();
        Report {
            operations: self.index.operations.len(),
            writes: self.index.evidence.ledgers.iter().map(|ledger| ledger.writes.len()).sum(),
            lost: count(Harm::Lost),
            unexpected: count(Harm::Unexpected),
            duplicated: count(Harm::Duplicated),
            order_violations: count(Harm::Order),
            violations: self.violations,
        }
    }
}
