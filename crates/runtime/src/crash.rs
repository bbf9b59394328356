//! Crash points: the places between two steps where a test stops the process, kills it, and looks what is left.
//!
//! Each service has one list of its own, made by [`crash_points!`](crate::crash_points) behind its feature
//! `crash-points`. Without the feature a point is nothing, and a release build refuses it.
//!
//! `XAVYO_CRASH_AT` names the point where this process is to stop, at its pass number `XAVYO_CRASH_PASS` (the first, if
//! not given). It says that it stands there by making the file `XAVYO_CRASH_MARKER`. The task that came there goes no
//! further, ever; all others go on until whoever waits for the file kills the process.

use std::{
    env, fs,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

static ARMED: OnceLock<Armed> = OnceLock::new();

/// The point where this process is to stop.
#[derive(Debug)]
struct Armed {
    point: String,
    marker: PathBuf,
    last_pass: usize,
    passes: AtomicUsize,
}

/// Reads from the environment which point is armed, if any.
pub fn arm() {
    let Ok(point) = env::var("XAVYO_CRASH_AT") else { return };
    let marker = env::var_os("XAVYO_CRASH_MARKER").map(PathBuf::from).unwrap_or_default();
    let last_pass = env::var("XAVYO_CRASH_PASS").ok().and_then(|pass| pass.parse().ok()).unwrap_or(1);
    ARMED.get_or_init(|| Armed { point, marker, last_pass, passes: AtomicUsize::new(0) });
}

/// Passes a point; stays there when it is the armed one and its turn has come.
pub fn pass(point: &str) {
    let Some(armed) = ARMED.get().filter(|armed| armed.point == point) else { return };
    if armed.passes.fetch_add(1, Ordering::SeqCst) + 1 != armed.last_pass {
        return;
    }
    match fs::write(&armed.marker, "") {
        // The thread is given up, and with it nothing but this task.
        Ok(()) => tokio::task::block_in_place(|| {
            loop {
                thread::park();
            }
        }),
        Err(error) => tracing::error!(%error, point, "a crash point is passed, and cannot say so"),
    }
}

/// Prints the name of every point where the command line asks for just that: `crash-points`.
pub fn list_if_asked(names: impl IntoIterator<Item = &'static str>) -> bool {
    let is_asked = env::args().nth(1).as_deref() == Some("crash-points");
    if is_asked {
        names.into_iter().for_each(|name| println!("{name}"));
    }
    is_asked
}

/// The crash points of a service: `Variant "name.in_tests",` each, with a doc comment that says what has been done by
/// then. Makes `Point`, and `point(Point)`, which passes one.
#[macro_export]
macro_rules! crash_points {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)+) => {
        #[cfg(all(feature = "crash-points", not(debug_assertions)))]
        compile_error!("crash points are for tests: no release build may have them");

        /// A place where the process may die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point { $($(#[$doc])* $variant,)+ }

        impl Point {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name under which a test arms it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        /// Passes a crash point.
        pub fn point(point: Point) {
            #[cfg(feature = "crash-points")]
            $crate::crash::pass(point.name());
            #[cfg(not(feature = "crash-points"))]
            let _ = point;
        }

        /// Reads from the environment which point is armed; called once, at the start.
        pub fn arm() {
            #[cfg(feature = "crash-points")]
            $crate::crash::arm();
        }

        /// Prints all names where the command line asks for just that: `crash-points`.
        pub fn are_asked_for() -> bool {
            #[cfg(feature = "crash-points")]
            let are_asked_for = $crate::crash::list_if_asked(Point::ALL.iter().map(|point| point.name()));
            #[cfg(not(feature = "crash-points"))]
            let are_asked_for = false;
            are_asked_for
        }
    };
}
