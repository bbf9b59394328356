//! Slots over three replicas, in time that is moved by hand. The connector is handed in: only taking decides.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use sqlx::Row;
use uuid::Uuid;
use xavyo_core::{
    connector::{Mode, Policies},
    error::Result,
    ids::{ConnectorId, ScheduleId, SubjectId, TenantId},
    run::ReconciliationMode,
    schedule::{Fields, Recurrence, Schedule, ScheduleFrequency, time_zone},
};
use xavyo_runtime::{Clock, Database, db};
use xavyo_sandbox::{
    postgres::{self, Postgres},
    service::Kind,
};

use super::{
    Schedules,
    fire::{CLAIM, Outcome},
};
use crate::{
    nudge::Nudges,
    provisioning::{Provisioning, ProvisioningSettings, connector::ConnectorView},
    runs::Runs,
    store::{schedule, schedule_due::Due},
};

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

/// Replicas over one database, each with a clock of its own.
struct Replicas {
    all: Vec<Schedules>,
    database: Database,
    /// Dropped last: the database lives as long as it.
    _fresh: postgres::Database,
}

impl Replicas {
    /// Their clocks differ by these seconds.
    async fn start(at: DateTime<Utc>, skews: &[i64]) -> Self {
        let fresh = Postgres::shared().await.unwrap().database(Kind::Reconciliation).await.unwrap();
        let database = Database::over(fresh.pool().await.unwrap());
        let replica = |skew: &i64| replica(&database, Clock::manual(at + TimeDelta::seconds(*skew)));
        Self { all: skews.iter().map(replica).collect(), database, _fresh: fresh }
    }

    /// A connector with a schedule, stored by the first replica.
    async fn schedule(&self, recurrence: Recurrence, zone: &str) -> Schedule {
        let (clock, id) = (&self.all[0].clock, self.all[0].clock.new_id());
        let now = clock.now();
        let schedule = Schedule {
            id: ScheduleId(id),
            connector_id: ConnectorId(clock.new_id()),
            connector_name: None,
            mode: ReconciliationMode::Full,
            recurrence,
            time_zone: time_zone(zone).unwrap(),
            full_every_days: 7,
            enabled: true,
            last_run_at: None,
            last_run_id: None,
            next_run_at: None,
            created_by: SubjectId(id),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let schedule = Schedule { next_run_at: schedule.next_slot(now), ..schedule };
        let mut tx = self.database.begin(TENANT).await.unwrap();
        assert!(schedule::insert(&mut tx, TENANT, &schedule).await.unwrap());
        db::commit(tx).await.unwrap();
        schedule
    }

    /// All look at the same moment, and take what they claimed. What became of the slots that were there.
    async fn look(&self) -> Vec<Outcome> {
        let outcomes = join_all(self.all.iter().map(Schedules::look)).await;
        outcomes.into_iter().flatten().filter(|outcome| *outcome != Outcome::Nothing).collect()
    }

    fn advance(&self, by: TimeDelta) {
        self.all.iter().for_each(|replica| replica.clock.advance(by));
    }

    /// Every run has ended, as if it took no time.
    async fn runs_end(&self) {
        let mut tx = self.database.begin(TENANT).await.unwrap();
        let end = "update run set status = 'cancelled', completed_at = created_at where status = 'pending'";
        sqlx::query(end).execute(&mut *tx).await.unwrap();
        db::commit(tx).await.unwrap();
    }

    /// The slots that had a run, by schedule, in order.
    async fn slots(&self) -> BTreeMap<Uuid, Vec<DateTime<Utc>>> {
        let mut tx = self.database.begin(TENANT).await.unwrap();
        let runs = "select schedule_id, array_agg(slot_at order by slot_at) as slots from run group by 1";
        let rows = sqlx::query(runs).fetch_all(&mut *tx).await.unwrap();
        rows.iter().map(|row| (row.get("schedule_id"), row.get("slots"))).collect()
    }

    async fn get(&self, schedule: &Schedule) -> Schedule {
        let mut tx = self.database.begin(TENANT).await.unwrap();
        schedule::find_of(&mut tx, TENANT, schedule.connector_id).await.unwrap().unwrap()
    }
}

impl Schedules {
    async fn look(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for due in self.claim().await.unwrap() {
            outcomes.push(self.take_any(due, false).await.unwrap());
        }
        outcomes
    }

