//! What a soak came to, for people and for machines.

use std::{fmt, path::PathBuf};

use serde_json::json;
use xavyo_sandbox::{checker::Report, faults::Counts};

/// Of each broken rule so many stories are told.
const STORIES: usize = 3;

pub struct Outcome {
    pub counts: Counts,
    /// Attempts whose worker was killed or slept past its lease.
    pub taken_over: usize,
    pub reached: usize,
    pub missing: Vec<String>,
    pub declared: usize,
    pub calls: usize,
    pub report: Report,
    /// Where the evidence was kept, if something was wrong.
    pub evidence_file: Option<PathBuf>,
}

impl Outcome {
    pub fn to_json(&self, seed: u64) -> serde_json::Value {
        json!({
            "seed": seed,
            "calls": self.calls,
            "operations": self.report.operations,
            "writes": self.report.writes,
            "kills": self.counts.kills,
            "restarts": self.counts.restarts,
            "stops": self.counts.stops,
            "database_crashes": self.counts.database_crashes,
            "taken_over": self.taken_over,
            "network_faults": self.counts.bites,
            "crash_points_reached": self.reached,
            "crash_points_declared": self.declared,
            "lost": self.report.lost,
            "unexpected": self.report.unexpected,
            "duplicated": self.report.duplicated,
            "order_violations": self.report.order_violations,
            "invariants_broken": self.report.invariants(),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counts, report, .. } = self;
        writeln!(
            f,
            "{} calls, {} operations, {} writes; {} kills, {} restarts, {} stops, {} database crashes, \
             {} network faults; {} taken over; {} of {} crash points reached",
            self.calls,
            report.operations,
            report.writes,
            counts.kills,
            counts.restarts,
            counts.stops,
            counts.database_crashes,
            counts.bites,
            self.taken_over,
            self.reached,
            self.declared,
        )?;
        if !self.missing.is_empty() {
            writeln!(f, "not reached: {}", self.missing.join(", "))?;
        }
        writeln!(
            f,
            "lost {}, unexpected {}, duplicated {}, out of order {}; {} violations in all",
            report.lost,
            report.unexpected,
            report.duplicated,
            report.order_violations,
            report.violations.len()
        )?;
        f.write_str(&report.excerpt(STORIES))?;
        match &self.evidence_file {
            Some(file) => writeln!(f, "judge it again: target/debug/xavyo-soak check {}", file.display()),
            None => Ok(()),
        }
    }
}
