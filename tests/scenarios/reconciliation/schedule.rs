//! Schedules: stored, switched, fired; and everything that is refused.

use std::time::Duration;

use sqlx::Connection;
use tonic::Code;
use xavyo_tests::{World, refused};
use xavyo_wire::pb::{provisioning as pp, reconciliation as pr};

const PATIENCE: Duration = Duration::from_secs(20);

fn hourly(connector: &str) -> pr::PutScheduleRequest {
    pr::PutScheduleRequest {
        connector_id: connector.to_owned(),
        mode: pr::ReconciliationMode::Full.into(),
        frequency: pr::ScheduleFrequency::Hourly.into(),
        ..pr::PutScheduleRequest::default()
    }
}

async fn put(world: &World, request: pr::PutScheduleRequest) -> pr::ReconciliationSchedule {
    let stored = world.admin.schedules.clone().put_schedule(request).await.unwrap();
    stored.into_inner().schedule.unwrap()
}

async fn get(world: &World, connector: &str) -> Result<pr::ReconciliationSchedule, tonic::Status> {
    let request = pr::GetScheduleRequest { connector_id: connector.to_owned() };
    let found = world.admin.schedules.clone().get_schedule(request).await?;
    Ok(found.into_inner().schedule.unwrap())
}

/// The connector's actions of that type, the oldest first: result and reason.
async fn actions(world: &World, connector: &str, action_type: &str) -> Vec<(String, String)> {
    let request = pr::ListActionsRequest {
        connector_id: Some(connector.to_owned()),
        action_type: Some(action_type.to_owned()),
        ..pr::ListActionsRequest::default()
    };
    let listed = world.admin.actions.clone().list_actions(request).await.unwrap().into_inner().actions;
    let of = |action: pr::ReconciliationAction| {
        let details = serde_json::to_value(action.details).unwrap();
        (action.result, details["reason"].as_str().unwrap_or_default().to_owned())
    };
    listed.into_iter().rev().map(of).collect()
}

