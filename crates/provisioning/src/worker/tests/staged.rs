//! Deprovisioning in two stages.

use xavyo_core::connector::Deprovision;

use super::*;
use crate::{
    identities::{ChangeActivity, DeleteIdentity, Identities, automation::Automation},
    store::link,
};

struct Staged {
    bench: Bench,
    identities: Identities,
    ann: IdentityId,
}

impl Staged {
    /// Ann has an account, and leaves; deletes follow thirty days later.
    async fn leaving() -> Self {
        let bench = Bench::with(MemorySettings::default(), |connector| {
            connector.mode = Mode::Enforce;
            connector.policies.deprovision = Deprovision::Staged { delete_after_days: 30 };
        })
        .await;
        let Engine { database, clock, nudge, .. } = &bench.engine;
        let automation = Automation::new(database.clone(), clock.clone(), Programs::default());
        let identities = Identities::new(database.clone(), clock.clone(), automation, nudge.clone());
        let ann = bench.identity("ann", "ann@x").await;
        let create = bench.command(OperationType::Create, "ann", Changes::new());
        bench.accept(CreateOperation { identity_id: Some(ann), ..create }).await;
        bench.drain().await;
        let staged = Self { bench, identities, ann };
        staged.set_active(false).await;
        staged.bench.drain().await;
        staged
    }

    async fn set_active(&self, active: bool) {
        let command =
            ChangeActivity { identity_id: self.ann, etag: None, active, reason: None, validate_only: false };
        self.identities.change_activity(&self.bench.caller, command).await.unwrap();
    }

    /// What housekeeping does, after so many days: deletes enqueued, identities forgotten.
    async fn after_days(&self, days: i64) -> (usize, u64) {
        self.bench.wait(days * 86_400);
        let done = self.bench.engine.finish_departures(self.bench.pair.tenant).await.unwrap();
        self.bench.drain().await;
        done
    }

    async fn links(&self) -> usize {
        let mut tx = self.bench.engine.database.begin(self.bench.pair.tenant).await.unwrap();
        link::page(&mut tx, self.bench.pair.tenant, &link::Filter::default(), None, 10).await.unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_is_disabled_now_and_deleted_when_it_is_due_once() {
    let staged = Staged::leaving().await;
    assert_eq!(staged.after_days(29).await, (0, 0));
    assert_eq!(staged.bench.writes(), ["create:ann", "update:ann"]);
    assert_eq!(staged.after_days(1).await, (1, 0));
    assert_eq!(staged.bench.writes().last().unwrap(), "delete:ann");
    assert_eq!((staged.after_days(1).await, staged.links().await), ((0, 0), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_returns_in_time_keeps_the_account() {
    let staged = Staged::leaving().await;
    staged.set_active(true).await;
    assert_eq!(staged.after_days(31).await, (0, 0));
    assert_eq!(staged.bench.writes(), ["create:ann", "update:ann", "update:ann"]);
    assert_eq!(staged.links().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_identity_is_forgotten_once_its_account_is_gone() {
    let staged = Staged::leaving().await;
    let command = DeleteIdentity { identity_id: staged.ann, etag: None, reason: None };
    staged.identities.delete(&staged.bench.caller, command).await.unwrap();
    assert_eq!(staged.after_days(1).await, (0, 0), "its link is still there");
    assert_eq!(staged.after_days(30).await, (1, 0));
    assert_eq!(staged.after_days(1).await, (0, 1));
}
