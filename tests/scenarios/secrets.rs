//! Secrets: planted ones are found nowhere.

mod planted;
mod values;

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use sqlx::Row;
use xavyo_sandbox::postgres::Database;
use xavyo_tests::World;

/// Long enough that no accident makes it.
const CANARY: &str = "canary-7f3a9c51-do-not-tell";

/// As text, in hex, and in base64 at each of the three positions that it can have in a longer text.
fn disguises() -> Vec<String> {
    let mut hex = String::new();
    for byte in CANARY.bytes() {
        write!(hex, "{byte:02x}").unwrap();
    }
    let encode = |offset: usize| {
        let bytes = [vec![0; offset], CANARY.as_bytes().to_vec()].concat();
        STANDARD.encode(bytes)[4..CANARY.len()].to_owned()
    };
    [CANARY.to_owned(), hex].into_iter().chain((0..3).map(encode)).collect()
}

fn betrayed_by(text: &str) -> Option<String> {
    disguises().into_iter().find(|disguise| text.contains(disguise))
}

/// Every row of every table, as text; what is binary, in hex.
async fn dump(database: &Database) -> String {
    let mut judge = database.superuser().await.unwrap();
    let tables = "select format('%I.%I', table_schema, table_name) from information_schema.tables
         where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut judge).await.unwrap();
    assert!(tables.len() > 5, "{tables:?}");
    let mut text = String::new();
    for table in tables {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("select t::text from {table} t")));
        for row in rows.fetch_all(&mut judge).await.unwrap() {
            text.push_str(row.get(0));
            text.push('\n');
        }
    }
    text
}

/// No log and no database holds the canary.
async fn assert_untold(world: &World) {
    assert_eq!(betrayed_by(&world.logs()), None, "in a log");
    let ground = world.ground();
    for (name, database) in
        [("provisioning", &ground.provisioning), ("reconciliation", &ground.reconciliation)]
    {
        assert_eq!(betrayed_by(&dump(database).await), None, "in {name}'s database");
    }
}

#[test]
fn a_canary_is_recognised_in_every_disguise() {
    for text in ["Canary", CANARY] {
        assert_eq!(betrayed_by(text).is_some(), text == CANARY);
    }
    let message = STANDARD.encode(format!("ab{CANARY}cd"));
    assert!(betrayed_by(&message).is_some(), "{message}");
}
