//! What came of a fault.

use std::fmt;

use anyhow::Result;
use xavyo_sandbox::{
    checker::{Evidence, Report, Violation},
    faults::Field,
};

/// Of each broken rule so many stories are told.
const STORIES: usize = 2;

#[derive(Debug, Default)]
pub struct Finding {
    report: Report,
    /// What the fault itself demands, beside the rules.
    unmet: Vec<String>,
    remarks: Vec<String>,
}

impl Finding {
    /// Heals, drains, judges.
    pub async fn of(field: &mut Field) -> Result<(Self, Evidence)> {
        let (evidence, report) = field.verdict().await?;
        Ok((Self { report, ..Self::default() }, evidence))
    }

    pub fn of_error(error: &str) -> Self {
        Self { unmet: vec![error.to_owned()], ..Self::default() }
    }

    /// Something that must hold.
    #[must_use]
    pub fn demand(mut self, holds: bool, what: impl Into<String>) -> Self {
        if !holds {
            self.unmet.push(what.into());
        }
        self
    }

    #[must_use]
    pub fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remarks.push(remark.into());
        self
    }

    /// This one, and that of another field.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let operations = self.report.operations + other.report.operations;
        self.with(other, operations)
    }

    /// This one, and that of the same field after something more: it is judged whole each time.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        let operations = later.report.operations;
        self.with(later, operations)
    }

    fn with(mut self, other: Self, operations: usize) -> Self {
        self.unmet.extend(other.unmet);
        self.remarks.extend(other.remarks);
        let new = |one: &Violation| !self.report.violations.contains(one);
        let violations: Vec<_> = other.report.violations.into_iter().filter(new).collect();
        self.report.violations.extend(violations);
        self.report.operations = operations;
        self
    }

    /// The broken rules, and the fault's number where it demands more.
    pub fn failing(&self, number: u32) -> impl Iterator<Item = String> {
        let rules = self.report.invariants().into_iter().map(str::to_owned);
        rules.chain((!self.unmet.is_empty()).then(|| number.to_string()))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken: Vec<&str> = self.report.invariants().into_iter().collect();
        let verdict = if broken.is_empty() && self.unmet.is_empty() { "good" } else { "FAILED" };
        write!(f, "{verdict}, {} operations", self.report.operations)?;
        self.remarks.iter().try_for_each(|remark| write!(f, ", {remark}"))?;
        self.unmet.iter().try_for_each(|unmet| write!(f, "\n    {unmet}"))?;
        if !broken.is_empty() {
            write!(f, "\n{}", self.report.excerpt(STORIES))?;
        }
        Ok(())
    }
}
