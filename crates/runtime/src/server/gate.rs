//! The gate: every call passes it before a service sees anything of it.
//!
//! 1. It gets a trace, and a span for the log.
//! 2. Who calls? A token, unless the method is open.
//! 3. May they? The row of the method says so; no row, no entry.
//! 4. Is there room?
//! 5. Until when? Unary calls get a deadline.
//!
//! Then the service answers. A panic in it becomes INTERNAL; the body of the answer is followed to its end
//! ([`super::answer`]).

use std::{
    convert::Infallible,
    error::Error as _,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Request, Response};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};
use tracing::Instrument;
use xavyo_core::{Error, Reason};

use super::{
    answer::{Answer, Cut},
    room::Room,
    trace::{Call, code_of},
    unread::unreadable,
};
use crate::{
    Clock, Deadline,
    auth::{
        Authenticator,
        access::{self, Access, Rule, Shape},
    },
    lifecycle::with_sources,
    settings::Limits,
};

/// So much of a caller's own deadline is left for the way back, so that our answer arrives before they give up: a tenth,
/// at most this.
const WAY_BACK: Duration = Duration::from_millis(20);

pub(super) struct Gate {
    pub(super) authenticator: Authenticator,
    pub(super) room: Room,
    pub(super) limits: Limits,
    pub(super) status: fn(Error) -> Status,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

#[derive(Clone)]
pub(super) struct GateLayer(pub(super) Arc<Gate>);

#[derive(Clone)]
pub(super) struct Gated<S> {
    gate: Arc<Gate>,
    service: S,
}

/// A call that may go on.
struct Admitted {
    rule: &'static Rule,
    deadline: Option<Deadline>,
    room: OwnedSemaphorePermit,
}

impl<S> tower::Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, service: S) -> Gated<S> {
        Gated { gate: self.0.clone(), service }
    }
}

impl<S> tower::Service<Request<Body>> for Gated<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The service that was asked whether it is ready is the one to call; its clone waits for the next call.
        let clone = self.service.clone();
        let service = std::mem::replace(&mut self.service, clone);
        let gate = self.gate.clone();
        async move { Ok(gate.pass(service, request).await) }.boxed()
    }
}

impl Gate {
    async fn pass<S>(self: Arc<Self>, service: S, mut request: Request<Body>) -> Response<Body>
    where
        S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let call = Call::begin(&request, &self.clock);
        let span = call.span();
        async {
            match self.admit(&call, &mut request) {
                Ok(admitted) => {
                    let response = self.answer(admitted.deadline, service, request).await;
                    self.follow(call, response, admitted)
                }
                Err(error) => self.explain(&call, (self.status)(error).into_http()),
            }
        }
        .instrument(span)
        .await
    }

    fn admit(&self, call: &Call, request: &mut Request<Body>) -> Result<Admitted, Error> {
        let rule = access::rule(call.method());
        if rule.is_none_or(|rule| rule.access != Access::Open) {
            let caller = self.authenticator.authenticate(request.headers(), call.trace_id())?;
            call.belongs_to(&caller);
            rule.ok_or_else(access::forbidden)?.admit(&caller.roles)?;
            request.extensions_mut().insert(caller);
        }
        let rule = rule.ok_or_else(access::forbidden)?;
        let room = self.room.take(rule)?;
        let deadline = self.deadline(rule, request.headers());
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        Ok(Admitted { rule, deadline, room })
    }

    fn deadline(&self, rule: &Rule, headers: &HeaderMap) -> Option<Deadline> {
        let patience = headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?));
        let within = patience.map(|patience| patience.saturating_sub(WAY_BACK.min(patience / 10)));
        match rule.shape {
            Shape::Unary => {
                let limit = self.limits.call();
                Some(Deadline(Instant::now() + within.map_or(limit, |within| within.min(limit))))
            }
            Shape::Stream => None,
        }
    }

    async fn answer<S>(
        &self,
        deadline: Option<Deadline>,
        mut service: S,
        request: Request<Body>,
    ) -> Response<Body>
    where
        S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let answering = AssertUnwindSafe(async { service.call(request).await }).catch_unwind();
        let answered = match deadline {
            Some(Deadline(at)) => tokio::time::timeout_at(at, answering).await,
            None => Ok(answering.await),
        };
        let error = match answered {
            Ok(Ok(Ok(response))) => return response,
            Ok(Err(_panic)) => Error::internal("the handler panicked"),
            Err(_elapsed) => Error::new(Reason::DeadlineExceeded, "the call took longer than its deadline"),
        };
        (self.status)(error).into_http()
    }

    /// Keeps the call's room and span until the last byte of its answer.
    fn follow(&self, call: Call, response: Response<Body>, admitted: Admitted) -> Response<Body> {
        if response.headers().contains_key(Status::GRPC_STATUS) {
            return self.explain(&call, response);
        }
        let cut = self.cut(admitted.rule);
        response.map(|body| Body::new(Answer::new(body, call, admitted.room, cut, self.status)))
    }

    /// An answer that is a status and nothing else: the log gets the error that it was made of, with everything below.
    /// Of a bug the caller gets the id under which the log has it.
    fn explain(&self, call: &Call, response: Response<Body>) -> Response<Body> {
        let code = code_of(response.headers()).unwrap_or(Code::Unknown);
        let status = response.extensions().get::<Status>();
        if let Some(error) = status.and_then(unreadable) {
            let answer = (self.status)(error);
            call.ended(answer.code(), status.map(Status::message));
            return answer.into_http();
        }
        let error =
            status.map(|status| status.source().map_or_else(|| status.message().to_owned(), with_sources));
        if code != Code::Internal {
            call.ended(code, error.as_deref());
            return response;
        }
        let id = self.clock.new_id().to_string();
        let answer =
            (self.status)(Error::new(Reason::Internal, "internal error").with("error_id", id.as_str()));
        call.ended(code, Some(&format!("{id}: {}", error.as_deref().unwrap_or("unexplained"))));
        answer.into_http()
    }

    /// When a stream is closed because the process ends: the open ones at once, the others after half of the time to
    /// drain, which their handlers have to end them well.
    fn cut(&self, rule: &Rule) -> Option<Cut> {
        let grace = match (rule.shape, rule.access) {
            (Shape::Unary, _) => return None,
            (Shape::Stream, Access::Open) => Duration::ZERO,
            (Shape::Stream, Access::Roles(_)) => self.limits.drain() / 2,
        };
        let stop = self.stop.clone();
        Some(Box::pin(async move {
            stop.cancelled().await;
            tokio::time::sleep(grace).await;
        }))
    }
}

/// The `grpc-timeout` header (gRPC over HTTP2): at most eight digits and a unit. None: malformed.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_header_is_read_as_the_protocol_says() {
        assert_eq!(timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(timeout("00000150m"), Some(Duration::from_millis(150)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_hours(99_999_999)));
        for malformed in ["", "S", "2", "2s", "+2S", "-2S", "123456789S", "2 S", "2é"] {
            assert_eq!(timeout(malformed), None, "{malformed:?}");
        }
    }
}
