//! What answers and broken connections mean (RFC 7644 section 3.12).

use std::{error::Error as _, time::Duration};

use reqwest::StatusCode;
use serde_json::Value as Json;
use xavyo_core::connector::{FailureKind, TargetFailure};

use super::http::Answer;
use crate::redaction::Redaction;

/// What a request would do, if it came to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Writes,
}

/// The failure that an answer other than a success means.
pub(super) fn of_answer(answer: &Answer, effect: Effect, redaction: &Redaction) -> TargetFailure {
    let scim_type = text(answer.body.as_ref(), "scimType");
    let code = match scim_type {
        Some(scim_type) if scim_type.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            format!("SCIM_{}_{scim_type}", answer.status.as_u16())
        }
        Some(_) | None => format!("SCIM_{}", answer.status.as_u16()),
    };
    let said = text(answer.body.as_ref(), "detail").unwrap_or_else(|| reason(answer.status));
    let failure = TargetFailure::new(kind(answer, effect), code, redaction.apply(said));
    TargetFailure { retry_after: answer.retry_after, ..failure }
}

fn kind(answer: &Answer, effect: Effect) -> FailureKind {
    match (answer.status, effect) {
        (StatusCode::UNAUTHORIZED, _) => FailureKind::BadCredentials,
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => FailureKind::NotFound,
        (StatusCode::PRECONDITION_FAILED, _) => FailureKind::PreconditionFailed,
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT, _)
        | (StatusCode::INTERNAL_SERVER_ERROR, Effect::Reads) => FailureKind::Busy,
        (StatusCode::SERVICE_UNAVAILABLE, _) if answer.retry_after.is_some() => FailureKind::Busy,
        (StatusCode::NOT_IMPLEMENTED, _) => FailureKind::Refused,
        // Between us and the target somebody gave up, or the target broke: what it did until then nobody says.
        (status, Effect::Writes) if status.is_server_error() => FailureKind::Unknown,
        (status, Effect::Reads) if status.is_server_error() => FailureKind::Down,
        _ => FailureKind::Refused,
    }
}

/// A request that got no answer. One that cannot have arrived has no effect.
pub(super) fn of_error(error: &reqwest::Error, effect: Effect, redaction: &Redaction) -> TargetFailure {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(failure) = inner.downcast_ref::<TargetFailure>() {
            return failure.clone();
        }
        cause = inner.source();
    }
    let never_arrived = error.is_connect() || error.is_builder();
    let kind =
        if effect == Effect::Writes && !never_arrived { FailureKind::Unknown } else { FailureKind::Down };
    let code = if error.is_timeout() { "SCIM_TIMEOUT" } else { "SCIM_CONNECTION" };
    TargetFailure::new(kind, code, format!("no answer: {}", redaction.apply(&told(error))))
}

pub(super) fn refused(code: &str, message: impl Into<String>) -> TargetFailure {
    TargetFailure::new(FailureKind::Refused, code, message)
}

pub(super) fn not_found() -> TargetFailure {
    TargetFailure::new(FailureKind::NotFound, "SCIM_404", "no such resource")
}

/// Seconds, or a date: then from the server's own date on (RFC 9110 section 10.2.3).
pub(super) fn retry_after(header: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = |text: &str| chrono::DateTime::parse_from_rfc2822(text.trim()).ok();
    (at(header)? - at(date?)?).to_std().ok()
}

/// The innermost cause: the outer ones repeat the URL.
fn told(error: &reqwest::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        told = inner.to_string();
        cause = inner.source();
    }
    told
}

fn text<'a>(body: Option<&'a Json>, field: &str) -> Option<&'a str> {
    body.and_then(|body| body.get(field)).and_then(Json::as_str)
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<u64>) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: None,
            version: None,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn statuses_are_of_the_kind_that_decides_what_happens_next() {
        for (status, retry_after, effect, expected) in [
            (400, None, Effect::Writes, FailureKind::Refused),
            (401, None, Effect::Reads, FailureKind::BadCredentials),
            (403, None, Effect::Writes, FailureKind::Refused),
            (404, None, Effect::Writes, FailureKind::NotFound),
            (412, None, Effect::Writes, FailureKind::PreconditionFailed),
            (429, Some(7), Effect::Writes, FailureKind::Busy),
            (500, None, Effect::Reads, FailureKind::Busy),
            (500, None, Effect::Writes, FailureKind::Unknown),
            (502, None, Effect::Writes, FailureKind::Unknown),
            (503, Some(1), Effect::Writes, FailureKind::Busy),
            (503, None, Effect::Reads, FailureKind::Down),
            (501, None, Effect::Writes, FailureKind::Refused),
        ] {
            let failure = of_answer(&answer(status, retry_after), effect, &Redaction::default());
            assert_eq!(failure.kind, expected, "{status} {effect:?}");
            assert_eq!(failure.retry_after, retry_after.map(Duration::from_secs));
        }
    }

    #[test]
    fn a_time_to_come_back_is_seconds_or_a_date_by_the_servers_clock() {
        assert_eq!(retry_after("120", None), Some(Duration::from_mins(2)));
        let [now, later] = ["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:29:00 GMT"];
        assert_eq!(retry_after(later, Some(now)), Some(Duration::from_mins(1)));
        assert_eq!(retry_after(later, None), None);
        assert_eq!(retry_after(now, Some(later)), None);
    }
}
