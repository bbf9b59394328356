//! The guard, as callers meet it: what it holds, what goes on, what they are told.

mod held;

use xavyo_tests::{World, update_of};
use xavyo_wire::pb::provisioning::{self as pp, OperationStatus};

fn at_most(count: i64) -> pp::GuardLimit {
    let at_most = pp::AtMost { percent: 0.0, count: 0, floor: count };
    pp::GuardLimit { limit: Some(pp::guard_limit::Limit::AtMost(at_most)) }
}

/// A connector that lets so many deletes and disables a day pass, and any number of creates and updates.
async fn guarded(world: &World, destructive: i64, four_eyes: bool) -> String {
    world
        .connector(|request| {
            let guard = request.policies.as_mut().and_then(|policies| policies.guard.as_mut()).unwrap();
            guard.destructive = Some(at_most(destructive));
            guard.four_eyes = four_eyes;
        })
        .await
}

/// Of the account of that person.
fn operation_of(connector: &str, person: &str, kind: pp::OperationType) -> pp::CreateOperationRequest {
    pp::CreateOperationRequest {
        connector_id: connector.to_owned(),
        operation_type: kind.into(),
        object_class: "account".to_owned(),
        user_id: Some(person.to_owned()),
        ..pp::CreateOperationRequest::default()
    }
}

/// A person's account, and the delete of it.
async fn delete_of(world: &World, connector: &str, login: &str) -> String {
    let person = world.person(login, &format!("{login}@x"), "Clerk").await;
    world.account_of(connector, &person).await;
    world.admin.accept(operation_of(connector, &person, pp::OperationType::Delete)).await
}

/// Deletes of accounts that are there, once so many of them are held.
async fn deletes(world: &World, connector: &str, logins: &[&str], held: i64) -> Vec<String> {
    let mut ids = Vec::new();
    for login in logins {
        ids.push(delete_of(world, connector, login).await);
    }
    holds(world, connector, held).await;
    ids
}

/// Waits until so many operations of the connector are held.
async fn holds(world: &World, connector: &str, held: i64) {
    let request = || pp::GetQueueStatisticsRequest { connector_id: Some(connector.to_owned()) };
    let reached = async {
        loop {
            let told = world.admin.operations.clone().get_queue_statistics(request()).await.unwrap();
            if told.into_inner().statistics.unwrap().held == held {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), reached).await.expect("the guard holds them");
}

async fn statuses(world: &World, ids: &[String]) -> Vec<OperationStatus> {
    let mut statuses = Vec::new();
    for id in ids {
        statuses.push(world.admin.operation(id).await.unwrap().status());
    }
    statuses
}

#[tokio::test]
async fn exactly_the_limit_is_deleted_and_the_rest_says_that_the_guard_holds_it_r3() {
    let world = World::new().await;
    let connector = guarded(&world, 2, false).await;
    let ids = deletes(&world, &connector, &["ann", "bob", "cid", "dee"], 2).await;
    let update = world.admin.accept(update_of(&connector, "eve", "e@x")).await;
    world.admin.ended(&update).await;
    let held = world.admin.operation(&ids[3]).await.unwrap();
    assert_eq!((held.status(), held.hold_reason()), (OperationStatus::Pending, pp::HoldReason::Guard));
    assert_eq!(held.waits_for[0].kind(), pp::WaitKind::Guard);
    world.admin.ended(&ids[1]).await;
    let written = world.writes(&connector).await;
    assert_eq!(written.iter().filter(|write| write.starts_with("delete")).count(), 2, "{written:?}");
}

#[tokio::test]
async fn a_held_operation_can_be_cancelled_alone_and_what_was_behind_it_goes_on_q9() {
    let world = World::new().await;
    let connector = guarded(&world, 0, false).await;
    let ann = world.person("ann", "ann@x", "Clerk").await;
    world.account_of(&connector, &ann).await;
    let delete = world.admin.accept(operation_of(&connector, &ann, pp::OperationType::Delete)).await;
    holds(&world, &connector, 1).await;
    let behind = world.admin.accept(operation_of(&connector, &ann, pp::OperationType::Create)).await;
    let waits = world.admin.operation(&behind).await.unwrap();
    assert_eq!(waits.waits_for[0].kind(), pp::WaitKind::EarlierOperation);
    let request = pp::CancelOperationRequest { operation_id: delete, ..Default::default() };
    world.admin.operations.clone().cancel_operation(request).await.unwrap();
    world.admin.ended(&behind).await;
    assert_eq!(world.writes(&connector).await, ["create ann"]);
}
