//! The calls of several processes together, and what comes back after an outage (Q11, faults 32, 33).

use xavyo_core::connector::Concurrency;

use super::*;
use crate::store::connector::pace;

impl Bench {
    /// What the pair's row of breaker says.
    async fn breaker(&self) -> (String, i32) {
        let mut tx = self.engine.database.begin(self.pair.tenant).await.unwrap();
        sqlx::query_as("select breaker, half_open_successes from connector_work where connector_id = $1")
            .bind(self.pair.connector.0)
            .fetch_one(&mut *tx)
            .await
            .unwrap()
    }

    async fn ramp(&self) -> Option<f64> {
        let mut tx = self.engine.database.begin(self.pair.tenant).await.unwrap();
        pace::lock(&mut tx, self.pair).await.unwrap().ramp()
    }

    /// As if the ramp had begun so many seconds earlier: it is by the database's clock.
    async fn ramp_began(&self, seconds_ago: f64) {
        let mut tx = self.engine.database.begin(self.pair.tenant).await.unwrap();
        sqlx::query(
            "update connector_work
                set ramp_started_at = now() - make_interval(secs => $2)
              where connector_id = $1",
        )
        .bind(self.pair.connector.0)
        .bind(seconds_ago)
        .execute(&mut *tx)
        .await
        .unwrap();
        db::commit(tx).await.unwrap();
    }

