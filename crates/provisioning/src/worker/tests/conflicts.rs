//! Conflicts: what policy decides as they arise, and what a person decides.

use xavyo_core::{
    Reason,
    conflict::{Conflict, ConflictOutcome, ConflictStatus},
};

use super::*;
use crate::{
    conflicts::{Conflicts, ListConflicts, ResolveConflict},
    store::conflict::Filter,
};

impl Bench {
    /// Every conflict goes by default.
    async fn deciding() -> Self {
        Self::asking(&[]).await
    }

    async fn asking(kinds: &[ConflictType]) -> Self {
        Self::with(MemorySettings::default(), |connector| {
            connector.policies.conflicts = kinds.iter().map(|kind| (*kind, ConflictRule::Person)).collect();
        })
        .await
    }

    fn conflicts(&self) -> Conflicts {
        let Engine { database, clock, nudge, .. } = &self.engine;
        Conflicts::new(database.clone(), clock.clone(), nudge.clone())
    }

    async fn conflicts_of(&self, id: OperationId) -> Vec<Conflict> {
        let filter = Filter { operation_id: Some(id), ..Filter::default() };
        let command = ListConflicts { filter, after: None, page_size: 100, count_total: false };
        self.conflicts().list(&self.caller, command).await.unwrap().items
    }

    async fn resolve(
        &self,
        conflict: &Conflict,
        outcome: ConflictOutcome,
    ) -> xavyo_core::error::Result<Conflict> {
        let command = ResolveConflict { conflict_id: conflict.id, etag: None, outcome, notes: None };
        self.conflicts().resolve(&self.caller, command).await
    }

    /// Two updates that contradict each other, both held, and their conflict.
    async fn asked() -> (Self, OperationId, OperationId, Conflict) {
        let bench = Self::asking(&[ConflictType::ConcurrentUpdate]).await;
        bench.create("ann").await;
        bench.drain().await;
        let one = bench.accept(bench.command(OperationType::Update, "ann", both("1@x", "clerk"))).await;
        let two = bench.update("ann", "2@x").await;
        let conflict = bench.conflicts_of(one).await.remove(0);
        (bench, one, two, conflict)
    }
}

