//! Ignores: bound to the finding, undone, over; and the trend of what is found.

use std::time::{Duration, SystemTime};

use tonic::Code;
use xavyo_tests::{World, refused};
use xavyo_wire::pb::{common::RemediationAction, google::Timestamp, reconciliation as pr};

fn ignore(discrepancy: &str) -> pr::IgnoreDiscrepancyRequest {
    pr::IgnoreDiscrepancyRequest {
        discrepancy_id: discrepancy.to_owned(),
        reason: Some("a contractor's".to_owned()),
        ..pr::IgnoreDiscrepancyRequest::default()
    }
}

async fn ignores(world: &World, connector: &str) -> Vec<pr::Ignore> {
    let request = pr::ListIgnoresRequest { connector_id: Some(connector.to_owned()), ..Default::default() };
    let listed = world.admin.discrepancies.clone().list_ignores(request).await.unwrap();
    listed.into_inner().ignores
}

async fn set_apart(world: &World, run: &str) -> i64 {
    let request = pr::GetReportRequest { run_id: run.to_owned() };
    let report = world.admin.runs.clone().get_report(request).await.unwrap().into_inner().report.unwrap();
    report.set_apart.unwrap().ignored
}

#[tokio::test]
async fn an_ignored_finding_is_counted_apart_until_it_is_undone() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.stray(&connector, "stray", "stray@x", "ghost").await;
    world.person("ann", "ann@x", "clerk").await;
    let first = world.full_run(&connector, false).await;
    let dry = world.full_run(&connector, true).await;
    let orphan = |found: Vec<pr::Discrepancy>| found.into_iter().find(|one| one.identity_id.is_none());
    let found = orphan(world.admin.discrepancies_of(&first.id).await).unwrap();

    let mut discrepancies = world.admin.discrepancies.clone();
    let answer = discrepancies.ignore_discrepancy(ignore(&found.id)).await.unwrap().into_inner();
    let (ignored, decision) = (answer.discrepancy.unwrap(), answer.ignore.unwrap());
    assert_eq!(ignored.resolution_status(), pr::ResolutionStatus::Ignored);
    assert_eq!(ignored.resolution_notes.as_deref(), Some("a contractor's"));
    assert_eq!((decision.external_uid.as_deref(), decision.until), (Some("stray"), None));
    assert_eq!(ignores(&world, &connector).await, std::slice::from_ref(&decision));
    // The dry run's open row is of the same finding.
    let of_dry = orphan(world.admin.discrepancies_of(&dry.id).await).unwrap();
    assert_eq!(of_dry.resolution_status(), pr::ResolutionStatus::Ignored);

    let second = world.full_run(&connector, false).await;
    assert!(orphan(world.admin.discrepancies_of(&second.id).await).is_none());
    assert_eq!((set_apart(&world, &second.id).await, second.discrepancies_found), (1, 1));

    let undo = pr::DeleteIgnoreRequest { ignore_id: decision.id };
    discrepancies.delete_ignore(undo.clone()).await.unwrap();
    assert_eq!(refused(discrepancies.delete_ignore(undo).await).named(), (Code::NotFound, "NOT_FOUND"));
    assert!(ignores(&world, &connector).await.is_empty());
    let third = world.full_run(&connector, false).await;
    assert!(orphan(world.admin.discrepancies_of(&third.id).await).is_some());
    assert_eq!(set_apart(&world, &third.id).await, 0);
}

#[tokio::test]
async fn an_ignore_whose_time_is_over_hides_nothing() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.stray(&connector, "stray", "stray@x", "ghost").await;
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await.remove(0);
    let soon = SystemTime::from(xavyo_runtime::Clock::system().now()) + Duration::from_millis(300);
    let until = soon.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let request = pr::IgnoreDiscrepancyRequest {
        until: Some(Timestamp {
            seconds: until.as_secs().try_into().unwrap(),
            nanos: until.subsec_nanos().try_into().unwrap(),
        }),
        ..ignore(&found.id)
    };
    world.admin.discrepancies.clone().ignore_discrepancy(request).await.unwrap();
    let again = async {
        loop {
            let run = world.full_run(&connector, false).await;
            if run.discrepancies_found == 1 {
                return run;
            }
        }
    };
    let run = tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    let found = world.admin.discrepancies_of(&run.id).await.remove(0);
    // The finding may be ignored again: the later decision counts.
    world.admin.discrepancies.clone().ignore_discrepancy(ignore(&found.id)).await.unwrap();
    let ignores = ignores(&world, &connector).await;
    assert_eq!((ignores.len(), ignores[0].until), (1, None));
}

