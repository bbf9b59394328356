//! A caller who watches and never reads: it fills no memory and stops nobody (fault 39).

use xavyo_tests::{World, update_of};
use xavyo_wire::pb::{
    google::{ListValue, Struct, Timestamp, Value, value::Kind},
    provisioning as pp,
};

use super::{Clients, Watch, admin_of};

/// Operations, each with nearly 1 MiB of payload.
const LARGE: usize = 24;
const IDLE: usize = 4;
/// What each idle watch may cost, in KiB: 1 MiB held ready, the same as a message, encoded and in the stream's window.
const EACH: u64 = 6 << 10;

/// The resident memory of a process, in KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Far in the future, so that nothing but the watch happens.
fn large(connector: &str, number: usize) -> pp::CreateOperationRequest {
    let piece: Value = Kind::StringValue("x".repeat(60_000)).into();
    let mail = Kind::ListValue(ListValue { values: vec![piece; 16] }).into();
    pp::CreateOperationRequest {
        not_before: Some(Timestamp { seconds: 4_000_000_000, nanos: 0 }),
        payload: Some(Struct { fields: [("mail".to_owned(), mail)].into() }),
        ..update_of(connector, &format!("u{number}"), "")
    }
}

/// Opened, and its bookmark not even looked at.
async fn idle(
    through: &Clients,
    connector: &str,
    resume_token: &str,
) -> tonic::Streaming<pp::WatchOperationsResponse> {
    let request = pp::WatchOperationsRequest {
        resume_token: resume_token.to_owned(),
        connector_id: Some(connector.to_owned()),
        ..pp::WatchOperationsRequest::default()
    };
    through.operations.clone().watch_operations(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn who_watches_and_never_reads_fills_no_memory_and_stops_nobody_fault_39() {
    let world = World::new().await;
    let mut replica = world.ground().start_provisioning("2", &[]).await.unwrap();
    let through = admin_of(&world, &replica);
    let connector = world.connector(|_| {}).await;
    let (_watch, begun) = Watch::open(&through, &connector, "").await;
    for number in 0..LARGE {
        world.admin.accept(large(&connector, number)).await;
    }
    // One reads them all, so that what reading costs for a while is there already.
    assert_eq!(Watch::open(&through, &connector, &begun).await.0.take(LARGE).await.len(), LARGE);
    let before = resident(replica.process().id());

    let mut watches = Vec::new();
    for _ in 0..IDLE {
        // Over a connection of its own: those of one connection share its window, which is the client's affair.
        watches.push(idle(&admin_of(&world, &replica), &connector, &begun).await);
    }

    let told = Watch::open(&through, &connector, &begun).await.0.take(LARGE).await;
    assert_eq!(told.len(), LARGE, "others go on");
    let grown = resident(replica.process().id()).saturating_sub(before);
    assert!(grown < EACH * IDLE as u64, "{grown} KiB for {IDLE} idle watches");
    drop(watches);
}
