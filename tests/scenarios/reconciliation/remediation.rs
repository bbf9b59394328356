//! Remediation: the table of what is allowed, each way of putting right, bulk, and repeated calls.

use std::fmt::Write;

use tonic::Code;
use xavyo_tests::{World, refused, update_of};
use xavyo_wire::pb::{common, google::value::Kind, provisioning as pp, reconciliation as pr};

use super::discrepancy::{of_type, six};
use common::{DiscrepancyType as Type, RemediationAction as Action, RemediationDirection as Direction};

fn of(discrepancy: &pr::Discrepancy, action: Action) -> pr::RemediateDiscrepancyRequest {
    pr::RemediateDiscrepancyRequest {
        discrepancy_id: discrepancy.id.clone(),
        action: action.into(),
        ..pr::RemediateDiscrepancyRequest::default()
    }
}

fn item(discrepancy: &pr::Discrepancy, action: Action) -> pr::RemediationItem {
    pr::RemediationItem {
        discrepancy_id: discrepancy.id.clone(),
        action: action.into(),
        ..pr::RemediationItem::default()
    }
}

async fn succeeds(world: &World, request: pr::RemediateDiscrepancyRequest) -> pr::RemediationResult {
    let answer = world.admin.discrepancies.clone().remediate_discrepancy(request).await.unwrap();
    let result = answer.into_inner().result.unwrap();
    assert!(result.success, "{result:?}");
    result
}

async fn found(world: &World, connector: &str) -> Vec<pr::Discrepancy> {
    let run = world.full_run(connector, false).await;
    world.admin.discrepancies_of(&run.id).await
}

async fn identity(world: &World, id: &str) -> pp::Identity {
    let key = Some(pp::get_identity_request::Key::IdentityId(id.to_owned()));
    let answer = world.admin.identities.clone().get_identity(pp::GetIdentityRequest { key }).await.unwrap();
    answer.into_inner().identity.unwrap()
}

/// A person whose account shows another mail than hers.
async fn drifted(world: &World, connector: &str) -> String {
    let person = world.person("ann", "ann@x", "clerk").await;
    world.account_of(connector, &person).await;
    let drift = world.admin.accept(update_of(connector, "ann", "other@x")).await;
    world.admin.ended(&drift).await;
    person
}

async fn preview(world: &World, discrepancy: &pr::Discrepancy) -> pr::RemediationPreview {
    let request =
        pr::PreviewRemediationRequest { discrepancy_id: discrepancy.id.clone(), ..Default::default() };
    let answer = world.admin.discrepancies.clone().preview_remediation(request).await.unwrap();
    answer.into_inner().preview.unwrap()
}

const ALLOWED: &str = "\
Missing: Create XavyoToTarget, InactivateIdentity TargetToXavyo
Orphan: Link XavyoToTarget, Update XavyoToTarget, Delete XavyoToTarget, Create TargetToXavyo
Mismatch: Update XavyoToTarget, Update TargetToXavyo
Collision: Link XavyoToTarget, Unlink XavyoToTarget, Delete XavyoToTarget
Unlinked: Link XavyoToTarget
Deleted: Create XavyoToTarget, Unlink XavyoToTarget, InactivateIdentity TargetToXavyo
";

const TYPES: [Type; 6] =
    [Type::Missing, Type::Orphan, Type::Mismatch, Type::Collision, Type::Unlinked, Type::Deleted];

#[tokio::test]
async fn a_preview_names_what_the_table_allows_and_every_other_triple_is_refused() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    six(&world, &connector).await;
    let found = found(&world, &connector).await;
    let mut table = String::new();
    for wanted in TYPES {
        let discrepancy = of_type(&found, wanted);
        let allowed = preview(&world, discrepancy).await.allowed;
        let rows = allowed.iter().map(|row| format!("{:?} {:?}", row.action(), row.direction()));
        writeln!(table, "{wanted:?}: {}", rows.collect::<Vec<_>>().join(", ")).unwrap();
        for action in (1..=6).map(|number| Action::try_from(number).unwrap()) {
            for direction in [Direction::XavyoToTarget, Direction::TargetToXavyo] {
                if allowed.iter().any(|row| (row.action(), row.direction()) == (action, direction)) {
                    continue;
                }
                let request = pr::RemediateDiscrepancyRequest {
                    direction: direction.into(),
                    ..of(discrepancy, action)
                };
                let answer = world.admin.discrepancies.clone().remediate_discrepancy(request).await;
                let triple = (wanted, action, direction);
                assert_eq!(refused(answer).reason, "REMEDIATION_NOT_ALLOWED", "{triple:?}");
            }
        }
    }
    assert_eq!(table, ALLOWED);
}

#[tokio::test]
async fn a_mismatch_is_previewed_and_can_be_taken_over_from_the_target() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = drifted(&world, &connector).await;
    let found = found(&world, &connector).await;
    let mismatch = of_type(&found, Type::Mismatch);
    let changes = preview(&world, mismatch).await.changes.unwrap();
    let changes = serde_json::to_value(changes).unwrap();
    assert_eq!(changes, serde_json::json!({"mail": {"from": "other@x", "to": "ann@x"}}));
    let direction = Direction::TargetToXavyo.into();
    succeeds(&world, pr::RemediateDiscrepancyRequest { direction, ..of(mismatch, Action::Update) }).await;
    let mail = identity(&world, &person).await.attributes.unwrap().fields["mail"].kind.clone();
    assert_eq!(mail, Some(Kind::StringValue("other@x".to_owned())));
    assert_eq!(world.full_run(&connector, false).await.discrepancies_found, 0, "R11");
}