    async fn take_any(&self, due: Due, is_paused: bool) -> Result<Outcome> {
        let mut tx = self.database.begin(TENANT).await?;
        let schedule = schedule::find_all(&mut tx, TENANT, &[due.schedule.0]).await?.remove(0);
        drop(tx);
        let connector = ConnectorView {
            id: schedule.connector_id,
            name: "hr".to_owned(),
            revision: 1,
            mode: Mode::Manual,
            is_paused,
            policies: Policies::default(),
            programs: Vec::new(),
        };
        self.take(&self.actor(due), due, Some(&connector)).await
    }
}

/// Over a provisioning service that is never asked.
fn replica(database: &Database, clock: Clock) -> Schedules {
    let token = std::env::temp_dir().join(format!("xavyo-token-{}", Clock::system().new_id()));
    std::fs::write(&token, "token").unwrap();
    let settings = ProvisioningSettings {
        provisioning_url: "http://127.0.0.1:9".to_owned(),
        service_token_file: token.clone(),
        provisioning_ca_file: None,
    };
    let provisioning = Provisioning::open(&settings).unwrap();
    std::fs::remove_file(token).unwrap();
    let runs = Runs {
        database: database.clone(),
        clock: clock.clone(),
        provisioning: provisioning.clone(),
        nudges: Nudges::new(),
    };
    Schedules { database: database.clone(), clock, provisioning, runs }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn cron(expression: &str) -> Recurrence {
    let fields = Fields {
        frequency: ScheduleFrequency::Cron,
        minute_of_hour: 0,
        hour_of_day: 0,
        day_of_week: None,
        day_of_month: None,
        cron_expression: Some(expression.to_owned()),
    };
    Recurrence::parse(&fields).unwrap()
}

/// R9, fault 29: every kind of slot in four zones, over the nights in which clocks go forward and months end, on replicas
/// whose clocks differ. Nothing fires twice, nothing is left out.
#[tokio::test]
async fn each_slot_fires_once_over_three_replicas_r9() {
    let start = utc("2026-03-27T12:00:00Z");
    let replicas = Replicas::start(start, &[-40, 0, 55]).await;
    let mut schedules = Vec::new();
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"] {
        for recurrence in [
            Recurrence::Hourly { minute: 20 },
            Recurrence::Daily { hour: 2, minute: 30 },
            Recurrence::Weekly { day: 0, hour: 2, minute: 0 },
            Recurrence::Monthly { day: 31, hour: 3, minute: 10 },
            cron("40 1,2,3 * * *"),
        ] {
            schedules.push(replicas.schedule(recurrence, zone).await);
        }
    }
    let end = start + TimeDelta::days(5);
    while replicas.all[0].clock.now() < end {
        replicas.advance(TimeDelta::minutes(10));
        for outcome in replicas.look().await {
            assert!(matches!(outcome, Outcome::Started(_)), "{outcome:?}");
        }
        replicas.runs_end().await;
    }
    let fired = replicas.slots().await;
    for schedule in schedules {
        let next = |slot: &DateTime<Utc>| schedule.recurrence.next_after(*slot, schedule.time_zone);
        let due = std::iter::successors(next(&start), next).take_while(|slot| *slot <= end);
        let due: Vec<_> = due.collect();
        assert!(!due.is_empty(), "{schedule:?}");
        assert_eq!(fired[&schedule.id.0], due, "{schedule:?}");
    }
}

/// Fault 29: five hundred at one moment.
#[tokio::test]
async fn five_hundred_that_are_due_at_once_are_shared_by_the_replicas() {
    let replicas = Replicas::start(utc("2026-03-27T12:00:00Z"), &[0, 0, 0]).await;
    for _ in 0..500 {
        replicas.schedule(Recurrence::Daily { hour: 13, minute: 0 }, "UTC").await;
    }
    replicas.advance(TimeDelta::hours(1));
    while !replicas.look().await.is_empty() {}
    let fired = replicas.slots().await;
    assert_eq!(fired.len(), 500);
    assert!(fired.values().all(|slots| slots.len() == 1));
}

/// The claim is only a courtesy: whoever takes late finds the slot taken.
#[tokio::test]
async fn a_replica_that_dies_leaves_its_slot_and_one_that_wakes_late_finds_it_taken() {
    let replicas = Replicas::start(utc("2026-03-27T12:30:00Z"), &[0, 0]).await;
    replicas.schedule(Recurrence::Hourly { minute: 0 }, "UTC").await;
    replicas.advance(TimeDelta::minutes(30));
    let [asleep, awake] = &replicas.all[..] else { unreachable!("two were started") };
    let due = asleep.claim().await.unwrap();
    assert_eq!((due.len(), awake.claim().await.unwrap()), (1, Vec::new()));

    replicas.advance(CLAIM);
    let again = awake.claim().await.unwrap();
    assert_eq!(again, due);
    assert!(matches!(awake.take_any(again[0], false).await.unwrap(), Outcome::Started(_)));
    assert_eq!(asleep.take_any(due[0], false).await.unwrap(), Outcome::Nothing);
    // Nobody looks before the next slot.
    replicas.advance(CLAIM);
    assert_eq!(replicas.look().await, []);
}

#[tokio::test]
async fn slots_missed_while_nobody_was_up_make_one_run_at_once() {
    let replicas = Replicas::start(utc("2026-03-27T12:30:00Z"), &[0, 0, 0]).await;
    let schedule = replicas.schedule(Recurrence::Hourly { minute: 0 }, "UTC").await;
    replicas.advance(TimeDelta::hours(49));
    let started = replicas.look().await;
    let [Outcome::Started(run)] = started[..] else { panic!("{started:?}") };
    let after = replicas.get(&schedule).await;
    assert_eq!(after.next_run_at, Some(utc("2026-03-29T14:00:00Z")));
    assert_eq!((after.last_run_id, after.last_run_at), (Some(run), Some(utc("2026-03-29T13:30:00Z"))));
    assert_eq!(replicas.slots().await[&schedule.id.0], [utc("2026-03-27T13:00:00Z")]);
}

#[tokio::test]
async fn a_slot_at_which_a_run_is_active_or_the_connector_paused_is_skipped() {
    let replicas = Replicas::start(utc("2026-03-27T12:30:00Z"), &[0]).await;
    let schedule = replicas.schedule(Recurrence::Hourly { minute: 0 }, "UTC").await;
    replicas.advance(TimeDelta::minutes(30));
    let first = replicas.look().await;
    let [Outcome::Started(run)] = first[..] else { panic!("{first:?}") };

    replicas.advance(TimeDelta::hours(1));
    let overlapping = replicas.look().await;
    assert_eq!(overlapping, [Outcome::Skipped("the connector has a run that has not ended".to_owned())]);
    replicas.runs_end().await;
    replicas.advance(TimeDelta::hours(1));
    let due = replicas.all[0].claim().await.unwrap();
    let paused = replicas.all[0].take_any(due[0], true).await.unwrap();
    assert_eq!(paused, Outcome::Skipped("the connector is paused".to_owned()));

    let after = replicas.get(&schedule).await;
    assert_eq!(after.last_run_id, Some(run));
    assert_eq!(after.next_run_at, Some(utc("2026-03-27T16:00:00Z")));
    assert_eq!(skipped(&replicas).await, 2);
}

#[tokio::test]
async fn the_schedule_of_a_connector_that_is_gone_is_disabled() {
    let replicas = Replicas::start(utc("2026-03-27T12:30:00Z"), &[0]).await;
    let schedule = replicas.schedule(Recurrence::Hourly { minute: 0 }, "UTC").await;
    replicas.advance(TimeDelta::hours(1));
    let replica = &replicas.all[0];
    let due = replica.claim().await.unwrap()[0];
    let outcome = replica.take(&replica.actor(due), due, None).await.unwrap();
    assert_eq!(outcome, Outcome::Disabled);
    let after = replicas.get(&schedule).await;
    assert_eq!((after.enabled, after.next_run_at), (false, None));
    replicas.advance(TimeDelta::days(1));
    assert_eq!(replica.claim().await.unwrap(), []);
}

/// A slot that had its run has none again, even if the schedule is told to fire it anew.
#[tokio::test]
async fn a_slot_that_is_due_again_has_had_its_run() {
    let replicas = Replicas::start(utc("2026-03-27T12:30:00Z"), &[0]).await;
    let schedule = replicas.schedule(Recurrence::Hourly { minute: 0 }, "UTC").await;
    replicas.advance(TimeDelta::minutes(30));
    replicas.look().await;
    replicas.runs_end().await;
    let mut again = Schedule { next_run_at: schedule.next_run_at, ..replicas.get(&schedule).await };
    let mut tx = replicas.database.begin(TENANT).await.unwrap();
    schedule::save(&mut tx, TENANT, &mut again).await.unwrap();
    db::commit(tx).await.unwrap();
    assert_eq!(replicas.look().await, [Outcome::Skipped("the slot has had its run".to_owned())]);
}

async fn skipped(replicas: &Replicas) -> i64 {
    let mut tx = replicas.database.begin(TENANT).await.unwrap();
    let skipped = "select count(*) from action where action_type = 'run_started' and result = 'skipped'";
    sqlx::query_scalar(skipped).fetch_one(&mut *tx).await.unwrap()
}
