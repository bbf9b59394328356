//! Against a real Postgres and the memory target.

mod kept;
mod since;

use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use uuid::Uuid;
use xavyo_core::{
    Reason, account::AccountState, cause::CauseKind, connector::Mode, ids::IdentityId, mapping::Evaluation,
    role::Role, value::Value,
};

use super::{
    batch::{BatchGet, Pair, Selector},
    expected::{ExpectedAccount, Item, ReadExpected},
    live::GetAccount,
    target::{self, ReadTarget, TargetAccount},
    *,
};
use crate::{
    connectors::PauseConnector,
    identities::{Edit, UpdateIdentity},
    testing::{Ground, caller, person},
};

fn kind(connector_id: ConnectorId) -> Kind {
    Kind { connector_id, object_class: "account".to_owned(), intent: "default".to_owned() }
}

fn of(kind: Kind) -> ReadExpected {
    ReadExpected { kind, since: None }
}

fn link_of(connector_id: ConnectorId, identity_id: IdentityId, uid: &str) -> LinkAccount {
    LinkAccount {
        kind: kind(connector_id),
        identity_id,
        external_uid: uid.to_owned(),
        immutable_id: None,
        reason: None,
        cause: (CauseKind::Api, None),
        request_id: None,
    }
}

fn unlink_of(link: &Link, reject_pair: bool) -> UnlinkAccount {
    UnlinkAccount { link_id: link.id, etag: None, reject_pair, reason: None, cause: (CauseKind::Api, None) }
}

impl Ground {
    async fn link(&self, connector: ConnectorId, identity: IdentityId, uid: &str) -> Result<Link> {
        self.accounts.link(&self.caller, link_of(connector, identity, uid)).await
    }

    async fn expected(&self, connector: ConnectorId) -> (Vec<ExpectedAccount>, expected::Proof) {
        let (accounts, _, proof) = self.expected_since(connector, None).await.unwrap();
        (accounts, proof)
    }

    /// Accounts, those that lost their links, and the proof.
    async fn expected_since(
        &self,
        connector: ConnectorId,
        since: Option<String>,
    ) -> Result<(Vec<ExpectedAccount>, Vec<String>, expected::Proof)> {
        let command = ReadExpected { kind: kind(connector), since };
        let items = self.accounts.read_expected(&self.caller, command).await?;
        let (mut accounts, mut unlinked) = (Vec::new(), Vec::new());
        let items: Vec<_> = ReceiverStream::new(items).collect().await;
        for item in items {
            match item? {
                Item::Page(page) => accounts.extend(page),
                Item::Busy(_) => {}
                Item::Former(former) => unlinked.extend(former.into_iter().map(|it| it.external_uid)),
                Item::Proof(proof) => return Ok((accounts, unlinked, proof)),
            }
        }
        panic!("no proof")
    }

    async fn seen(&self, connector: ConnectorId) -> (Vec<TargetAccount>, target::Proof) {
        let command = ReadTarget { kind: kind(connector), include_attributes: false, since: None };
        let items = self.accounts.read_target(&self.caller, command).await.unwrap();
        let mut accounts = Vec::new();
        let items: Vec<_> = ReceiverStream::new(items).collect().await;
        for item in items {
            match item.unwrap() {
                target::Item::Page(page) => accounts.extend(page),
                target::Item::Gone(keys) => panic!("{keys:?} in a read of all"),
                target::Item::Proof(proof) => return (accounts, proof),
            }
        }
        panic!("no proof")
    }

    async fn pair(&self, connector: ConnectorId, selector: Selector) -> Pair {
        let command = BatchGet { kind: kind(connector), selectors: vec![selector] };
        self.accounts.batch_get(&self.caller, command).await.unwrap().remove(0)
    }
}

#[tokio::test]
async fn equal_accounts_have_equal_digests_and_keys_on_both_sides() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 1).await;
    let generated = xavyo_connectors::memory::generated(0, 0);
    let jane = ground.identity("user000000").await;
    let department = generated.attributes["department"].clone();
    let edits = vec![Edit::Set("department".to_owned(), department)];
    let command = UpdateIdentity { identity_id: jane.id, etag: None, edits, validate_only: false };
    ground.identities.update(&ground.caller, command).await.unwrap();
    ground.link(id, jane.id, "user000000").await.unwrap();

    let (expected, proof) = ground.expected(id).await;
    let (seen, target_proof) = ground.seen(id).await;

    assert_eq!(expected[0].digest, Some(seen[0].digest));
    assert_eq!(expected[0].correlation_keys.as_deref(), Some(seen[0].correlation_keys.as_slice()));
    assert_eq!(expected[0].state, Some(AccountState::Enabled));
    assert_eq!((proof.count, proof.revision, proof.unevaluable), (1, 1, 0));
    assert!(target_proof.completeness.complete);
    assert_eq!(ground.count("link where kept_digest is not null").await, 1, "kept for the next run");
}

