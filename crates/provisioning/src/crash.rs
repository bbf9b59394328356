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

/// Passes a crash point.
pub fn point(point: Point) {
    #[cfg(feature = "crash-points")]
    fail::fail_point!(point.name());
    #[cfg(not(feature = "crash-points"))]
    let _ = point;
}

/// Reads which points are armed from the environment; called once at the start. `FAILPOINTS` is that of the crate
/// `fail`; `XAVYO_CRASH_AT` names a point where this process stops for good, at its pass number `XAVYO_CRASH_PASS`,
/// and says so by making the file `XAVYO_CRASH_MARKER`: whoever waits for the file kills the process then.
pub fn arm() {
    #[cfg(feature = "crash-points")]
    {
        std::mem::forget(fail::FailScenario::setup());
        if let Ok(name) = std::env::var("XAVYO_CRASH_AT") {
            armed::stop_at(&name);
        }
    }
}

/// Prints the name of every point where the command line asks for just that: `crash-points`.
pub fn are_asked_for() -> bool {
    #[cfg(feature = "crash-points")]
    if std::env::args().nth(1).as_deref() == Some("crash-points") {
        for point in Point::ALL {
            println!("{}", point.name());
        }
        return true;
    }
    false
}

#[cfg(feature = "crash-points")]
mod armed {
    use std::{
        env, fs,
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    pub fn stop_at(name: &str) {
        let marker = env::var("XAVYO_CRASH_MARKER").unwrap_or_default();
        let last = env::var("XAVYO_CRASH_PASS").ok().and_then(|pass| pass.parse().ok()).unwrap_or(1);
        let passes = AtomicUsize::new(0);
        let stop = move || {
            if passes.fetch_add(1, Ordering::SeqCst) + 1 != last {
                return;
            }
            match fs::write(&marker, "") {
                Ok(()) => loop {
                    thread::park();
                },
                Err(error) => tracing::error!(%error, "a crash point is passed, and cannot say so"),
            }
        };
        fail::cfg_callback(name, stop).expect("a callback can always be armed");
    }
}
