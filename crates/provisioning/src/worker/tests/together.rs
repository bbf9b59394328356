//! Creates that arrive together, and the heads of lanes that stood empty.

use chrono::TimeDelta;
use futures::future::join_all;
use sqlx::Row;
use xavyo_core::{Reason, operation::OperationType};
use xavyo_runtime::db;

use super::{Bench, set};
use crate::{operations::CreateOperation, store::lane};

#[tokio::test(flavor = "multi_thread")]
async fn creates_that_arrive_together_are_each_answered_and_ones_mistake_is_its_own() {
    let bench = Bench::new().await;
    let mut commands: Vec<CreateOperation> = (0..40)
        .map(|n| bench.command(OperationType::Create, &format!("user{n}"), set("mail", "one@x")))
        .collect();
    commands[17].object_class = "printer".to_owned();
    let calls = commands.into_iter().map(|command| bench.operations.create(&bench.caller, command, None));
    let answers = join_all(calls).await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].reason, Reason::InvalidField);
    assert_eq!(refused[0].violations[0].field, "object_class", "as if it had come alone");
    for operation in answers.iter().filter_map(|answer| answer.as_ref().ok()) {
        assert_eq!(bench.get(operation.id).await.target_uid, operation.target_uid);
    }
    let audited: i64 = bench.count("select count(*) from audit_event where method = 'CreateOperation'").await;
    assert_eq!(audited, 39, "one row for each (S4)");
    bench.drain().await;
    assert_eq!(bench.writes().len(), 39, "each once (Q1, Q5)");
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_whose_commit_fails_are_not_tried_again_one_by_one_fault_23() {
    const FAIL_ONE_COMMIT: &str = "create sequence commits;
        grant usage on commits to public;
        create function fail_first() returns trigger language plpgsql as $$
        begin
            if nextval('commits') = 1 then raise exception 'the commit fails'; end if;
            return null;
        end $$;
        create constraint trigger fail_first after insert on audit_event deferrable initially deferred
            for each row execute function fail_first();";
    let bench = Bench::new().await;
    let mut owner = bench.database.superuser().await.unwrap();
    sqlx::raw_sql(FAIL_ONE_COMMIT).execute(&mut owner).await.unwrap();
    let command = |n| bench.command(OperationType::Create, &format!("user{n}"), set("mail", "one@x"));
    let calls = (0..9).map(|n| bench.operations.create(&bench.caller, command(n), None));
    let answers = join_all(calls).await;
    let accepted = i64::try_from(answers.iter().filter(|answer| answer.is_ok()).count()).unwrap();
    assert!(accepted < 9, "those of the first commit learn that it failed");
    let operations: i64 = bench.count("select count(*) from operation").await;
    assert_eq!(operations, accepted, "exactly what was answered ok is there (Q1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_stood_empty_gets_the_head_that_a_fresh_look_finds() {
    let bench = Bench::new().await;
    let now = bench.engine.clock.now();
    let later = CreateOperation {
        not_before: Some(now + TimeDelta::hours(1)),
        ..bench.command(OperationType::Update, "late", set("mail", "late@x"))
    };
    let urgent =
        CreateOperation { priority: 90, ..bench.command(OperationType::Update, "ann", set("phone", "1")) };
    let ann = bench.command(OperationType::Update, "ann", set("mail", "ann@x"));
    let commands =
        vec![ann.clone(), urgent, later, bench.command(OperationType::Update, "bob", set("mail", "b@x"))];
    bench.operations.create_batch(&bench.caller, commands, None).await.unwrap();
    bench.assert_heads_are_fresh().await;
    bench.drain().await;
    bench.accept(ann).await;
    bench.assert_heads_are_fresh().await;
}

impl Bench {
    async fn assert_heads_are_fresh(&self) {
        const HEADS: &str = "select string_agg(concat_ws('/', id, length, ready_rank, wake_at,
                                    blocked_by_operation_id), ' ' order by id) from lane";
        let mut tx = self.engine.database.begin(self.pair.tenant).await.unwrap();
        let filled: String = sqlx::query(HEADS).fetch_one(&mut *tx).await.unwrap().get(0);
        let ids: Vec<uuid::Uuid> =
            sqlx::query_scalar("select id from lane").fetch_all(&mut *tx).await.unwrap();
        let ids: Vec<_> = ids.into_iter().map(xavyo_core::ids::LaneId).collect();
        lane::refresh(&mut tx, self.pair.tenant, &ids, self.engine.clock.now()).await.unwrap();
        let fresh: String = sqlx::query(HEADS).fetch_one(&mut *tx).await.unwrap().get(0);
        assert_eq!(filled, fresh);
    }

    async fn count(&self, query: &'static str) -> i64 {
        let mut tx = self.engine.database.begin(self.pair.tenant).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&mut *tx).await.unwrap()
    }
}

/// Kept plans are of the time when the queue was empty.
#[tokio::test]
async fn statements_over_many_rows_are_planned_for_what_there_is_now() {
    let bench = Bench::new().await;
    let mode = async |rows| {
        let mut tx = bench.engine.database.begin(bench.pair.tenant).await.unwrap();
        db::plan_for(&mut tx, rows).await.unwrap();
        let mode: String = sqlx::query_scalar("show plan_cache_mode").fetch_one(&mut *tx).await.unwrap();
        mode
    };
    assert_eq!(mode(1_000).await, "force_custom_plan");
    assert_eq!(
        mode(1).await,
        "auto",
        "a few cost less with a kept plan, and the next transaction is its own"
    );
}
