//! What came of each case.

use std::time::Duration;

use console::style;

use crate::Case;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// The target has no such thing, and why that is known.
    NotOffered(String),
    Failed(String),
}

/// The outcomes of one target's cases, in their order.
#[derive(Debug)]
pub struct Report {
    pub kind: String,
    pub results: Vec<(Case, Outcome, Duration)>,
}

impl Report {
    pub fn passed(&self) -> usize {
        self.count(|outcome| *outcome == Outcome::Passed)
    }

    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    pub fn not_offered(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::NotOffered(_)))
    }

    fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.results.iter().filter(|(_, outcome, _)| is(outcome)).count()
    }

    /// A line a case.
    pub fn print(&self) {
        println!("\n{}", style(&self.kind).bold());
        for (case, outcome, taken) in &self.results {
            let (word, why) = match outcome {
                Outcome::Passed => (style("ok         ").green(), String::new()),
                Outcome::NotOffered(why) => (style("not offered").dim(), format!(" – {why}")),
                Outcome::Failed(why) => (style("failed     ").red(), format!(" – {why}")),
            };
            let slow = if taken.as_secs() > 0 { format!(" ({} s)", taken.as_secs()) } else { String::new() };
            println!("  {word}  {}{slow}{why}", case.sentence());
        }
    }
}

/// `212 passed, 0 failed, 9 not offered`.
pub fn summary(reports: &[Report]) -> String {
    let sum = |count: fn(&Report) -> usize| reports.iter().map(count).sum::<usize>();
    format!(
        "{} passed, {} failed, {} not offered",
        sum(Report::passed),
        sum(Report::failed),
        sum(Report::not_offered)
    )
}
