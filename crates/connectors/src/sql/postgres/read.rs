//! Reads of the whole table: one snapshot, a cursor, and a count from the same snapshot as evidence.
//!
//! A cursor and not a key to continue from: it needs no index and no order, and a collation that holds two uids for
//! equal cannot make it skip one.

use std::{collections::BTreeSet, sync::Arc};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time;
use xavyo_core::{account::Account, connector::TargetFailure};

use super::{
    Postgres,
    failure::{self, Stage},
    row::Layout,
    statement,
    table::Table,
};
use crate::{Completeness, MAX_PAGE, ReadItem, ReadRequest, redaction::Redaction};

const SNAPSHOT: &str = "begin isolation level repeatable read read only";

/// What the snapshot's own count says.
struct Counts {
    rows: i64,
    uids: i64,
    distinct: i64,
}

/// A read under way, its snapshot open.
struct Read<'a> {
    postgres: &'a Postgres,
    attributes: Vec<String>,
    table: Arc<Table>,
    connection: PgConnection,
    counts: Counts,
    unseen: BTreeSet<String>,
    rows: i64,
    accounts: i64,
    calls: i64,
    at_end: bool,
}

enum Step<'a> {
    Begin(ReadRequest),
    Reading(Box<Read<'a>>),
    Ended,
}

pub(super) fn pages(
    postgres: &Postgres,
    request: ReadRequest,
) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
    stream::try_unfold(Step::Begin(request), async |step| {
        let mut read = match step {
            Step::Begin(request) => Box::new(Read::begin(postgres, request).await?),
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
    async fn begin(postgres: &'a Postgres, request: ReadRequest) -> Result<Self, TargetFailure> {
        // A connection of its own: it stays in the transaction for as long as its reader takes.
        let mut connection = postgres.server.connect().await?;
        let table = postgres.table(&mut connection).await?;
        let columns = table.attributes(&request.attributes)?;
        let open = async {
            sqlx::raw_sql(SNAPSHOT).execute(&mut connection).await?;
            let counts =
                sqlx::query_as(AssertSqlSafe(statement::count(&table))).fetch_one(&mut connection).await?;
            let declare = AssertSqlSafe(statement::declare(&table, &columns));
            sqlx::raw_sql(declare).execute(&mut connection).await?;
            Ok(counts)
        };
        let (rows, uids, distinct) = in_time(postgres, open).await?;
        Ok(Self {
            postgres,
            attributes: request.attributes,
            table: table.clone(),
            connection,
            counts: Counts { rows, uids, distinct },
            unseen: postgres.settings.sentinels.iter().cloned().collect(),
            rows: 0,
            accounts: 0,
            calls: 3,
            at_end: false,
        })
    }

    async fn page(&mut self) -> Result<Vec<Account>, TargetFailure> {
        let fetch = AssertSqlSafe(format!("fetch forward {MAX_PAGE} from accounts"));
        let rows = in_time(self.postgres, sqlx::query(fetch).fetch_all(&mut self.connection)).await?;
        let columns = self.table.attributes(&self.attributes)?;
        let layout = Layout { table: &self.table, attributes: &columns, offset: 0 };
        let mut page = Vec::with_capacity(rows.len());
        for row in &rows {
            let account = layout.account(row).map_err(|error| unread(&error))?;
            page.extend(account);
        }
        for account in &page {
            self.unseen.remove(&account.external_uid);
        }
        self.calls += 1;
        self.rows += i64::try_from(rows.len()).unwrap_or(i64::MAX);
        self.accounts += i64::try_from(page.len()).unwrap_or(i64::MAX);
        self.at_end = rows.len() < MAX_PAGE;
        Ok(page)
    }

    fn proof(&self) -> Completeness {
        let Counts { rows, uids, distinct } = self.counts;
        let mut missing = Vec::new();
        if self.rows != rows {
            missing.push(format!("{} of {rows} rows were read", self.rows));
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
            watermark: None,
            calls: self.calls,
        }
    }
}

async fn in_time<T>(
    postgres: &Postgres,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, TargetFailure> {
    match time::timeout(postgres.server.timeout, work).await {
        Ok(done) => done.map_err(|error| unread(&error)),
        Err(_) => Err(failure::timed_out(Stage::Working)),
    }
}

fn unread(error: &sqlx::Error) -> TargetFailure {
    failure::failure(error, Stage::Working, &Redaction::default())
}
