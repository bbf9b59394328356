//! Over a directory that tells every change and every delete, and nothing else.

use super::*;

#[tokio::test]
async fn a_changed_account_is_judged_and_the_others_are_neither_read_nor_judged() {
    let staff = Staff::of(&["ann", "bob", "cid", "dan"]).await;
    staff.retitle("bob", "boss").await;
    staff.retitle("cid", "boss").await;
    let full = staff.full().await;
    assert_eq!(findings(&staff.world, &full).await, ["Mismatch uid=bob title", "Mismatch uid=cid title"]);

    staff.retitle("ann", "chief").await;
    staff.retitle("cid", "clerk").await;
    let delta = staff.delta().await;

    was_delta(&delta, 2);
    assert_eq!(findings(&staff.world, &delta).await, ["Mismatch uid=ann title"]);
    let how = settled(&staff.world, &full).await;
    assert_eq!(how, pairs(&[("uid=bob", "open"), ("uid=cid", "no longer present")]));
    let (evidence, report) = evidence(&staff.world, &delta).await;
    assert!(evidence.target.contains(&format!("what changed since run {}", full.id)), "{evidence:?}");
    assert!(evidence.expected.contains("0 with a link may have changed since"), "{evidence:?}");
    assert!(report.trend.is_none(), "what was not looked at is not gone");
    assert!(staff.world.admin.discrepancies_of(&full.id).await.len() == 2);
}

#[tokio::test]
async fn deltas_follow_one_another_and_a_finding_keeps_the_day_that_it_was_first_seen() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.full().await;
    staff.retitle("ann", "chief").await;
    let first = staff.delta().await;
    was_delta(&first, 1);
    was_delta(&staff.delta().await, 0);
    assert_eq!(settled(&staff.world, &first).await, pairs(&[("uid=ann", "open")]));

    // It is written, and still differs in the same way.
    staff.retitle("ann", "clerk").await;
    staff.retitle("ann", "chief").await;
    let again = staff.delta().await;

    was_delta(&again, 1);
    assert_eq!(settled(&staff.world, &first).await, pairs(&[("uid=ann", "superseded")]));
    let seen = |rows: Vec<pr::Discrepancy>| rows[0].first_seen_at;
    let (older, newer) = (
        staff.world.admin.discrepancies_of(&first.id).await,
        staff.world.admin.discrepancies_of(&again.id).await,
    );
    assert_eq!(seen(older), seen(newer));
    assert_eq!(staff.full().await.discrepancies_found, 1);
}

#[tokio::test]
async fn a_deleted_account_is_found_by_its_tombstone_and_stays_found() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.full().await;
    staff.delete("ann").await;

    let delta = staff.delta().await;

    was_delta(&delta, 1);
    assert_eq!(findings(&staff.world, &delta).await, ["Deleted uid=ann"]);
    was_delta(&staff.delta().await, 0);
    assert_eq!(settled(&staff.world, &delta).await, pairs(&[("uid=ann", "open")]));
}

/// It left what the connector reads, and the directory calls it gone. Asked for it alone, it has it.
#[tokio::test]
async fn a_tombstone_of_an_account_that_exists_deletes_nobody() {
    let staff = Staff::in_world(World::new().await, &["ann", "bob"], |request| {
        if let Some(pp::connector_settings::Kind::Ldap(ldap)) =
            request.settings.as_mut().and_then(|settings| settings.kind.as_mut())
        {
            ldap.filter = "(!(employeeType=external))".to_owned();
        }
    })
    .await;
    staff.full().await;
    let changes = vec![Mod::Replace("employeeType".to_owned(), ["external".to_owned()].into())];
    let mut administrator = staff.slapd.administrator().await.unwrap();
    administrator.modify(&dn("ann"), changes).await.unwrap().success().unwrap();

    let delta = staff.delta().await;

    was_delta(&delta, 1);
    assert!(findings(&staff.world, &delta).await.is_empty());
}

#[tokio::test]
async fn a_changed_identity_is_held_against_its_account_that_did_not_change() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.full().await;
    staff.retitle_person("bob", "boss").await;

    let delta = staff.delta().await;

    was_delta(&delta, 1);
    assert_eq!(findings(&staff.world, &delta).await, ["Mismatch uid=bob title"]);
    let (evidence, _) = evidence(&staff.world, &delta).await;
    assert!(evidence.expected.contains("1 with a link may have changed since"), "{evidence:?}");
}

#[tokio::test]
async fn whoever_is_new_is_missing_unless_an_account_that_did_not_change_may_be_theirs() {
    let mut staff = Staff::of(&["ann"]).await;
    staff.join("stray", "eve@x").await;
    let full = staff.full().await;
    assert_eq!(findings(&staff.world, &full).await, ["Orphan uid=stray"]);
    staff.person("dan").await;
    staff.person("eve").await;

    let delta = staff.delta().await;

    was_delta(&delta, 1);
    assert_eq!(findings(&staff.world, &delta).await, ["Missing", "Unlinked uid=stray"]);
    assert_eq!(settled(&staff.world, &full).await, pairs(&[("uid=stray", "no longer present")]));
}

