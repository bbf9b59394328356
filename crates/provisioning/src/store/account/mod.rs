//! Accounts as the database knows them, for reads over many of them: what the queue holds for each ([`in_flight`]), what
//! each identity calls for ([`expected`]), and what was written since an earlier read ([`mark`]). Accounts themselves live
//! in their targets.

pub mod event;
pub mod expected;
pub mod in_flight;
pub mod mark;

use xavyo_core::ids::ConnectorId;

/// One kind of account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKind {
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub intent: String,
}
