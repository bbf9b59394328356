//! The ledger of a SQL table: a trigger notes each row that changes, with the tag that the connector sets in the
//! transaction of its write.
//!
//! Two writes to one row never overlap, so the ledger's order is, account by account, the order of the commits; and a
//! write that was rolled back leaves no trace.

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, PgPool};
use uuid::Uuid;

use super::{ACCOUNT_STATE, Account, Attributes, Call, Ledger, Write, state, texts};

/// How the ledger finds its way about the table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub name: &'static str,
    pub uid_column: &'static str,
    pub id_column: &'static str,
    /// True = enabled.
    pub enabled_column: Option<&'static str>,
}

#[derive(FromRow)]
struct Row {
    position: i64,
    tag: String,
    call: String,
    before: Option<Value>,
    after: Option<Value>,
    at: DateTime<Utc>,
}

/// Begins a ledger of the table.
pub async fn install(pool: &PgPool, table: &Table) -> Result<()> {
    let name = table.name;
    let statement = format!(
        "create table {name}_ledger (
             position bigint generated always as identity primary key,
             tag text,
             call text not null,
             before jsonb,
             after jsonb,
             at timestamptz not null default clock_timestamp()
         );
         create function {name}_note() returns trigger language plpgsql as $$
         begin
             insert into {name}_ledger (tag, call, before, after)
             values (current_setting('xavyo.tag', true), tg_op, to_jsonb(old), to_jsonb(new));
             return null;
         end
         $$;
         create trigger {name}_note after insert or update or delete on {name}
             for each row execute function {name}_note();"
    );
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await?;
    Ok(())
}

/// The ledger so far, and the rows that the table holds.
pub async fn read(connector: Uuid, pool: &PgPool, table: &Table) -> Result<Ledger> {
    let noted = format!(
        "select position, coalesce(tag, '') as tag, call, before, after, at from {}_ledger order by position",
        table.name
    );
    let held = format!("select to_jsonb(t) from {} t", table.name);
    let noted: Vec<Row> = sqlx::query_as(AssertSqlSafe(noted)).fetch_all(pool).await?;
    let held: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(held)).fetch_all(pool).await?;
    Ok(Ledger {
        connector,
        tagged: true,
        writes: noted.iter().map(|row| table.write(row)).collect(),
        accounts: held.iter().map(|row| table.account(row)).collect(),
    })
}

impl Table {
    fn write(&self, row: &Row) -> Write {
        let shown = row.after.as_ref().or(row.before.as_ref()).unwrap_or(&Value::Null);
        let account = self.account(shown);
        Write {
            position: row.position.unsigned_abs(),
            tag: row.tag.parse().ok(),
            call: match row.call.as_str() {
                "INSERT" => Call::Create,
                "DELETE" => Call::Delete,
                _ => Call::Update,
            },
            external_uid: account.external_uid,
            immutable_id: account.immutable_id,
            attributes: row.after.is_some().then_some(account.attributes),
            applied: true,
            at: Some(row.at),
        }
    }

    fn account(&self, row: &Value) -> Account {
        let one = |column: &str| texts(&row[column]).pop();
        let fields = row.as_object().into_iter().flatten();
        let mut attributes: Attributes = fields
            .filter(|(column, _)| column.as_str() != self.uid_column && column.as_str() != self.id_column)
            .map(|(column, value)| (column.clone(), texts(value)))
            .filter(|(_, values)| !values.is_empty())
            .collect();
        if let Some(enabled) = self.enabled_column {
            attributes.remove(enabled);
            attributes.insert(ACCOUNT_STATE.to_owned(), state(row[enabled].as_bool().unwrap_or(true)));
        }
        Account {
            external_uid: one(self.uid_column).unwrap_or_default(),
            immutable_id: one(self.id_column),
            attributes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Postgres;

    const TABLE: Table =
        Table { name: "people", uid_column: "login", id_column: "id", enabled_column: Some("enabled") };

    #[tokio::test]
    async fn the_trigger_notes_what_was_committed_with_its_tag() {
        let postgres = Postgres::shared().await.unwrap();
        let target = postgres.target().await.unwrap();
        let pool = target.pool().await.unwrap();
        sqlx::raw_sql(
            "create table people (id bigint generated always as identity primary key, login text unique,
                                  mail text, groups text[], enabled boolean not null default true)",
        )
        .execute(&pool)
        .await
        .unwrap();
        install(&pool, &TABLE).await.unwrap();

        let tag = "00000000-0000-0000-0000-000000000001/1/1";
        for (statement, commits) in [
            ("insert into people (login, mail, groups) values ('ada', 'a@x', '{b,a}')", true),
            ("update people set mail = 'lost@x'", false),
            ("update people set mail = 'b@x', enabled = false", true),
            ("insert into people (login) values ('bob')", true),
            ("delete from people where login = 'bob'", true),
        ] {
            let mut tx = pool.begin().await.unwrap();
            sqlx::query("select set_config('xavyo.tag', $1, true)")
                .bind(tag)
                .execute(&mut *tx)
                .await
                .unwrap();
            sqlx::query(statement).execute(&mut *tx).await.unwrap();
            if commits { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
        }
        sqlx::query("update people set mail = 'c@x'").execute(&pool).await.unwrap();

        let ledger = read(Uuid::nil(), &pool, &TABLE).await.unwrap();

        let calls: Vec<_> = ledger.writes.iter().map(|write| (write.call.name(), write.tag)).collect();
        let tag = tag.parse().ok();
        assert_eq!(
            calls,
            [("create", tag), ("update", tag), ("create", tag), ("delete", tag), ("update", None)]
        );
        let written = ledger.writes[1].attributes.as_ref().unwrap();
        assert_eq!(
            (&written["mail"][..], &written[ACCOUNT_STATE][..]),
            (&["b@x".into()][..], &["disabled".into()][..])
        );
        assert_eq!(written["groups"], ["a", "b"]);
        assert_eq!(ledger.writes[3].attributes, None);
        assert_eq!(ledger.accounts.len(), 1);
        assert_eq!(
            (ledger.accounts[0].external_uid.as_str(), &ledger.accounts[0].attributes["mail"][0]),
            ("ada", &"c@x".to_owned())
        );
    }
}