#[tokio::test]
async fn only_an_open_finding_can_be_ignored_and_only_into_the_future() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.stray(&connector, "stray", "stray@x", "ghost").await;
    world.person("ann", "ann@x", "clerk").await;
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    let mut discrepancies = world.admin.discrepancies.clone();
    let past = pr::IgnoreDiscrepancyRequest {
        until: Some(Timestamp { seconds: 1, nanos: 0 }),
        ..ignore(&found[0].id)
    };
    assert_eq!(refused(discrepancies.ignore_discrepancy(past).await).fields, ["until"]);
    let long = pr::IgnoreDiscrepancyRequest { reason: Some("x".repeat(1_025)), ..ignore(&found[0].id) };
    assert_eq!(refused(discrepancies.ignore_discrepancy(long).await).fields, ["reason"]);
    assert_eq!(refused(discrepancies.ignore_discrepancy(ignore("x")).await).fields, ["discrepancy_id"]);
    let unknown = refused(discrepancies.ignore_discrepancy(ignore(&world.tenant.to_string())).await);
    assert_eq!(unknown.named(), (Code::NotFound, "NOT_FOUND"));

    let missing = found.iter().find(|one| one.identity_id.is_some()).unwrap();
    let create = pr::RemediateDiscrepancyRequest {
        discrepancy_id: missing.id.clone(),
        action: RemediationAction::Create.into(),
        ..Default::default()
    };
    discrepancies.remediate_discrepancy(create).await.unwrap();
    let settled = refused(discrepancies.ignore_discrepancy(ignore(&missing.id)).await);
    assert_eq!(settled.named(), (Code::FailedPrecondition, "ILLEGAL_MOVE"));
    let orphan = found.iter().find(|one| one.identity_id.is_none()).unwrap();
    discrepancies.ignore_discrepancy(ignore(&orphan.id)).await.unwrap();
    let twice = refused(discrepancies.ignore_discrepancy(ignore(&orphan.id)).await);
    assert_eq!(twice.named(), (Code::FailedPrecondition, "ILLEGAL_MOVE"));
}

async fn trend(world: &World, request: pr::GetDiscrepancyTrendRequest) -> Vec<pr::DiscrepancyTrendPoint> {
    let answer = world.admin.discrepancies.clone().get_discrepancy_trend(request).await;
    answer.unwrap().into_inner().points
}

#[tokio::test]
async fn the_trend_is_each_connectors_last_full_run_of_a_day_and_quiet_days_are_there() {
    let world = World::new().await;
    let [one, other] = [world.connector(|_| {}).await, world.connector(|_| {}).await];
    world.full_run(&one, false).await;
    world.stray(&one, "stray", "stray@x", "ghost").await;
    world.full_run(&one, false).await;
    world.stray(&other, "a", "a@x", "ghost").await;
    world.stray(&other, "b", "b@x", "ghost").await;
    world.full_run(&other, false).await;

    let points = trend(&world, pr::GetDiscrepancyTrendRequest::default()).await;
    assert_eq!(points.len(), 30);
    let counted = |points: &[pr::DiscrepancyTrendPoint]| {
        let sum = |of: fn(&pr::DiscrepancyTrendPoint) -> i64| points.iter().map(of).sum::<i64>();
        (sum(|it| it.total), sum(|it| it.by_type["orphan"]), sum(|it| it.runs))
    };
    assert_eq!(counted(&points), (3, 3, 3));
    assert!(points.is_sorted_by(|earlier, later| earlier.date < later.date));
    assert!(points.iter().all(|point| point.by_type.len() == 6));
    let of_one = pr::GetDiscrepancyTrendRequest { connector_id: Some(one), ..Default::default() };
    assert_eq!(counted(&trend(&world, of_one).await), (1, 1, 2));
    let stranger = world.another_tenant().await;
    assert_eq!(counted(&trend(&stranger, pr::GetDiscrepancyTrendRequest::default()).await), (0, 0, 0));
}

#[tokio::test]
async fn inverted_huge_and_shapeless_ranges_are_refused() {
    let world = World::new().await;
    for (start, end, field) in [
        ("2026-02-02", "2026-02-01", "start_date"),
        ("2024-01-01", "2025-06-01", "start_date"),
        ("0001-01-01", "9999-12-31", "start_date"),
        ("yesterday", "2026-02-01", "start_date"),
        ("2026-02-01", "2026-02-30", "end_date"),
    ] {
        let request = pr::GetDiscrepancyTrendRequest {
            start_date: Some(start.to_owned()),
            end_date: Some(end.to_owned()),
            connector_id: None,
        };
        let refusal = refused(world.admin.discrepancies.clone().get_discrepancy_trend(request).await);
        assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec![field.to_owned()]));
    }
}
