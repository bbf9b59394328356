//! The judge: what was asked, what the database says, and what the targets say, compared. A pure function of values.
//!
//! It verifies afterwards, whatever was killed or cut meanwhile, that nothing accepted was lost, nothing was written that
//! nobody asked for, nothing took effect twice, and everything happened in order. It shares no code with the product: it
//! has its own table of moves, and believes the targets' ledgers.
//!
//! Begin with [`check`]; [`Evidence`] is what it takes, [`Report`] what it answers. The rules:
//!
//! | rule | says | file |
//! |---|---|---|
//! | Q1 | each accepted call has its rows, once; a refused one has none | [`calls`] |
//! | Q2 | the log of an operation is a path of the table of moves, and ends where its row is | [`moves`] |
//! | Q3 | attempts are numbered 1..n; their fences rise; they never overlap | [`attempts`] |
//! | Q4 | nothing was written under a fence that another had taken | [`writes`] |
//! | Q5 | a completed operation's effect shows, once | [`effects`] |
//! | Q6 | every write belongs to an attempt of that connector's operation, not cancelled before | [`writes`] |
//! | Q7 | an account's writes come in the order of its lane; no two attempts at once | [`writes`], [`attempts`] |
//! | Q8 | an account is what the completed operations, in order, make of it | [`effects`] |
//! | Q9 | after an ok from CancelOperation nothing is written | [`calls`] |
//! | Q10 | after healing everything that could go on has ended | [`endings`] |
//! | Q11 | never more calls at once than the connector allows | [`pace`] |
//! | Q12 | a dead letter has exhausted its retries, met a permanent error, or crashed three times | [`endings`] |
//! | Q13 | the statistics are the counts of the rows | [`statistics`] |

mod attempts;
mod calls;
mod effects;
mod endings;
mod evidence;
mod index;
mod moves;
mod pace;
mod report;
mod statistics;
mod story;
#[cfg(test)]
mod tests;
mod writes;

pub use evidence::{
    Asked, Attempt, ClientCall, Connector, Count, Evidence, Lane, Move, Operation, Outcome, Snapshot,
};
pub use report::{Harm, Report, Violation};

use index::Index;
use report::Findings;

/// Judges. The evidence is from a system that was healed and had time to drain.
pub fn check(evidence: &Evidence) -> Report {
    let index = Index::of(evidence);
    let mut findings = Findings::new(&index);
    for rule in [
        calls::check,
        moves::check,
        attempts::check,
        writes::check,
        effects::check,
        endings::check,
        pace::check,
        statistics::check,
    ] {
        rule(&index, &mut findings);
    }
    findings.into_report()
}