#[tokio::test]
async fn an_orphan_is_linked_deleted_or_made_an_identity() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    for uid in ["linked", "deleted", "adopted"] {
        world.stray(&connector, uid, &format!("{uid}@elsewhere"), "ghost").await;
    }
    let all = found(&world, &connector).await;
    let orphan = |uid: &str| all.iter().find(|one| one.external_uid() == uid).unwrap();
    let link = of(orphan("linked"), Action::Link);
    succeeds(&world, pr::RemediateDiscrepancyRequest { identity_id: Some(person), ..link }).await;
    succeeds(&world, of(orphan("deleted"), Action::Delete)).await;
    let direction = Direction::TargetToXavyo.into();
    let create = of(orphan("adopted"), Action::Create);
    succeeds(&world, pr::RemediateDiscrepancyRequest { direction, ..create }).await;
    let left = found(&world, &connector).await;
    assert!(left.iter().all(|one| one.discrepancy_type() != Type::Orphan), "{left:#?}");
    assert!(left.iter().all(|one| one.external_uid() != "linked"), "a link pushes what differs: {left:#?}");
}

#[tokio::test]
async fn a_link_whose_differences_may_not_be_written_is_not_made() {
    let world = World::new().await;
    let no_updates = pp::AllowedActions { update: Some(false), ..pp::AllowedActions::default() };
    let connector = world
        .connector(|request| request.policies.as_mut().unwrap().allowed_actions = Some(no_updates))
        .await;
    world.person("ann", "ann@x", "clerk").await;
    world.stray(&connector, "ann", "ann@x", "ghost").await;
    let unlinked = found(&world, &connector).await.remove(0);
    let link = world.admin.discrepancies.clone().remediate_discrepancy(of(&unlinked, Action::Link)).await;
    assert_eq!(refused(link).reason, "ACTION_NOT_ALLOWED");
    let left = found(&world, &connector).await;
    assert_eq!((left.len(), left[0].discrepancy_type()), (1, Type::Unlinked), "{left:#?}");
}

#[tokio::test]
async fn who_is_missing_an_account_can_be_inactivated_instead() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    let found = found(&world, &connector).await;
    succeeds(&world, of(of_type(&found, Type::Missing), Action::InactivateIdentity)).await;
    assert!(!identity(&world, &person).await.active);
    assert_eq!(world.full_run(&connector, false).await.discrepancies_found, 0, "R11");
}

#[tokio::test]
async fn a_bulk_skips_and_names_what_is_resolved_r10() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.person("ann", "ann@x", "clerk").await;
    world.person("bob", "bob@x", "clerk").await;
    let found = found(&world, &connector).await;
    succeeds(&world, of(&found[0], Action::Create)).await;
    let items = found.iter().map(|one| item(one, Action::Create)).collect();
    let request = pr::BulkRemediateDiscrepanciesRequest { items, ..Default::default() };
    let bulk = world.admin.discrepancies.clone().bulk_remediate_discrepancies(request).await.unwrap();
    let bulk = bulk.into_inner();
    assert_eq!((bulk.succeeded, bulk.failed, bulk.skipped), (1, 0, 1), "{bulk:?}");
    assert_eq!(bulk.skipped_items[0].discrepancy_id, found[0].id);
}

#[tokio::test]
async fn a_bulk_of_two_connectors_or_of_one_finding_twice_is_refused() {
    let world = World::new().await;
    let (one, other) = (world.connector(|_| {}).await, world.connector(|_| {}).await);
    world.person("ann", "ann@x", "clerk").await;
    let (one, other) = (found(&world, &one).await, found(&world, &other).await);
    for second in [&other[0], &one[0]] {
        let items = [&one[0], second].map(|finding| item(finding, Action::Create)).to_vec();
        let request = pr::BulkRemediateDiscrepanciesRequest { items, ..Default::default() };
        let answer = world.admin.discrepancies.clone().bulk_remediate_discrepancies(request).await;
        let refusal = refused(answer);
        assert_eq!(refusal.named(), (Code::InvalidArgument, "INVALID_FIELD"), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_repeated_remediation_answers_its_result_and_does_nothing_again_r10() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.person("ann", "ann@x", "clerk").await;
    let found = found(&world, &connector).await;
    let request_id = Some(world.tenant.to_string());
    let request = pr::RemediateDiscrepancyRequest { request_id, ..of(&found[0], Action::Create) };
    let first = succeeds(&world, request.clone()).await;
    let again = succeeds(&world, request.clone()).await;
    assert_eq!(first.operation_id, again.operation_id);
    let other = pr::RemediateDiscrepancyRequest { reason: Some("other".to_owned()), ..request };
    let refusal = refused(world.admin.discrepancies.clone().remediate_discrepancy(other).await);
    assert_eq!(refusal.reason, "REQUEST_ID_REUSED");
}
