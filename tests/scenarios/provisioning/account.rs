//! Accounts and links: read in bulk with a proof, linked, unlinked; and everything that is refused.

use tonic::Code;
use xavyo_tests::{World, refused, update_of};
use xavyo_wire::pb::{
    google::Timestamp,
    provisioning::{
        self as pp,
        get_account_request::Key::{ExternalUid, IdentityId},
    },
};

fn link_of(connector: &str, person: &str, uid: &str) -> pp::LinkAccountRequest {
    pp::LinkAccountRequest {
        connector_id: connector.to_owned(),
        object_class: "account".to_owned(),
        identity_id: person.to_owned(),
        external_uid: uid.to_owned(),
        ..pp::LinkAccountRequest::default()
    }
}

async fn link(world: &World, request: pp::LinkAccountRequest) -> Result<pp::Link, tonic::Status> {
    let made = world.admin.accounts.clone().link_account(request).await?;
    Ok(made.into_inner().link.unwrap())
}

async fn links(world: &World, connector: &str) -> Vec<pp::Link> {
    let request = pp::ListLinksRequest { connector_id: Some(connector.to_owned()), ..Default::default() };
    world.admin.accounts.clone().list_links(request).await.unwrap().into_inner().links
}

/// What is expected of everybody, and the proof.
async fn expected(world: &World, connector: &str) -> (Vec<pp::ExpectedAccount>, Option<pp::ReadProof>) {
    use pp::read_expected_accounts_response::Item;
    let request = pp::ReadExpectedAccountsRequest {
        connector_id: connector.to_owned(),
        object_class: "account".to_owned(),
        ..Default::default()
    };
    let mut read = world.admin.accounts.clone().read_expected_accounts(request).await.unwrap().into_inner();
    let (mut accounts, mut proof) = (Vec::new(), None);
    while let Some(message) = read.message().await.unwrap() {
        assert!(proof.is_none(), "the proof comes last");
        match message.item.unwrap() {
            Item::Page(page) => accounts.extend(page.accounts),
            Item::Proof(last) => proof = Some(last),
        }
    }
    (accounts, proof)
}

/// What the target holds, and the proof.
async fn actual(world: &World, connector: &str) -> (Vec<pp::TargetAccount>, Option<pp::ReadProof>) {
    use pp::read_target_accounts_response::Item;
    let request = pp::ReadTargetAccountsRequest {
        connector_id: connector.to_owned(),
        object_class: "account".to_owned(),
        ..pp::ReadTargetAccountsRequest::default()
    };
    let mut read = world.admin.accounts.clone().read_target_accounts(request).await.unwrap().into_inner();
    let (mut accounts, mut proof) = (Vec::new(), None);
    while let Some(message) = read.message().await.unwrap() {
        assert!(proof.is_none(), "the proof comes last");
        match message.item.unwrap() {
            Item::Page(page) => accounts.extend(page.accounts),
            Item::Proof(last) => proof = Some(last),
        }
    }
    (accounts, proof)
}

#[tokio::test]
async fn both_sides_of_a_comparison_end_with_a_proof_and_agree_on_an_account_in_step() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    world.person("bob", "bob@x", "clerk").await;
    world.account_of(&connector, &person).await;
    let (wanted, wanted_proof) = expected(&world, &connector).await;
    let (held, held_proof) = actual(&world, &connector).await;
    let (wanted_proof, held_proof) = (wanted_proof.unwrap(), held_proof.unwrap());
    assert!(wanted_proof.complete && held_proof.complete);
    assert_eq!((wanted_proof.count, held_proof.count), (2, 1));
    let ann = wanted.iter().find(|one| one.identity_id == person).unwrap();
    assert_eq!(ann.digest.as_ref(), Some(&held[0].digest), "the account is as it should be");
    assert!(wanted.iter().all(|one| one.expectation() == pp::Expectation::ShouldHave));
}

#[tokio::test]
async fn a_read_that_was_cut_short_says_so_in_its_proof_r1() {
    let world = World::new().await;
    let connector = world.failing_connector(&[("read", "truncate", 1)]).await;
    world.stray(&connector, "ann", "ann@x", "clerk").await;
    let (_, proof) = actual(&world, &connector).await;
    assert!(proof.is_none_or(|proof| !proof.complete));
    let (held, proof) = actual(&world, &connector).await;
    assert!(held.len() == 1 && proof.unwrap().complete);
}

