//! Reads of the whole table: one snapshot, page by page, and a count from the same snapshot as evidence.

use std::{collections::BTreeSet, sync::Arc};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::time;
use xavyo_core::{account::Account, connector::TargetFailure};

use super::{
    changes,
    connection::{Connection, Row},
    connector::Sql,
    dialect::Paging,
    failure::{self, Stage, Trouble, refused},
    statement,
    table::{Layout, Table},
};
use crate::{Completeness, MAX_PAGE, ReadItem, ReadRequest, redaction::Redaction};

/// What the snapshot's own count says.
struct Counts {
    rows: i64,
    uids: i64,
    distinct: i64,
}

/// A read under way, its snapshot open.
struct Read<'a> {
    sql: &'a Sql,
    attributes: Vec<String>,
    table: Arc<Table>,
    connection: Connection,
    counts: Counts,
    watermark: Option<String>,
    unseen: BTreeSet<String>,
    /// Where the next page begins; None = at the first.
    after: Option<String>,
    accounts: i64,
    calls: i64,
    at_end: bool,
}

enum Step<'a> {
    Begin(ReadRequest),
    Reading(Box<Read<'a>>),
    Ended,
}

pub(super) fn pages(sql: &Sql, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
    stream::try_unfold(Step::Begin(request), async |step| {
        let mut read = match step {
            Step::Begin(request) => Box::new(Read::begin(sql, request).await?),
            Step::Reading(read) => read,
            Step::Ended => return Ok(None),
        };
        if read.at_end {
            return Ok(Some((ReadItem::Proof(read.proof()), Step::Ended)));
        }
        let page = read.page().await?;
        Ok(Some((ReadItem::Page(page), Step::Reading(read))))
    })
    .boxed()
}

impl<'a> Read<'a> {
    async fn begin(sql: &'a Sql, request: ReadRequest) -> Result<Self, TargetFailure> {
        // A connection of its own: it stays in the transaction for as long as its reader takes.
        let mut connection = sql.server.connect().await?;
        let table = sql.table(&mut connection).await?;
        let columns = table.attributes(&request.attributes)?;
        let open = async {
            connection.command(table.dialect.snapshot()).await?;
            let counts = connection.rows(statement::count(&table), Vec::new()).await?;
            let watermark = changes::watermark(&mut connection, &table).await?;
            if table.dialect.paging() == Paging::Cursor {
                connection.command(statement::declare(&table, &columns)).await?;
            }
            Ok((counts, watermark))
        };
        let (counts, watermark) = in_time(sql, open).await?;
        let [rows, uids, distinct] = counts.first().map(Vec::as_slice).unwrap_or_default() else {
            return Err(refused("SQL_VALUE", "the table's rows cannot be counted"));
        };
        Ok(Self {
            sql,
            attributes: request.attributes,
            counts: Counts { rows: rows.count(), uids: uids.count(), distinct: distinct.count() },
            watermark,
            table,
            connection,
            unseen: sql.settings.sentinels.iter().cloned().collect(),
            after: None,
            accounts: 0,
            calls: 3,
            at_end: false,
        })
    }

    async fn page(&mut self) -> Result<Vec<Account>, TargetFailure> {
        let rows = self.rows().await?;
        let columns = self.table.attributes(&self.attributes)?;
        let layout = Layout { table: &self.table, attributes: &columns };
        let page: Vec<Account> = rows.iter().filter_map(|row| layout.account(row)).collect();
        for account in &page {
            self.unseen.remove(&account.external_uid);
        }
        self.after = page.last().map(|account| account.external_uid.clone());
        self.calls += 1;
        self.accounts += i64::try_from(page.len()).unwrap_or(i64::MAX);
        self.at_end = rows.len() < MAX_PAGE;
        Ok(page)
    }

    async fn rows(&mut self) -> Result<Vec<Row>, TargetFailure> {
        let table = &self.table;
        let (text, parameters) = match table.dialect.paging() {
            Paging::Cursor => (format!("fetch forward {MAX_PAGE} from accounts"), Vec::new()),
            Paging::Keyset => {
                let columns = table.attributes(&self.attributes)?;
                let text = statement::page(table, &columns, self.after.is_none(), MAX_PAGE);
                let after = self.after.as_deref().map(|uid| {
                    let key = table.dialect.key(&table.uid, uid);
                    key.ok_or_else(|| refused("SQL_UID", "a uid that was read is no value of its column"))
                });
                (text, after.transpose()?.into_iter().collect())
            }
        };
        in_time(self.sql, self.connection.rows(text, parameters)).await
    }

    fn proof(&self) -> Completeness {
        let Counts { rows, uids, distinct } = self.counts;
        let mut missing = Vec::new();
        if self.accounts != uids {
            missing.push(format!("{} of {uids} rows were read", self.accounts));
        }
        if distinct != uids {
            missing.push(format!("{} rows share their uid with another", uids - distinct));
        }
        if !self.unseen.is_empty() {
            missing
                .push(format!("sentinels were not seen: {}", Vec::from_iter(self.unseen.clone()).join(", ")));
        }
        let mut evidence = vec![format!("one snapshot; its count(*) is {rows}")];
        if uids < rows {
            evidence.push(format!("{} rows have no uid and are no accounts", rows - uids));
        }
        if self.table.row_security {
            evidence.push("row-level security may hide rows from this login".to_owned());
        }
        Completeness {
            complete: missing.is_empty(),
            evidence: if missing.is_empty() { evidence.join("; ") } else { missing.join("; ") },
            count: self.accounts,
            watermark: self.watermark.clone(),
            calls: self.calls,
        }
    }
}

pub(super) async fn in_time<T>(
    sql: &Sql,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, TargetFailure> {
    match time::timeout(sql.server.timeout, work).await {
        Ok(done) => done.map_err(|error| {
            Trouble::Database(error).at(Stage::Working, sql.server.dialect(), &Redaction::default())
        }),
        Err(_) => Err(failure::timed_out(Stage::Working)),
    }
}
