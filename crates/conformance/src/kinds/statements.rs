//! Accounts by an operator's own statements, on either database: a join of two tables, so that nothing else would do.

use anyhow::Result;
use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use xavyo_core::connector::{Settings, SqlSettings, SqlStatements};

use super::{Kind, MariadbTable, PostgresTable, unique};
use crate::Place;

#[derive(Debug)]
pub enum Statements {
    Postgres(PostgresTable),
    Mariadb(MariadbTable),
}

/// How a database spells what the statements need.
struct Spelling {
    id: &'static str,
    text: &'static str,
    list: &'static str,
}

#[async_trait]
impl Kind for Statements {
    fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres-statements",
            Self::Mariadb(_) => "mariadb-statements",
        }
    }

    async fn place(&self) -> Result<Place> {
        let mut place = match self {
            Self::Postgres(kind) => kind.place().await?,
            Self::Mariadb(kind) => kind.place().await?,
        };
        let name = unique("people_");
        for statement in self.tables(&name) {
            self.run(statement).await?;
        }
        if let Settings::Sql(settings) = &mut place.settings {
            *settings = SqlSettings {
                schema: String::new(),
                table: String::new(),
                uid_column: "login".into(),
                id_column: Some("id".into()),
                version_column: Some("revision".into()),
                disabled_column: Some("blocked".into()),
                updated_at_column: None,
                statements: Some(statements(&name)),
                json_array_columns: match self {
                    Self::Postgres(_) => Vec::new(),
                    Self::Mariadb(_) => vec!["labels".into()],
                },
                ..settings.clone()
            };
        }
        place.words.text = "nickname".into();
        place.words.many = Some("labels".into());
        place.words.refused = vec![("nickname".into(), 2), ("no such column".into(), 1)];
        Ok(place)
    }
}

impl Statements {
    /// People, and who of them is blocked: a table of its own.
    fn tables(&self, name: &str) -> [String; 2] {
        let Spelling { id, text, list } = match self {
            Self::Postgres(_) => {
                Spelling { id: "bigint generated always as identity", text: "text", list: "text[]" }
            }
            Self::Mariadb(_) => Spelling { id: "bigint auto_increment", text: "varchar(190)", list: "json" },
        };
        [
            format!(
                "create table {name} (id {id} primary key, login {text} not null unique, nickname text,
                                      labels {list}, revision bigint not null default 1)"
            ),
            format!("create table {name}_blocked (id bigint primary key)"),
        ]
    }

    async fn run(&self, statement: String) -> Result<()> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        match self {
            Self::Postgres(kind) => statement.execute(&kind.database().pool().await?).await.map(drop)?,
            Self::Mariadb(kind) => statement.execute(&kind.database().pool().await?).await.map(drop)?,
        }
        Ok(())
    }
}

fn statements(name: &str) -> SqlStatements {
    let list = format!(
        "select p.id, p.login, p.nickname, p.labels, p.revision, b.id is not null as blocked
           from {name} p left join {name}_blocked b on b.id = p.id"
    );
    SqlStatements {
        attributes: vec!["nickname".into(), "labels".into()],
        get: Some(format!("{list} where p.login = :uid -- 'one")),
        find: None,
        list,
        create: Some(format!("insert into {name} (login, nickname, labels) values (:uid, :nickname, :labels);")),
        update: Some(format!(
            "update {name} set login = :new_uid, nickname = :nickname, labels = :labels, revision = revision + 1
              where id = :id and revision = :version"
        )),
        delete: Some(format!("delete from {name} where id = :id")),
        enable: Some(format!("delete from {name}_blocked where id = :id")),
        disable: Some(format!("insert into {name}_blocked (id) values (:id)")),
    }
}
