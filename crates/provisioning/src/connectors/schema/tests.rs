//! What is kept, and when a target is asked again. The target is a table of Postgres.

use sqlx::PgPool;
use uuid::Uuid;
use xavyo_connectors::Options;
use xavyo_core::{
    Reason,
    connector::{AttributeSchema, AttributeType, MatchingRule, Mode, Settings},
};
use xavyo_sandbox::postgres::{Postgres, TargetDatabase};
use xavyo_wire::{fields::Fields, pb::provisioning as pb, settings};

use super::*;
use crate::{
    connectors::{CreateConnector, DeleteConnector, GivenSecrets, PauseConnector, UpdateConnector},
    testing::{Ground, caller, connector},
};

/// A ground whose one connector reads the table `account (login, mail)`.
struct Table {
    ground: Ground,
    connector_id: ConnectorId,
    pool: PgPool,
    _database: TargetDatabase,
}

impl Table {
    async fn lay() -> Self {
        let server = Postgres::shared().await.unwrap();
        let database = server.target().await.unwrap();
        let pool = database.pool().await.unwrap();
        sqlx::raw_sql("create table account (login text unique not null, mail text)")
            .execute(&pool)
            .await
            .unwrap();
        let ground = Ground::lay_with(Options { allow_sockets: true, ..Options::default() }).await;
        let sql = pb::SqlSettings {
            host: server.sockets().display().to_string(),
            database: database.name().to_owned(),
            username: TargetDatabase::ROLE.to_owned(),
            table: "account".to_owned(),
            uid_column: "login".to_owned(),
            ..pb::SqlSettings::default()
        };
        let command = CreateConnector { settings: parsed(sql), ..connector("table", Mode::Observe, 0) };
        let connector_id = ground.connectors.create(&ground.caller, command).await.unwrap().connector.id;
        Self { ground, connector_id, pool, _database: database }
    }

    async fn ask(&self, refresh: bool) -> Result<Arc<Discovered>> {
        let command = DiscoverSchema { connector_id: self.connector_id, refresh };
        self.ground.connectors.discover_schema(&self.ground.caller, command).await
    }

    /// The names of the columns, as answered.
    async fn columns(&self, refresh: bool) -> Vec<String> {
        let discovered = self.ask(refresh).await.unwrap();
        discovered.object_schemas[0].attributes.iter().map(|it| it.name.clone()).collect()
    }

    async fn add_title(&self) {
        sqlx::raw_sql("alter table account add title text").execute(&self.pool).await.unwrap();
    }
}

fn parsed(sql: pb::SqlSettings) -> Settings {
    let mut fields = Fields::default();
    let kind = Some(pb::connector_settings::Kind::Sql(sql));
    let settings = settings::of_pb(&mut fields, Some(pb::ConnectorSettings { kind }));
    fields.finish(settings).unwrap()
}

#[tokio::test]
async fn an_answer_is_repeated_for_an_hour_and_asked_anew_on_request() {
    let table = Table::lay().await;
    let first = table.ask(false).await.unwrap();
    table.add_title().await;
    table.ground.clock.advance(TimeDelta::minutes(59));
    assert_eq!(table.ask(false).await.unwrap(), first, "its time, too");

    assert_eq!(table.columns(true).await, ["login", "mail", "title"]);
    assert_eq!(table.ask(false).await.unwrap().at, first.at + TimeDelta::minutes(59));

    sqlx::raw_sql("alter table account drop title").execute(&table.pool).await.unwrap();
    table.ground.clock.advance(TimeDelta::minutes(59));
    assert_eq!(table.columns(false).await, ["login", "mail", "title"]);
    table.ground.clock.advance(TimeDelta::minutes(1));
    assert_eq!(table.columns(false).await, ["login", "mail"]);
}

#[tokio::test]
async fn a_changed_connector_is_never_answered_by_what_it_was_told_before() {
    let table = Table::lay().await;
    assert_eq!(table.columns(false).await, ["login", "mail"]);
    table.add_title().await;
    let renamed = UpdateConnector {
        connector_id: table.connector_id,
        etag: None,
        name: Some("another".to_owned()),
        mode: None,
        settings: None,
        object_types: None,
        policies: None,
        secrets: GivenSecrets::new(),
    };
    table.ground.connectors.update(&table.ground.caller, renamed).await.unwrap();
    assert_eq!(table.columns(false).await, ["login", "mail", "title"]);
}

