//! The guard where writes happen: what it has no room for waits, the rest goes on (R3).

use xavyo_core::{
    Reason,
    cause::CauseKind,
    connector::{GuardLimit, GuardPolicy},
    guard::ApprovedItem,
    ids::{DiscrepancyId, RunId},
    operation::{HoldReason, Precondition},
};

use super::*;
use crate::{
    operations::{DecideHeld, HeldGroup, ListHeld, RegisterPlan, WaitKind},
    store::{guard as memory, guard::held::GroupKey},
};

fn at_most(count: i64) -> GuardLimit {
    GuardLimit::AtMost { percent: 0.0, count: 0, floor: count }
}

/// At most so many deletes and disables, and creates and updates, a day.
async fn guarded(destructive: i64, constructive: i64) -> Bench {
    Bench::with(MemorySettings::default(), |connector| {
        connector.policies.guard = GuardPolicy {
            destructive: at_most(destructive),
            constructive: at_most(constructive),
            four_eyes: false,
        };
    })
    .await
}

impl Bench {
    async fn deletes(&self, uids: &[&str]) -> Vec<OperationId> {
        let mut ids = Vec::new();
        for uid in uids {
            ids.push(self.delete(uid).await);
        }
        ids
    }

    async fn is_held(&self, id: OperationId) -> bool {
        let operation = self.get(id).await;
        operation.status == OperationStatus::Pending && operation.hold_reason == Some(HoldReason::Guard)
    }

    async fn ended_well(&self, ids: &[OperationId]) -> usize {
        let mut count = 0;
        for id in ids {
            count += usize::from(self.status(*id).await == OperationStatus::Completed);
        }
        count
    }

    async fn groups(&self) -> Vec<HeldGroup> {
        let command = ListHeld { connector_id: None, after: None, page_size: 50, count_total: false };
        self.operations.held(&self.caller, command).await.unwrap().items
    }

    async fn seen(&self) -> DecideHeld {
        let shown = self.groups().await.remove(0);
        DecideHeld { key: shown.group.key, digest: shown.group.digest, reason: Some("looked at".to_owned()) }
    }

    async fn used(&self) -> (i64, i64) {
        let mut tx = self.engine.database.begin(self.pair.tenant).await.unwrap();
        let used = memory::find(&mut tx, self.pair.tenant, self.pair.connector).await.unwrap().used();
        (used.destructive, used.constructive)
    }

    /// A delete of an account as a run or a remediation asks for it.
    async fn planned_delete(&self, uid: &str, cause: (CauseKind, u128)) -> OperationId {
        let premise = Precondition { immutable_id: Some(format!("{uid}-id")), ..Precondition::default() };
        let command = self.command(OperationType::Delete, uid, Changes::new());
        self.accept(CreateOperation {
            precondition: Some(premise),
            cause: Some((cause.0, Some(Uuid::from_u128(cause.1)))),
            ..command
        })
        .await
    }
}

#[tokio::test]
async fn exactly_the_limit_is_deleted_and_the_next_one_waits_r3() {
    let bench = guarded(2, 100).await;
    let deletes = bench.deletes(&["ann", "bob", "cid", "dee"]).await;
    let create = bench.create("eve").await;
    bench.drain().await;
    assert_eq!(bench.ended_well(&deletes).await, 2);
    assert!(bench.is_held(deletes[2]).await && bench.is_held(deletes[3]).await);
    assert_eq!(bench.status(create).await, OperationStatus::Completed, "the rest goes on");
    assert_eq!(bench.used().await, (2, 1));
}

#[tokio::test]
async fn what_is_behind_a_held_operation_waits_for_it() {
    let bench = guarded(0, 100).await;
    let delete = bench.delete("ann").await;
    let follower = bench.create("ann").await;
    bench.drain().await;
    assert!(bench.is_held(delete).await);
    let waits = |listed: crate::operations::Listed| {
        listed.waits.into_iter().map(|wait| wait.kind).collect::<Vec<_>>()
    };
    assert_eq!(waits(bench.operations.get(&bench.caller, delete).await.unwrap()), [WaitKind::Guard]);
    let behind = bench.operations.get(&bench.caller, follower).await.unwrap();
    assert_eq!(waits(behind), [WaitKind::EarlierOperation(delete)]);
    assert_eq!(bench.used().await, (0, 0), "what is not claimed is not counted");
}

#[tokio::test]
async fn creates_and_updates_have_a_limit_of_their_own() {
    let bench = guarded(100, 1).await;
    let (first, second) = (bench.create("ann").await, bench.create("bob").await);
    let delete = bench.delete("cid").await;
    bench.drain().await;
    assert_eq!(bench.ended_well(&[first, delete]).await, 2);
    assert!(bench.is_held(second).await);
}

#[tokio::test]
async fn what_is_tried_again_counts_once_r3() {
    let bench = Bench::with(
        MemorySettings {
            faults: vec![MemoryFault { call: "update".to_owned(), kind: "busy".to_owned(), times: 3 }],
            ..MemorySettings::default()
        },
        |connector| connector.policies.guard.constructive = at_most(2),
    )
    .await;
    bench.create("ann").await;
    bench.drain().await;
    let update = bench.update("ann", "a@y").await;
    for _ in 0..4 {
        bench.drain().await;
        bench.wait(4_000);
    }
    assert_eq!(bench.status(update).await, OperationStatus::Completed);
    assert_eq!(bench.used().await, (0, 2));
}

