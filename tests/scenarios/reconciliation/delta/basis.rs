//! What a delta needs to start from; without it, it is a full run and says why.

use std::time::Duration;

use sqlx::Row;
use tonic::Code;
use xavyo_sandbox::proxy::Rules;
use xavyo_tests::{memory_connector, refused};

use super::*;

#[tokio::test]
async fn a_delta_is_a_full_run_before_there_was_one_and_where_the_target_cannot_say_what_changed() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.person("ann", "ann@x", "clerk").await;
    let first = world.delta_run(&connector, false).await;
    became_full(&first, "no full run has completed yet");
    let second = world.delta_run(&connector, false).await;
    became_full(&second, "no watermark of the target");
    assert_eq!((second.status(), second.discrepancies_found), (Status::Completed, 1));
}

#[tokio::test]
async fn a_mark_that_its_side_does_not_know_makes_it_a_full_run_while_it_reads() {
    let staff = Staff::of(&["ann", "bob"]).await;
    for (column, mark, why) in [
        ("watermark", "usn 5 cn=dc1", "cannot be told"),
        ("watermark", "x", "cannot be told"),
        ("expected_watermark", "0190a5f2-0000-7000-8000-000000000000", "another history of the database"),
        ("expected_watermark", "x", "no mark of the expected side"),
    ] {
        staff.full().await;
        staff.retitle("ann", why).await;
        in_database(&staff.world, &format!("update baseline set {column} = '{mark}'")).await;
        let run = staff.delta().await;
        assert_eq!((run.status(), run.accounts_processed), (Status::Completed, 2), "{run:?}");
        became_full(&run, why);
        assert_eq!(findings(&staff.world, &run).await, ["Mismatch uid=ann title"]);
        was_delta(&staff.delta().await, 0);
    }
}

/// Of the only kind of account.
#[derive(Debug, PartialEq)]
struct Baseline {
    target: Option<String>,
    expected: Option<String>,
    /// Whose marks they are, and how much that run handed on.
    marked_by: String,
    /// What a full run leaves: itself, its counts, when it ended.
    full: String,
}

async fn baseline(world: &World) -> Baseline {
    let url = world.ground().reconciliation.program_url();
    let mut program = sqlx::PgConnection::connect(&url).await.unwrap();
    let mut tx = program.begin().await.unwrap();
    let tenant = format!("set local xavyo.tenant = '{}'", world.tenant);
    sqlx::raw_sql(sqlx::AssertSqlSafe(tenant)).execute(&mut *tx).await.unwrap();
    let one = "select watermark, expected_watermark,
                      format('%s %s %s', marked_by_run_id, handed_on, (select count(*) from revisit)) as marked_by,
                      format('%s %s %s %s', run_id, target_count, expected_count, completed_at) as of_full_run
                 from baseline";
    let row = sqlx::query(one).fetch_one(&mut *tx).await.unwrap();
    Baseline {
        target: row.get("watermark"),
        expected: row.get("expected_watermark"),
        marked_by: row.get("marked_by"),
        full: row.get("of_full_run"),
    }
}

#[tokio::test]
async fn a_dry_delta_finds_the_same_and_moves_nothing_r4() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.join("stray", "stray@x").await;
    staff.retitle("bob", "boss").await;
    let full = staff.full().await;
    staff.retitle("ann", "chief").await;
    staff.retitle("bob", "clerk").await;
    let before = baseline(&staff.world).await;
    assert_eq!(before.marked_by, format!("{} 1 1", full.id), "the account without a person");

    let dry = staff.world.delta_run(&staff.connector, true).await;

    was_delta(&dry, 3);
    assert_eq!(baseline(&staff.world).await, before);
    assert!(settled(&staff.world, &full).await.iter().all(|(_, how)| how == "open"));
    let delta = staff.delta().await;
    was_delta(&delta, 3);
    assert_eq!(findings(&staff.world, &dry).await, findings(&staff.world, &delta).await);
    let after = baseline(&staff.world).await;
    assert!(after.target != before.target && after.expected != before.expected, "{after:?}");
    assert_eq!(after.marked_by, format!("{} 1 1", delta.id));
    assert_eq!(after.full, before.full, "the next full run is due by the last one");
}

