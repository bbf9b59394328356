//! Retention on a real Postgres: what is dropped, what keeps it from being dropped, and what is counted afterwards.

use chrono::Duration as Days;
use xavyo_core::Reason;

use super::*;
use crate::{
    operations::WatchFilter,
    retention::{Kept, Retention},
    store::{
        operation::{feed::Place, statistics},
        partition,
    },
};

impl Bench {
    /// Partitions for today, as housekeeping makes them.
    async fn partitioned() -> Self {
        let bench = Self::new().await;
        let now = bench.engine.clock.now();
        let mut tx = bench.engine.database.begin_system().await.unwrap();
        partition::ensure(&mut tx, now, now).await.unwrap();
        db::commit(tx).await.unwrap();
        bench
    }

    /// Weeks dropped, 30 days of history being kept.
    async fn retain(&self) -> i32 {
        let kept = Kept { history: Some(Days::days(30)), link_events: Some(Days::days(30)) };
        let (database, clock) = (self.engine.database.clone(), self.engine.clock.clone());
        Retention::new(database, clock, kept).step().await.unwrap()
    }

    async fn counted(&self) -> i64 {
        let mut tx = self.engine.database.begin(self.pair.tenant).await.unwrap();
        statistics::fold(&mut tx, self.pair.tenant, 1_000).await.unwrap();
        db::commit(tx).await.unwrap();
        self.operations.statistics(&self.caller, None).await.unwrap().completed
    }

    async fn rows(&self, table: &'static str) -> i64 {
        let mut tx = self.engine.database.begin(self.pair.tenant).await.unwrap();
        let count = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(count).fetch_one(&mut *tx).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_history_goes_with_its_moves_and_is_no_longer_counted_q13() {
    let bench = Bench::partitioned().await;
    bench.create("ann").await;
    bench.drain().await;
    assert_eq!((bench.retain().await, bench.counted().await), (0, 1), "young");
    bench.engine.clock.advance(Days::days(45));
    assert_eq!(bench.retain().await, 1);
    assert_eq!(bench.counted().await, bench.rows("operation_past").await);
    for table in ["operation_past", "execution_attempt", "operation_log"] {
        assert_eq!(bench.rows(table).await, 0, "{table}");
    }
    assert_eq!(bench.retain().await, 0, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_cannot_be_resumed_from_before_what_was_dropped() {
    let bench = Bench::partitioned().await;
    let watch = async |after| {
        let watched = bench.operations.watch(&bench.caller, WatchFilter::default(), after).await;
        watched.map(drop).map_err(|error| error.reason)
    };
    let old = Some(Place { transaction: 1, id: Uuid::nil() });
    assert_eq!(watch(old).await, Ok(()), "nothing was dropped yet");
    bench.create("ann").await;
    bench.drain().await;
    bench.engine.clock.advance(Days::days(45));
    assert_eq!(bench.retain().await, 1);
    assert_eq!(watch(old).await, Err(Reason::TokenTooOld));
    assert_eq!(watch(None).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_stays_while_an_operation_of_it_is_not_final() {
    let bench = Bench::partitioned().await;
    bench.create("ann").await;
    bench.drain().await;
    let later = Some("2030-01-01T00:00:00Z".parse().unwrap());
    let payload = set("mail", "b@x");
    let waiting =
        CreateOperation { not_before: later, ..bench.command(OperationType::Update, "ann", payload) };
    let waiting = bench.accept(waiting).await;
    bench.engine.clock.advance(Days::days(45));
    assert_eq!(bench.retain().await, 0);
    assert_eq!(bench.path(waiting).await, "pending", "its log is all there");
    bench.operations.cancel(&bench.caller, &Bench::change(waiting, None)).await.unwrap();
    assert_eq!(bench.retain().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_hours_count_as_before_q13() {
    let bench = Bench::partitioned().await;
    for uid in ["ann", "bob", "eve"] {
        bench.create(uid).await;
        bench.drain().await;
        bench.wait(3_600);
    }
    assert_eq!(bench.counted().await, 3);
    bench.engine.clock.advance(Days::days(3));
    bench.retain().await;
    assert_eq!(bench.counted().await, 3);
    assert_eq!(
        bench.rows("operation_count where status = 'completed'").await,
        1,
        "one row for all old hours"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_link_stay_as_long_as_the_link_and_then_for_their_time() {
    let bench = Bench::partitioned().await;
    let ann = bench.identity("ann", "ann@x").await;
    let create = bench.command(OperationType::Create, "ann", Changes::new());
    bench.accept(CreateOperation { identity_id: Some(ann), target_uid: None, ..create }).await;
    bench.drain().await;
    bench.engine.clock.advance(Days::days(45));
    bench.retain().await;
    assert_eq!(bench.rows("link_event").await, 1);
    let delete = bench.command(OperationType::Delete, "ann", Changes::new());
    bench.accept(CreateOperation { identity_id: Some(ann), target_uid: None, ..delete }).await;
    bench.drain().await;
    bench.retain().await;
    assert_eq!(bench.rows("link_event").await, 1, "the young one: it is gone");
    bench.engine.clock.advance(Days::days(45));
    bench.retain().await;
    assert_eq!(bench.rows("link_event").await, 0);
}