fn both(mail: &str, title: &str) -> Changes {
    set("mail", mail).into_iter().chain(set("title", title)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_of_two_updates_takes_in_the_older() {
    let bench = Bench::deciding().await;
    bench.create("ann").await;
    bench.drain().await;
    let one = bench.accept(bench.command(OperationType::Update, "ann", both("1@x", "clerk"))).await;
    let two = bench.update("ann", "2@x").await;
    bench.drain().await;

    let (older, newer) = (bench.get(one).await, bench.get(two).await);
    assert_eq!((older.status, older.merged_into), (OperationStatus::Cancelled, Some(two)));
    assert_eq!((newer.status, newer.payload), (OperationStatus::Completed, both("2@x", "clerk")));
    let conflict = bench.conflicts_of(one).await.remove(0);
    assert_eq!((older.conflict_id, newer.conflict_id), (Some(conflict.id), Some(conflict.id)));
    assert_eq!((conflict.operation_id_a, conflict.operation_id_b), (one, two));
    assert_eq!(
        (conflict.status, conflict.outcome, conflict.resolved_by),
        (ConflictStatus::Resolved, Some(ConflictOutcome::Merged), None)
    );
    assert_eq!(conflict.affected_attributes, ["mail"]);
    assert_eq!(bench.writes(), ["create:ann", "update:ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_is_followed_and_both_are_written() {
    let bench = Bench::deciding().await;
    bench.create("ann").await;
    bench.drain().await;
    let one = bench.update("ann", "1@x").await;
    let claims = bench.claim(&bench.engine).await;
    let two = bench.update("ann", "2@x").await;
    let executed = bench.call(&bench.engine, claims).await;
    bench.record(&bench.engine, &executed).await;
    bench.drain().await;
    for id in [one, two] {
        assert_eq!(bench.status(id).await, OperationStatus::Completed);
    }
    assert_eq!(bench.conflicts_of(two).await[0].outcome, Some(ConflictOutcome::Applied));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_create_and_an_update_behind_a_delete_are_rejected() {
    let bench = Bench::deciding().await;
    bench.create("ann").await;
    let twice = bench.create("ann").await;
    bench.drain().await;
    bench.accept(bench.delete_of("ann", bench.immutable_id("ann"))).await;
    let late = bench.update("ann", "1@x").await;
    bench.drain().await;
    for (id, kind) in [(twice, ConflictType::DuplicateCreate), (late, ConflictType::DeleteUpdate)] {
        assert_eq!(bench.path(id).await, "pending cancelled");
        let conflict = bench.conflicts_of(id).await.remove(0);
        assert_eq!((conflict.conflict_type, conflict.outcome), (kind, Some(ConflictOutcome::Rejected)));
    }
    assert_eq!(bench.writes(), ["create:ann", "delete:ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_arise_within_a_batch_and_are_counted_q13() {
    let bench = Bench::deciding().await;
    bench.create("ann").await;
    bench.drain().await;
    let of = |mail: &str| bench.command(OperationType::Update, "ann", set("mail", mail));
    let made =
        bench.operations.create_batch(&bench.caller, vec![of("1"), of("2"), of("3")], None).await.unwrap();
    let statuses: Vec<_> = made.iter().map(|one| one.status).collect();
    let (cancelled, pending) = (OperationStatus::Cancelled, OperationStatus::Pending);
    assert_eq!(statuses, [cancelled, cancelled, pending]);
    let statistics = bench.operations.statistics(&bench.caller, None).await.unwrap();
    assert_eq!((statistics.pending, statistics.cancelled), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_person_decides_both_sides_are_held() {
    let (bench, one, two, conflict) = Bench::asked().await;
    bench.drain().await;
    for id in [one, two] {
        let held = bench.operations.get(&bench.caller, id).await.unwrap();
        assert_eq!(held.operation.status, OperationStatus::Pending);
        assert_eq!(held.operation.conflict_id, Some(conflict.id));
        assert_eq!(held.waits[0].kind, crate::operations::WaitKind::Conflict(Some(conflict.id)));
    }
    assert_eq!(bench.writes(), ["create:ann"]);
    assert_eq!(bench.operations.statistics(&bench.caller, None).await.unwrap().in_conflict, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_outcome_is_done_to_the_operations() {
    use OperationStatus::{Cancelled, Completed};
    for (outcome, a, b, payload) in [
        (ConflictOutcome::Applied, Completed, Completed, set("mail", "2@x")),
        (ConflictOutcome::Superseded, Cancelled, Completed, set("mail", "2@x")),
        (ConflictOutcome::Merged, Cancelled, Completed, both("2@x", "clerk")),
        (ConflictOutcome::Rejected, Completed, Cancelled, set("mail", "2@x")),
    ] {
        let (bench, one, two, conflict) = Bench::asked().await;
        let resolved = bench.resolve(&conflict, outcome).await.unwrap();
        assert_eq!((resolved.outcome, resolved.resolved_by), (Some(outcome), Some(bench.caller.subject)));
        bench.drain().await;
        let (one, two) = (bench.get(one).await, bench.get(two).await);
        assert_eq!((one.status, two.status), (a, b), "{outcome}");
        assert_eq!(two.payload, payload, "{outcome}");
        let again = bench.resolve(&conflict, outcome).await.unwrap_err();
        assert_eq!(again.reason, Reason::IllegalMove);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_whose_operation_is_cancelled_resolves_itself_and_lets_the_other_go() {
    let (bench, one, two, conflict) = Bench::asked().await;
    bench.operations.cancel(&bench.caller, &Bench::change(one, None)).await.unwrap();
    bench.drain().await;
    assert_eq!(bench.status(two).await, OperationStatus::Completed);
    let moot = bench.conflicts().get(&bench.caller, conflict.id).await.unwrap();
    assert_eq!((moot.status, moot.outcome), (ConflictStatus::Resolved, None));
    assert_eq!(moot.notes.as_deref(), Some("its operation was cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let bench = Bench::asking(&[ConflictType::DuplicateCreate]).await;
    bench.create("ann").await;
    let twice = bench.create("ann").await;
    let conflict = bench.conflicts_of(twice).await.remove(0);
    let refused = bench.resolve(&conflict, ConflictOutcome::Merged).await.unwrap_err();
    assert_eq!(refused.reason, Reason::OutcomeImpossible);
    let stale = ResolveConflict {
        conflict_id: conflict.id,
        etag: Some(7),
        outcome: ConflictOutcome::Rejected,
        notes: None,
    };
    let refused = bench.conflicts().resolve(&bench.caller, stale).await.unwrap_err();
    assert_eq!(refused.reason, Reason::EtagMismatch);
    assert_eq!(bench.conflicts().get(&bench.caller, conflict.id).await.unwrap(), conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_waits_for_no_persons_decision() {
    let (bench, one, two, conflict) = Bench::asked().await;
    let delete = bench.accept(bench.delete_of("ann", bench.immutable_id("ann"))).await;
    bench.drain().await;
    assert_eq!(bench.status(delete).await, OperationStatus::Completed);
    for id in [one, two] {
        assert_eq!(bench.status(id).await, OperationStatus::Cancelled);
    }
    let moot = bench.conflicts().get(&bench.caller, conflict.id).await.unwrap();
    assert_eq!(moot.status, ConflictStatus::Resolved);
}

impl Bench {
    /// An update of an account that nobody has.
    async fn without_target(&self) -> (OperationId, Conflict) {
        let id = self.update("nobody", "1@x").await;
        self.drain().await;
        let conflict = self.conflicts_of(id).await.remove(0);
        assert_eq!(conflict.operation_id_a, conflict.operation_id_b);
        (id, conflict)
    }

    /// Twin's create meets the account of another.
    async fn account_exists(&self) -> (OperationId, Conflict) {
        self.create("ann").await;
        self.drain().await;
        let twin = self.identity("twin", "twin@x").await;
        let create = self.command(OperationType::Create, "ann", set("mail", "twin@x"));
        let id = self.accept(CreateOperation { identity_id: Some(twin), ..create }).await;
        self.drain().await;
        let conflict = self.conflicts_of(id).await.remove(0);
        assert_eq!(conflict.conflict_type, ConflictType::AccountExists);
        (id, conflict)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_what_is_gone_goes_by_default_or_waits_for_a_person() {
    let bench = Bench::deciding().await;
    let (id, conflict) = bench.without_target().await;
    assert_eq!(
        (conflict.conflict_type, conflict.outcome),
        (ConflictType::MissingTarget, Some(ConflictOutcome::Applied))
    );
    let done = bench.get(id).await;
    assert_eq!((done.status, done.conflict_id), (OperationStatus::Completed, Some(conflict.id)));

    let bench = Bench::asking(&[ConflictType::MissingTarget]).await;
    let (id, conflict) = bench.without_target().await;
    assert_eq!(
        (conflict.status, bench.status(id).await),
        (ConflictStatus::Pending, OperationStatus::Pending)
    );
    bench.resolve(&conflict, ConflictOutcome::Applied).await.unwrap();
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed, "and it does not meet it again");
    assert_eq!(bench.conflicts_of(id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_account_is_adopted_or_left_alone_as_a_person_decides() {
    let bench = Bench::deciding().await;
    let (id, conflict) = bench.account_exists().await;
    assert_eq!(conflict.status, ConflictStatus::Pending);
    bench.resolve(&conflict, ConflictOutcome::Applied).await.unwrap();
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
    let mut tx = bench.engine.database.begin(bench.pair.tenant).await.unwrap();
    let lane = bench.get(id).await.lane_id;
    let links = crate::store::link::find_by_lanes(&mut tx, bench.pair.tenant, &[lane]).await.unwrap();
    assert_eq!(links.len(), 1, "adopted");
    drop(tx);

    let bench = Bench::deciding().await;
    let (id, conflict) = bench.account_exists().await;
    bench.resolve(&conflict, ConflictOutcome::Rejected).await.unwrap();
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Cancelled);
    assert_eq!(bench.writes().last().unwrap(), "create:ann", "nothing was written since");
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_gives_up_an_update_of_what_is_gone() {
    let bench = Bench::with(MemorySettings::default(), |connector| {
        connector.policies.conflicts.insert(ConflictType::MissingTarget, ConflictRule::Superseded);
    })
    .await;
    let (id, conflict) = bench.without_target().await;
    assert_eq!(conflict.outcome, Some(ConflictOutcome::Superseded));
    let ended = bench.get(id).await;
    assert_eq!((ended.status, ended.conflict_id), (OperationStatus::Cancelled, Some(conflict.id)));
    assert_eq!(bench.path(id).await, "pending in_progress cancelled");
}
