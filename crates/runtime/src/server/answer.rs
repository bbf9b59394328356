//! The body of an answer, followed to its end: only there its status is known, and only there the call gives back its
//! room.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Code, Status, body::Body};
use xavyo_core::{Error, Reason};

use super::trace::{Call, code_of};
use crate::lifecycle::with_sources;

/// Ready when a stream has to end because the process does.
pub(super) type Cut = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct Answer {
    body: Body,
    call: Call,
    cut: Option<Cut>,
    status: fn(Error) -> Status,
    is_over: bool,
    _room: OwnedSemaphorePermit,
}

type Polled = Poll<Option<Result<Frame<<Body as http_body::Body>::Data>, Status>>>;

impl Answer {
    pub(super) fn new(
        body: Body,
        call: Call,
        room: OwnedSemaphorePermit,
        cut: Option<Cut>,
        status: fn(Error) -> Status,
    ) -> Self {
        Self { body, call, cut, status, is_over: false, _room: room }
    }

    fn ended(&mut self, code: Code, error: Option<&str>) {
        self.is_over = true;
        self.call.ended(code, error);
    }

    /// Ends the stream with our own status instead of the service's.
    fn end_with(&mut self, error: Error) -> Polled {
        let why = with_sources(&error);
        let status = (self.status)(error);
        self.ended(status.code(), Some(&why));
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

impl http_body::Body for Answer {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let answer = self.get_mut();
        if answer.is_over {
            return Poll::Ready(None);
        }
        let span = answer.call.span();
        let _entered = span.enter();
        let body = &mut answer.body;
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(context)));
        let Ok(polled) = polled else { return answer.end_with(Error::internal("the stream panicked")) };
        match &polled {
            Poll::Pending => {
                let is_cut = answer.cut.as_mut().is_some_and(|cut| cut.as_mut().poll(context).is_ready());
                if is_cut {
                    return answer.end_with(Error::new(Reason::ShuttingDown, "the process is shutting down"));
                }
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(code) =
                    frame.trailers_ref().map(|trailers| code_of(trailers).unwrap_or(Code::Unknown))
                {
                    answer.ended(code, None);
                }
            }
            Poll::Ready(Some(Err(status))) => answer.ended(status.code(), Some(status.message())),
            Poll::Ready(None) => answer.ended(Code::Unknown, Some("the stream ended without a status")),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    /// Dropped before its end: the caller has gone.
    fn drop(&mut self) {
        if !self.is_over {
            self.ended(Code::Cancelled, Some("the caller has gone"));
        }
    }
}
