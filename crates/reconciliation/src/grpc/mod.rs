//! The services of the contract. A handler says who calls, parses, asks one use case, and answers; nothing else.

pub mod action;
pub mod discrepancy;
mod ignore;
mod remediation;
pub mod run;
pub mod schedule;
mod trend;

use tonic::{Response, Status};
use uuid::Uuid;
use xavyo_core::error::Result as CoreResult;
use xavyo_wire::page::{Page, Tokens};

use crate::paging::Listed;

type Answer<T> = Result<Response<T>, Status>;

/// What every list answers beside its items: the token of the next page, and the total where it was asked for.
struct Paging {
    next_page_token: String,
    total_size: Option<i64>,
    total_size_capped: bool,
}

impl Paging {
    fn of<T>(tokens: &Tokens, page: &Page<Uuid>, listed: &Listed<T>, id: impl Fn(&T) -> Uuid) -> Self {
        let last = listed.items.last().filter(|_| listed.has_more).map(id);
        Self {
            next_page_token: tokens.next(page, last.as_ref()),
            total_size: listed.total.map(|total| total.size),
            total_size_capped: listed.total.is_some_and(|total| total.is_capped),
        }
    }
}

/// Turns an answer, or the reason why there is none, into what goes on the wire.
fn answer<T>(made: CoreResult<T>) -> Answer<T> {
    made.map(Response::new).map_err(xavyo_wire::status)
}
