//! The gate before a stand-in for a service, and the whole server over a socket.

use std::{convert::Infallible, time::Duration};

use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body::Body as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};
use tower::{Layer, ServiceExt};
use xavyo_core::{Error, Kind};

use super::*;
use crate::{
    Caller, Clock, Deadline,
    auth::signer::{Signer, key_set},
    settings::{Limits, TokenSettings},
};

const GET: &str = "/xavyo.provisioning.v1.ConnectorService/GetConnector";
const CREATE: &str = "/xavyo.provisioning.v1.ConnectorService/CreateConnector";
const WATCH: &str = "/xavyo.provisioning.v1.OperationService/WatchOperations";

/// As the services' table does, for the few kinds that the gate answers with.
fn status(error: Error) -> Status {
    let facts: Vec<_> = error.facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let code = match error.kind() {
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::ResourceExhausted => Code::ResourceExhausted,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Unavailable => Code::Unavailable,
        _ => Code::Internal,
    };
    let mut status = Status::new(code, format!("{} {}", error.message, facts.join(",")));
    status.set_source(Arc::new(error));
    status
}

struct World {
    gate: Arc<Gate>,
    signer: Signer,
    _keys: tempfile::NamedTempFile,
}

impl World {
    fn new() -> Self {
        let signer = Signer::ed25519("ed", 1);
        let keys = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&keys, key_set(&[signer.jwk()])).unwrap();
        let clock = Clock::system();
        let tokens = TokenSettings {
            jwks_file: keys.path().to_owned(),
            token_issuer: "https://issuer.test".to_owned(),
            token_audience: "xavyo".to_owned(),
        };
        let limits = Limits {
            call_seconds: 60,
            max_calls: 1,
            max_streams: 1,
            max_connections: 8,
            connection_age_seconds: 60,
            drain_seconds: 20,
        };
        let gate = Gate {
            authenticator: Authenticator::open(&tokens, clock.clone()).unwrap(),
            room: Room::with(&limits),
            limits,
            status,
            clock,
            stop: CancellationToken::new(),
        };
        Self { gate: Arc::new(gate), signer, _keys: keys }
    }

    fn request(&self, path: &str, role: &str) -> Request<Body> {
        let token = self.signer.sign(&json!({
            "iss": "https://issuer.test", "aud": "xavyo", "sub": "ada", "exp": 4_000_000_000_i64,
            "tenant": "0194f7a0-0000-7000-8000-000000000001", "roles": [role],
        }));
        let authorization = format!("Bearer {token}");
        Request::post(path).header("authorization", authorization).body(Body::empty()).unwrap()
    }

    async fn call<F>(
        &self,
        request: Request<Body>,
        handler: impl FnOnce(Request<Body>) -> F + Clone + Send + 'static,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let service = tower::service_fn(move |request| {
            let answer = handler.clone()(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        GateLayer(self.gate.clone()).layer(service).oneshot(request).await.unwrap()
    }
}

/// An answer without a message, its status in the trailers as a service sends it.
async fn well(_: Request<Body>) -> Response<Body> {
    Response::new(Body::new(Frames(Box::pin(stream::iter([trailers(Code::Ok)])))))
}

struct Frames(std::pin::Pin<Box<dyn futures::Stream<Item = http_body::Frame<bytes::Bytes>> + Send>>);

impl http_body::Body for Frames {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
        self.0.as_mut().poll_next(context).map(|frame| frame.map(Ok))
    }
}

fn trailers(code: Code) -> http_body::Frame<bytes::Bytes> {
    let mut trailers = http::HeaderMap::new();
    Status::new(code, "").add_header(&mut trailers).unwrap();
    http_body::Frame::trailers(trailers)
}

/// The status of an answer, from its headers or at the end of its body.
async fn code(response: Response<Body>) -> Code {
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status.code();
    }
    let mut body = response.into_body();
    while let Some(frame) =
        std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(trailers) = frame.unwrap().into_trailers() {
            return Status::from_header_map(&trailers).unwrap().code();
        }
    }
    panic!("the answer ended without a status")
}

#[tokio::test]
async fn a_call_without_a_token_never_reaches_a_service() {
    let world = World::new();
    let request = Request::post(GET).body(Body::empty()).unwrap();

    let answer = world.call(request, async |_| panic!("it was reached")).await;

    assert_eq!(code(answer).await, Code::Unauthenticated);
}