#[tokio::test]
async fn a_connector_changed_since_the_last_full_run_is_read_in_full() {
    let staff = Staff::of(&["ann"]).await;
    staff.full().await;
    without_rule(&staff, "title").await;
    became_full(&staff.delta().await, "the connector's revision is 2, that of the last full run was 1");
    was_delta(&staff.delta().await, 0);

    // While the delta sleeps.
    staff.network.set(Rules::slow(Duration::from_millis(100)));
    let run = staff.world.admin.start_delta(&staff.connector, false).await;
    assert_eq!(run.mode(), Mode::Delta);
    staff.world.admin.run_that(&run.id, |run| run.phase() == pr::RunPhase::Read).await;
    staff.world.admin.pause(&run.id).await.unwrap();
    staff.network.heal();
    without_rule(&staff, "mail").await;
    staff.world.admin.resume(&run.id).await.unwrap();
    became_full(&staff.world.admin.run_ended(&run.id).await, "the connector's revision is 3");
}

async fn without_rule(staff: &Staff, name: &str) {
    let request = pp::GetConnectorRequest { connector_id: staff.connector.clone() };
    let mut connectors = staff.world.admin.connectors.clone();
    let mut connector = connectors.get_connector(request).await.unwrap().into_inner().connector.unwrap();
    connector.object_types[0].mapping.retain(|rule| rule.name != name);
    let update = pp::UpdateConnectorRequest {
        connector: Some(connector),
        update_mask: Some(FieldMask { paths: vec!["object_types".to_owned()] }),
        ..pp::UpdateConnectorRequest::default()
    };
    connectors.update_connector(update).await.unwrap();
}

/// The units of the directory are accounts of a kind that nobody should have.
#[tokio::test]
async fn each_kind_of_account_has_marks_of_its_own_and_one_without_makes_the_run_full() {
    let staff = Staff::in_world(World::new().await, &["ann"], |request| {
        let rule = |name: &str| pp::AttributeRule {
            name: name.to_owned(),
            expression: "identity.title".to_owned(),
            ..pp::AttributeRule::default()
        };
        request.object_types.push(pp::ObjectType {
            object_class: "organizationalUnit".to_owned(),
            scope: "false".to_owned(),
            naming: "identity.login".to_owned(),
            mapping: vec![rule("description")],
            ..pp::ObjectType::default()
        });
    })
    .await;
    assert_eq!(findings(&staff.world, &staff.full().await).await.len(), 2);
    staff.retitle("ann", "chief").await;
    let delta = staff.delta().await;
    was_delta(&delta, 3);
    assert_eq!(findings(&staff.world, &delta).await.len(), 3);
    for column in ["watermark", "expected_watermark"] {
        let lost = format!("update baseline set {column} = null where object_class = 'organizationalUnit'");
        in_database(&staff.world, &lost).await;
        became_full(&staff.delta().await, "the last run has no");
        was_delta(&staff.delta().await, 2);
    }
}

#[tokio::test]
async fn what_is_left_to_be_looked_up_may_be_too_much_for_a_delta() {
    let staff = Staff::of(&["ann"]).await;
    staff.full().await;
    in_database(&staff.world, "update baseline set handed_on = 10001").await;
    became_full(&staff.delta().await, "10001 accounts and identities would have to be looked up");
    was_delta(&staff.delta().await, 0);
}

