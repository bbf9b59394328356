//! Watching operations: the feed of moves, served to one caller at a time, in an order in which each operation's moves
//! follow each other. The next page, of at most 1 MiB, is read only when the last one was taken: a slow caller holds
//! nothing back and fills no memory. A caller for whom there is nothing costs no statement: see
//! [`super::ends`].

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{ConnectorId, IdentityId, OperationId, TenantId},
    operation::{Operation, OperationStatus},
};
use xavyo_runtime::{auth::Caller, db};

use super::{Operations, seal};
use crate::store::{
    operation,
    operation::feed::{self, Place},
    operation::log::Line,
};

/// Moves read at once.
const PAGE: i64 = 200;

/// Payloads that one caller is held ready, in bytes; one larger payload alone is held, too.
const HELD_READY: i64 = 1 << 20;

/// Quiet longer than this is broken by a bookmark.
const BOOKMARK: Duration = Duration::from_secs(10);

/// Which moves; None and empty = all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WatchFilter {
    pub connector_id: Option<ConnectorId>,
    pub identity_id: Option<IdentityId>,
    pub operation_id: Option<OperationId>,
    pub statuses: Vec<OperationStatus>,
}

/// A move, and its operation as it is when this is sent.
#[derive(Clone, Debug)]
pub struct Change {
    pub line: Line,
    pub operation: Operation,
}

/// What a watch yields, each with the place to resume from.
#[derive(Clone, Debug)]
pub enum Watched {
    Change(Place, Box<Change>),
    Bookmark(Place, DateTime<Utc>),
}

struct Watch {
    operations: Operations,
    tenant: TenantId,
    filter: WatchFilter,
    place: Place,
    /// Where the feed ends.
    ends: watch::Receiver<Option<Place>>,
    /// There is more to read at once, whatever the end was when it was last looked at.
    has_more: bool,
    last_sent: Instant,
}

impl Operations {
    /// Moves after `after`, or from now on. Begins with a bookmark, so that a caller can resume before the first move.
    /// TOKEN_TOO_OLD where moves after `after` were dropped.
    pub async fn watch(
        &self,
        caller: &Caller,
        filter: WatchFilter,
        after: Option<Place>,
    ) -> Result<impl Stream<Item = Result<Watched>> + use<>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let place = match after {
            Some(place) if feed::is_lost(&mut tx, place).await? => {
                return Err(Error::new(Reason::TokenTooOld, "moves after the token are kept no more"));
            }
            Some(place) => place,
            None => feed::end(&mut tx).await?,
        };
        db::commit(tx).await?;
        let watch = Watch {
            operations: self.clone(),
            tenant: caller.tenant,
            filter,
            place,
            ends: self.ends.follow(caller.tenant),
            has_more: after.is_some(),
            last_sent: Instant::now(),
        };
        let first = Watched::Bookmark(place, self.clock.now());
        let rest = stream::try_unfold(watch, Watch::next);
        Ok(futures::StreamExt::chain(stream::iter([Ok(first)]), futures::TryStreamExt::try_flatten(rest)))
    }
}

type Batch = stream::Iter<std::vec::IntoIter<Result<Watched>>>;

impl Watch {
    /// The next moves, or a bookmark after a while of quiet. The end = the process stops.
    async fn next(mut self) -> Result<Option<(Batch, Self)>> {
        let stop = self.operations.stop.clone();
        loop {
            if stop.is_cancelled() {
                return Err(Error::new(
                    Reason::ShuttingDown,
                    "the process is shutting down; resume elsewhere",
                ));
            }
            let has_new = self.ends.borrow_and_update().is_some_and(|end| end > self.place);
            if has_new || self.has_more {
                let found = self.page().await?;
                if !found.is_empty() {
                    self.last_sent = Instant::now();
                    return Ok(Some((batch(found), self)));
                }
            }
            if self.last_sent.elapsed() >= BOOKMARK {
                self.last_sent = Instant::now();
                let bookmark = Watched::Bookmark(self.place, self.operations.clock.now());
                return Ok(Some((batch(vec![bookmark]), self)));
            }
            if !self.has_more {
                tokio::select! {
                    Ok(()) = self.ends.changed() => {}
                    () = time::sleep_until(self.last_sent + BOOKMARK) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// The moves of the next page of the feed that pass the filter.
    async fn page(&mut self) -> Result<Vec<Watched>> {
        let mut tx = self.operations.database.begin(self.tenant).await?;
        let mut lines = feed::page(&mut tx, self.tenant, self.place, PAGE).await?;
        self.has_more = i64::try_from(lines.len()).unwrap_or(i64::MAX) == PAGE;
        let wanted = lines.iter().filter(|(_, line)| self.wants_line(line));
        let ids: BTreeSet<OperationId> = wanted.map(|(_, line)| OperationId(line.operation_id)).collect();
        let sizes = operation::payload_sizes(&mut tx, self.tenant, &Vec::from_iter(ids)).await?;
        let fitting = self.fitting(&lines, &sizes);
        self.has_more |= fitting < lines.len();
        lines.truncate(fitting);
        if let Some((place, _)) = lines.last() {
            self.place = *place;
        }
        let wanted: Vec<(Place, Line)> =
            lines.into_iter().filter(|(_, line)| self.wants_line(line)).collect();
        let ids: BTreeSet<OperationId> =
            wanted.iter().map(|(_, line)| OperationId(line.operation_id)).collect();
        let ids = Vec::from_iter(ids);
        let operations: HashMap<OperationId, Operation> = if ids.is_empty() {
            HashMap::new()
        } else {
            let found = operation::find_all(&mut tx, self.tenant, &ids).await?;
            let found = seal::hidden(&mut tx, self.tenant, found).await?;
            found.into_iter().map(|operation| (operation.id, operation)).collect()
        };
        db::commit(tx).await?;
        let changes = wanted.into_iter().filter_map(|(place, line)| {
            let operation = operations.get(&OperationId(line.operation_id))?;
            let theirs = self.filter.identity_id.is_none_or(|id| operation.identity_id == Some(id));
            theirs.then(|| Watched::Change(place, Box::new(Change { line, operation: operation.clone() })))
        });
        Ok(changes.collect())
    }

    /// How many of the lines, from the first on, have payloads that may be held ready together. At least one.
    fn fitting(&self, lines: &[(Place, Line)], sizes: &HashMap<OperationId, i64>) -> usize {
        let mut held = BTreeSet::new();
        let mut bytes = 0;
        let fits = lines.iter().take_while(|(_, line)| {
            let id = OperationId(line.operation_id);
            if self.wants_line(line) && held.insert(id) {
                bytes += sizes.get(&id).copied().unwrap_or(0);
            }
            bytes <= HELD_READY || held.len() <= 1
        });
        fits.count()
    }

    fn wants_line(&self, line: &Line) -> bool {
        let filter = &self.filter;
        filter.connector_id.is_none_or(|id| id.0 == line.connector_id)
            && filter.operation_id.is_none_or(|id| id.0 == line.operation_id)
            && (filter.statuses.is_empty()
                || filter.statuses.iter().any(|status| status.name() == line.to_status))
    }
}

fn batch(items: Vec<Watched>) -> Batch {
    stream::iter(items.into_iter().map(Ok).collect::<Vec<_>>())
}
