//! Compiled rules, and the threads that run them.
//!
//! Expressions are compiled once a revision. Evaluating them is work for a processor, so it never happens on the
//! threads that answer calls: at most as many evaluations run at once as there are processors.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;
use xavyo_core::{
    Error,
    connector::{Connector, ObjectType},
    error::Result,
    ids::{ConnectorId, TenantId},
    mapping::Program,
};

/// The most connectors whose rules are kept compiled.
const MAX_KEPT: usize = 1_000;

/// The rules of one connector's revision, one program an object type, in their order.
#[derive(Clone, Debug)]
pub struct Rules {
    pub programs: Arc<[Arc<Program>]>,
}

/// Compiles every expression. Violations name the place: `object_types[0].mapping[3].expression`.
pub fn compile(object_types: &[ObjectType]) -> Result<Rules> {
    let mut programs = Vec::with_capacity(object_types.len());
    let mut violations = Vec::new();
    for (index, object_type) in object_types.iter().enumerate() {
        match Program::compile(object_type) {
            Ok(program) => programs.push(Arc::new(program)),
            Err(error) if error.violations.is_empty() => return Err(error),
            Err(error) => violations.extend(error.under(&format!("object_types[{index}]")).violations),
        }
    }
    if violations.is_empty() {
        Ok(Rules { programs: programs.into() })
    } else {
        Err(Error::all_invalid(violations))
    }
}

impl Rules {
    pub fn program(&self, object_class: &str, intent: &str) -> Option<&Arc<Program>> {
        self.programs.iter().find(|program| {
            let kind = program.object_type();
            kind.object_class == object_class && kind.intent == intent
        })
    }
}

/// With the revision that they were compiled from.
type Kept = HashMap<(TenantId, ConnectorId), (i32, Rules)>;

/// The rules of all connectors in use. Cheap to clone; clones share what is compiled.
#[derive(Clone, Debug)]
pub struct Programs {
    kept: Arc<Mutex<Kept>>,
    permits: Arc<Semaphore>,
    width: usize,
}

impl Default for Programs {
    fn default() -> Self {
        let width = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { kept: Arc::default(), permits: Arc::new(Semaphore::new(width)), width }
    }
}

impl Programs {
    /// The rules of the connector's revision. What was stored compiled when it was stored; a failure here is a bug.
    pub async fn of(&self, tenant: TenantId, connector: &Connector) -> Result<Rules> {
        let key = (tenant, connector.id);
        if let Some((revision, rules)) = self.lock().get(&key)
            && *revision == connector.revision
        {
            return Ok(rules.clone());
        }
        let object_types = connector.object_types.clone();
        let rules = self.run(move || compile(&object_types)).await?.map_err(Error::internal)?;
        let mut kept = self.lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, (connector.revision, rules.clone()));
        Ok(rules)
    }

    /// Does work for a processor, on a thread that may wait for it.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(Error::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(Error::internal)
    }

    /// Does the same to each of many items, spread over the processors; the answers stand in the order of the items.
    pub async fn map<I, T>(
        &self,
        items: Vec<I>,
        work: impl Fn(I) -> T + Send + Sync + 'static,
    ) -> Result<Vec<T>>
    where
        I: Send + 'static,
        T: Send + 'static,
    {
        let work = Arc::new(work);
        let share = items.len().div_ceil(self.width).max(1);
        let mut items = items.into_iter();
        let mut parts = Vec::with_capacity(self.width);
        loop {
            let part: Vec<I> = items.by_ref().take(share).collect();
            if part.is_empty() {
                break;
            }
            let work = Arc::clone(&work);
            parts.push(self.run(move || part.into_iter().map(|item| work(item)).collect::<Vec<T>>()));
        }
        Ok(futures::future::try_join_all(parts).await?.into_iter().flatten().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_stand_in_the_order_of_the_items() {
        let doubled = Programs::default().map((0..1_000).collect(), |item: i32| item * 2).await.unwrap();
        assert_eq!(doubled, (0..1_000).map(|item| item * 2).collect::<Vec<_>>());
    }
}
