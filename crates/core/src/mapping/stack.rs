//! The stack that expressions need: the parser and interpreter recurse once a nested term, in large frames.
//!
//! [`run`] is all there is to it. Shallow expressions run where they are called; deep ones, and every compilation, move
//! to a thread of their own unless the current one is already large enough.

use std::{
    cell::Cell,
    panic::resume_unwind,
    thread::{self, Builder},
};

/// Holds the deepest expression of 1,024 bytes, parser included, in a build without optimisation.
pub const BYTES: usize = 8 << 20;

thread_local! {
    static IS_LARGE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a thread whose stack is large enough: this one if it is, else a new one that ends with the work.
/// Whoever evaluates many expressions wraps the whole batch, so that at most one thread is started.
pub fn run<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if IS_LARGE.get() {
        return work();
    }
    let on_large = || {
        declare_large();
        work()
    };
    thread::scope(|scope| {
        let started =
            Builder::new().name("expressions".to_owned()).stack_size(BYTES).spawn_scoped(scope, on_large);
        started
            .expect("a process that cannot start a thread cannot go on")
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Says that the current thread was started with a stack of at least [`BYTES`], so that [`run`] stays on it.
pub fn declare_large() {
    IS_LARGE.set(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_stack_is_used_again() {
        let outer = run(|| (thread::current().id(), run(|| thread::current().id())));
        assert_eq!(outer.0, outer.1);
        assert_ne!(outer.0, thread::current().id());
    }
}
