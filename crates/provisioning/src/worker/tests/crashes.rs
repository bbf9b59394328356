//! Workers that die, and that wake up too late.

use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::worker::{execute, record};
use xavyo_core::mapping::References;

impl Bench {
    /// The calls of claims, without recording them.
    pub(super) async fn call(&self, engine: &Engine, claims: Vec<Claim>) -> Vec<record::Executed> {
        let target = engine.open(self.pair).await.unwrap().unwrap();
        let mut executed = Vec::new();
        for claim in claims {
            let (clock, lease) = (engine.clock.clone(), engine.lease.licence());
            let one = execute::execute(target.clone(), clock, lease, References::default(), claim);
            executed.push(one.await);
        }
        executed
    }

    pub(super) async fn record(&self, engine: &Engine, executed: &[record::Executed]) -> usize {
        let target = engine.open(self.pair).await.unwrap().unwrap();
        let worker = engine.lease.worker;
        record::record(&engine.database, &engine.clock, worker, self.pair, &target, executed).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_after_the_write_leaves_one_effect_fault_16() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    let dying = bench.another_engine().await;
    let claims = bench.claim(&dying).await;
    bench.call(&dying, claims).await;
    bench.kill(&dying).await;
    assert_eq!(bench.take_over().await, 1);
    bench.drain().await;
    assert_eq!(bench.path(id).await, "pending in_progress pending in_progress completed");
    assert_eq!(bench.writes(), ["create:ann"], "read back, not written again (Q5)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_before_the_write_loses_nothing_q1() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    let dying = bench.another_engine().await;
    bench.claim(&dying).await;
    bench.kill(&dying).await;
    bench.take_over().await;
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_too_late_records_nothing_q4_fault_15() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    let zombie = bench.another_engine().await;
    let claims = bench.claim(&zombie).await;
    let executed = bench.call(&zombie, claims).await;
    bench.kill(&zombie).await;
    bench.take_over().await;
    assert_eq!(bench.record(&zombie, &executed).await, 0);
    bench.drain().await;
    let attempts = bench.operations.attempts(&bench.caller, id).await.unwrap();
    let fences: Vec<i64> = attempts.iter().map(|attempt| attempt.fence).collect();
    assert!(fences.is_sorted() && fences.len() == 2, "fences rise (Q3): {fences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_its_lease_calls_nothing_fault_18() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    let late = bench.another_engine().await;
    let claims = bench.claim(&late).await;
    bench.kill(&late).await;
    let executed = bench.call(&late, claims).await;
    assert!(executed.iter().all(|one| one.tries.is_empty()));
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_third_crash_makes_a_dead_letter_fault_22() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    for _ in 0..3 {
        let dying = bench.another_engine().await;
        bench.claim(&dying).await;
        bench.kill(&dying).await;
        bench.take_over().await;
    }
    let dead = bench.get(id).await;
    assert_eq!((dead.status, dead.crash_count), (OperationStatus::DeadLetter, 3));
    assert_eq!(bench.error_code(id).await.as_deref(), Some("LEASE_LOST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_updates_the_prefix_that_shows_is_not_written_again() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    bench.drain().await;
    let ids = [
        bench.update("ann", "1@x").await,
        bench.update("ann", "2@x").await,
        bench.update("ann", "3@x").await,
    ];
    let dying = bench.another_engine().await;
    let mut claims = bench.claim(&dying).await;
    assert_eq!(claims[0].operations.len(), 3, "updates of whole values are claimed together");
    claims[0].operations.truncate(2);
    bench.call(&dying, claims).await;
    bench.kill(&dying).await;
    bench.take_over().await;
    bench.drain().await;
    for id in ids {
        assert_eq!(bench.status(id).await, OperationStatus::Completed);
    }
    assert_eq!(bench.writes(), ["create:ann", "update:ann", "update:ann", "update:ann"], "each once (Q5)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_commit_was_not_learned_of_is_taken_over_by_its_own_worker_fault_23() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    bench.claim(&bench.engine).await;
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
    assert_eq!(bench.path(id).await, "pending in_progress pending in_progress completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_held_is_freed_although_its_connector_is_paused_q10() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    let dying = bench.another_engine().await;
    bench.claim(&dying).await;
    bench.died(&dying, 60.0).await;
    let mut tx = bench.engine.database.begin(bench.pair.tenant).await.unwrap();
    let (tenant, connector) = (bench.pair.tenant, bench.pair.connector);
    connector::pause(&mut tx, tenant, connector, None, bench.engine.clock.now()).await.unwrap();
    db::commit(tx).await.unwrap();
    assert_eq!(bench.engine.take_over_standing().await.unwrap(), 1);
    assert_eq!(bench.path(id).await, "pending in_progress pending");
    bench.operations.cancel(&bench.caller, &Bench::change(id, None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_process_could_not_record_is_no_crash_of_the_operation_fault_24() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    for _ in 0..3 {
        bench.claim(&bench.engine).await;
        bench.take_over().await;
    }
    assert_eq!(bench.get(id).await.crash_count, 0);
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blind_write_of_a_dead_worker_is_waited_for_and_one_with_a_premise_is_not_q8() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    bench.create("bob").await;
    bench.drain().await;
    let blind = bench.update("ann", "late@x").await;
    let premise = bench.delete_of("bob", bench.immutable_id("bob"));
    let guarded = bench.accept(premise).await;
    let dying = bench.another_engine().await;
    bench.claim(&dying).await;
    bench.died(&dying, 1.0).await;
    assert_eq!(bench.take_over().await, 1);
    assert_eq!(bench.status(guarded).await, OperationStatus::Pending);
    assert_eq!(bench.status(blind).await, OperationStatus::InProgress, "its call may still arrive");
}

/// Whoever records waits for others who hold a lane, an enqueue for instance: what they leave behind is no take-over.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_changes_while_its_outcome_waits_for_it_is_still_ours_q4() {
    let bench = Bench::new().await;
    let ids = [bench.create("ann").await, bench.create("bob").await];
    let claims = bench.claim(&bench.engine).await;
    let executed = bench.call(&bench.engine, claims).await;
    let ann = bench.get(ids[0]).await.lane_id;
    let mut other = bench.engine.database.begin(bench.pair.tenant).await.unwrap();
    let change = sqlx::query("update lane set next_sequence = next_sequence + 1 where id = $1").bind(ann.0);
    change.execute(&mut *other).await.unwrap();

    let commits = async {
        bench.until_somebody_waits_for_a_lock().await;
        db::commit(other).await.unwrap();
    };
    let (recorded, ()) = tokio::join!(bench.record(&bench.engine, &executed), commits);
    assert_eq!(recorded, 2);
    for id in ids {
        assert_eq!(bench.path(id).await, "pending in_progress completed");
    }
}

impl Bench {
    async fn until_somebody_waits_for_a_lock(&self) {
        let waiting = "select exists (select from pg_stat_activity
                                       where datname = current_database() and wait_event_type = 'Lock')";
        loop {
            let mut tx = self.engine.database.begin_system().await.unwrap();
            if sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut *tx).await.unwrap() {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}
