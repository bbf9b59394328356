//! Where this service may be stopped and killed by a test: see [`xavyo_runtime::crash`].

xavyo_runtime::crash_points! {
    /// Lanes are locked and chosen, nothing is written.
    ClaimChosen "claim.chosen",
    /// The claim is written, not committed.
    ClaimWritten "claim.written",
    /// The claim is committed, no call was made.
    ClaimCommitted "claim.committed",
    /// The account was read, nothing was written to the target.
    CallBefore "call.before",
    /// The target has written, nothing is recorded.
    CallAfter "call.after",
    /// The outcome is known, the recording transaction has not begun.
    RecordBefore "record.before",
    /// Everything is recorded, not committed.
    RecordWritten "record.written",
    /// The outcome is committed.
    RecordCommitted "record.committed",
    /// A dead worker's lanes are freed, not committed.
    TakeOverWritten "take_over.written",
    /// Operations are appended, not committed.
    EnqueueWritten "enqueue.written",
    /// Operations are committed, the caller has no answer.
    EnqueueCommitted "enqueue.committed",
    /// A target answered a probe, its operations still wait.
    ProbeAnswered "probe.answered",
    /// Some of them are released, not committed.
    ReleaseWritten "release.written",
    /// Links are changed, not committed.
    LinkWritten "link.written",
    /// A chunk of an import is written, not committed.
    ImportWritten "import.written",
    /// Deltas are merged, not committed.
    FoldWritten "fold.written",
}
