//! What the log says of a call: one event when its answer has ended, inside a span that names the method, the trace, the
//! tenant and the subject. Whatever the service logs meanwhile stands in the same span.

use http::{HeaderMap, Request};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tracing::{Span, field::Empty};

use crate::{Caller, Clock};

pub(super) struct Call {
    method: String,
    trace_id: String,
    began: Instant,
    span: Span,
}

impl Call {
    pub(super) fn begin(request: &Request<Body>, clock: &Clock) -> Self {
        let method = request.uri().path().to_owned();
        let trace_id = trace_id(request.headers()).unwrap_or_else(|| clock.new_id().simple().to_string());
        let span = tracing::info_span!("call", method, trace_id, tenant = Empty, subject = Empty);
        Self { method, trace_id, began: Instant::now(), span }
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn trace_id(&self) -> String {
        self.trace_id.clone()
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(super) fn belongs_to(&self, caller: &Caller) {
        self.span.record("tenant", tracing::field::display(caller.tenant));
        self.span.record("subject", tracing::field::display(caller.subject));
    }

    /// Once a call, with what the log should know of a failure. What went well is for debugging; what the server did
    /// wrong is an error.
    pub(super) fn ended(&self, code: Code, error: Option<&str>) {
        let milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.span.in_scope(|| match code {
            Code::Ok => tracing::debug!(?code, milliseconds, "answered"),
            Code::Internal | Code::Unknown | Code::DataLoss => {
                tracing::error!(?code, milliseconds, error, "answered");
            }
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => {
                tracing::warn!(?code, milliseconds, error, "answered");
            }
            Code::Cancelled
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => tracing::info!(?code, milliseconds, error, "answered"),
        });
    }
}

/// The code in headers or trailers.
pub(super) fn code_of(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// The trace id of a `traceparent` header (W3C Trace Context, section 3.2): 32 lower-case hexadecimal digits, not all 0.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace_id, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_whole = is_hex(version, 2) && version != "ff" && is_hex(trace_id, 32) && is_hex(parent, 16);
    (is_whole && trace_id.bytes().any(|byte| byte != b'0')).then(|| trace_id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(traceparent: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", traceparent.parse().unwrap());
        trace_id(&headers)
    }

    #[test]
    fn the_trace_of_the_caller_is_taken_up() {
        let traced = of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

        assert_eq!(traced.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn what_is_no_trace_is_passed_over() {
        assert_eq!(trace_id(&HeaderMap::new()), None);
        for malformed in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(of(malformed), None, "{malformed}");
        }
    }
}
