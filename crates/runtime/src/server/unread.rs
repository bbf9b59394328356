//! Messages that tonic cannot read: it refuses them before a service sees them, as if that were a bug of ours, and
//! without a reason. Here they get the reasons of everything else.

use std::error::Error as _;

use tonic::{Code, Status};
use xavyo_core::{Error, Reason};

use super::MAX_MESSAGE_BYTES;

/// The error that a status of tonic's own stands for: INVALID_FIELD or LIMIT_EXCEEDED. None for every status that was made
/// of an error of ours, which is then its source, and for tonic's other ones.
pub fn unreadable(status: &Status) -> Option<Error> {
    if status.source().is_some() {
        return None;
    }
    match status.code() {
        // Of a request's message nothing else is INTERNAL: no UTF-8, too deep, cut off, badly compressed, not there.
        Code::Internal => Some(Error::new(
            Reason::InvalidField,
            format!("the message cannot be read: {}", status.message()),
        )),
        Code::OutOfRange | Code::ResourceExhausted => Some(
            Error::new(Reason::LimitExceeded, format!("a message has at most {MAX_MESSAGE_BYTES} bytes"))
                .with("limit", "message"),
        ),
        _ => None,
    }
}
