//! Where this service may be stopped and killed by a test: see [`xavyo_runtime::crash`].

xavyo_runtime::crash_points! {
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
