//! What this process has in hand: one task each. The database says what others have.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::store::run_work::{Work, WorkKind};

/// Cheap to clone; clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Busy(Arc<Mutex<HashSet<Work>>>);

/// A place on the list, given up when it is dropped: by a task that panics, too.
#[derive(Debug)]
pub struct Held {
    pub work: Work,
    busy: Busy,
}

impl Busy {
    /// None: this process works on it already.
    pub fn begin(&self, work: Work) -> Option<Held> {
        self.list().insert(work).then(|| Held { work, busy: self.clone() })
    }

    pub fn count(&self, kind: WorkKind) -> usize {
        self.list().iter().filter(|work| work.kind == kind).count()
    }

    fn list(&self) -> MutexGuard<'_, HashSet<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.busy.list().remove(&self.work);
    }
}
