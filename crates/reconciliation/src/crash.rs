//! Crash points: the places between two steps where a test stops the process, kills it, and looks what is left.
//!
//! One list. In builds without the feature `crash-points` a point is nothing; release builds refuse the feature.

#[cfg(all(feature = "crash-points", not(debug_assertions)))]
compile_error!("crash points are for tests: no release build may have them");

macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)+) => {
        /// A place where the process may die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point { $($(#[$doc])* $variant,)+ }

        impl Point {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name under which a test arms it (`FAILPOINTS=name=pause`).
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

points! {
    /// A run is claimed, nothing is read.
    RunClaimed "run.claimed",
    /// The expected side is loaded.
    RunPrepared "run.prepared",
    /// Pages of the target were seen, not all.
    RunReading "run.reading",
    /// Both sides are read, nothing is written.
    RunRead "run.read",
    /// A batch of findings is written, not committed.
    FindingsWritten "findings.written",
    /// A batch of findings is committed, others are not.
    FindingsCommitted "findings.committed",
    /// Everything of a completed run is written, not committed.
    RunCompleting "run.completing",
    /// The run is completed, the other service does not know.
    RunCompleted "run.completed",
    /// A remediation is recorded as begun, nothing is done.
    RemediationBegun "remediation.begun",
    /// The other service was asked, its answer is not noted.
    RemediationAsked "remediation.asked",
    /// What came of it is known, not recorded.
    RemediationDone "remediation.done",
    /// Its outcome is written, not committed.
    RemediationWritten "remediation.written",
}

/// Passes a crash point.
pub fn point(point: Point) {
    #[cfg(feature = "crash-points")]
    fail::fail_point!(point.name());
    #[cfg(not(feature = "crash-points"))]
    let _ = point;
}

/// Reads which points are armed from the environment; called once at the start.
pub fn arm() {
    #[cfg(feature = "crash-points")]
    std::mem::forget(fail::FailScenario::setup());
}
