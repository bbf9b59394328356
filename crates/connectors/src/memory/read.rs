//! Reads of a whole store, a page at a time.

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use xavyo_core::{account::Account, connector::TargetFailure};

use super::{
    Memory,
    accounts::Cursor,
    fault::Faults,
    ledger::{Call, Outcome, Record},
    shown,
    store::Store,
};
use crate::{Completeness, MAX_PAGE, ReadItem, ReadRequest};

/// A read under way.
struct Read<'a> {
    memory: &'a Memory,
    request: Arc<ReadRequest>,
    /// Where the next page begins; None = only the proof is left.
    from: Option<Cursor>,
    /// Met by the first page, and in force for the rest.
    fault: Option<Outcome>,
    count: usize,
    calls: i64,
}

/// Pages of every account, then the proof. Writes that happen meanwhile may or may not be seen, as on a directory.
pub(super) fn pages(memory: &Memory, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
    let request = Arc::new(request);
    let read = Read { memory, request, from: Some(Cursor::START), fault: None, count: 0, calls: 0 };
    stream::try_unfold(Some(read), async |read| {
        let Some(mut read) = read else { return Ok(None) };
        match read.from.take() {
            Some(from) => {
                let page = read.page(from).await?;
                Ok(Some((ReadItem::Page(page), Some(read))))
            }
            None => Ok(Some((ReadItem::Proof(read.proof()), None))),
        }
    })
    .boxed()
}

impl Read<'_> {
    async fn page(&mut self, from: Cursor) -> Result<Vec<Account>, TargetFailure> {
        let (request, first) = (self.request.clone(), self.calls == 0);
        let look = move |store: &Store, faults: &Faults| {
            let none = Faults::default();
            store.view(Call::Read, if first { faults } else { &none }, |accounts, fault| {
                (accounts.page(from, MAX_PAGE, &request.object_class, &request.attributes), fault)
            })
        };
        let ((records, next), fault) = self.memory.on_store(look).await?;
        self.calls += 1;
        self.fault = self.fault.or(fault);
        self.from = if self.fault == Some(Outcome::Truncate) { None } else { next };
        let records = cut(records, self.fault);
        self.count += records.len();
        Ok(records.iter().map(|record| shown(record, &self.request.attributes)).collect())
    }

    fn proof(&self) -> Completeness {
        let complete = self.fault != Some(Outcome::Truncate);
        let evidence = if complete { "read to the end of the store" } else { "the read ended early" };
        Completeness {
            complete,
            evidence: evidence.to_owned(),
            count: i64::try_from(self.count).unwrap_or(i64::MAX),
            watermark: None,
            calls: self.calls,
        }
    }
}

/// What a fault leaves of a page.
fn cut(mut records: Vec<Arc<Record>>, fault: Option<Outcome>) -> Vec<Arc<Record>> {
    match fault {
        Some(Outcome::Truncate) => records.truncate(records.len() / 2),
        Some(Outcome::Hidden) => records = records.into_iter().step_by(2).collect(),
        _ => {}
    }
    records
}
