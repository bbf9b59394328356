//! Runs: one at a time, moved only by whoever holds the fence.

use uuid::Uuid;
use xavyo_core::{Reason, ids::WorkerId, report::SetApart, run::Phase};
use xavyo_runtime::db;

use super::{Ground, TENANT};
use crate::{
    runs::record::{self, ReadProof, Side, StopRequest},
    store::{
        run::{self, RunFilter},
        run_work::{self, Work, WorkKind},
        worker,
    },
};

const ONE: WorkerId = WorkerId(Uuid::from_u128(11));
const OTHER: WorkerId = WorkerId(Uuid::from_u128(12));

/// R5: a second active run of a connector is refused and names the first.
#[tokio::test]
async fn a_connector_has_one_active_run() {
    let ground = Ground::lay().await;
    let first = ground.run().await;

    let mut second = record::example();
    second.run.id = ground.clock.new_id().into();
    second.run.connector_id = first.run.connector_id;
    let refused = run::insert(&mut *ground.begin().await, TENANT, &second).await.unwrap_err();

    assert_eq!(refused.reason, Reason::RunActive);
    assert_eq!(refused.facts, [("run_id", first.run.id.to_string())]);
}

#[tokio::test]
async fn what_is_saved_is_read_again() {
    let ground = Ground::lay().await;
    let mut record = ground.run().await;
    record.run.phase = Phase::Read;
    record.run.accounts_processed = 17;
    record.progress.calls_made = 3;
    record.progress.set_apart =
        SetApart { protected: 1, in_flight: 2, unevaluable: 3, suppressed: 4, ignored: 5, renamed: 6 };
    record.proofs.push(ReadProof {
        side: Side::Target,
        object_class: "account".to_owned(),
        intent: "default".to_owned(),
        complete: true,
        evidence: "one snapshot".to_owned(),
        count: 17,
        links: 0,
        watermark: Some("42".to_owned()),
    });

    let mut tx = ground.begin().await;
    let asked = run::save(&mut tx, TENANT, &mut record, ground.now()).await.unwrap();
    let read = run::get(&mut tx, TENANT, record.run.id).await.unwrap();

    assert_eq!((asked, read.progress.sequence), (None, 1));
    assert_eq!(read, record);
}

/// Q4 for runs: whoever lost the run changes nothing any more.
#[tokio::test]
async fn an_older_fence_saves_nothing() {
    let ground = Ground::lay().await;
    let mut stale = ground.run().await;
    let mut tx = ground.begin().await;
    assert!(run::claim(&mut tx, TENANT, stale.run.id, OTHER).await.unwrap());

    let lost = run::save(&mut tx, TENANT, &mut stale, ground.now()).await.unwrap_err();

    assert_eq!(lost.reason, Reason::ClaimLost);
    assert_eq!(run::get(&mut tx, TENANT, stale.run.id).await.unwrap().worker, Some(OTHER));
}

#[tokio::test]
async fn a_request_to_stop_reaches_whoever_saves_next_and_a_cancel_stays_one() {
    let ground = Ground::lay().await;
    let mut record = ground.run().await;
    let mut tx = ground.begin().await;
    for request in [StopRequest::Cancel, StopRequest::Pause] {
        run::request_stop(&mut tx, TENANT, record.run.id, request, super::PERSON, ground.now())
            .await
            .unwrap();
    }

    let asked = run::save(&mut tx, TENANT, &mut record, ground.now()).await.unwrap();

    assert_eq!(asked, Some(StopRequest::Cancel));
}

#[tokio::test]
async fn work_of_the_living_is_theirs_and_of_the_dead_anybodys() {
    let ground = Ground::lay().await;
    let work = Work { tenant: TENANT, kind: WorkKind::Run, id: ground.clock.new_id() };
    let mut tx = ground.database.begin_system().await.unwrap();
    run_work::insert(&mut tx, work, ground.now(), None).await.unwrap();
    worker::heartbeat(&mut tx, ONE).await.unwrap();
    assert!(run_work::claim(&mut tx, work, ONE).await.unwrap());

    let due = |worker| (WorkKind::Run, worker, ground.now(), 10);
    let (kind, other, now, limit) = due(OTHER);
    assert_eq!(run_work::find_due(&mut tx, kind, other, now, limit).await.unwrap(), []);
    assert!(!run_work::claim(&mut tx, work, OTHER).await.unwrap());
    // It may have lost its place in its own process.
    assert_eq!(run_work::find_due(&mut tx, kind, ONE, now, limit).await.unwrap(), [work]);

    worker::delete(&mut tx, ONE).await.unwrap();
    assert_eq!(run_work::find_due(&mut tx, kind, OTHER, now, limit).await.unwrap(), [work]);
    assert!(run_work::claim(&mut tx, work, OTHER).await.unwrap());
    db::commit(tx).await.unwrap();
}

#[tokio::test]
async fn lists_are_newest_first_and_go_on_below_the_last() {
    let ground = Ground::lay().await;
    let (older, _) = ground.completed_run(&[]).await;
    let (newer, _) = ground.completed_run(&[]).await;
    let mut tx = ground.begin().await;
    let filter = RunFilter { connector_id: Some(super::CONNECTOR), ..RunFilter::default() };

    let all = super::super::list::ids(&mut tx, TENANT, &filter, None, 10).await.unwrap();
    let rest = super::super::list::ids(&mut tx, TENANT, &filter, Some(newer.run.id.0), 10).await.unwrap();

    assert_eq!(all, [newer.run.id.0, older.run.id.0]);
    assert_eq!(rest, [older.run.id.0]);
    assert_eq!(super::super::list::count(&mut tx, TENANT, &filter).await.unwrap(), 2);
}