#[tokio::test]
async fn a_schedule_of_deltas_runs_full_when_the_last_full_run_is_too_old() {
    let staff = Staff::of(&["ann"]).await;
    let request = pr::PutScheduleRequest {
        connector_id: staff.connector.clone(),
        mode: Mode::Delta.into(),
        frequency: pr::ScheduleFrequency::Hourly.into(),
        full_every_days: Some(2),
        ..pr::PutScheduleRequest::default()
    };
    staff.world.admin.schedules.clone().put_schedule(request).await.unwrap();

    became_full(&slot(&staff).await, "no full run has completed yet");
    was_delta(&slot(&staff).await, 0);
    was_delta(&slot(&staff).await, 0);
    let days = "update baseline set completed_at = completed_at - interval '2 days'";
    in_database(&staff.world, days).await;
    became_full(&slot(&staff).await, "the last full run is 2 or more days ago");
    was_delta(&slot(&staff).await, 0);

    let trend = pr::GetDiscrepancyTrendRequest {
        connector_id: Some(staff.connector.clone()),
        ..pr::GetDiscrepancyTrendRequest::default()
    };
    let trend = staff.world.admin.discrepancies.clone().get_discrepancy_trend(trend).await.unwrap();
    let runs: i64 = trend.into_inner().points.iter().map(|point| point.runs).sum();
    assert_eq!(runs, 2, "only full runs are counted");
}

/// The run of the schedule's next slot, whose time comes now.
async fn slot(staff: &Staff) -> pr::ReconciliationRun {
    let get = || async {
        let request = pr::GetScheduleRequest { connector_id: staff.connector.clone() };
        staff
            .world
            .admin
            .schedules
            .clone()
            .get_schedule(request)
            .await
            .unwrap()
            .into_inner()
            .schedule
            .unwrap()
    };
    let before = get().await;
    let missed = format!(
        "update schedule set next_run_at = now() - interval '1 minute' - interval '1 hour' * random();
         update schedule_due set due_at = now() - interval '3 hours' where tenant_id = '{}'",
        staff.world.tenant
    );
    in_database(&staff.world, &missed).await;
    let fired = async {
        loop {
            let schedule = get().await;
            if schedule.last_run_id != before.last_run_id {
                return schedule.last_run_id.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    let run = tokio::time::timeout(Duration::from_secs(20), fired).await.expect("the slot fires");
    staff.world.admin.run_ended(&run).await
}

#[tokio::test]
async fn a_count_accepted_in_advance_needs_its_reason_and_counts_where_the_delta_becomes_full() {
    let world = World::new().await;
    let connector = world.connector(|request| *request = memory_connector()).await;
    let request = pr::StartRunRequest {
        connector_id: connector,
        mode: Mode::Delta.into(),
        accept_count_at_least: Some(0),
        ..pr::StartRunRequest::default()
    };
    let mut runs = world.admin.runs.clone();
    let unexplained = refused(runs.start_run(request.clone()).await);
    assert_eq!((unexplained.code, unexplained.fields), (Code::InvalidArgument, vec!["reason".to_owned()]));
    let explained = pr::StartRunRequest { reason: Some("emptied".to_owned()), ..request };
    let run = runs.start_run(explained).await.unwrap().into_inner().run.unwrap();
    assert_eq!(run.accept_count_at_least, Some(0));
    became_full(&world.admin.run_ended(&run.id).await, "no full run");
}

#[tokio::test]
async fn a_mark_of_the_expected_side_that_is_none_is_refused_by_name() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let read = |since: String| {
        let request = pp::ReadExpectedAccountsRequest {
            connector_id: connector.clone(),
            object_class: "account".to_owned(),
            since: Some(since),
            ..pp::ReadExpectedAccountsRequest::default()
        };
        let mut accounts = world.admin.accounts.clone();
        async move { refused(accounts.read_expected_accounts(request).await.map(|_| ())) }
    };
    assert_eq!(read("x".to_owned()).await.named(), (Code::OutOfRange, "TOKEN_TOO_OLD"));
    assert_eq!(read(world.tenant.to_string()).await.named(), (Code::OutOfRange, "TOKEN_TOO_OLD"));
    assert_eq!(read("x".repeat(100_000)).await.fields, ["since"]);
}
