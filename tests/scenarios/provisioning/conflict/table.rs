//! Every type of conflict × every outcome: done, or refused with those that are possible; and what is resolved takes none.

use std::time::Duration;

use tonic::Code;
use xavyo_tests::{World, refused, update_of};
use xavyo_wire::pb::provisioning::{
    self as pp,
    ConflictOutcome::{self, Applied, Merged, Rejected, Superseded},
    connector_settings::Kind,
};

use super::{by_person, conflict_of, later, resolve};

/// What a person may decide, as crates/core/tables/conflict-outcome.md has it. A delete waits for nobody: of the type
/// delete_update only an update behind a delete is ever left to a person.
const POSSIBLE: [(&str, &[ConflictOutcome], &str); 6] = [
    ("concurrent_update", &[Merged, Applied, Superseded, Rejected], "merged, applied, superseded, rejected"),
    ("duplicate_create", &[Applied, Rejected], "applied, rejected"),
    ("delete_update", &[Rejected, Superseded], "rejected, superseded"),
    ("external_change", &[Applied, Superseded, Merged, Rejected], "applied, superseded, merged, rejected"),
    ("missing_target", &[Applied, Superseded, Rejected], "applied, superseded, rejected"),
    ("account_exists", &[Applied, Superseded, Rejected], "applied, superseded, rejected"),
];

const OUTCOMES: [ConflictOutcome; 4] = [Applied, Superseded, Merged, Rejected];

/// A connector that asks a person, and another way into its target.
struct Scene<'a> {
    world: &'a World,
    connector: String,
    behind_it: String,
}

impl<'a> Scene<'a> {
    /// One that asks about a change beside ours takes its time and reads first, so that such changes come in between.
    async fn of(world: &'a World, conflict_type: &str) -> Self {
        let mut settings = None;
        let connector = world.connector(|request| {
            let policies = request.policies.get_or_insert_default();
            policies.conflict_policies = [(conflict_type.to_owned(), by_person())].into();
            settings.clone_from(&request.settings);
            if let Some(Kind::Memory(memory)) = request.settings.as_mut().and_then(|it| it.kind.as_mut())
                && conflict_type == "external_change"
            {
                memory.latency_ms = 300;
                "account.mail == 'root@x'".clone_into(&mut request.object_types[0].protected);
            }
        });
        let connector = connector.await;
        let behind_it = world.connector(|request| request.settings = settings).await;
        Self { world, connector, behind_it }
    }

    fn of_type(&self, kind: pp::OperationType, uid: &str) -> pp::CreateOperationRequest {
        let payload =
            update_of(&self.connector, uid, "a@x").payload.filter(|_| kind != pp::OperationType::Delete);
        pp::CreateOperationRequest {
            operation_type: kind.into(),
            payload,
            ..update_of(&self.connector, uid, "")
        }
    }

    /// The conflict of two operations on that account.
    async fn between(
        &self,
        older: pp::CreateOperationRequest,
        newer: pp::CreateOperationRequest,
    ) -> pp::ProvisioningConflict {
        self.world.admin.accept(later(older)).await;
        conflict_of(self.world, &self.world.admin.accept(newer).await).await
    }

    /// The conflict that an operation meets when it is executed, while others change the account's mail or leave it alone.
    async fn with_target(
        &self,
        request: pp::CreateOperationRequest,
        is_changed: bool,
    ) -> pp::ProvisioningConflict {
        let uid = request.target_uid().to_owned();
        let id = self.world.admin.accept(request).await;
        let held = async {
            let mut changes = 0;
            while self.world.admin.operation(&id).await.unwrap().hold_reason() != pp::HoldReason::Conflict {
                if is_changed {
                    changes += 1;
                    self.change(&uid, &format!("{changes}@foreign")).await;
                }
                tokio::task::yield_now().await;
            }
        };
        let met = tokio::time::timeout(Duration::from_secs(20), held).await;
        assert!(met.is_ok(), "{:?}", self.world.admin.operation(&id).await);
        conflict_of(self.world, &id).await
    }