    async fn creates(&self, count: usize) -> Vec<OperationId> {
        let mut ids = Vec::with_capacity(count);
        for number in 0..count {
            ids.push(self.create(&format!("u{number}")).await);
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_never_have_more_calls_under_way_than_one_may_q11() {
    let bench = Bench::with(MemorySettings::default(), |connector| {
        connector.policies.max_concurrency = Concurrency(2);
    })
    .await;
    let (under_way, most) = (AtomicU32::new(0), AtomicU32::new(0));
    let engines = [bench.another_engine().await, bench.another_engine().await, bench.engine.clone()];
    let mut calls = Vec::new();
    for engine in &engines {
        let pacer = engine.open(bench.pair).await.unwrap().unwrap().pacer.clone();
        let (under_way, most) = (&under_way, &most);
        calls.extend((0..20).map(move |_| {
            let pacer = pacer.clone();
            async move {
                let _place = pacer.place().await;
                most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                under_way.fetch_sub(1, Ordering::SeqCst);
            }
        }));
    }
    let given_back = async {
        loop {
            for engine in &engines {
                engine.targets.pacing().step(Duration::ZERO).await;
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        _ = futures::future::join_all(calls) => {}
        () = given_back => {}
    }
    assert!((1..=2).contains(&most.into_inner()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_a_share_claims_nothing_q11() {
    let bench = Bench::with(MemorySettings::default(), |connector| {
        connector.policies.max_concurrency = Concurrency(1);
    })
    .await;
    let other = bench.another_engine().await;
    let theirs = other.open(bench.pair).await.unwrap().unwrap();
    let _under_way = theirs.pacer.place().await;
    let id = bench.create("ann").await;
    bench.drain().await;
    assert_eq!(bench.path(id).await, "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_a_dead_process_is_free_again_q10() {
    let bench = Bench::with(MemorySettings::default(), |connector| {
        connector.policies.max_concurrency = Concurrency(1);
    })
    .await;
    let dying = bench.another_engine().await;
    let theirs = dying.open(bench.pair).await.unwrap().unwrap();
    let _under_way = theirs.pacer.place().await;
    bench.kill(&dying).await;
    let id = bench.create("ann").await;
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_a_few_real_calls_close_the_breaker_fault_32() {
    let bench = Bench::failing(&[("create", "down", 1)]).await;
    let ids = bench.creates(3).await;
    bench.drain().await;
    bench.wait(60);
    bench.engine.probe_step().await.unwrap();
    assert_eq!(bench.breaker().await, ("half_open".to_owned(), 0));
    assert_eq!(bench.ramp().await, Some(1.0), "one call a second");
    bench.drain().await;
    for id in ids {
        assert_eq!(bench.status(id).await, OperationStatus::Completed);
    }
    assert_eq!(bench.breaker().await.0, "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_while_it_is_tried_out_is_down_again() {
    let bench = Bench::failing(&[("create", "down", 2)]).await;
    bench.create("ann").await;
    for _ in 0..2 {
        bench.drain().await;
        assert_eq!(bench.breaker().await.0, "open");
        bench.wait(60);
        bench.engine.probe_step().await.unwrap();
    }
    assert_eq!(bench.breaker().await.0, "half_open");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_is_released_as_fast_as_the_ramp_lets_it_be_called_fault_32() {
    let bench = Bench::with(
        MemorySettings {
            // All of them are under way when the first one fails.
            latency_ms: 50,
            faults: vec![MemoryFault { call: "create".into(), kind: "down".into(), times: 5 }],
            ..MemorySettings::default()
        },
        |_| {},
    )
    .await;
    let ids = bench.creates(5).await;
    bench.drain().await;
    bench.wait(60);
    bench.engine.probe_step().await.unwrap();
    let target = bench.engine.open(bench.pair).await.unwrap().unwrap();
    assert_eq!(target.pacer.ahead().await, 1);
    assert_eq!(bench.engine.release(bench.pair, target.pacer.ahead().await).await.unwrap(), 1);
    let mut still = 0;
    for id in ids {
        still += usize::from(bench.status(id).await == OperationStatus::AwaitingSystem);
    }
    assert_eq!(still, 4);
    bench.ramp_began(3_600.0).await;
    assert_eq!(bench.ramp().await, Some(1.0), "it stands still while the target is tried out");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_first_refusal_of_our_credentials_no_further_call_begins_fault_33() {
    let bench = Bench::with(
        MemorySettings {
            faults: vec![MemoryFault { call: "create".into(), kind: "bad_credentials".into(), times: 99 }],
            ..MemorySettings::default()
        },
        |connector| connector.policies.max_concurrency = Concurrency(1),
    )
    .await;
    let ids = bench.creates(9).await;
    bench.drain().await;
    let mut met = 0;
    for id in ids {
        met += usize::from(bench.status(id).await == OperationStatus::AwaitingSystem);
    }
    assert_eq!(met, 1, "the others were not begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_more_than_ten_minutes_behind_what_is_more_urgent_q10() {
    let bench = Bench::new().await;
    let with_priority = |uid: &str, priority| {
        let command = bench.command(OperationType::Create, uid, set("mail", "x@x"));
        CreateOperation { priority, ..command }
    };
    let patient = bench.accept(with_priority("patient", 0)).await;
    bench.wait(601);
    bench.accept(with_priority("urgent", 100)).await;
    let claims = bench.claim_up_to(&bench.engine, 1).await;
    assert_eq!(claims[0].operations[0].id, patient);
}

impl Bench {
    /// A connector of that tenant, too slow for what waits for it.
    async fn backlog(&self, tenant: TenantId, number: usize) {
        let Engine { database, clock, .. } = &self.engine;
        let store = format!("{}-{tenant}-{number}", self.store);
        let settings = MemorySettings { store, latency_ms: 100, ..MemorySettings::default() };
        let mut connector = connector_over(clock, settings);
        connector.name = format!("slow{number}");
        connector.policies.max_concurrency = Concurrency(2);
        let caller = Caller { tenant, ..self.caller.clone() };
        let mut tx = database.begin(tenant).await.unwrap();
        connector::insert(&mut tx, tenant, &connector, caller.subject).await.unwrap();
        db::commit(tx).await.unwrap();
        let create = |uid| CreateOperation {
            connector_id: connector.id,
            ..self.command(OperationType::Create, &format!("u{uid}"), set("mail", "x@x"))
        };
        self.operations.create_batch(&caller, (0..200).map(create).collect(), None).await.unwrap();
    }

    async fn completed(&self, tenant: TenantId) -> i64 {
        let mut tx = self.engine.database.begin(tenant).await.unwrap();
        sqlx::query_scalar("select count(*) from operation_history where tenant_id = $1")
            .bind(tenant.0)
            .fetch_one(&mut *tx)
            .await
            .unwrap()
    }

    /// One place works for one turn.
    async fn one_turn(&self) {
        self.engine.lease.renew(&self.engine.database).await.unwrap();
        let mut working = tokio::task::JoinSet::new();
        let started = self.engine.step(&mut working, &CancellationToken::new()).await.unwrap();
        assert_eq!(started, 1);
        working.join_next().await.unwrap().unwrap();
    }
}

/// As the engine does it: `core::turns` has the same for many tenants, by a clock of its own.
#[tokio::test(flavor = "multi_thread")]
async fn who_always_has_work_gets_half_of_an_even_share_of_the_turns_however_much_others_have_q10() {
    const TURNS: usize = 6;
    let mut bench = Bench::new().await;
    bench.engine.limits = Limits { pairs: 1, lanes_per_claim: 4, ..bench.engine.limits };
    let tenants = [bench.pair.tenant, TenantId(Uuid::from_u128(9))];
    for (tenant, number) in [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1)] {
        bench.backlog(tenants[tenant], number).await;
    }
    let mut turns = [0; 2];
    for _ in 0..TURNS {
        let before = [bench.completed(tenants[0]).await, bench.completed(tenants[1]).await];
        bench.one_turn().await;
        let after = [bench.completed(tenants[0]).await, bench.completed(tenants[1]).await];
        for tenant in [0, 1] {
            turns[tenant] += usize::from(after[tenant] > before[tenant]);
        }
    }
    assert_eq!(turns.iter().sum::<usize>(), TURNS, "each turn is one tenant's: {turns:?}");
    assert!(turns.iter().all(|had| had * 2 * tenants.len() >= TURNS), "{turns:?}");
}
