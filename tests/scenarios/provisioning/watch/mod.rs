//! Watching operations: from any replica, in order, from where it was left; and a caller who does not read.

mod slow;

use std::time::Duration;

use tonic::transport::Endpoint;
use xavyo_sandbox::{keys::Claims, service::Service};
use xavyo_tests::{Clients, World, update_of};
use xavyo_wire::pb::provisioning::{
    self as pp,
    OperationStatus::{Cancelled, Completed, Failed, InProgress, Pending},
    watch_operations_response::Event,
};

/// A safety net: what takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Another replica on the same database, and an admin of the tenant who calls it.
async fn another_replica(world: &World) -> (Service, Clients) {
    let replica = world.ground().start_provisioning("2", &[]).await.unwrap();
    let clients = admin_of(world, &replica);
    (replica, clients)
}

/// Over a connection of its own.
fn admin_of(world: &World, replica: &Service) -> Clients {
    let token = world.token(&Claims::of(world.tenant, &["admin"]));
    let channel = Endpoint::from_shared(replica.url()).unwrap().connect_lazy();
    Clients::new(&channel, &channel, &token)
}

/// A move as a watch tells it, and where to resume after it.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    id: String,
    operation: String,
    to: pp::OperationStatus,
    token: String,
}

struct Watch(tonic::Streaming<pp::WatchOperationsResponse>);

impl Watch {
    /// From that token on, or from now on. The bookmark that it begins with has been read.
    async fn open(through: &Clients, connector: &str, resume_token: &str) -> (Self, String) {
        let request = pp::WatchOperationsRequest {
            resume_token: resume_token.to_owned(),
            connector_id: Some(connector.to_owned()),
            ..pp::WatchOperationsRequest::default()
        };
        let mut stream = through.operations.clone().watch_operations(request).await.unwrap().into_inner();
        let first = stream.message().await.unwrap().unwrap();
        assert!(matches!(first.event, Some(Event::Bookmark(_))), "{first:?}");
        (Self(stream), first.resume_token)
    }

    /// The next moves, so many.
    async fn take(&mut self, count: usize) -> Vec<Told> {
        let mut told = Vec::new();
        let taking = async {
            while told.len() < count {
                let message = self.0.message().await.unwrap().expect("a watch has no end");
                let Some(Event::Change(change)) = message.event else { continue };
                let log = change.log.unwrap();
                told.push(Told {
                    to: log.to_status(),
                    id: log.id,
                    operation: log.operation_id,
                    token: message.resume_token,
                });
            }
        };
        let taken = tokio::time::timeout(PATIENCE, taking).await;
        assert!(taken.is_ok(), "{count} moves were expected: {told:?}");
        told
    }
}

/// One that fails once, is retried and completed, and one that is cancelled before it begins: what was done, in order.
async fn story(through: &Clients, connector: &str) -> Vec<(String, pp::OperationStatus)> {
    let failing = through.accept(update_of(connector, "ann", "a@x")).await;
    through.reaches(&failing, Failed).await;
    let not_before = Some(xavyo_wire::pb::google::Timestamp { seconds: 4_000_000_000, nanos: 0 });
    let later = pp::CreateOperationRequest { not_before, ..update_of(connector, "bob", "b@x") };
    let later = through.accept(later).await;
    let cancel = pp::CancelOperationRequest { operation_id: later.clone(), ..Default::default() };
    through.operations.clone().cancel_operation(cancel).await.unwrap();
    let retry = pp::RetryOperationRequest { operation_id: failing.clone(), ..Default::default() };
    through.operations.clone().retry_operation(retry).await.unwrap();
    through.ended(&failing).await;
    let of_failing = [Pending, InProgress, Failed].map(|to| (failing.clone(), to));
    let of_later = [Pending, Cancelled].map(|to| (later.clone(), to));
    let again = [Pending, InProgress, Completed].map(|to| (failing.clone(), to));
    [of_failing.to_vec(), of_later.to_vec(), again.to_vec()].concat()
}

fn moves(told: &[Told]) -> Vec<(String, pp::OperationStatus)> {
    told.iter().map(|told| (told.operation.clone(), told.to)).collect()
}

#[tokio::test]
async fn a_watcher_of_one_replica_sees_in_order_what_is_done_through_another_and_resumes_there() {
    let world = World::new().await;
    let (_replica, other) = another_replica(&world).await;
    let connector = world.failing_connector(&[("update", "busy", 1)]).await;
    let (mut watch, begun) = Watch::open(&world.admin, &connector, "").await;

    let done = story(&other, &connector).await;

    let told = watch.take(done.len()).await;
    assert_eq!(moves(&told), done);
    // From each token on, through the other replica: nothing is missing, nothing comes twice.
    let taken = told.iter().map(|told| told.token.as_str());
    for (count, token) in [begun.as_str()].into_iter().chain(taken).enumerate() {
        let (mut resumed, _) = Watch::open(&other, &connector, token).await;
        assert_eq!(resumed.take(told.len() - count).await, told[count..]);
        if count == told.len() {
            let next = world.admin.accept(update_of(&connector, "cid", "c@x")).await;
            assert_eq!(moves(&resumed.take(1).await), [(next, Pending)]);
        }
    }
}

#[tokio::test]
async fn callers_who_race_for_an_operation_through_two_replicas_are_watched_as_they_moved_it() {
    let world = World::new().await;
    let (_replica, other) = another_replica(&world).await;
    let connector = world.failing_connector(&[("update", "busy", 1_000)]).await;
    let (mut watch, _) = Watch::open(&world.admin, &connector, "").await;
    for number in 0..20 {
        let id = other.accept(update_of(&connector, &format!("u{number}"), "a@x")).await;
        other.reaches(&id, Failed).await;
        let retry = || pp::RetryOperationRequest { operation_id: id.clone(), ..Default::default() };
        let cancel = || pp::CancelOperationRequest { operation_id: id.clone(), ..Default::default() };
        let (mut here, mut there) = (world.admin.operations.clone(), other.operations.clone());
        let (mut also_here, mut also_there) = (here.clone(), there.clone());
        // Each is done or refused: which of them is not the point.
        let _ = tokio::join!(
            here.retry_operation(retry()),
            there.cancel_operation(cancel()),
            also_there.retry_operation(retry()),
            also_here.cancel_operation(cancel()),
        );
        let logs = pp::ListOperationLogsRequest { operation_id: id.clone(), ..Default::default() };
        let settled = async {
            while world.admin.operation(&id).await.unwrap().status() != Cancelled {
                let _ = here.cancel_operation(cancel()).await;
            }
            world.admin.operations.clone().list_operation_logs(logs).await.unwrap().into_inner().logs
        };
        let logged = tokio::time::timeout(PATIENCE, settled).await.expect("it can be cancelled");
        let told = watch.take(logged.len()).await;
        let logged: Vec<_> =
            logged.into_iter().map(|log| (log.operation_id.clone(), log.to_status())).collect();
        assert_eq!(moves(&told), logged);
    }
}
