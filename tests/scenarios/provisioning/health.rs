//! The health of connectors: what an operator sees first.

use tonic::Code;
use xavyo_tests::{World, refused, update_of};
use xavyo_wire::pb::provisioning::{self as pp, BreakerState, HealthState, OperationStatus};

async fn health(world: &World, connector: &str) -> pp::ConnectorHealth {
    let request = pp::GetConnectorHealthRequest { connector_id: connector.to_owned() };
    let answer = world.admin.connectors.clone().get_connector_health(request).await.unwrap();
    answer.into_inner().health.unwrap()
}

/// The health once it is as asked. What workers see is told once a second.
async fn told(
    world: &World,
    connector: &str,
    is: impl Fn(&pp::ConnectorHealth) -> bool,
) -> pp::ConnectorHealth {
    let asked = async {
        loop {
            let found = health(world, connector).await;
            if is(&found) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, asked).await.expect("the health is told")
}

#[tokio::test]
async fn a_connector_that_works_is_healthy_and_says_when_it_last_did() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let new = health(&world, &connector).await;
    assert_eq!(
        (new.state(), new.breaker(), new.last_success_at),
        (HealthState::Healthy, BreakerState::Closed, None)
    );
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.ended(&id).await;
    let worked = told(&world, &connector, |health| health.last_success_at.is_some()).await;
    assert_eq!((worked.state(), worked.last_failure_at), (HealthState::Healthy, None));
    assert_eq!(worked.queue.unwrap().completed, 1);
}

#[tokio::test]
async fn a_target_that_is_down_is_waited_for_and_the_health_says_since_when() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "down", 1), ("get", "down", 1_000)]).await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.reaches(&id, OperationStatus::AwaitingSystem).await;
    let down = told(&world, &connector, |health| health.down_since.is_some()).await;
    assert_eq!((down.state(), down.breaker()), (HealthState::WaitingForTarget, BreakerState::Open));
    assert!(down.next_probe_at.is_some() && down.last_error_code.is_some());
    assert_eq!(down.waiting_for_target, 1);
}

#[tokio::test]
async fn a_failure_degrades_and_a_pause_says_why() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "refused", 1)]).await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.reaches(&id, OperationStatus::DeadLetter).await;
    let failed = told(&world, &connector, |health| health.last_failure_at.is_some()).await;
    assert_eq!(failed.state(), HealthState::Degraded);
    assert_eq!(failed.last_error_code, world.admin.operation(&id).await.unwrap().error_code);
    let reason = Some("moving house".to_owned());
    let pause =
        pp::PauseConnectorRequest { connector_id: connector.clone(), reason: reason.clone(), until: None };
    world.admin.connectors.clone().pause_connector(pause).await.unwrap();
    let paused = health(&world, &connector).await;
    assert_eq!((paused.state(), &paused.pause_reason), (HealthState::Paused, &reason));
}

#[tokio::test]
async fn credentials_that_are_refused_are_told_apart_from_a_pause() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("update", "bad_credentials", 1)]).await;
    let id = world.admin.accept(update_of(&connector, "ann", "a@x")).await;
    world.admin.reaches(&id, OperationStatus::AwaitingSystem).await;
    told(&world, &connector, |health| health.state() == HealthState::BadCredentials).await;
}

#[tokio::test]
async fn nobodys_health_is_not_found() {
    let world = World::new().await;
    let mut connectors = world.admin.connectors.clone();
    let request = pp::GetConnectorHealthRequest { connector_id: world.tenant.to_string() };
    assert_eq!(refused(connectors.get_connector_health(request).await).code, Code::NotFound);
    let request = pp::GetConnectorHealthRequest { connector_id: "7".to_owned() };
    assert_eq!(refused(connectors.get_connector_health(request).await).fields, ["connector_id"]);
}
