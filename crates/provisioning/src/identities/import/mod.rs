//! Importing identities: chunks in, an acknowledgement per committed transaction out, then a summary.
//!
//! Records are upserted by `source_key`, [`BATCH`] at a time; one that is unchanged is not written. A stream that
//! breaks keeps what was acknowledged, and sending the rest again is harmless. Absence means nothing, unless the
//! import is a snapshot whose end counts what was received: see [`snapshot`].

mod batch;
mod counts;
mod snapshot;

use std::collections::HashSet;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use uuid::Uuid;
use xavyo_core::{
    Error,
    cause::{Cause, CauseKind},
    error::Result,
    value::Attributes,
};
use xavyo_runtime::auth::Caller;

pub use counts::{Acknowledgement, Counts, RefusedRecord};

use self::snapshot::Seen;
use super::{Identities, cause};

/// Records a transaction.
pub const BATCH: usize = 500;

/// Acknowledgements that wait for a slow client; then the import waits too.
const WAITING: usize = 4;

/// What a client sends, in this order: one start, chunks, an end.
#[derive(Clone, Debug)]
pub enum Incoming {
    Start(Start),
    Chunk(Vec<Incomer>),
    /// The number of records in all chunks.
    End {
        count: i64,
    },
}

#[derive(Clone, Debug)]
pub struct Start {
    pub snapshot: bool,
    pub reason: Option<String>,
}

/// One record as it came: usable, or refused with the place and what was expected there.
#[derive(Clone, Debug)]
pub enum Incomer {
    Usable(Record),
    Refused { source_key: String, field: String, expected: String },
}

/// What the source says of one identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub source_key: String,
    pub active: bool,
    /// All attributes: those that are not here are cleared.
    pub attributes: Attributes,
}

/// What the client is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    Acknowledgement(Acknowledgement),
    Summary(Summary),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The `cause_id` of the operations that follow.
    pub import_id: Uuid,
    pub counts: Counts,
    pub received: i64,
}

impl Identities {
    /// Runs an import to its end, or to the first error; whoever drops the answers stops it at the next commit.
    pub fn import(
        &self,
        caller: Caller,
        incoming: impl Stream<Item = Result<Incoming>> + Send + 'static,
    ) -> mpsc::Receiver<Result<Outgoing>> {
        let (answers, receiver) = mpsc::channel(WAITING);
        let identities = self.clone();
        tokio::spawn(async move {
            let mut import = Import::new(identities, caller, answers.clone());
            tokio::pin!(incoming);
            let outcome = tokio::select! {
                outcome = import.run(incoming) => outcome,
                // Nobody listens any more; what was committed stays.
                () = answers.closed() => return,
            };
            if let Err(error) = outcome {
                // Fails only if the client has gone meanwhile.
                answers.send(Err(error)).await.ok();
            }
        });
        receiver
    }
}

/// One import under way.
struct Import {
    identities: Identities,
    caller: Caller,
    answers: mpsc::Sender<Result<Outgoing>>,
    id: Uuid,
    start: Option<Start>,
    /// The next record's place in the import.
    received: i64,
    waiting: Waiting,
    seen: Seen,
    totals: Counts,
}

/// Records that came and are not yet committed.
#[derive(Default)]
struct Waiting {
    records: Vec<(i64, Record)>,
    keys: HashSet<String>,
    refused: Vec<RefusedRecord>,
}

impl Import {
    fn new(identities: Identities, caller: Caller, answers: mpsc::Sender<Result<Outgoing>>) -> Self {
        let id = identities.clock.new_id();
        let seen = Seen::new(identities.clock.now());
        Self {
            identities,
            caller,
            answers,
            id,
            start: None,
            received: 0,
            waiting: Waiting::default(),
            seen,
            totals: Counts::default(),
        }
    }

    async fn run(&mut self, mut incoming: impl Stream<Item = Result<Incoming>> + Unpin) -> Result<()> {
        while let Some(item) = incoming.next().await {
            match (item?, &self.start) {
                (Incoming::Start(start), None) => self.start = Some(start),
                (Incoming::Start(_), Some(_)) => return Err(Error::invalid("start", "exactly one, first")),
                (Incoming::Chunk(_) | Incoming::End { .. }, None) => {
                    return Err(Error::invalid("start", "exactly one, first"));
                }
                (Incoming::Chunk(records), Some(_)) => self.take(records).await?,
                (Incoming::End { count }, Some(start)) => {
                    let is_snapshot = start.snapshot;
                    self.flush().await?;
                    snapshot::check_end(is_snapshot, self.received, count)?;
                    if is_snapshot {
                        self.sweep().await?;
                    }
                    return self.summarise().await;
                }
            }
        }
        self.flush().await?;
        self.summarise().await
    }

    /// A key that comes twice is taken twice, in order: never in one transaction.
    async fn take(&mut self, records: Vec<Incomer>) -> Result<()> {
        for incomer in records {
            let index = self.received;
            self.received += 1;
            match incomer {
                Incomer::Refused { source_key, field, expected } => {
                    self.seen.add(&source_key);
                    self.waiting.refused.push(RefusedRecord::invalid(index, source_key, field, expected));
                }
                Incomer::Usable(record) => {
                    if self.waiting.keys.contains(&record.source_key) {
                        self.flush().await?;
                    }
                    self.seen.add(&record.source_key);
                    self.waiting.keys.insert(record.source_key.clone());
                    self.waiting.records.push((index, record));
                }
            }
            if self.waiting.records.len() + self.waiting.refused.len() >= BATCH {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Commits what waits, and acknowledges it.
    async fn flush(&mut self) -> Result<()> {
        let Waiting { records, keys: _, refused } = std::mem::take(&mut self.waiting);
        let last_record = records.last().map(|(index, record)| (*index, record.source_key.clone()));
        let last_refused = refused.last().map(|record| (record.index, record.source_key.clone()));
        let Some((_, last_source_key)) = last_record.max(last_refused) else { return Ok(()) };
        let mut committed = self.commit(records).await?;
        committed.refuse(refused);
        let acknowledgement = committed.acknowledge(last_source_key);
        self.acknowledge(acknowledgement).await
    }

    async fn acknowledge(&mut self, acknowledgement: Acknowledgement) -> Result<()> {
        self.totals.add(&acknowledgement.counts);
        self.answer(Outgoing::Acknowledgement(acknowledgement)).await
    }

    async fn summarise(&mut self) -> Result<()> {
        let summary = Summary { import_id: self.id, counts: self.totals.clone(), received: self.received };
        self.answer(Outgoing::Summary(summary)).await
    }

    async fn answer(&self, answer: Outgoing) -> Result<()> {
        // Only fails where nobody listens any more: the select above ends the import then.
        self.answers.send(Ok(answer)).await.ok();
        Ok(())
    }

    fn cause(&self) -> Cause {
        let reason = self.start.as_ref().and_then(|start| start.reason.clone());
        cause(&self.caller, CauseKind::Import, self.id, reason)
    }
}