#[tokio::test]
async fn an_account_that_lost_its_link_is_seen_although_it_did_not_change() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.full().await;
    let request = pp::ListLinksRequest {
        connector_id: Some(staff.connector.clone()),
        identity_id: Some(staff.people["ann"].clone()),
        ..pp::ListLinksRequest::default()
    };
    let mut accounts = staff.world.admin.accounts.clone();
    let link = accounts.list_links(request).await.unwrap().into_inner().links.remove(0);
    let unlink = pp::UnlinkAccountRequest { link_id: link.id, ..Default::default() };
    accounts.unlink_account(unlink).await.unwrap();

    let delta = staff.delta().await;

    was_delta(&delta, 1);
    assert_eq!(findings(&staff.world, &delta).await, ["Unlinked uid=ann"], "and not missing");
}

#[tokio::test]
async fn an_account_that_resembles_somebody_who_has_one_is_a_collision_although_theirs_did_not_change() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.full().await;
    staff.join("double", "ann@x").await;

    let delta = staff.delta().await;

    was_delta(&delta, 2);
    assert_eq!(findings(&staff.world, &delta).await, ["Collision"]);
}

/// Whose account resembles somebody else's: neither changed, and both members must be seen for it to be settled.
#[tokio::test]
async fn a_collision_is_settled_once_what_resembles_is_gone_and_the_difference_behind_it_comes_to_light() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.retitle("ann", "chief").await;
    staff.join("double", "ann@x").await;
    let full = staff.full().await;
    assert_eq!(findings(&staff.world, &full).await, ["Collision"]);
    staff.delete("double").await;

    let delta = staff.delta().await;

    was_delta(&delta, 2);
    assert_eq!(findings(&staff.world, &delta).await, ["Mismatch uid=ann title"]);
    assert_eq!(settled(&staff.world, &full).await, pairs(&[("", "no longer present")]));
}

#[tokio::test]
async fn a_renamed_account_takes_its_link_along() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.full().await;
    let mut administrator = staff.slapd.administrator().await.unwrap();
    administrator.modifydn(&dn("ann"), "uid=anna", true, None).await.unwrap().success().unwrap();

    let delta = staff.delta().await;

    was_delta(&delta, 1);
    let (_, report) = evidence(&staff.world, &delta).await;
    assert_eq!(report.set_apart.unwrap().renamed, 1);
    let request = pp::ListLinksRequest { external_uid: Some(dn("anna")), ..Default::default() };
    let links = staff.world.admin.accounts.clone().list_links(request).await.unwrap().into_inner().links;
    assert_eq!(links[0].identity_id, staff.people["ann"]);
}

/// An operation waits for its hour, and nobody judges the account. It is cancelled, writes nothing, and nothing changes.
#[tokio::test]
async fn what_was_in_flight_is_the_next_deltas_to_judge() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.retitle("ann", "chief").await;
    let operation = staff.operation_later("ann").await;
    let full = staff.full().await;
    assert!(findings(&staff.world, &full).await.is_empty());
    let (_, report) = evidence(&staff.world, &full).await;
    assert_eq!(report.set_apart.unwrap().in_flight, 1);
    let delta = staff.delta().await;
    was_delta(&delta, 1);
    assert!(findings(&staff.world, &delta).await.is_empty(), "still");
    let cancel = pp::CancelOperationRequest { operation_id: operation, ..Default::default() };
    staff.world.admin.operations.clone().cancel_operation(cancel).await.unwrap();

    let delta = staff.delta().await;

    was_delta(&delta, 1);
    assert_eq!(findings(&staff.world, &delta).await, ["Mismatch uid=ann title"]);
    was_delta(&staff.delta().await, 0);
}

/// Put right while an operation waits: the finding is left open, and settled once somebody can judge it.
#[tokio::test]
async fn a_finding_whose_account_was_in_flight_is_settled_by_the_next_delta() {
    let staff = Staff::of(&["ann", "bob"]).await;
    staff.retitle("ann", "chief").await;
    let full = staff.full().await;
    let operation = staff.operation_later("ann").await;
    staff.retitle("ann", "clerk").await;
    was_delta(&staff.delta().await, 1);
    assert_eq!(settled(&staff.world, &full).await, pairs(&[("uid=ann", "open")]));
    let cancel = pp::CancelOperationRequest { operation_id: operation, ..Default::default() };
    staff.world.admin.operations.clone().cancel_operation(cancel).await.unwrap();

    was_delta(&staff.delta().await, 1);

    assert_eq!(settled(&staff.world, &full).await, pairs(&[("uid=ann", "no longer present")]));
}

/// The server cuts the answer short: nothing is concluded, and the next delta starts from the same marks.
#[tokio::test]
async fn a_read_of_changes_that_is_cut_short_proves_nothing_r1_fault_1() {
    let mut staff = Staff::of(&["ann", "bob", "cid"]).await;
    staff.full().await;
    for login in ["ann", "bob", "cid"] {
        staff.retitle(login, "chief").await;
    }
    let options = |size_limit| Options { overlays: vec![Overlay::Changes], size_limit, ..Options::default() };
    staff.slapd.restart(&options(Some(2))).await.unwrap();
    let cut = staff.delta().await;
    assert_eq!((cut.status(), cut.mode(), cut.error_code()), (Status::Failed, Mode::Delta, "TARGET_REFUSED"));
    assert!(findings(&staff.world, &cut).await.is_empty());
    staff.slapd.restart(&options(None)).await.unwrap();

    let delta = staff.delta().await;

    was_delta(&delta, 3);
    assert_eq!(delta.discrepancies_found, 3);
}
