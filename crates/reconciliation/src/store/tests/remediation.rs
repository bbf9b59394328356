//! Remediations: one in flight, recorded once.

use xavyo_core::{
    Reason,
    ids::DiscrepancyId,
    remediation::{RemediationAction, RemediationDirection, Remedy},
};

use super::{CONNECTOR, Ground, PERSON, TENANT};
use crate::{
    remediation::record::{Choice, Outcome, RemediationRecord},
    store::{discrepancy, remediation},
};

impl Ground {
    fn intent(&self, discrepancy_id: DiscrepancyId) -> RemediationRecord {
        RemediationRecord {
            id: self.clock.new_id(),
            discrepancy_id,
            connector_id: CONNECTOR,
            remedy: Remedy {
                action: RemediationAction::Create,
                direction: RemediationDirection::XavyoToTarget,
            },
            choice: Choice::default(),
            reason: None,
            dry_run: false,
            run_id: None,
            requested_by: PERSON,
            trace_id: None,
            fence: 0,
            operation_id: None,
            outcome: None,
            created_at: self.now(),
        }
    }
}

const DONE: Outcome = Outcome { failure: None, changes: None };

/// R10: at most one effective remediation of a discrepancy.
#[tokio::test]
async fn a_second_remediation_waits_for_the_end_of_the_first() {
    let ground = Ground::lay().await;
    let (_, found) = ground.completed_run(&[1]).await;
    let first = ground.intent(found[0]);
    let mut tx = ground.begin().await;
    remediation::insert(&mut tx, TENANT, &first).await.unwrap();

    let refused = remediation::insert(&mut tx, TENANT, &ground.intent(found[0])).await.unwrap_err();
    assert_eq!(refused.reason, Reason::RemediationInFlight);
    assert!(remediation::is_in_flight(&mut tx, TENANT, found[0]).await.unwrap());

    remediation::finish(&mut tx, TENANT, &first, &DONE, ground.now()).await.unwrap();
    remediation::insert(&mut tx, TENANT, &ground.intent(found[0])).await.unwrap();
}

#[tokio::test]
async fn a_dry_run_is_in_nobodys_way() {
    let ground = Ground::lay().await;
    let (_, found) = ground.completed_run(&[1]).await;
    let mut tx = ground.begin().await;
    remediation::insert(&mut tx, TENANT, &ground.intent(found[0])).await.unwrap();

    let dry = RemediationRecord { dry_run: true, outcome: Some(DONE), ..ground.intent(found[0]) };
    remediation::insert(&mut tx, TENANT, &dry).await.unwrap();

    // The last remediation that counts is shown with its discrepancy.
    let shown = discrepancy::get(&mut tx, TENANT, found[0]).await.unwrap().remediation;
    assert!(shown.is_some_and(|record| !record.dry_run && record.outcome.is_none()));
}

#[tokio::test]
async fn whoever_lost_a_remediation_records_nothing() {
    let ground = Ground::lay().await;
    let (_, found) = ground.completed_run(&[1]).await;
    let stale = ground.intent(found[0]);
    let mut tx = ground.begin().await;
    remediation::insert(&mut tx, TENANT, &stale).await.unwrap();
    assert!(remediation::claim(&mut tx, TENANT, stale.id).await.unwrap());

    let lost = remediation::finish(&mut tx, TENANT, &stale, &DONE, ground.now()).await.unwrap_err();
    assert_eq!(lost.reason, Reason::ClaimLost);

    let current = remediation::get(&mut tx, TENANT, stale.id).await.unwrap();
    remediation::finish(&mut tx, TENANT, &current, &DONE, ground.now()).await.unwrap();
    assert!(!remediation::claim(&mut tx, TENANT, stale.id).await.unwrap());
}