#[tokio::test]
async fn an_account_is_linked_once_and_unlinked_with_its_etag() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.stray(&connector, "ann", "ann@x", "clerk").await;
    let (ann, bob) = (world.person("ann", "ann@x", "clerk").await, world.person("bob", "b@x", "boss").await);
    let made = link(&world, link_of(&connector, &ann, "ann")).await.unwrap();
    let taken = refused(link(&world, link_of(&connector, &bob, "ann")).await);
    assert_eq!(taken.named(), (Code::AlreadyExists, "ALREADY_EXISTS"));
    assert_eq!(links(&world, &connector).await, std::slice::from_ref(&made));
    let unlink = |etag: &str| pp::UnlinkAccountRequest {
        link_id: made.id.clone(),
        etag: etag.to_owned(),
        ..pp::UnlinkAccountRequest::default()
    };
    let mut accounts = world.admin.accounts.clone();
    assert_eq!(refused(accounts.unlink_account(unlink("1")).await).reason, "ETAG_MISMATCH");
    accounts.unlink_account(unlink(&made.etag)).await.unwrap();
    assert!(links(&world, &connector).await.is_empty());
    assert_eq!(refused(accounts.unlink_account(unlink("")).await).code, Code::NotFound);
}

#[tokio::test]
async fn a_link_needs_an_account_that_is_there_and_is_the_one_meant() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.stray(&connector, "ann", "ann@x", "clerk").await;
    let person = world.person("ann", "ann@x", "clerk").await;
    let absent = refused(link(&world, link_of(&connector, &person, "nobody")).await);
    assert_eq!(absent.named(), (Code::NotFound, "NOT_FOUND"));
    let other = pp::LinkAccountRequest {
        immutable_id: Some("another".to_owned()),
        ..link_of(&connector, &person, "ann")
    };
    let gone = refused(link(&world, other).await);
    assert_eq!(gone.named(), (Code::FailedPrecondition, "PREMISE_GONE"));
    let empty = refused(link(&world, link_of(&connector, &person, "")).await);
    assert_eq!((empty.code, empty.fields), (Code::InvalidArgument, vec!["external_uid".to_owned()]));
    assert!(links(&world, &connector).await.is_empty());
}

#[tokio::test]
async fn an_account_with_live_operations_is_not_linked() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    world.stray(&connector, "ann", "ann@x", "clerk").await;
    let person = world.person("ann", "ann@x", "clerk").await;
    let later = pp::CreateOperationRequest {
        not_before: Some(Timestamp { seconds: 4_000_000_000, nanos: 0 }),
        ..update_of(&connector, "ann", "a@x")
    };
    world.admin.accept(later).await;
    let refusal = refused(link(&world, link_of(&connector, &person, "ann")).await);
    assert_eq!(refusal.named(), (Code::Aborted, "LANE_BUSY"));
}

#[tokio::test]
async fn pairs_are_read_in_the_order_asked_for() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    world.account_of(&connector, &person).await;
    let uid = |uid: &str| pp::AccountSelector { external_uid: Some(uid.to_owned()), ..Default::default() };
    let by_person = pp::AccountSelector { identity_id: Some(person.clone()), ..Default::default() };
    let batch = |selectors| pp::BatchGetAccountsRequest {
        connector_id: connector.clone(),
        object_class: "account".to_owned(),
        intent: String::new(),
        selectors,
    };
    let mut accounts = world.admin.accounts.clone();
    let asked = batch(vec![uid("nobody"), by_person, uid("ann")]);
    let pairs = accounts.batch_get_accounts(asked).await.unwrap().into_inner().pairs;
    assert!(pairs[0].live.is_none() && pairs[0].link.is_none());
    assert_eq!(pairs[1].link, pairs[2].link, "the same pair, by either name");
    assert_eq!(pairs[2].identity_id.as_deref(), Some(person.as_str()));
    assert!(pairs[1].live.is_some());
    for bad in [vec![], vec![pp::AccountSelector::default()], vec![uid("ann"); 1_001]] {
        let refusal = refused(accounts.batch_get_accounts(batch(bad)).await);
        assert_eq!(refusal.named(), (Code::InvalidArgument, "INVALID_FIELD"));
    }
}

#[tokio::test]
async fn an_account_is_read_live_by_either_name_and_not_while_paused() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let person = world.person("ann", "ann@x", "clerk").await;
    world.account_of(&connector, &person).await;
    let get = |key| pp::GetAccountRequest {
        connector_id: connector.clone(),
        object_class: "account".to_owned(),
        intent: String::new(),
        key: Some(key),
    };
    let mut accounts = world.admin.accounts.clone();
    let by_uid = accounts.get_account(get(ExternalUid("ann".to_owned()))).await.unwrap().into_inner();
    let by_link = accounts.get_account(get(IdentityId(person.clone()))).await.unwrap().into_inner();
    assert_eq!(by_uid, by_link);
    let pause = pp::PauseConnectorRequest { connector_id: connector.clone(), ..Default::default() };
    world.admin.connectors.clone().pause_connector(pause).await.unwrap();
    let refusal = refused(accounts.get_account(get(IdentityId(person.clone()))).await);
    assert_eq!(refusal.named(), (Code::FailedPrecondition, "CONNECTOR_PAUSED"));
}
