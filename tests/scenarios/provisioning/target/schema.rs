//! What targets say that they can hold.

use sqlx::AssertSqlSafe;
use tonic::{Code, Status};
use xavyo_sandbox::{
    postgres::Postgres,
    slapd::{Options, Slapd},
};
use xavyo_tests::{World, memory_connector, refused};
use xavyo_wire::pb::{connector as target, google::FieldMask, provisioning as pp};

use super::{directory, table};

async fn discover(
    world: &World,
    connector: &str,
    refresh: bool,
) -> Result<pp::DiscoverSchemaResponse, Status> {
    let request = pp::DiscoverSchemaRequest { connector_id: connector.to_owned(), refresh };
    let answer = world.as_role("operator").connectors.discover_schema(request).await?;
    Ok(answer.into_inner())
}

async fn directory_of(world: &World, slapd: &Slapd, password: &str) -> String {
    world.connector(|request| *request = directory(slapd, password)).await
}

/// `name TYPE RULE`, then what is true of it.
fn line(attribute: &target::AttributeSchema) -> String {
    let kind = attribute.r#type().as_str_name().trim_start_matches("ATTRIBUTE_TYPE_");
    let rule = attribute.matching_rule().as_str_name().trim_start_matches("MATCHING_RULE_");
    let facts = [
        (attribute.required, " required"),
        (attribute.multi_valued, " many"),
        (!attribute.readable, " unreadable"),
        (attribute.writable_on_create, " create"),
        (attribute.writable_on_update, " update"),
        (!attribute.searchable, " unsearchable"),
    ];
    let facts = facts.into_iter().filter(|(holds, _)| *holds).map(|(_, fact)| fact);
    format!("{} {kind} {rule}{}", attribute.name, facts.collect::<String>())
}

fn lines(told: &pp::DiscoverSchemaResponse) -> Vec<String> {
    told.object_schemas[0].attributes.iter().map(line).collect()
}

#[tokio::test]
async fn a_directory_says_what_an_account_can_hold() {
    let world = World::new().await;
    let slapd = Slapd::start(&Options::default()).await.unwrap();
    let connector = directory_of(&world, &slapd, slapd.password()).await;

    let told = discover(&world, &connector, false).await.unwrap();

    let [class] = told.object_schemas.as_slice() else { panic!("{told:?}") };
    assert_eq!((class.object_class.as_str(), class.uid_attribute.as_str()), ("inetOrgPerson", ""));
    let wanted = ["displayName", "jpegPhoto", "mail", "manager", "sn", "telephoneNumber", "userPassword"];
    let lines: Vec<String> = lines(&told).into_iter().filter(|line| wanted.contains(&name(line))).collect();
    assert_eq!(
        lines,
        [
            "displayName STRING SPACES create update",
            "jpegPhoto BINARY EXACT many create update unsearchable",
            "mail STRING SPACES many create update",
            "manager REFERENCE DN many create update",
            "sn STRING SPACES required many create update",
            "telephoneNumber STRING PHONE many create update",
            "userPassword BINARY EXACT many unreadable create update",
        ]
    );
    let can = told.capabilities.unwrap();
    assert!(can.immutable_ids && can.versions && can.changes && !can.disables, "{can:?}");
}