/// Moves the schedule's next slot into the past: nobody was up when it came.
async fn miss_a_slot(world: &World, schedule: &pr::ReconciliationSchedule) {
    let mut program =
        sqlx::PgConnection::connect(&world.ground().reconciliation.program_url()).await.unwrap();
    let mut tx = program.begin().await.unwrap();
    let (tenant, id) = (world.tenant, &schedule.id);
    let missed = format!(
        "set local xavyo.tenant = '{tenant}';
         update schedule set next_run_at = next_run_at - interval '3 hours' where id = '{id}';
         update schedule_due set due_at = now() - interval '3 hours'
          where tenant_id = '{tenant}' and schedule_id = '{id}'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(missed)).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// The schedule once its next slot lies ahead again.
async fn fired(
    world: &World,
    connector: &str,
    before: &pr::ReconciliationSchedule,
) -> pr::ReconciliationSchedule {
    let fired = async {
        loop {
            let schedule = get(world, connector).await.unwrap();
            if schedule.etag != before.etag {
                return schedule;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, fired).await.expect("the slot fires")
}

#[tokio::test]
async fn a_schedule_is_stored_replaced_listed_and_deleted() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let first = put(&world, hourly(&connector)).await;
    assert_eq!((first.enabled, first.time_zone.as_str(), first.full_every_days), (true, "UTC", 7));
    assert!(first.next_run_at.is_some() && first.connector_name.is_some(), "{first:?}");

    let weekly = pr::PutScheduleRequest {
        mode: pr::ReconciliationMode::Delta.into(),
        frequency: pr::ScheduleFrequency::Weekly.into(),
        day_of_week: Some(0),
        hour_of_day: Some(2),
        minute_of_hour: Some(30),
        time_zone: "Europe/Berlin".to_owned(),
        full_every_days: Some(30),
        etag: first.etag.clone(),
        ..hourly(&connector)
    };
    let second = put(&world, weekly.clone()).await;
    assert_eq!((&second.id, second.day_of_week), (&first.id, Some(0)));
    assert_eq!(second, get(&world, &connector).await.unwrap());

    let mut schedules = world.admin.schedules.clone();
    let stale = refused(schedules.put_schedule(weekly).await);
    assert_eq!(stale.named(), (Code::Aborted, "ETAG_MISMATCH"));
    let list = pr::ListSchedulesRequest { enabled: Some(true), count_total: true, ..Default::default() };
    let listed = schedules.list_schedules(list).await.unwrap().into_inner();
    assert_eq!((listed.schedules, listed.total_size), (vec![second], Some(1)));

    let delete = pr::DeleteScheduleRequest { connector_id: connector.clone(), etag: first.etag };
    assert_eq!(refused(schedules.delete_schedule(delete.clone()).await).reason, "ETAG_MISMATCH");
    let delete = pr::DeleteScheduleRequest { etag: String::new(), ..delete };
    schedules.delete_schedule(delete.clone()).await.unwrap();
    assert_eq!(refused(schedules.delete_schedule(delete).await).named(), (Code::NotFound, "NOT_FOUND"));
    assert_eq!(refused(get(&world, &connector).await).code, Code::NotFound);
    assert_eq!(actions(&world, &connector, "schedule_put").await.len(), 2);
    assert_eq!(actions(&world, &connector, "schedule_deleted").await.len(), 1);
}

#[tokio::test]
async fn a_disabled_schedule_has_no_next_slot_until_it_is_enabled() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    put(&world, hourly(&connector)).await;
    let mut schedules = world.admin.schedules.clone();
    let disable = pr::DisableScheduleRequest { connector_id: connector.clone() };
    for _ in 0..2 {
        let off = schedules.disable_schedule(disable.clone()).await.unwrap().into_inner().schedule.unwrap();
        assert_eq!((off.enabled, off.next_run_at), (false, None));
    }
    let enable = pr::EnableScheduleRequest { connector_id: connector.clone() };
    let on = schedules.enable_schedule(enable).await.unwrap().into_inner().schedule.unwrap();
    assert!(on.enabled && on.next_run_at.is_some(), "{on:?}");
    // What changed nothing left no row.
    assert_eq!(actions(&world, &connector, "schedule_disabled").await.len(), 1);
    assert_eq!(actions(&world, &connector, "schedule_enabled").await.len(), 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_field() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let schedules = &world.admin.schedules;
    let base = hourly(&connector);
    let of = |frequency: pr::ScheduleFrequency| pr::PutScheduleRequest {
        frequency: frequency.into(),
        ..base.clone()
    };
    let cron = |expression: &str| pr::PutScheduleRequest {
        cron_expression: Some(expression.to_owned()),
        ..of(pr::ScheduleFrequency::Cron)
    };
    for (request, field) in [
        (pr::PutScheduleRequest { mode: 0, ..base.clone() }, "mode"),
        (of(pr::ScheduleFrequency::Unspecified), "frequency"),
        (pr::PutScheduleRequest { minute_of_hour: Some(60), ..base.clone() }, "minute_of_hour"),
        (pr::PutScheduleRequest { hour_of_day: Some(-1), ..of(pr::ScheduleFrequency::Daily) }, "hour_of_day"),
        (of(pr::ScheduleFrequency::Weekly), "day_of_week"),
        (
            pr::PutScheduleRequest { day_of_month: Some(32), ..of(pr::ScheduleFrequency::Monthly) },
            "day_of_month",
        ),
        (of(pr::ScheduleFrequency::Cron), "cron_expression"),
        (cron("* * * *"), "cron_expression"),
        (cron("* * * * * *"), "cron_expression"),
        (cron("0 0 30 2 *"), "cron_expression"),
        (cron(&"1,".repeat(200)), "cron_expression"),
        (pr::PutScheduleRequest { time_zone: "CEST".to_owned(), ..base.clone() }, "time_zone"),
        (pr::PutScheduleRequest { full_every_days: Some(0), ..base.clone() }, "full_every_days"),
        (hourly("x"), "connector_id"),
    ] {
        let refusal = refused(schedules.clone().put_schedule(request).await);
        assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    let unknown = refused(schedules.clone().put_schedule(hourly(&world.tenant.to_string())).await);
    assert_eq!(unknown.named(), (Code::NotFound, "NOT_FOUND"));
    assert_eq!(refused(get(&world, &connector).await).code, Code::NotFound);
}

#[tokio::test]
async fn a_missed_slot_starts_one_run_at_once_in_the_name_of_the_schedule() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let schedule = put(&world, hourly(&connector)).await;
    miss_a_slot(&world, &schedule).await;
    let after = fired(&world, &connector, &schedule).await;
    let run = world.admin.run_ended(&after.last_run_id.clone().unwrap()).await;
    assert_eq!(run.status(), pr::ReconciliationRunStatus::Completed);
    assert_eq!(run.schedule_id, Some(schedule.id));
    assert_eq!(run.created_by, "00000000-0000-8000-8000-000000000001");
    assert_eq!(after.next_run_at, schedule.next_run_at);
    assert_eq!(actions(&world, &connector, "run_started").await.len(), 1);
}

#[tokio::test]
async fn the_slot_of_a_paused_connector_is_skipped_and_logged() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let pause = pp::PauseConnectorRequest { connector_id: connector.clone(), ..Default::default() };
    world.admin.connectors.clone().pause_connector(pause).await.unwrap();
    let schedule = put(&world, hourly(&connector)).await;
    miss_a_slot(&world, &schedule).await;
    let after = fired(&world, &connector, &schedule).await;
    assert_eq!((after.enabled, after.last_run_id), (true, None));
    let logged = actions(&world, &connector, "run_started").await;
    assert_eq!(logged, [("skipped".to_owned(), "the connector is paused".to_owned())]);
}

#[tokio::test]
async fn the_schedule_of_a_deleted_connector_is_disabled_and_cannot_be_enabled() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let schedule = put(&world, hourly(&connector)).await;
    let delete = pp::DeleteConnectorRequest { connector_id: connector.clone(), ..Default::default() };
    world.admin.connectors.clone().delete_connector(delete).await.unwrap();
    miss_a_slot(&world, &schedule).await;
    let after = fired(&world, &connector, &schedule).await;
    assert_eq!((after.enabled, after.next_run_at), (false, None));
    let enable = pr::EnableScheduleRequest { connector_id: connector };
    assert_eq!(refused(world.admin.schedules.clone().enable_schedule(enable).await).code, Code::NotFound);
}

/// R9: three replicas, one slot each.
#[tokio::test]
async fn each_slot_fires_once_over_three_replicas_r9() {
    let world = World::new().await;
    let mut replicas = Vec::new();
    for replica in ["2", "3"] {
        let url = world.provisioning_url();
        replicas.push(world.ground().start_reconciliation(replica, &url, &[]).await.unwrap());
    }
    for _ in 0..4 {
        let connector = world.connector(|_| {}).await;
        let schedule = put(&world, hourly(&connector)).await;
        miss_a_slot(&world, &schedule).await;
        let after = fired(&world, &connector, &schedule).await;
        world.admin.run_ended(&after.last_run_id.unwrap()).await;
        let started = actions(&world, &connector, "run_started").await;
        assert_eq!(started, [("success".to_owned(), String::new())]);
    }
    for replica in &mut replicas {
        assert!(replica.stop().unwrap().success());
    }
}
