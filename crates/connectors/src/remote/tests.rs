//! A server that does what a test tells it: everything that the worked connector, which keeps to the contract, never does.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Response, Status, transport::Server};
use xavyo_core::connector::{FailureKind, Settings};
use xavyo_wire::pb::connector::target_service_server::{TargetService, TargetServiceServer};

use super::{pb, *};
use crate::{Completeness, WATERMARK_EXPIRED, open};

type Answer<T> = Result<Response<T>, Status>;
type Messages<T> = BoxStream<'static, Result<T, Status>>;

/// What the server answers, and what it was asked.
#[derive(Default)]
struct Script {
    reading: Mutex<Vec<Result<pb::ReadAccountsResponse, Status>>>,
    changes: Mutex<Vec<Result<pb::ReadChangesResponse, Status>>>,
    got: Mutex<Option<pb::Account>>,
    /// What a write is answered; none = the account that was meant.
    written: Mutex<Option<Result<Option<pb::Account>, Status>>>,
    described: AtomicUsize,
    sent: AtomicUsize,
    tokens: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Scripted(Arc<Script>);

fn account(uid: &str) -> pb::Account {
    pb::Account {
        external_uid: uid.to_owned(),
        immutable_id: Some(format!("id {uid}")),
        ..Default::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "an item of a script, which may be an error")]
fn page(uids: &[&str]) -> Result<pb::ReadAccountsResponse, Status> {
    let accounts = uids.iter().map(|uid| account(uid)).collect();
    let item = pb::read_accounts_response::Item::Page(pb::AccountPage { accounts });
    Ok(pb::ReadAccountsResponse { item: Some(item) })
}

#[expect(clippy::unnecessary_wraps, reason = "an item of a script, which may be an error")]
fn completeness(count: i64) -> Result<pb::ReadAccountsResponse, Status> {
    let said =
        pb::Completeness { complete: true, evidence: "to the end".to_owned(), count, ..Default::default() };
    Ok(pb::ReadAccountsResponse { item: Some(pb::read_accounts_response::Item::Completeness(said)) })
}

impl Scripted {
    fn note<T>(&self, request: &Request<T>) {
        let token = request.metadata().get("authorization").and_then(|token| token.to_str().ok());
        self.0.tokens.lock().unwrap().extend(token.map(str::to_owned));
    }

    fn write(&self) -> Result<Option<pb::Account>, Status> {
        self.0.written.lock().unwrap().take().unwrap_or_else(|| Ok(Some(account("ada"))))
    }
}

#[tonic::async_trait]
impl TargetService for Scripted {
    type ReadAccountsStream = Messages<pb::ReadAccountsResponse>;
    type ReadChangesStream = Messages<pb::ReadChangesResponse>;

    async fn describe(&self, request: Request<pb::DescribeRequest>) -> Answer<pb::DescribeResponse> {
        self.note(&request);
        self.0.described.fetch_add(1, Ordering::Relaxed);
        let attribute = |name: &str, readable| pb::AttributeSchema {
            name: name.to_owned(),
            readable,
            ..Default::default()
        };
        Ok(Response::new(pb::DescribeResponse {
            name: "scripted".to_owned(),
            capabilities: Some(pb::TargetCapabilities {
                immutable_ids: true,
                changes: true,
                ..Default::default()
            }),
            object_schemas: vec![pb::ObjectSchema {
                object_class: "account".to_owned(),
                attributes: vec![attribute("mail", true), attribute("password", false)],
                ..Default::default()
            }],
        }))
    }

    async fn check_connection(
        &self,
        _: Request<pb::CheckConnectionRequest>,
    ) -> Answer<pb::CheckConnectionResponse> {
        Ok(Response::new(pb::CheckConnectionResponse::default()))
    }

    async fn read_accounts(&self, _: Request<pb::ReadAccountsRequest>) -> Answer<Self::ReadAccountsStream> {
        let items = std::mem::take(&mut *self.0.reading.lock().unwrap());
        let script = self.0.clone();
        let counted = stream::iter(items).inspect(move |_| {
            script.sent.fetch_add(1, Ordering::Relaxed);
        });
        Ok(Response::new(counted.boxed()))
    }

