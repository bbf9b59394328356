//! How fast targets are called, and when not at all.

use xavyo_tests::{World, refused, update_of};
use xavyo_wire::pb::{
    google::Timestamp,
    provisioning::{self as pp, OperationStatus},
};

fn pause(connector: &str, until: Option<i64>) -> pp::PauseConnectorRequest {
    pp::PauseConnectorRequest {
        connector_id: connector.to_owned(),
        reason: Some("maintenance".to_owned()),
        until: until.map(|seconds| Timestamp { seconds, nanos: 0 }),
    }
}

fn in_seconds(seconds: i64) -> i64 {
    xavyo_runtime::Clock::system().now().timestamp() + seconds
}

#[tokio::test]
async fn a_pause_ends_by_itself_when_it_was_given_an_end() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let mut connectors = world.admin.connectors.clone();
    connectors.pause_connector(pause(&connector, Some(in_seconds(2)))).await.unwrap();
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    let waiting = world.admin.operation(&id).await.unwrap();
    let wait = &waiting.waits_for[0];
    assert_eq!(wait.kind(), pp::WaitKind::Pause);
    assert!(wait.until.is_some(), "it is known when it ends");
    world.admin.reaches(&id, OperationStatus::Completed).await;
    let request = pp::GetConnectorRequest { connector_id: connector };
    let connector = connectors.get_connector(request).await.unwrap().into_inner().connector.unwrap();
    assert!(!connector.paused && connector.pause_reason.is_none());
}

#[tokio::test]
async fn a_pause_with_an_end_in_the_past_is_refused_and_without_one_it_lasts() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let mut connectors = world.admin.connectors.clone();
    let refusal = refused(connectors.pause_connector(pause(&connector, Some(1))).await);
    assert_eq!(refusal.fields, ["until"]);
    connectors.pause_connector(pause(&connector, None)).await.unwrap();
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    let waiting = world.admin.operation(&id).await.unwrap();
    assert_eq!((waiting.status(), waiting.waits_for[0].until), (OperationStatus::Pending, None));
    let request = pp::ResumeConnectorRequest { connector_id: connector };
    connectors.resume_connector(request).await.unwrap();
    world.admin.reaches(&id, OperationStatus::Completed).await;
}
