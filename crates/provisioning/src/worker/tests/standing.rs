//! What must never stand still for ever, and what must never be counted or claimed by mistake.

use xavyo_core::connector::OnDeadLetter;

use super::*;
use crate::connectors::{Connectors, UpdateConnector};

impl Bench {
    async fn faulty(policy: OnDeadLetter, times: i32) -> Self {
        let faults = vec![MemoryFault { call: "update".into(), kind: "refused".into(), times }];
        let settings = MemorySettings { faults, ..MemorySettings::default() };
        Self::with(settings, |connector| connector.policies.on_dead_letter = policy).await
    }

    /// As UpdateConnector does it.
    async fn change_policies(&self, change: impl FnOnce(&mut Policies)) {
        let mut policies = self.engine.open(self.pair).await.unwrap().unwrap().connector.policies.clone();
        change(&mut policies);
        let command = UpdateConnector {
            connector_id: self.pair.connector,
            etag: None,
            name: None,
            mode: None,
            settings: None,
            object_types: None,
            policies: Some(policies),
            secrets: std::collections::BTreeMap::default(),
        };
        let (database, clock) = (self.engine.database.clone(), self.engine.clock.clone());
        let vault = Vault::new(MasterKeys::parse(crate::testing::KEYS).unwrap(), clock.clone());
        let connectors = Connectors::new(database, clock, vault, self.engine.targets.clone());
        connectors.update(&self.caller, command).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_never_spans_a_dead_letter_that_is_passed_over_q2() {
    let bench = Bench::faulty(OnDeadLetter::Continue, 2).await;
    bench.create("ann").await;
    let first = bench.update("ann", "1@x").await;
    let dead = bench.update("ann", "2@x").await;
    bench.update("ann", "3@x").await;
    bench.drain().await;
    let last = bench.update("ann", "4@x").await;
    bench.operations.retry(&bench.caller, &Bench::change(first, None)).await.unwrap();
    let dying = bench.another_engine().await;
    bench.claim(&dying).await;
    assert_eq!(bench.status(dead).await, OperationStatus::DeadLetter, "it is nobody's work");
    bench.kill(&dying).await;
    bench.take_over().await;
    bench.drain().await;
    assert_eq!(bench.status(dead).await, OperationStatus::DeadLetter, "only a person revives it");
    assert_eq!(bench.status(last).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_gap_in_a_claim_is_not_in_progress_q13() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    bench.drain().await;
    bench.update("ann", "1@x").await;
    let gap = bench.update("ann", "2@x").await;
    bench.update("ann", "3@x").await;
    bench.operations.cancel(&bench.caller, &Bench::change(gap, None)).await.unwrap();
    bench.claim(&bench.engine).await;
    let statistics = bench.operations.statistics(&bench.caller, None).await.unwrap();
    assert_eq!((statistics.in_progress, statistics.pending), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_lets_followers_pass_frees_the_lanes_that_wait_q10() {
    let bench = Bench::faulty(OnDeadLetter::Hold, 1).await;
    bench.create("ann").await;
    bench.update("ann", "1@x").await;
    let behind = bench.update("ann", "2@x").await;
    bench.drain().await;
    assert_eq!(bench.status(behind).await, OperationStatus::Pending);
    bench.change_policies(|policies| policies.on_dead_letter = OnDeadLetter::Continue).await;
    bench.drain().await;
    assert_eq!(bench.status(behind).await, OperationStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_holds_followers_leaves_no_lane_that_only_looks_ready() {
    let bench = Bench::faulty(OnDeadLetter::Continue, 1).await;
    bench.create("ann").await;
    bench.update("ann", "1@x").await;
    bench.drain().await;
    let behind = bench.update("ann", "2@x").await;
    bench.change_policies(|policies| policies.on_dead_letter = OnDeadLetter::Hold).await;
    bench.drain().await;
    assert_eq!(bench.status(behind).await, OperationStatus::Pending);
    assert!(bench.get(behind).await.blocked_by.is_some(), "and it says what it waits for");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_linked_to_another_is_a_conflict_and_holds_nobody_else_fault_7() {
    let bench = Bench::new().await;
    let (ann, twin) = (bench.identity("ann", "ann@x").await, bench.identity("twin", "ann@x").await);
    let create = |identity, uid: Option<&str>| CreateOperation {
        identity_id: Some(identity),
        target_uid: uid.map(str::to_owned),
        ..bench.command(OperationType::Create, "ann", set("mail", "ann@x"))
    };
    // Named by its login: nobody knows yet that both mean the same account.
    bench.accept(create(ann, None)).await;
    let later = Some(bench.engine.clock.now() + TimeDelta::seconds(60));
    let second = bench.accept(CreateOperation { not_before: later, ..create(twin, Some("ann")) }).await;
    bench.drain().await;
    bench.wait(60);
    let refused = bench.operations.create(&bench.caller, create(twin, Some("ann")), None).await.unwrap_err();
    assert_eq!(refused.violations[0].field, "target_uid", "now it is known");
    let other = bench.create("bob").await;
    bench.drain().await;
    assert_eq!(bench.status(other).await, OperationStatus::Completed);
    let held = bench.get(second).await;
    assert_eq!((held.status, held.conflict_id.is_some()), (OperationStatus::Pending, true));
}