    async fn read_changes(&self, _: Request<pb::ReadChangesRequest>) -> Answer<Self::ReadChangesStream> {
        let items = std::mem::take(&mut *self.0.changes.lock().unwrap());
        Ok(Response::new(stream::iter(items).boxed()))
    }

    async fn find_accounts(&self, _: Request<pb::FindAccountsRequest>) -> Answer<pb::FindAccountsResponse> {
        Err(Status::resource_exhausted("more than 100"))
    }

    async fn get_account(&self, request: Request<pb::GetAccountRequest>) -> Answer<pb::GetAccountResponse> {
        let wanted = &request.get_ref().attributes;
        assert!(!wanted.iter().any(|name| name == ALL_ATTRIBUTES || name == "password"), "{wanted:?}");
        Ok(Response::new(pb::GetAccountResponse { account: self.0.got.lock().unwrap().clone() }))
    }

    async fn create_account(
        &self,
        _: Request<pb::CreateAccountRequest>,
    ) -> Answer<pb::CreateAccountResponse> {
        self.write().map(|account| Response::new(pb::CreateAccountResponse { account }))
    }

    async fn update_account(
        &self,
        _: Request<pb::UpdateAccountRequest>,
    ) -> Answer<pb::UpdateAccountResponse> {
        self.write().map(|account| Response::new(pb::UpdateAccountResponse { account }))
    }

