//! Creates that arrive together are accepted together: while one transaction of a tenant is under way, the single creates
//! that come meanwhile wait, and the next transaction takes them all. Each is answered after its own durable commit, as if
//! it had come alone; what cannot be accepted in company is tried alone, so that nobody's mistake is another's error.
//!
//! Never more than one such transaction of a tenant in a process at once: the queue's locks would only make them wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use uuid::Uuid;
use xavyo_core::{Error, Kind, error::Result, ids::TenantId, operation::Operation};
use xavyo_runtime::{
    auth::Caller,
    db::{self, Transaction},
    lifecycle::with_sources,
};

use super::{
    CreateOperation, Operations,
    accept::{Asked, entry},
};
use crate::{
    crash::{self, Point},
    store::audit,
};

/// The most creates in one transaction.
const TOGETHER: usize = 64;

const METHOD: &str = "CreateOperation";

/// The creates that wait, by tenant. A tenant is in the map exactly while somebody accepts for it.
#[derive(Clone, Debug, Default)]
pub struct Groups(Arc<Mutex<HashMap<TenantId, Vec<Waiting>>>>);

#[derive(Debug)]
struct Waiting {
    caller: Caller,
    command: CreateOperation,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Operation>>;

impl Operations {
    /// Accepts a create in company. None = it has to go alone: it may be the repetition of an earlier call.
    pub(super) async fn create_together(
        &self,
        caller: &Caller,
        command: &CreateOperation,
        request_id: Option<Uuid>,
    ) -> Option<Result<Operation>> {
        if request_id.is_some() {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { caller: caller.clone(), command: command.clone(), answer };
        if let Some(turn) = self.groups.join(caller.tenant, waiting) {
            // A task of its own: a caller who goes away takes nobody else along.
            tokio::spawn(self.clone().accept_groups(turn));
        }
        let lost = || Error::internal("accepting together with others ended badly");
        Some(answered.await.unwrap_or_else(|_| Err(lost())))
    }

    async fn accept_groups(self, turn: Turn) {
        while let Some(group) = turn.next() {
            let (commands, others): (Vec<CreateOperation>, Vec<(Caller, Answer)>) =
                group.into_iter().map(|one| (one.command, (one.caller, one.answer))).unzip();
            let (callers, answers): (Vec<Caller>, Vec<Answer>) = others.into_iter().unzip();
            match self.append_together(turn.tenant, &callers, &commands).await {
                Ok((tx, made)) => self.commit_together(tx, made, answers).await,
                // Nobody would fare better alone.
                Err(error) if error.kind() == Kind::Unavailable => tell_all(&error, answers),
                // Nothing was written: what stands in the way of one is to stand in no other's.
                Err(_) => self.accept_each(&callers, commands, answers).await,
            }
        }
    }

    async fn append_together(
        &self,
        tenant: TenantId,
        callers: &[Caller],
        commands: &[CreateOperation],
    ) -> Result<(Transaction, Vec<Operation>)> {
        let mut tx = self.database.begin(tenant).await?;
        let asked = Asked { commands, who: &|place| (&callers[place], None), is_batch: false };
        let made = self.append(&mut tx, tenant, &asked).await?;
        let entries = commands.iter().zip(&made).zip(callers).map(|((command, operation), caller)| {
            (caller, entry(METHOD, std::slice::from_ref(command), std::slice::from_ref(operation)))
        });
        audit::insert_all(&mut tx, &self.clock, tenant, entries.collect()).await?;
        crash::point(Point::EnqueueWritten);
        Ok((tx, made))
    }

    /// From here on an error tells nothing of what became of the commit: everybody learns so, and nothing is tried again,
    /// or it could be accepted twice (Q1, fault 23).
    async fn commit_together(&self, tx: Transaction, made: Vec<Operation>, answers: Vec<Answer>) {
        if let Err(error) = db::commit(tx).await {
            return tell_all(&error, answers);
        }
        crash::point(Point::EnqueueCommitted);
        self.nudge.now();
        for (answer, operation) in answers.into_iter().zip(made) {
            let _ = answer.send(Ok(operation));
        }
    }

    async fn accept_each(&self, callers: &[Caller], commands: Vec<CreateOperation>, answers: Vec<Answer>) {
        for ((caller, command), answer) in callers.iter().zip(commands).zip(answers) {
            let _ = answer.send(self.create_alone(caller, command, None).await);
        }
    }
}

fn tell_all(error: &Error, answers: Vec<Answer>) {
    tracing::warn!(
        error = with_sources(error),
        creates = answers.len(),
        "creates were not accepted together"
    );
    for answer in answers {
        let _ = answer.send(Err(Error::new(error.reason, error.message.clone())));
    }
}

impl Groups {
    /// Adds a create to those that wait. Some = nobody accepts for the tenant yet: the caller's turn.
    fn join(&self, tenant: TenantId, waiting: Waiting) -> Option<Turn> {
        let mut groups = self.lock();
        let is_first = !groups.contains_key(&tenant);
        groups.entry(tenant).or_default().push(waiting);
        is_first.then(|| Turn { groups: self.clone(), tenant })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepting for a tenant, until it is dropped: then whoever still waits learns that it ended badly.
struct Turn {
    groups: Groups,
    tenant: TenantId,
}

impl Turn {
    /// Those that wait now, the first to come first; None, and the turn is over, when nobody does.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut groups = self.groups.lock();
        let waiting = groups.get_mut(&self.tenant)?;
        if waiting.is_empty() {
            groups.remove(&self.tenant);
            return None;
        }
        let rest = waiting.split_off(waiting.len().min(TOGETHER));
        Some(std::mem::replace(waiting, rest))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // After a tidy end another may have begun already: only what a panic left behind is given up.
        if std::thread::panicking() {
            self.groups.lock().remove(&self.tenant);
        }
    }
}