#[tokio::test]
async fn every_identity_is_expected_with_what_it_calls_for() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 0).await;
    for number in 0..1_003 {
        ground.identity(&format!("p{number}")).await;
    }
    let mut external = person("x");
    external.insert("department".to_owned(), vec![Value::from("External")]);
    external.remove("mail");
    let command = crate::identities::CreateIdentity {
        source_key: None,
        active: true,
        attributes: external,
        request_id: None,
    };
    ground.identities.create(&ground.caller, command).await.unwrap();

    let (expected, proof) = ground.expected(id).await;

    assert_eq!((expected.len(), proof.count), (1_004, 1_004), "three pages");
    let should_have = expected.iter().filter(|account| account.standing == Evaluation::In).count();
    assert_eq!(should_have, 1_003);
    assert!(expected.windows(2).all(|pair| pair[0].identity_id < pair[1].identity_id));
}

#[tokio::test]
async fn a_link_is_made_once_on_either_side() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 2).await;
    let (jane, joan) = (ground.identity("jane").await, ground.identity("joan").await);

    let link = ground.link(id, jane.id, "user000000").await.unwrap();

    assert!(link.account.immutable_id.is_some(), "learned from the target");
    let taken = ground.link(id, joan.id, "user000000").await.unwrap_err();
    assert_eq!(taken.reason, Reason::AlreadyExists);
    let second = ground.link(id, jane.id, "user000001").await.unwrap_err();
    assert_eq!(second.reason, Reason::AlreadyExists);
    assert_eq!(ground.count("link_event where event = 'linked'").await, 1);
    assert_eq!(ground.count("audit_event where method = 'LinkAccount'").await, 1, "S4");
}

#[tokio::test]
async fn nobody_is_linked_to_what_is_not_there_or_is_another_account_now_fault_4() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 1).await;
    let jane = ground.identity("jane").await;
    let gone = ground.link(id, jane.id, "nobody").await.unwrap_err();
    assert_eq!(gone.reason, Reason::NotFound);
    let other = LinkAccount { immutable_id: Some("other".to_owned()), ..link_of(id, jane.id, "user000000") };
    assert_eq!(ground.accounts.link(&ground.caller, other).await.unwrap_err().reason, Reason::PremiseGone);
    let nobody = ground.link(id, IdentityId(Uuid::from_u128(5)), "user000000").await.unwrap_err();
    assert_eq!(nobody.reason, Reason::NotFound);
    assert_eq!(ground.count("link").await, 0);
}

#[tokio::test]
async fn a_rejected_pair_is_told_to_runs_until_a_person_links_it_after_all() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 1).await;
    let jane = ground.identity("jane").await;
    let link = ground.link(id, jane.id, "user000000").await.unwrap();

    ground.accounts.unlink(&ground.caller, unlink_of(&link, true)).await.unwrap();
    let (expected, _) = ground.expected(id).await;
    assert_eq!((expected[0].link.is_none(), expected[0].rejected.len()), (true, 1));

    let again = ground.link(id, jane.id, "user000000").await.unwrap();
    let (expected, _) = ground.expected(id).await;
    assert_eq!(expected[0].rejected, []);
    assert_eq!(again.lane_id, link.lane_id, "a lane is an account: it outlives its links");
}

#[tokio::test]
async fn an_account_with_operations_under_way_is_neither_linked_nor_judged() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Enforce, 1).await;
    let jane = ground.identity("jane").await;

    let busy = ground.link(id, jane.id, "user000000").await.unwrap_err();
    assert_eq!(busy.reason, Reason::LaneBusy);

    let (expected, _) = ground.expected(id).await;
    assert!(expected[0].in_flight);
    let pair = ground.pair(id, Selector { identity_id: Some(jane.id), ..Selector::default() }).await;
    assert_eq!((pair.queued.live, pair.standing, pair.live), (1, Some(Evaluation::In), None));
}