#[tokio::test]
async fn what_a_claim_did_not_come_to_counts_once_too() {
    let bench = Bench::with(
        MemorySettings {
            faults: vec![MemoryFault { call: "update".to_owned(), kind: "busy".to_owned(), times: 1 }],
            ..MemorySettings::default()
        },
        |connector| connector.policies.guard.constructive = at_most(3),
    )
    .await;
    bench.create("ann").await;
    bench.drain().await;
    let title = bench.command(OperationType::Update, "ann", set("title", "Clerk"));
    let updates = [bench.update("ann", "a@y").await, bench.accept(title).await];
    bench.drain().await;
    bench.wait(60);
    bench.drain().await;
    assert_eq!(bench.ended_well(&updates).await, 2);
    assert_eq!(bench.used().await, (0, 3));
}

#[tokio::test]
async fn a_claim_whose_worker_dies_has_been_counted_r3() {
    let bench = guarded(1, 100).await;
    let deletes = bench.deletes(&["ann", "bob"]).await;
    let other = bench.another_engine().await;
    assert_eq!(bench.claim(&other).await.len(), 1);
    bench.kill(&other).await;
    assert_eq!(bench.used().await, (1, 0));
    bench.take_over().await;
    bench.drain().await;
    assert_eq!(bench.ended_well(&deletes).await, 1, "it passes again, the other does not");
}

