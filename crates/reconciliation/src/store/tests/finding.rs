//! Findings over several runs: superseded, gone, spared; never doubled.

use chrono::TimeDelta;
use uuid::Uuid;
use xavyo_core::{
    account::AccountKey,
    discrepancy::{Candidate, Discrepancy, DiscrepancyType, Event, ResolutionStatus},
    ids::IdentityId,
    report::Trend,
};
use xavyo_runtime::db;

use super::{Ground, PERSON, TENANT};
use crate::store::{
    discrepancy::{self, DiscrepancyFilter, Settlement},
    finding, list,
};

#[tokio::test]
async fn a_finding_that_is_found_again_is_superseded_and_keeps_when_it_was_first_seen() {
    let ground = Ground::lay().await;
    let (_, first) = ground.completed_run(&[1]).await;
    let seen = ground.now();
    ground.clock.advance(TimeDelta::days(1));

    let (_, second) = ground.completed_run(&[1]).await;

    let older = ground.get(first[0]).await;
    assert_eq!(older.resolution_status, ResolutionStatus::Resolved);
    assert_eq!(older.superseded_by_id, Some(second[0]));
    assert_eq!(older.resolution_note.as_deref(), Some("superseded"));
    assert_eq!(ground.get(second[0]).await.first_seen_at, seen);
}

#[tokio::test]
async fn a_finding_that_is_not_found_again_is_no_longer_present_unless_it_was_spared() {
    let ground = Ground::lay().await;
    let (_, first) = ground.completed_run(&[1, 2]).await;
    let (second, _) = ground.completed_run(&[]).await;
    assert_eq!(ground.get(first[0]).await.resolution_note.as_deref(), Some("no longer present"));

    let (_, third) = ground.completed_run(&[3, 4]).await;
    let fourth = ground.run().await;
    let mut tx = ground.begin().await;
    finding::settle_gone(&mut tx, TENANT, ground.successor(&fourth), &third[..1]).await.unwrap();
    db::commit(tx).await.unwrap();

    assert_eq!(ground.get(third[0]).await.resolution_status, ResolutionStatus::Pending);
    assert_eq!(ground.get(third[1]).await.resolution_status, ResolutionStatus::Resolved);
    assert!(second.run.id < fourth.run.id);
}

/// R6: what an interrupted run wrote before is not written twice, and what somebody acted on stays.
#[tokio::test]
async fn a_run_that_starts_over_writes_nothing_twice() {
    let ground = Ground::lay().await;
    let run = ground.run().await;
    let found = [ground.finding(&run, 1), ground.finding(&run, 2)];
    let mut tx = ground.begin().await;
    finding::insert_all(&mut tx, TENANT, &found).await.unwrap();
    let by_hand = Settlement { event: Event::Ignored, by: PERSON, note: "known", at: ground.now() };
    assert!(discrepancy::settle(&mut tx, TENANT, found[0].id, by_hand).await.unwrap());

    finding::delete_untouched(&mut tx, TENANT, run.run.id).await.unwrap();
    let again = [ground.finding(&run, 1), ground.finding(&run, 2)];
    finding::insert_all(&mut tx, TENANT, &again).await.unwrap();

    let counts = finding::count_by_type(&mut tx, TENANT, run.run.id).await.unwrap();
    assert_eq!(counts.get(&DiscrepancyType::Missing), Some(&2));
    assert!(discrepancy::get(&mut tx, TENANT, found[0].id).await.is_ok());
    assert!(discrepancy::get(&mut tx, TENANT, again[1].id).await.is_ok());
}

#[tokio::test]
async fn runs_are_compared_by_fingerprint() {
    let ground = Ground::lay().await;
    let (first, _) = ground.completed_run(&[1, 2]).await;
    let (second, _) = ground.completed_run(&[2, 3, 4]).await;

    let trend =
        finding::compare(&mut *ground.begin().await, TENANT, second.run.id, first.run.id).await.unwrap();

    assert_eq!(trend, Trend { new: 2, persisting: 1, gone: 1 });
}

#[tokio::test]
async fn open_findings_of_earlier_runs_are_walked_through_in_order() {
    let ground = Ground::lay().await;
    let (_, first) = ground.completed_run(&[1, 2, 3]).await;
    let next = ground.run().await;
    let mut tx = ground.begin().await;
    finding::insert_all(&mut tx, TENANT, &[ground.finding(&next, 4)]).await.unwrap();
    let of = (super::CONNECTOR, next.run.id);

    let page = finding::find_open(&mut tx, TENANT, of, Uuid::nil(), 1).await.unwrap();
    let rest = finding::find_open(&mut tx, TENANT, of, page[0].id.0, 10).await.unwrap();

    let walked: Vec<_> = page.iter().chain(&rest).map(|open| open.id).collect();
    assert_eq!(walked, first);
    assert_eq!(page[0].fingerprint, ground.finding(&next, 1).fingerprint);
}

#[tokio::test]
async fn a_collision_is_about_each_of_its_members() {
    let ground = Ground::lay().await;
    let run = ground.run().await;
    let jane = IdentityId(Uuid::from_u128(7));
    let account = AccountKey { external_uid: "jane".to_owned(), immutable_id: None };
    let collision = Discrepancy {
        discrepancy_type: DiscrepancyType::Collision,
        identity_id: None,
        candidates: vec![Candidate { identity_id: jane, account, score: 60, reasons: Vec::new() }],
        ..ground.finding(&run, 1)
    };
    let mut tx = ground.begin().await;
    finding::insert_all(&mut tx, TENANT, &[collision.clone(), ground.finding(&run, 2)]).await.unwrap();

    for filter in [
        DiscrepancyFilter { identity_id: Some(jane), ..DiscrepancyFilter::default() },
        DiscrepancyFilter { external_uid: Some("jane".to_owned()), ..DiscrepancyFilter::default() },
    ] {
        let about = list::ids(&mut tx, TENANT, &filter, None, 10).await.unwrap();
        assert_eq!(about, [collision.id.0], "{filter:?}");
    }
}
