//! What is checked on the living account just before a write.

use xavyo_core::operation::Precondition;

use super::*;

impl Bench {
    pub(super) fn immutable_id(&self, uid: &str) -> String {
        let entries = memory::ledger(&self.store, None).unwrap();
        let created =
            entries.iter().find(|entry| entry.external_uid == uid && entry.after.is_some()).unwrap();
        serde_json::to_value(created.after.as_ref().unwrap()).unwrap()["immutable_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(super) fn delete_of(&self, uid: &str, immutable_id: String) -> CreateOperation {
        CreateOperation {
            precondition: Some(Precondition { immutable_id: Some(immutable_id), ..Precondition::default() }),
            ..self.command(OperationType::Delete, uid, Changes::new())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_with_the_right_immutable_id_is_done_r2() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    bench.drain().await;
    let id = bench.accept(bench.delete_of("ann", bench.immutable_id("ann"))).await;
    bench.drain().await;
    assert_eq!(bench.status(id).await, OperationStatus::Completed);
    assert_eq!(bench.writes(), ["create:ann", "delete:ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_got_anothers_name_is_not_deleted_fault_4() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    bench.drain().await;
    let first = bench.immutable_id("ann");
    bench.accept(bench.delete_of("ann", first.clone())).await;
    bench.create("ann").await;
    bench.drain().await;
    let stale = bench.accept(bench.delete_of("ann", first)).await;
    bench.drain().await;
    assert_eq!(bench.status(stale).await, OperationStatus::Completed, "its account is gone already");
    assert_eq!(bench.writes(), ["create:ann", "delete:ann", "create:ann"], "the new ann lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlinked_account_is_not_deleted_by_its_name_alone_fault_4() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    bench.drain().await;
    let id = bench.delete("ann").await;
    bench.drain().await;
    assert_eq!(bench.error_code(id).await.as_deref(), Some("NO_IMMUTABLE_ID"));
    assert_eq!(bench.writes(), ["create:ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_premise_cancels_and_writes_nothing() {
    let bench = Bench::new().await;
    bench.create("ann").await;
    let command = CreateOperation {
        precondition: Some(Precondition {
            attributes_digest: Some("0".repeat(32)),
            ..Precondition::default()
        }),
        ..bench.command(OperationType::Update, "ann", set("mail", "new@x"))
    };
    let id = bench.accept(command).await;
    bench.drain().await;
    assert_eq!(bench.path(id).await, "pending in_progress cancelled");
    assert_eq!(bench.error_code(id).await.as_deref(), Some("PREMISE_GONE"));
    assert_eq!(bench.writes(), ["create:ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_account_is_never_written() {
    let bench = Bench::new().await;
    bench.accept(bench.command(OperationType::Create, "root", set("role", "root"))).await;
    let id = bench.update("root", "evil@x").await;
    bench.drain().await;
    assert_eq!(bench.error_code(id).await.as_deref(), Some("PROTECTED_ACCOUNT"));
    assert_eq!(bench.writes(), ["create:root"]);
}
