//! What changed since a watermark: the rows whose `updated_at` is not older.
//!
//! The watermark is the newest such time that the table holds, or now where that is earlier, less a margin: a row is
//! stamped before it is committed, so one stamped earlier may be seen later. What falls into the margin comes twice. A row
//! that was removed leaves nothing to be seen; one that was deleted softly comes as gone.

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use xavyo_core::{
    connector::{FailureKind, TargetFailure},
    value::Value,
};

use super::{
    column::Column,
    connection::{Connection, Parameter},
    connector::Sql,
    failure::refused,
    read::in_time,
    statement,
    table::{Layout, Table},
};
use crate::{AccountChange, ChangeItem, Completeness, MAX_PAGE, NOT_OFFERED, ReadRequest, WATERMARK_EXPIRED};

/// A read of changes under way, its snapshot open.
struct Changes<'a> {
    sql: &'a Sql,
    attributes: Vec<String>,
    table: Arc<Table>,
    connection: Connection,
    since: Parameter,
    watermark: Option<String>,
    after: Option<String>,
    count: i64,
    calls: i64,
    at_end: bool,
}

enum Step<'a> {
    Begin(ReadRequest, String),
    Reading(Box<Changes<'a>>),
    Ended,
}

pub(super) fn pages<'a>(
    sql: &'a Sql,
    request: ReadRequest,
    since: &str,
) -> BoxStream<'a, Result<ChangeItem, TargetFailure>> {
    stream::try_unfold(Step::Begin(request, since.to_owned()), async |step| {
        let mut changes = match step {
            Step::Begin(request, since) => Box::new(Changes::begin(sql, request, &since).await?),
            Step::Reading(changes) => changes,
            Step::Ended => return Ok(None),
        };
        if changes.at_end {
            return Ok(Some((ChangeItem::Proof(changes.proof()), Step::Ended)));
        }
        let page = changes.page().await?;
        Ok(Some((ChangeItem::Page(page), Step::Reading(changes))))
    })
    .boxed()
}

/// Where the next read of changes begins. None for a table without such a column, or without a row.
pub(super) async fn watermark(
    connection: &mut Connection,
    table: &Table,
) -> Result<Option<String>, sqlx::Error> {
    let Some(text) = statement::watermark(table) else { return Ok(None) };
    let rows = connection.rows(text, Vec::new()).await?;
    Ok(rows.first().and_then(|row| row.first()?.text().map(str::to_owned)))
}

impl<'a> Changes<'a> {
    async fn begin(sql: &'a Sql, request: ReadRequest, since: &str) -> Result<Self, TargetFailure> {
        let mut connection = sql.server.connect().await?;
        let table = sql.table(&mut connection).await?;
        let missing = || refused(NOT_OFFERED, "no updated_at_column is set: it cannot say what changed");
        let updated_at: &Column = table.updated_at.as_ref().ok_or_else(missing)?;
        table.attributes(&request.attributes)?;
        // Text that is no time stays text.
        let at = Some(updated_at.kind.parse(since)).filter(|at| matches!(at, Value::Timestamp(_)));
        let since = at.and_then(|at| table.dialect.sought(updated_at, &at)).ok_or_else(|| {
            let message = "the watermark is none of this table's";
            TargetFailure::new(FailureKind::Refused, WATERMARK_EXPIRED, message)
        })?;
        let open = async {
            connection.command(table.dialect.snapshot()).await?;
            watermark(&mut connection, &table).await
        };
        let watermark = in_time(sql, open).await?;
        Ok(Self {
            sql,
            attributes: request.attributes,
            table: table.clone(),
            connection,
            since,
            watermark,
            after: None,
            count: 0,
            calls: 2,
            at_end: false,
        })
    }

    async fn page(&mut self) -> Result<Vec<AccountChange>, TargetFailure> {
        let table = self.table.clone();
        let columns = table.attributes(&self.attributes)?;
        let mut parameters = vec![self.since.clone()];
        parameters.extend(self.after.as_deref().and_then(|uid| table.dialect.key(&table.uid, uid)));
        let text = statement::changed(&table, &columns, self.after.is_none(), MAX_PAGE);
        let rows = in_time(self.sql, self.connection.rows(text, parameters)).await?;
        let layout = Layout { table: &table, attributes: &columns };
        let mut page = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some((lives, row)) = row.split_first() else { continue };
            let Some(account) = layout.account(row) else { continue };
            self.after = Some(account.external_uid.clone());
            page.push(if lives.text() == Some("1") {
                AccountChange::Changed(account)
            } else {
                AccountChange::Gone(account.key())
            });
        }
        self.calls += 1;
        self.count += i64::try_from(page.len()).unwrap_or(i64::MAX);
        self.at_end = rows.len() < MAX_PAGE;
        Ok(page)
    }

    fn proof(&self) -> Completeness {
        Completeness {
            complete: true,
            evidence: format!("one snapshot; {} rows were written since the watermark", self.count),
            count: self.count,
            watermark: self.watermark.clone(),
            calls: self.calls,
        }
    }
}