    /// A change that this connector knows nothing of.
    async fn change(&self, uid: &str, mail: &str) {
        let id = self.world.admin.accept(update_of(&self.behind_it, uid, mail)).await;
        self.world.admin.ended(&id).await;
    }

    async fn raise(&self, conflict_type: &str, uid: &str) -> pp::ProvisioningConflict {
        use pp::OperationType::{Create, Delete, Update};
        match conflict_type {
            "concurrent_update" => {
                self.between(update_of(&self.connector, uid, "1@x"), update_of(&self.connector, uid, "2@x"))
                    .await
            }
            "duplicate_create" => self.between(self.of_type(Create, uid), self.of_type(Create, uid)).await,
            "delete_update" => self.between(self.of_type(Delete, uid), self.of_type(Update, uid)).await,
            "account_exists" => {
                self.world.stray(&self.behind_it, uid, "foreign@x", "clerk").await;
                let person = self.world.person(uid, &format!("{uid}@x"), "clerk").await;
                let create =
                    pp::CreateOperationRequest { user_id: Some(person), ..self.of_type(Create, uid) };
                self.with_target(create, false).await
            }
            "missing_target" => {
                let ours = self.owned(uid).await;
                let delete = pp::CreateOperationRequest {
                    connector_id: self.behind_it.clone(),
                    precondition: Some(self.that_very_account(ours.user_id()).await),
                    ..self.of_type(Delete, uid)
                };
                let deleted = self.world.admin.accept(delete).await;
                self.world.admin.ended(&deleted).await;
                self.with_target(ours, false).await
            }
            _ => self.with_target(self.owned(uid).await, true).await,
        }
    }

    /// What a delete must say of an account without a link of its connector.
    async fn that_very_account(&self, person: &str) -> pp::Precondition {
        let request = pp::ListLinksRequest { identity_id: Some(person.to_owned()), ..Default::default() };
        let links = self.world.admin.accounts.clone().list_links(request).await.unwrap().into_inner().links;
        pp::Precondition { immutable_id: links[0].immutable_id.clone(), ..Default::default() }
    }

    /// An update of the account that a person has just got.
    async fn owned(&self, uid: &str) -> pp::CreateOperationRequest {
        let person = self.world.person(uid, &format!("{uid}@x"), "clerk").await;
        self.world.account_of(&self.connector, &person).await;
        pp::CreateOperationRequest { user_id: Some(person), ..update_of(&self.connector, uid, "ours@x") }
    }
}

#[tokio::test]
async fn each_outcome_of_each_conflict_is_done_or_refused_with_the_possible_ones() {
    let world = World::new().await;
    for (conflict_type, possible, named) in POSSIBLE {
        let scene = Scene::of(&world, conflict_type).await;
        for (number, outcome) in possible.iter().enumerate() {
            let conflict = scene.raise(conflict_type, &format!("{conflict_type}{number}")).await;
            let seen = (conflict.conflict_type.as_str(), conflict.status.as_str());
            assert_eq!(seen, (conflict_type, "pending"));
            for impossible in OUTCOMES.into_iter().filter(|outcome| !possible.contains(outcome)) {
                let refusal = refused(resolve(&world, &conflict, impossible).await);
                assert_eq!(
                    refusal.named(),
                    (Code::FailedPrecondition, "OUTCOME_IMPOSSIBLE"),
                    "{conflict_type}"
                );
                assert_eq!(refusal.facts["possible"], named);
            }
            let resolved = resolve(&world, &conflict, *outcome).await.unwrap();
            assert_eq!(
                (resolved.status.as_str(), resolved.outcome()),
                ("resolved", *outcome),
                "{conflict_type}"
            );
            let resolved = pp::ProvisioningConflict { etag: String::new(), ..resolved };
            for any in OUTCOMES {
                let refusal = refused(resolve(&world, &resolved, any).await);
                assert_eq!(refusal.named(), (Code::FailedPrecondition, "ILLEGAL_MOVE"), "{conflict_type}");
                assert_eq!((&*refusal.facts["from"], &*refusal.facts["event"]), ("resolved", "resolved"));
            }
        }
    }
}