#[tokio::test]
async fn a_pair_is_found_by_identity_by_uid_and_by_immutable_id() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 2).await;
    let jane = ground.identity("user000000").await;
    let link = ground.link(id, jane.id, "user000000").await.unwrap();
    let by = |identity: bool, uid: bool, immutable: bool| Selector {
        identity_id: identity.then_some(jane.id),
        external_uid: uid.then(|| "user000000".to_owned()),
        immutable_id: immutable.then(|| link.account.immutable_id.clone().unwrap()),
    };
    for selector in
        [by(true, false, false), by(false, true, false), by(false, false, true), by(true, true, true)]
    {
        let pair = ground.pair(id, selector.clone()).await;
        assert_eq!(pair.link.as_ref(), Some(&link), "{selector:?}");
        assert_eq!(pair.identity_id, Some(jane.id));
        assert_eq!(pair.live.unwrap().account.external_uid, "user000000");
    }
    let stranger = Selector { external_uid: Some("user000001".to_owned()), ..Selector::default() };
    let pair = ground.pair(id, stranger).await;
    assert_eq!((pair.identity_id, pair.link, pair.standing), (None, None, None));
    assert!(pair.live.is_some());
}

#[tokio::test]
async fn sensitive_values_are_for_the_other_service_only_s3() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 1).await;
    let jane = ground.identity("user000000").await;
    ground.link(id, jane.id, "user000000").await.unwrap();
    let department = |pair: &Pair| pair.live.as_ref().unwrap().account.attributes["department"][0].to_text();
    let command = BatchGet {
        kind: kind(id),
        selectors: vec![Selector { identity_id: Some(jane.id), ..Selector::default() }],
    };

    let shown = ground.accounts.batch_get(&ground.caller, command.clone()).await.unwrap();
    let service = Caller { roles: vec![Role::Service], ..caller(1) };
    let told = ground.accounts.batch_get(&service, command).await.unwrap();
    let get = GetAccount { kind: kind(id), key: Key::Identity(jane.id) };
    let one = ground.accounts.get(&ground.caller, get).await.unwrap();

    assert_eq!(department(&shown[0]), "***");
    assert_ne!(department(&told[0]), "***");
    assert_eq!(one.account.attributes["department"], [Value::from("***")]);
    assert_eq!(shown[0].live.as_ref().unwrap().digest, told[0].live.as_ref().unwrap().digest);
}

#[tokio::test]
async fn new_uids_are_followed_while_nothing_is_under_way() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 1).await;
    let jane = ground.identity("jane").await;
    let link = ground.link(id, jane.id, "user000000").await.unwrap();
    let told = RefreshedLink {
        link_id: link.id,
        external_uid: "renamed".to_owned(),
        immutable_id: link.account.immutable_id.clone(),
    };
    let command = RefreshLinks { connector_id: id, links: vec![told] };

    assert_eq!(ground.accounts.refresh_links(&ground.caller, command.clone()).await.unwrap(), 1);
    assert_eq!(ground.accounts.refresh_links(&ground.caller, command).await.unwrap(), 0, "it is known now");
    assert_eq!(ground.count("link where external_uid = 'renamed' and uid_key = 'renamed'").await, 1);
    assert_eq!(ground.count("link_event where event = 'renamed'").await, 1);
}

#[tokio::test]
async fn a_paused_connector_is_not_read() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 1).await;
    let pause = PauseConnector { connector_id: id, reason: None, until: None };
    ground.connectors.pause(&ground.caller, pause).await.unwrap();
    let command = ReadTarget { kind: kind(id), include_attributes: false, since: None };
    let refused = ground.accounts.read_target(&ground.caller, command).await.unwrap_err();
    assert_eq!(refused.reason, Reason::ConnectorPaused);
}

#[tokio::test]
async fn a_kind_that_the_connector_does_not_have_is_named() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 1).await;
    let other = Kind { object_class: "group".to_owned(), ..kind(id) };
    let refused = ground.accounts.read_expected(&ground.caller, of(other)).await.unwrap_err();
    assert_eq!(refused.violations[0].field, "object_class");
}

#[tokio::test]
async fn another_tenant_reads_and_links_nothing_s1() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 1).await;
    let jane = ground.identity("jane").await;
    let link = ground.link(id, jane.id, "user000000").await.unwrap();
    let stranger = caller(9);
    let reasons = [
        ground.accounts.read_expected(&stranger, of(kind(id))).await.unwrap_err().reason,
        ground.accounts.unlink(&stranger, unlink_of(&link, false)).await.unwrap_err().reason,
        ground.accounts.link(&stranger, link_of(id, jane.id, "user000000")).await.unwrap_err().reason,
    ];
    assert_eq!(reasons, [Reason::NotFound; 3]);
    let all = ListLinks { filter: links::Filter::default(), after: None, page_size: 50, count_total: true };
    assert_eq!(ground.accounts.list_links(&stranger, all.clone()).await.unwrap().items, []);
    assert_eq!(ground.accounts.list_links(&ground.caller, all).await.unwrap().items, [link]);
}