fn name(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

#[tokio::test]
async fn a_table_says_what_a_row_can_hold() {
    let world = World::new().await;
    let database = Postgres::shared().await.unwrap().target().await.unwrap();
    let (pool, settings) = table(&database).await;
    let more = "alter table account add born timestamptz not null, add groups text[] not null default '{}',
                    add grade integer, add weight double precision, add photo bytea,
                    add shown text generated always as (upper(login)) stored";
    sqlx::raw_sql(more).execute(&pool).await.unwrap();
    let connector = world.connector(|request| request.settings = Some(settings)).await;

    let told = discover(&world, &connector, false).await.unwrap();

    let class = &told.object_schemas[0];
    assert_eq!((class.object_class.as_str(), class.uid_attribute.as_str()), ("account", "login"));
    assert_eq!(
        lines(&told),
        [
            "id INTEGER EXACT",
            "login STRING EXACT required create update",
            "mail STRING EXACT create update",
            "title STRING EXACT create update",
            "enabled BOOLEAN EXACT create update",
            "born TIMESTAMP EXACT required create update",
            "groups STRING EXACT many create update",
            "grade INTEGER EXACT create update",
            "weight DOUBLE EXACT create update",
            "photo BINARY EXACT create update",
            "shown STRING EXACT",
        ]
    );
    let can = told.capabilities.unwrap();
    assert!(can.immutable_ids && can.disables && can.repeatable_updates && !can.changes, "{can:?}");
}

#[tokio::test]
async fn an_answer_is_repeated_until_a_refresh_or_a_change_of_the_connector() {
    let world = World::new().await;
    let database = Postgres::shared().await.unwrap().target().await.unwrap();
    let (pool, settings) = table(&database).await;
    let connector = world.connector(|request| request.settings = Some(settings)).await;
    let add = |column: &'static str| {
        let statement = AssertSqlSafe(format!("alter table account add {column} text"));
        sqlx::raw_sql(statement).execute(&pool)
    };
    let columns = |told: pp::DiscoverSchemaResponse| told.object_schemas[0].attributes.len();
    let first = discover(&world, &connector, false).await.unwrap();
    add("city").await.unwrap();
    assert_eq!(discover(&world, &connector, false).await.unwrap(), first, "with the time of the first");

    let refreshed = discover(&world, &connector, true).await.unwrap();
    assert_ne!(refreshed.discovered_at, first.discovered_at);
    assert_eq!((columns(first), columns(refreshed)), (5, 6));

    add("office").await.unwrap();
    let renamed = pp::Connector { id: connector.clone(), name: connector.clone(), ..Default::default() };
    let rename = pp::UpdateConnectorRequest {
        connector: Some(renamed),
        update_mask: Some(FieldMask { paths: vec!["name".to_owned()] }),
        secrets: None,
    };
    world.admin.connectors.clone().update_connector(rename).await.unwrap();
    assert_eq!(columns(discover(&world, &connector, false).await.unwrap()), 7);
}

/// Code, reason and the target's own code of a refusal.
async fn refusal(world: &World, connector: &str) -> (Code, String, Option<String>) {
    let mut refusal = refused(discover(world, connector, false).await);
    (refusal.code, refusal.reason, refusal.facts.remove("code"))
}

#[tokio::test]
async fn a_connector_that_is_unknown_deleted_or_paused_is_refused() {
    let world = World::new().await;
    let not_found = (Code::NotFound, "NOT_FOUND".to_owned(), None);
    assert_eq!(refused(discover(&world, "the directory", false).await).fields, ["connector_id"]);
    assert_eq!(refusal(&world, &world.tenant.to_string()).await, not_found);

    let connector = world.connector(|_| {}).await;
    let mut connectors = world.admin.connectors.clone();
    let pause = pp::PauseConnectorRequest { connector_id: connector.clone(), ..Default::default() };
    connectors.pause_connector(pause).await.unwrap();
    let paused = (Code::FailedPrecondition, "CONNECTOR_PAUSED".to_owned(), None);
    assert_eq!(refusal(&world, &connector).await, paused);

    let delete = pp::DeleteConnectorRequest { connector_id: connector.clone(), ..Default::default() };
    connectors.delete_connector(delete).await.unwrap();
    assert_eq!(refusal(&world, &connector).await, not_found);
}

#[tokio::test]
async fn a_target_that_is_away_refuses_us_or_says_nothing_is_told_apart() {
    let world = World::new().await;
    let refused = |code: &str| (Code::FailedPrecondition, "TARGET_REFUSED".to_owned(), Some(code.to_owned()));
    let slapd = Slapd::start(&Options::default()).await.unwrap();
    let connector = directory_of(&world, &slapd, "canary").await;
    assert_eq!(refusal(&world, &connector).await, refused("LDAP_49"));
    let told = discover(&world, &connector, false).await.unwrap_err();
    assert!(!format!("{told:?}").contains("canary"), "{told:?}");

    let connector = directory_of(&world, &slapd, slapd.password()).await;
    drop(slapd);
    let (code, reason, _) = refusal(&world, &connector).await;
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "TARGET_UNAVAILABLE"));

    let database = Postgres::shared().await.unwrap().target().await.unwrap();
    let (pool, settings) = table(&database).await;
    let connector = world.connector(|request| request.settings = Some(settings)).await;
    sqlx::raw_sql("drop table account").execute(&pool).await.unwrap();
    assert_eq!(refusal(&world, &connector).await, refused("SQL_TABLE"));

    let silent = world.connector(|request| *request = memory_connector()).await;
    assert_eq!(refusal(&world, &silent).await, refused("NOT_OFFERED"));
}