#[tokio::test]
async fn a_role_that_does_not_suffice_and_a_method_without_a_row_are_denied() {
    let world = World::new();

    for (path, role) in
        [(CREATE, "operator"), (GET, "janitor"), ("/xavyo.x.v1.XService/X", "admin"), ("/", "admin")]
    {
        let answer = world.call(world.request(path, role), async |_| panic!("it was reached")).await;
        assert_eq!(code(answer).await, Code::PermissionDenied, "{path} {role}");
    }
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    let world = World::new();

    for path in ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"]
    {
        let answer = world.call(Request::post(path).body(Body::empty()).unwrap(), well).await;
        assert_eq!(code(answer).await, Code::Ok, "{path}");
    }
}

#[tokio::test]
async fn a_service_sees_the_caller_and_the_deadline() {
    let world = World::new();
    let mut request = world.request(GET, "auditor");
    request.headers_mut().insert("grpc-timeout", "1S".parse().unwrap());
    request
        .headers_mut()
        .insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap());

    let answer = world.call(request, async |request: Request<Body>| {
        let caller = request.extensions().get::<Caller>().unwrap();
        assert_eq!(caller.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        let left = request.extensions().get::<Deadline>().unwrap().0 - tokio::time::Instant::now();
        assert!(left <= Duration::from_millis(980), "{left:?}");
        well(request).await
    });

    assert_eq!(code(answer.await).await, Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_unary_call_ends_at_its_deadline_whoever_set_it() {
    let world = World::new();
    for (timeout, least) in [(None, 60_000), (Some("5S"), 4_980), (Some("2H"), 60_000)] {
        let mut request = world.request(GET, "admin");
        if let Some(timeout) = timeout {
            request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
        }
        let began = tokio::time::Instant::now();

        let answer = world.call(request, async |_| std::future::pending().await).await;

        assert_eq!(code(answer).await, Code::DeadlineExceeded);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(least) && took < Duration::from_millis(least + 10), "{took:?}");
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_or_in_a_stream_is_internal() {
    let world = World::new();

    let handler = world.call(world.request(GET, "admin"), async |_| panic!("as a test")).await;
    assert_eq!(code(handler).await, Code::Internal);

    let stream = world.call(world.request(WATCH, "admin"), async |_| {
        Response::new(Body::new(Frames(Box::pin(stream::poll_fn(|_| panic!("as a test"))))))
    });
    assert_eq!(code(stream.await).await, Code::Internal);
}

#[tokio::test]
async fn a_bug_is_answered_with_the_id_of_its_log_entry_and_nothing_of_its_cause() {
    let world = World::new();

    let answer =
        world.call(world.request(GET, "admin"), async |_| status(Error::internal("a canary")).into_http());

    let answer = Status::from_header_map(answer.await.headers()).unwrap();
    assert!(answer.message().starts_with("internal error error_id="), "{}", answer.message());
    assert!(!format!("{answer:?}").contains("canary"));
}

#[tokio::test]
async fn above_the_limit_a_call_is_refused_until_another_has_ended() {
    let world = World::new();
    let endless = async |_| Response::new(Body::new(Frames(stream::pending().boxed())));

    let first = world.call(world.request(WATCH, "admin"), endless).await;
    let second = world.call(world.request(WATCH, "admin"), endless).await;
    assert_eq!(code(second).await, Code::ResourceExhausted);
    assert_eq!(
        code(world.call(world.request(GET, "admin"), well).await).await,
        Code::Ok,
        "a place of its own"
    );

    drop(first);
    assert_eq!(code(world.call(world.request(WATCH, "admin"), well).await).await, Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn streams_are_closed_half_way_through_the_drain() {
    let world = World::new();
    let endless = async |_| Response::new(Body::new(Frames(stream::pending().boxed())));
    let watch = world.call(world.request(WATCH, "admin"), endless).await;

    world.gate.stop.cancel();
    let stopped = tokio::time::Instant::now();

    assert_eq!(code(watch).await, Code::Unavailable);
    assert_eq!(stopped.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn the_address_file_appears_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("address");
    let (_listener, address) = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();

    write_address(&path, address).unwrap();

    assert_eq!(std::fs::read_to_string(&path).unwrap(), address.to_string());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