    async fn delete_account(
        &self,
        _: Request<pb::DeleteAccountRequest>,
    ) -> Answer<pb::DeleteAccountResponse> {
        self.write().map(|_| Response::new(pb::DeleteAccountResponse {}))
    }
}

/// A running server, and a connector to it.
struct Theirs {
    script: Arc<Script>,
    address: SocketAddr,
    connector: Arc<dyn Connector>,
}

impl Theirs {
    async fn start() -> Self {
        let script = Arc::new(Script::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TargetServiceServer::new(Scripted(script.clone()));
        let serve = Server::builder().add_service(service);
        tokio::spawn(serve.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { script, address, connector: connector(address, &[], &options()) }
    }

    fn read_with(&self, sentinels: &[&str]) -> Arc<dyn Connector> {
        connector(self.address, sentinels, &options())
    }

    /// The uids that a read shows, and its proof.
    async fn read(
        &self,
        connector: &dyn Connector,
        items: Vec<Result<pb::ReadAccountsResponse, Status>>,
    ) -> Result<(usize, Completeness), TargetFailure> {
        *self.script.reading.lock().unwrap() = items;
        let mut read = connector.read(request());
        let mut count = 0;
        while let Some(item) = read.next().await {
            match item? {
                ReadItem::Page(page) => count += page.len(),
                ReadItem::Proof(proof) => return Ok((count, proof)),
            }
        }
        panic!("a read ends with its proof or an error");
    }
}

fn options() -> Options {
    Options { allow_clear_text: true, call_timeout: Duration::from_secs(10), ..Options::default() }
}

fn request() -> ReadRequest {
    ReadRequest { object_class: "account".to_owned(), attributes: vec!["mail".to_owned()] }
}

fn settings(address: SocketAddr, sentinels: &[&str]) -> Settings {
    Settings::Remote(RemoteSettings {
        url: format!("http://{address}"),
        sentinels: sentinels.iter().map(|uid| (*uid).to_owned()).collect(),
        ..RemoteSettings::default()
    })
}

fn connector(address: SocketAddr, sentinels: &[&str], options: &Options) -> Arc<dyn Connector> {
    let secrets = Secrets::from_iter([("bearer_token", "s3cret")]);
    open(&settings(address, sentinels), &secrets, options).unwrap()
}

fn key(id: Option<&str>) -> AccountKey {
    AccountKey { external_uid: "ada".to_owned(), immutable_id: id.map(str::to_owned) }
}

/// R1: what a read says of itself is believed only where nothing contradicts it.
#[tokio::test]
async fn a_read_is_complete_only_if_all_that_is_known_agrees_r1() {
    let theirs = Theirs::start().await;
    let plain = theirs.connector.clone();
    let watching = theirs.read_with(&["ada", "bob"]);
    let late = || vec![page(&["ada"]), completeness(1), page(&["bob"])];
    for (connector, items, expected) in [
        (&plain, vec![page(&["ada", "bob"]), completeness(2)], None),
        (&plain, vec![completeness(0)], None),
        (&watching, vec![page(&["bob", "ada"]), completeness(2)], None),
        (&plain, vec![page(&["ada"])], Some("without its completeness")),
        (&plain, vec![], Some("without its completeness")),
        (&plain, vec![page(&["ada"]), completeness(2)], Some("2 were announced, 1 came")),
        (&plain, late(), Some("behind the completeness")),
        (&plain, vec![completeness(0), completeness(0)], Some("more than one completeness")),
        (&plain, vec![Ok(pb::ReadAccountsResponse::default()), completeness(0)], Some("unknown to us")),
        (&watching, vec![page(&["ada"]), completeness(1)], Some("the sentinel bob was not seen")),
    ] {
        let (_, proof) = theirs.read(connector.as_ref(), items).await.unwrap();
        assert_eq!(proof.complete, expected.is_none(), "{proof:?}");
        assert!(proof.evidence.contains(expected.unwrap_or("to the end")), "{proof:?}");
    }
}

#[tokio::test]
async fn a_read_that_breaks_off_or_answers_nonsense_ends_with_an_error() {
    let theirs = Theirs::start().await;
    for (last, kind) in [
        (Err(Status::unavailable("gone")), FailureKind::Down),
        (Err(Status::internal("oops")), FailureKind::Busy),
        (page(&[""]), FailureKind::Refused),
    ] {
        let read = theirs.read(theirs.connector.as_ref(), vec![page(&["ada"]), last]).await;
        assert_eq!(read.unwrap_err().kind, kind);
    }
}

/// The reader is slow: what it has not taken is not sent.
#[tokio::test]
async fn a_slow_reader_slows_the_other_side_down() {
    let theirs = Theirs::start().await;
    let long = "x".repeat(1_000);
    let uids: Vec<String> = (0..900).map(|n| format!("{long}{n}")).collect();
    let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
    let pages = 200;
    *theirs.script.reading.lock().unwrap() = (0..pages).map(|_| page(&uids)).collect();
    let mut read = theirs.connector.read(request());
    read.next().await.unwrap().unwrap();
    let unread = theirs.script.sent.load(Ordering::Relaxed);
    assert!(unread < pages / 4, "{unread} of {pages} pages were sent unasked");
    let taken = read.take(pages).filter(|item| std::future::ready(item.is_ok())).count().await;
    assert_eq!(taken, pages, "and the rest comes when it is asked for");
}

#[tokio::test]
async fn changes_are_read_to_their_proof_and_an_old_watermark_is_told() {
    use pb::{account_change::Change, read_changes_response::Item};
    let theirs = Theirs::start().await;
    let gone = pb::AccountKey { external_uid: String::new(), immutable_id: Some("id bob".to_owned()) };
    let changes = [Change::Changed(account("ada")), Change::Deleted(gone)];
    let changes = changes.map(|change| pb::AccountChange { change: Some(change) });
    let said = pb::Completeness {
        complete: true,
        count: 2,
        watermark: Some("43".to_owned()),
        ..pb::Completeness::default()
    };
    let item = |item| Ok(pb::ReadChangesResponse { item: Some(item) });
    *theirs.script.changes.lock().unwrap() = vec![
        item(Item::Page(pb::AccountChangePage { changes: changes.into() })),
        item(Item::Completeness(said)),
    ];
    let read: Vec<_> = theirs.connector.changes(request(), "42").collect().await;
    let [Ok(ChangeItem::Page(page)), Ok(ChangeItem::Proof(proof))] = &read[..] else { panic!("{read:?}") };
    assert_eq!((page.len(), proof.complete, proof.watermark.as_deref()), (2, true, Some("43")));

    *theirs.script.changes.lock().unwrap() = vec![Err(Status::out_of_range("too old"))];
    let read: Vec<_> = theirs.connector.changes(request(), "1").collect().await;
    let [Err(failure)] = &read[..] else { panic!("{read:?}") };
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Refused, WATERMARK_EXPIRED));
}

/// Fault 4: the other side answers with the account that has the name by now.
#[tokio::test]
async fn an_account_with_another_id_is_not_the_one_that_was_asked_for() {
    let theirs = Theirs::start().await;
    *theirs.script.got.lock().unwrap() = Some(account("ada"));
    let all = [ALL_ATTRIBUTES.to_owned()];
    for (id, is_it) in [(None, true), (Some("id ada"), true), (Some("another"), false)] {
        let got = theirs.connector.get("account", &key(id), &all).await.unwrap();
        assert_eq!(got.is_some(), is_it, "{id:?}");
    }
    let unknown = theirs.connector.get("no such class", &key(None), &all).await.unwrap_err();
    assert_eq!((unknown.kind, unknown.code.as_str()), (FailureKind::Refused, "REMOTE_CLASS"));
}

#[tokio::test]
async fn a_write_without_a_clear_answer_is_unknown() {
    let theirs = Theirs::start().await;
    for (answer, kind) in [
        (Ok(None), FailureKind::Unknown),
        (Ok(Some(pb::Account::default())), FailureKind::Unknown),
        (Err(Status::internal("oops")), FailureKind::Unknown),
        (Err(Status::unavailable("later")), FailureKind::Down),
        (Err(Status::aborted("changed")), FailureKind::PreconditionFailed),
        (Err(Status::unauthenticated("who?")), FailureKind::BadCredentials),
    ] {
        *theirs.script.written.lock().unwrap() = Some(answer);
        let update = AccountUpdate::default();
        let failure = theirs.connector.update("account", &key(None), &update).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
    }
}

#[tokio::test]
async fn it_describes_itself_once_a_connection_and_every_call_carries_the_token() {
    let theirs = Theirs::start().await;
    assert_eq!(theirs.connector.capabilities(), Capabilities::default());
    for _ in 0..3 {
        theirs.connector.delete("account", &key(None), None, "").await.unwrap();
    }
    assert_eq!(theirs.script.described.load(Ordering::Relaxed), 1);
    assert!(theirs.connector.capabilities().immutable_ids);
    assert_eq!(theirs.connector.describe().await.unwrap()[0].attributes.len(), 2);
    let tokens = theirs.script.tokens.lock().unwrap().clone();
    assert!(tokens.iter().all(|token| token == "Bearer s3cret"), "{tokens:?}");
    assert!(!format!("{:?}", theirs.connector).contains("s3cret"));
}

/// S6: the policy is asked about the address, before anything is sent.
#[tokio::test]
async fn a_denied_address_is_never_connected_to_s6() {
    let theirs = Theirs::start().await;
    let egress = crate::egress::Policy { deny: vec!["127.0.0.0/8".parse().unwrap()], ..Default::default() };
    let denied = connector(theirs.address, &[], &Options { egress, ..options() });
    let failure = denied.create(&new_account()).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Refused, "EGRESS_DENIED"));
    assert_eq!(theirs.script.described.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn nobody_there_and_no_tls_there_are_down_and_nothing_was_sent() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let failure = connector(closed, &[], &options()).create(&new_account()).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Down, "REMOTE_CONNECT"));

    let theirs = Theirs::start().await;
    let Settings::Remote(clear) = settings(theirs.address, &[]) else { unreachable!("a remote one") };
    let secure = RemoteSettings { url: clear.url.replace("http://", "https://"), ..clear };
    let secure = open(&Settings::Remote(secure), &Secrets::default(), &options()).unwrap();
    let failure = secure.create(&new_account()).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Down, "REMOTE_TLS"));
}

#[tokio::test]
async fn secrets_that_are_none_are_refused_by_their_field() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let newline = Secrets::from_iter([("bearer_token", "a\nb")]);
    let refused = open(&settings(address, &[]), &newline, &options()).unwrap_err();
    assert_eq!(refused.violations[0].field, "secrets.bearer_token");
    let Settings::Remote(clear) = settings(address, &[]) else { unreachable!("a remote one") };
    let certificate = Some("-----BEGIN CERTIFICATE-----".to_owned());
    let mutual = RemoteSettings { url: "https://h".to_owned(), client_certificate: certificate, ..clear };
    let refused = open(&Settings::Remote(mutual), &Secrets::default(), &options()).unwrap_err();
    assert_eq!(refused.violations[0].field, "secrets.client_key");
}

fn new_account() -> NewAccount {
    NewAccount {
        object_class: "account".to_owned(),
        external_uid: "ada".to_owned(),
        attributes: xavyo_core::value::Attributes::new(),
        enabled: None,
        tag: String::new(),
    }
}
