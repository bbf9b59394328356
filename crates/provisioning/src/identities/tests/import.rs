//! Imports.

use chrono::TimeDelta;
use futures::stream;
use tokio_stream::StreamExt;
use xavyo_core::{Reason, connector::Mode, error::Result, value::Value};

use super::*;
use crate::{
    identities::import::{Acknowledgement, Counts, Incomer, Incoming, Outgoing, Record, Start, Summary},
    testing::person,
};

fn record(login: &str) -> Incomer {
    Incomer::Usable(Record { source_key: login.to_owned(), active: true, attributes: person(login) })
}

fn records(count: usize) -> Vec<Incomer> {
    (0..count).map(|number| record(&format!("user{number:06}"))).collect()
}

fn start(snapshot: bool) -> Incoming {
    Incoming::Start(Start { snapshot, reason: None })
}

/// Everything that was answered.
async fn answers(ground: &Ground, incoming: Vec<Incoming>) -> Vec<Result<Outgoing>> {
    let incoming = stream::iter(incoming.into_iter().map(Ok));
    let answers = ground.identities.import(ground.caller.clone(), incoming);
    tokio_stream::wrappers::ReceiverStream::new(answers).collect().await
}

/// What a whole import acknowledged, and its summary.
async fn import(ground: &Ground, snapshot: bool, chunk: Vec<Incomer>) -> (Vec<Acknowledgement>, Summary) {
    let count = i64::try_from(chunk.len()).unwrap();
    let incoming = vec![start(snapshot), Incoming::Chunk(chunk), Incoming::End { count }];
    let mut acknowledged = Vec::new();
    for answer in answers(ground, incoming).await {
        match answer.unwrap() {
            Outgoing::Acknowledgement(one) => acknowledged.push(one),
            Outgoing::Summary(summary) => return (acknowledged, summary),
        }
    }
    panic!("no summary")
}

#[tokio::test]
async fn an_import_is_acknowledged_batch_by_batch_and_provisions_everybody() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;

    let (acknowledged, summary) = import(&ground, false, records(1_200)).await;

    let sizes: Vec<i64> = acknowledged.iter().map(|one| one.counts.created).collect();
    assert_eq!(sizes, [500, 500, 200]);
    assert_eq!(acknowledged[0].last_source_key, "user000499");
    assert_eq!(
        (summary.received, summary.counts.created, summary.counts.operations_enqueued),
        (1_200, 1_200, 1_200)
    );
    assert_eq!(ground.count("operation where cause_kind = 'import'").await, 1_200);
    assert_eq!(
        ground.count("audit_event where method = 'ImportIdentities'").await,
        3,
        "one a transaction, S4"
    );
}

#[tokio::test]
async fn repeating_an_import_writes_nothing() {
    let ground = Ground::lay().await;
    ground.connector("hr", Mode::Enforce, 0).await;
    import(&ground, false, records(20)).await;
    let before = (ground.count("operation").await, ground.count("audit_event").await);

    let (_, summary) = import(&ground, false, records(20)).await;

    assert_eq!(summary.counts, Counts { unchanged: 20, ..Counts::default() });
    assert_eq!((ground.count("operation").await, ground.count("audit_event").await), before);
    assert_eq!(ground.count("identity where version > 1").await, 0);
}

#[tokio::test]
async fn bad_records_are_named_and_a_key_that_comes_twice_is_taken_twice() {
    let ground = Ground::lay().await;
    let bad = Incomer::Refused {
        source_key: String::new(),
        field: "source_key".to_owned(),
        expected: "required".to_owned(),
    };
    let mut again = person("a");
    again.insert("mail".to_owned(), vec![Value::from("second@x")]);
    let again = Incomer::Usable(Record { source_key: "a".to_owned(), active: false, attributes: again });

    let (acknowledged, summary) = import(&ground, false, vec![record("a"), bad, again]).await;

    assert_eq!((summary.counts.created, summary.counts.updated, summary.counts.failed), (1, 1, 1));
    let error = acknowledged.iter().flat_map(|one| &one.errors).next().unwrap();
    assert_eq!((error.index, error.reason, error.field.as_str()), (1, Reason::InvalidField, "source_key"));
    let a = ground.identities.get(&ground.caller, Key::Source("a".to_owned())).await.unwrap();
    assert!(!a.active && a.attributes["mail"] == [Value::from("second@x")], "the last one counts");
}

#[tokio::test]
async fn a_snapshot_inactivates_who_did_not_come() {
    let ground = Ground::lay().await;
    import(&ground, false, records(3)).await;
    let by_hand =
        CreateIdentity { source_key: None, active: true, attributes: person("by-hand"), request_id: None };
    ground.identities.create(&ground.caller, by_hand).await.unwrap();
    ground.clock.advance(TimeDelta::hours(1));

    let (_, summary) = import(&ground, true, records(2)).await;

    assert_eq!((summary.counts.unchanged, summary.counts.inactivated), (2, 1));
    assert_eq!(ground.count("identity where not active").await, 1);
}

#[tokio::test]
async fn absence_means_nothing_without_a_snapshot_whose_count_matches_fault_6() {
    let ground = Ground::lay().await;
    import(&ground, false, records(3)).await;
    ground.clock.advance(TimeDelta::hours(1));
    let cut_off = vec![start(true), Incoming::Chunk(records(1)), Incoming::End { count: 3 }];
    let empty = vec![start(true), Incoming::End { count: 0 }];
    for incoming in [cut_off, empty] {
        let last = answers(&ground, incoming).await.pop().unwrap();
        assert_eq!(last.unwrap_err().violations[0].field, "end.count");
    }

    let without_end = answers(&ground, vec![start(true), Incoming::Chunk(records(1))]).await;

    assert!(matches!(without_end.last(), Some(Ok(Outgoing::Summary(_)))), "it ends, never as a snapshot");
    assert_eq!(ground.count("identity where not active").await, 0);
}

#[tokio::test]
async fn a_stream_begins_with_one_start() {
    let ground = Ground::lay().await;
    for incoming in [vec![Incoming::Chunk(records(1))], vec![start(false), start(false)]] {
        let last = answers(&ground, incoming).await.pop().unwrap();
        assert_eq!(last.unwrap_err().violations[0].field, "start");
    }
    assert_eq!(ground.count("identity").await, 0);
}
