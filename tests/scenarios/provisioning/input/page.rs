//! Pages and filters that nobody was given.

use tonic::{Code, Response};
use xavyo_tests::{Refusal, World, refused, update_of};
use xavyo_wire::pb::{google::Timestamp, provisioning as pp};

async fn refusal(world: &World, request: pp::ListOperationsRequest) -> Refusal {
    refused(world.admin.operations.clone().list_operations(request).await)
}

#[tokio::test]
async fn a_filter_that_cannot_be_is_refused_by_its_name() {
    let world = World::new().await;
    let none = pp::ListOperationsRequest::default;
    let some = |text: &str| Some(text.to_owned());
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    for (field, request) in [
        ("page_size", pp::ListOperationsRequest { page_size: -1, ..none() }),
        ("connector_id", pp::ListOperationsRequest { connector_id: some("7"), ..none() }),
        ("user_id", pp::ListOperationsRequest { user_id: some("a\0"), ..none() }),
        ("lane_id", pp::ListOperationsRequest { lane_id: some("{}"), ..none() }),
        ("cause_id", pp::ListOperationsRequest { cause_id: some("no"), ..none() }),
        ("statuses[1]", pp::ListOperationsRequest { statuses: vec![1, 99], ..none() }),
        ("statuses[0]", pp::ListOperationsRequest { statuses: vec![0], ..none() }),
        ("operation_type", pp::ListOperationsRequest { operation_type: Some(-1), ..none() }),
        ("cause_kind", pp::ListOperationsRequest { cause_kind: Some(99), ..none() }),
        ("hold_reason", pp::ListOperationsRequest { hold_reason: Some(99), ..none() }),
        ("created_from", pp::ListOperationsRequest { created_from: at(i64::MIN), ..none() }),
        ("created_until", pp::ListOperationsRequest { created_until: at(i64::MAX), ..none() }),
    ] {
        let refusal = refusal(&world, request).await;
        assert_eq!(refusal.named(), (Code::InvalidArgument, "INVALID_FIELD"), "{field}: {refusal:?}");
        assert_eq!(refusal.fields, [field]);
    }
}

#[tokio::test]
async fn a_page_token_continues_its_own_query_of_its_own_tenant_and_nothing_else() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    for uid in ["ann", "bob"] {
        world.admin.accept(update_of(&connector, uid, "a@x")).await;
    }
    let first = pp::ListOperationsRequest { page_size: 1, ..Default::default() };
    let listed = world.admin.operations.clone().list_operations(first.clone()).await.unwrap().into_inner();
    let token = listed.next_page_token;
    let next = |page_token: String| pp::ListOperationsRequest { page_token, ..first.clone() };
    let mut altered = token.clone().into_bytes();
    altered[5] ^= 1;
    let altered = String::from_utf8(altered).unwrap();
    for (what, request) in [
        ("another filter", pp::ListOperationsRequest { statuses: vec![1], ..next(token.clone()) }),
        ("altered", next(altered)),
        ("cut short", next(token[..token.len() - 1].to_owned())),
        ("too long", next("A".repeat(10_000))),
        ("of no token", next("\0".to_owned())),
    ] {
        let refusal = refusal(&world, request).await;
        assert_eq!(refusal.named(), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"), "{what}");
    }
    let theirs = world.another_tenant().await;
    assert_eq!(refusal(&theirs, next(token.clone())).await.reason, "INVALID_PAGE_TOKEN");
    let conflicts =
        pp::ListConflictsRequest { page_size: 1, page_token: token.clone(), ..Default::default() };
    let foreign = refused(world.admin.conflicts.clone().list_conflicts(conflicts).await);
    assert_eq!(foreign.reason, "INVALID_PAGE_TOKEN", "another method");
    let watch = pp::WatchOperationsRequest { resume_token: token.clone(), ..Default::default() };
    let foreign =
        refused(world.admin.operations.clone().watch_operations(watch).await.map(Response::into_parts));
    assert_eq!(foreign.reason, "INVALID_PAGE_TOKEN", "a watch");
    let mut operations = world.admin.operations.clone();
    assert_eq!(operations.list_operations(next(token)).await.unwrap().into_inner().operations.len(), 1);
}