#[tokio::test]
async fn what_is_kept_is_not_for_a_paused_or_deleted_connector_nor_for_another_tenant() {
    let table = Table::lay().await;
    table.ask(false).await.unwrap();
    let (connectors, me, id) = (&table.ground.connectors, &table.ground.caller, table.connector_id);
    let command = || DiscoverSchema { connector_id: id, refresh: false };
    let stranger = connectors.discover_schema(&caller(9), command()).await.unwrap_err();
    assert_eq!(stranger.reason, Reason::NotFound);

    let pause = PauseConnector { connector_id: id, reason: None, until: None };
    connectors.pause(me, pause).await.unwrap();
    assert_eq!(table.ask(false).await.unwrap_err().reason, Reason::ConnectorPaused);

    connectors.delete(me, DeleteConnector { connector_id: id, etag: None }).await.unwrap();
    assert_eq!(table.ask(false).await.unwrap_err().reason, Reason::NotFound);
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let table = Table::lay().await;
    sqlx::raw_sql("alter table account rename to hidden").execute(&table.pool).await.unwrap();
    let refused = table.ask(false).await.unwrap_err();
    assert_eq!(refused.reason, Reason::TargetRefused);
    assert!(refused.facts.iter().any(|(name, code)| *name == "code" && code == "SQL_TABLE"), "{refused:?}");
    sqlx::raw_sql("alter table hidden rename to account").execute(&table.pool).await.unwrap();
    assert_eq!(table.columns(false).await, ["login", "mail"]);
}

/// One attribute whose description is so long.
fn described(bytes: usize, minute: i64) -> Arc<Discovered> {
    let attribute = AttributeSchema {
        name: String::new(),
        value_type: AttributeType::Text,
        required: false,
        multi_valued: false,
        readable: true,
        writable_on_create: true,
        writable_on_update: true,
        searchable: true,
        matching_rule: MatchingRule::Exact,
        description: "x".repeat(bytes),
    };
    let schema = ObjectSchema {
        object_class: "account".to_owned(),
        display_name: String::new(),
        uid_attribute: None,
        attributes: vec![attribute],
    };
    Arc::new(Discovered {
        object_schemas: vec![schema],
        capabilities: Capabilities::default(),
        at: DateTime::UNIX_EPOCH + TimeDelta::minutes(minute),
    })
}

#[test]
fn the_oldest_give_way_and_what_is_too_large_is_not_kept() {
    let schemas = Schemas::default();
    let key = |connector: i64| {
        let id = |number: i64| Uuid::from_u128(number.unsigned_abs().into());
        (TenantId(id(1)), ConnectorId(id(connector)))
    };
    let now = DateTime::UNIX_EPOCH + TimeDelta::minutes(40);
    let is_kept = |connector: i64| schemas.find(key(connector), 1, now).is_some();
    for connector in 0..3 {
        schemas.keep(key(connector), 1, described(MOST_BYTES / 3, connector));
    }
    assert_eq!([0, 1, 2].map(is_kept), [false, true, true], "with their names, three are too much");
    schemas.keep(key(3), 1, described(MOST_BYTES, 3));
    assert_eq!([1, 2, 3].map(is_kept), [true, true, false]);
    schemas.keep(key(2), 1, described(MOST_BYTES + 1, 4));
    assert_eq!([1, 2].map(is_kept), [true, false], "what it was told before is no answer either");

    schemas.keep(key(1), 1, described(0, 0));
    assert_eq!(schemas.find(key(1), 1, now).unwrap().at, described(0, 1).at, "it was overtaken");

    let many = i64::try_from(MOST_KEPT).unwrap();
    for connector in 10..10 + many {
        schemas.keep(key(connector), 1, described(0, 10 + connector % 7));
    }
    assert_eq!(schemas.lock().len(), MOST_KEPT);
    assert!(!is_kept(1) && is_kept(9 + many));
}
