//! Order, completion, and what is written about it.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use xavyo_connectors::AccountUpdate;
use xavyo_core::{account::AccountKey, operation::Precondition};

use super::*;
use crate::store::operation::{
    feed,
    log::{self, Level, Move},
    statistics,
};

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_an_account_are_written_in_their_order_q7() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    bench.update("ann", "a@y").await;
    bench.create("bob").await;
    let last = bench.update("ann", "a@z").await;
    bench.drain().await;
    let of_ann: Vec<String> = bench.writes().into_iter().filter(|write| write.ends_with("ann")).collect();
    assert_eq!(of_ann, ["create:ann", "update:ann", "update:ann"]);
    assert_eq!(bench.status(last).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_operation_tells_its_whole_story_q2_q3() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    bench.drain().await;
    assert_eq!(bench.path(id).await, "pending in_progress completed");
    let attempts = bench.operations.attempts(&bench.caller, id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].attempt_number, attempts[0].success, attempts[0].fence), (1, Some(true), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_in_progress_exactly_while_its_lane_is_claimed() {
    let bench = Bench::new().await;
    let id = bench.create("ann").await;
    let behind = bench.update("ann", "a@y").await;
    bench.claim(&bench.engine).await;
    assert_eq!(bench.status(id).await, OperationStatus::InProgress);
    assert_eq!(bench.status(behind).await, OperationStatus::Pending, "a create is claimed alone");
    let open = bench.operations.attempts(&bench.caller, id).await.unwrap();
    assert_eq!((open.len(), open[0].success), (1, None), "the attempt under way is the claim");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_create_links_the_account_to_its_identity() {
    let bench = Bench::new().await;
    let ann = bench.identity("ann", "ann@x").await;
    let command = CreateOperation {
        identity_id: Some(ann),
        target_uid: None,
        ..bench.command(OperationType::Create, "", Changes::new())
    };
    let id = bench.accept(command).await;
    bench.drain().await;
    let operation = bench.get(id).await;
    assert_eq!(operation.target_uid.as_deref(), Some("ann"), "named by the naming expression");
    let mut tx = bench.engine.database.begin(bench.pair.tenant).await.unwrap();
    let links =
        crate::store::link::find_by_lanes(&mut tx, bench.pair.tenant, &[operation.lane_id]).await.unwrap();
    assert_eq!(links.iter().map(|link| link.identity_id).collect::<Vec<_>>(), [ann]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_more_urgent_account_goes_first() {
    let bench = Bench::with(MemorySettings::default(), |connector| {
        connector.policies.max_concurrency = xavyo_core::connector::Concurrency(1);
    })
    .await;
    bench.create("ann").await;
    let urgent =
        CreateOperation { priority: 90, ..bench.command(OperationType::Create, "bob", Changes::new()) };
    bench.accept(urgent).await;
    bench.drain().await;
    assert_eq!(bench.writes(), ["create:bob", "create:ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_before_its_time() {
    let bench = Bench::new().await;
    let later = Some(bench.engine.clock.now() + TimeDelta::seconds(60));
    let command =
        CreateOperation { not_before: later, ..bench.command(OperationType::Create, "ann", Changes::new()) };
    let id = bench.accept(command).await;
    bench.drain().await;
    assert_eq!((bench.status(id).await, bench.writes().len()), (OperationStatus::Pending, 0));
    bench.wait(60);
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_equal_the_counts_of_the_rows_q13() {
    let bench = Bench::failing(&[("create", "refused", 1)]).await;
    bench.create("ann").await;
    bench.drain().await;
    bench.create("bob").await;
    bench.drain().await;
    let cancelled = bench.create("cid").await;
    bench.operations.cancel(&bench.caller, &Bench::change(cancelled, None)).await.unwrap();
    bench.create("dan").await;
    let statistics = bench.operations.statistics(&bench.caller, Some(bench.pair.connector)).await.unwrap();
    let counted = [statistics.dead_letter, statistics.completed, statistics.cancelled, statistics.pending];
    assert_eq!(counted, [1, 1, 1, 1]);
    let mut tx = bench.engine.database.begin(bench.pair.tenant).await.unwrap();
    statistics::fold(&mut tx, bench.pair.tenant, 1_000).await.unwrap();
    db::commit(tx).await.unwrap();
    let folded = bench.operations.statistics(&bench.caller, None).await.unwrap();
    assert_eq!(folded, statistics, "folding changes no number");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_updates_of_an_unlinked_account_are_recorded_together() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    let ids = [bench.update("ann", "1@x").await, bench.update("ann", "2@x").await];
    bench.drain().await;
    for id in ids {
        assert_eq!(bench.path(id).await, "pending in_progress completed");
    }
}

/// Elsewhere ann's account was deleted and bob's got its name: what names ann from then on is about that account, and stands
/// in its lane, behind what names it by its immutable id.
#[tokio::test(flavor = "multi_thread")]
async fn a_reused_uid_leads_to_the_lane_of_the_account_that_has_it_now_q7() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    let bob = bench.create("bob").await;
    bench.drain().await;
    let target = bench.engine.open(bench.pair).await.unwrap().unwrap().unpaced.clone();
    let key = |uid: &str| AccountKey { external_uid: uid.to_owned(), immutable_id: None };
    target.delete("account", &key("ann"), None, "").await.unwrap();
    let rename = AccountUpdate { rename_to: Some("ann".to_owned()), ..AccountUpdate::default() };
    let renamed = target.update("account", &key("bob"), &rename).await.unwrap();

    let by_id = Precondition { immutable_id: renamed.immutable_id.clone(), ..Precondition::default() };
    let command = bench.command(OperationType::Update, "ann", set("mail", "1@x"));
    bench.accept(CreateOperation { precondition: Some(by_id), ..command }).await;
    bench.drain().await;
    let by_name = bench.update("ann", "2@x").await;
    assert_eq!(bench.get(by_name).await.lane_id, bench.get(bob).await.lane_id);
}

/// The later of two moves is made by the transaction that has the lower number: it had it before it waited for the lane.
#[tokio::test(flavor = "multi_thread")]
async fn an_operations_moves_are_watched_in_their_order_whatever_transaction_began_first() {
    let bench = Bench::new().await;
    let (tenant, database) = (bench.caller.tenant, &bench.engine.database);
    let mut early = database.begin(tenant).await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *early).await.unwrap();
    let id = bench.create("ann").await;
    let cancelled = Move {
        operation_id: id,
        connector_id: bench.pair.connector,
        at: bench.engine.clock.now(),
        event: Some(xavyo_core::operation::Event::Cancelled),
        from: Some(OperationStatus::Pending),
        to: OperationStatus::Cancelled,
        level: Level::Info,
        message: String::new(),
        actor: None,
        fence: None,
    };
    log::insert(&mut early, &bench.engine.clock, tenant, &[cancelled]).await.unwrap();
    db::commit(early).await.unwrap();

    let fed = bench.fed(BEGINNING, 10).await;
    let path: Vec<&str> = fed.iter().map(|(_, line)| line.to_status.as_str()).collect();
    assert_eq!(path, ["pending", "cancelled"]);
}

/// An attempt is one row of the log, and two moves of it: a reader that stops between them misses neither.
#[tokio::test(flavor = "multi_thread")]
async fn moves_that_are_read_one_by_one_are_the_same_moves_q3() {
    let bench = Bench::failing(&[("create", "refused", 1)]).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    let all = bench.operations.logs(&bench.caller, id, None, 1_000).await.unwrap();
    let path: Vec<&str> = all.iter().map(|line| line.to_status.as_str()).collect();
    assert_eq!(path, ["pending", "in_progress", "failed", "dead_letter"]);
    assert!(all.is_sorted_by_key(|line| line.id));

    let (mut listed, mut fed, mut place) = (Vec::new(), Vec::new(), BEGINNING);
    for _ in &all {
        let after = listed.last().map(|line: &log::Line| line.id);
        listed.extend(bench.operations.logs(&bench.caller, id, after, 1).await.unwrap());
        let (at, line) = bench.fed(place, 1).await.remove(0);
        fed.push(line);
        place = at;
    }
    assert_eq!(listed, all);
    assert_eq!(fed, all);
}

const BEGINNING: feed::Place = feed::Place { transaction: 0, id: Uuid::nil() };

impl Bench {
    /// What the feed has after `place`, at most `limit` moves. It ends below the oldest transaction of the cluster, and
    /// other tests have some: hence the waiting.
    async fn fed(&self, place: feed::Place, limit: i64) -> Vec<(feed::Place, log::Line)> {
        let fed = timeout(Duration::from_mins(1), async {
            loop {
                let mut tx = self.engine.database.begin(self.caller.tenant).await.unwrap();
                let fed = feed::page(&mut tx, self.caller.tenant, place, limit).await.unwrap();
                if !fed.is_empty() {
                    break fed;
                }
                drop(tx);
                sleep(Duration::from_millis(10)).await;
            }
        });
        fed.await.expect("it is served once nothing older runs")
    }
}