#[tokio::test]
async fn replicas_that_claim_at_once_share_one_limit_r3() {
    let bench = guarded(3, 100).await;
    let uids: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
    bench.deletes(&uids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (one, other) = (bench.another_engine().await, bench.another_engine().await);
    let claim = async |engine: &Engine| {
        let mut claimed = 0;
        for _ in 0..10 {
            claimed += bench.claim_up_to(engine, 4).await.len();
        }
        claimed
    };
    let (mine, theirs) = tokio::join!(claim(&one), claim(&other));
    assert_eq!(mine + theirs, 3);
    assert_eq!(bench.used().await, (3, 0));
}

#[tokio::test]
async fn the_share_is_of_the_live_links() {
    let bench = Bench::with(MemorySettings::default(), |connector| {
        connector.policies.guard.destructive = GuardLimit::AtMost { percent: 50.0, count: 500, floor: 0 };
    })
    .await;
    let mut creates = Vec::new();
    for login in ["ann", "bob", "cid", "dee"] {
        let identity = bench.identity(login, &format!("{login}@x")).await;
        let command = bench.command(OperationType::Create, login, Changes::new());
        creates.push(bench.accept(CreateOperation { identity_id: Some(identity), ..command }).await);
    }
    bench.drain().await;
    let deletes = bench.deletes(&["ann", "bob", "cid", "dee"]).await;
    bench.drain().await;
    assert_eq!(bench.ended_well(&creates).await, 4);
    assert_eq!(bench.ended_well(&deletes).await, 2);
}

#[tokio::test]
async fn a_day_later_there_is_room_again_but_what_is_held_waits_for_a_person_r3() {
    let bench = guarded(1, 100).await;
    let deletes = bench.deletes(&["ann", "bob"]).await;
    bench.drain().await;
    bench.wait(25 * 3_600);
    let later = bench.delete("cid").await;
    bench.drain().await;
    assert!(bench.is_held(deletes[1]).await);
    assert_eq!(bench.status(later).await, OperationStatus::Completed);
}

#[tokio::test]
async fn a_released_group_passes_once_and_takes_no_room_r3() {
    let bench = guarded(1, 100).await;
    let deletes = bench.deletes(&["ann", "bob", "cid"]).await;
    bench.drain().await;
    let released = bench.operations.release_held(&bench.caller, &bench.seen().await).await.unwrap();
    assert_eq!(released, 2);
    bench.drain().await;
    assert_eq!(bench.ended_well(&deletes).await, 3);
    let next = bench.delete("dee").await;
    bench.drain().await;
    assert!(bench.is_held(next).await, "exactly those, and no other");
    assert_eq!(bench.used().await, (1, 0));
}

#[tokio::test]
async fn a_released_operation_that_comes_again_days_later_is_weighed_anew_fault_15() {
    let bench = Bench::with(
        MemorySettings {
            faults: vec![MemoryFault { call: "delete".to_owned(), kind: "refused".to_owned(), times: 1 }],
            ..MemorySettings::default()
        },
        |connector| connector.policies.guard.destructive = at_most(0),
    )
    .await;
    bench.create("ann").await;
    bench.drain().await;
    let delete = bench.delete("ann").await;
    bench.drain().await;
    bench.operations.release_held(&bench.caller, &bench.seen().await).await.unwrap();
    bench.drain().await;
    assert_eq!(bench.status(delete).await, OperationStatus::DeadLetter);
    bench.wait(48 * 3_600);
    bench.operations.retry(&bench.caller, &Bench::change(delete, None)).await.unwrap();
    bench.drain().await;
    assert!(bench.is_held(delete).await);
}

#[tokio::test]
async fn a_group_that_has_changed_is_not_decided_r3() {
    let bench = guarded(0, 100).await;
    bench.delete("ann").await;
    bench.drain().await;
    let seen = bench.seen().await;
    let late = bench.delete("bob").await;
    bench.drain().await;
    let refused = bench.operations.release_held(&bench.caller, &seen).await.unwrap_err();
    assert_eq!(refused.reason, Reason::EtagMismatch);
    let refused = bench.operations.cancel_held(&bench.caller, &seen).await.unwrap_err();
    assert_eq!(refused.reason, Reason::EtagMismatch);
    assert!(bench.is_held(late).await);
}

#[tokio::test]
async fn a_cancelled_group_is_never_sent_and_its_lanes_go_on_q9() {
    let bench = guarded(0, 100).await;
    let deletes = bench.deletes(&["ann", "bob"]).await;
    let follower = bench.create("ann").await;
    bench.drain().await;
    assert_eq!(bench.operations.cancel_held(&bench.caller, &bench.seen().await).await.unwrap(), 2);
    bench.drain().await;
    for delete in deletes {
        assert_eq!(bench.path(delete).await, "pending cancelled");
    }
    assert_eq!(bench.status(follower).await, OperationStatus::Completed);
    assert_eq!(bench.writes(), ["create:ann"]);
    assert!(bench.groups().await.is_empty());
}

#[tokio::test]
async fn with_four_eyes_nobody_releases_what_they_asked_for() {
    let bench = Bench::with(MemorySettings::default(), |connector| {
        connector.policies.guard =
            GuardPolicy { destructive: at_most(0), constructive: at_most(0), four_eyes: true };
    })
    .await;
    bench.delete("ann").await;
    bench.drain().await;
    let seen = bench.seen().await;
    let refused = bench.operations.release_held(&bench.caller, &seen).await.unwrap_err();
    assert_eq!(refused.reason, Reason::RoleForbids);
    let other = Caller { subject: SubjectId(Uuid::from_u128(3)), ..bench.caller.clone() };
    assert_eq!(bench.operations.release_held(&other, &seen).await.unwrap(), 1);
}

#[tokio::test]
async fn groups_are_by_cause_and_say_what_they_would_do() {
    let bench = guarded(0, 0).await;
    bench.deletes(&["ann", "bob"]).await;
    bench.create("cid").await;
    bench.planned_delete("dee", (CauseKind::Run, 7)).await;
    bench.drain().await;
    let groups = bench.groups().await;
    let told: Vec<_> = groups
        .iter()
        .map(|shown| {
            let group = &shown.group;
            (group.key.cause_kind, group.creates, group.deletes, group.destructive, shown.examples.len())
        })
        .collect();
    assert_eq!(told, [(CauseKind::Api, 1, 2, 2, 3), (CauseKind::Run, 0, 1, 1, 1)]);
    let run = Some(Uuid::from_u128(7));
    assert_eq!(
        groups[1].group.key,
        GroupKey { connector_id: bench.pair.connector, cause_kind: CauseKind::Run, cause_id: run }
    );
}

#[tokio::test]
async fn exactly_the_items_of_an_approved_plan_pass_each_once_until_it_expires_r3() {
    let bench = guarded(0, 100).await;
    let item = |uid: &str, number: u128| ApprovedItem {
        run_id: RunId(Uuid::from_u128(7)),
        discrepancy_id: DiscrepancyId(Uuid::from_u128(number)),
        operation_type: OperationType::Delete,
        object_class: "account".to_owned(),
        intent: "default".to_owned(),
        identity_id: None,
        external_uid: Some(uid.to_owned()),
        immutable_id: Some(format!("{uid}-id")),
    };
    let plan = || RegisterPlan {
        connector_id: bench.pair.connector,
        run_id: RunId(Uuid::from_u128(7)),
        plan_digest: "abc".to_owned(),
        approved_by: bench.caller.subject,
        items: vec![item("ann", 1), item("bob", 2), item("eve", 3)],
    };
    let registered = bench.operations.register_plan(&bench.caller, plan()).await.unwrap();
    assert_eq!(registered.items, 3);
    let ann = bench.planned_delete("ann", (CauseKind::Run, 7)).await;
    let other = bench.planned_delete("cid", (CauseKind::Run, 7)).await;
    let called = bench.delete("eve").await;
    bench.drain().await;
    assert_eq!(bench.ended_well(&[ann]).await, 1);
    assert!(bench.is_held(other).await && bench.is_held(called).await);
    bench.operations.register_plan(&bench.caller, plan()).await.unwrap();
    let again = bench.planned_delete("ann", (CauseKind::Run, 7)).await;
    bench.drain().await;
    assert!(bench.is_held(again).await, "an item passes once, however often the plan is told");
    bench.wait(25 * 3_600);
    let late = bench.planned_delete("bob", (CauseKind::Remediation, 99)).await;
    bench.drain().await;
    assert!(bench.is_held(late).await);
}
