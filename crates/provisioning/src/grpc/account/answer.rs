//! Answers of AccountService's unary calls.

use xavyo_core::{
    account::AccountState,
    ids::LinkId,
    link::Link,
    mapping::{Evaluation, ExpectedValue},
    value::Value,
};
use xavyo_wire::{
    Numbered,
    account::to_pb,
    link,
    page::{Page, Tokens},
    pb::provisioning as pb,
    value,
};

use super::reads;
use crate::{
    accounts::{batch::Pair, live::Shown},
    paging::Listed,
};

pub(super) fn list(tokens: &Tokens, page: &Page<LinkId>, listed: &Listed<Link>) -> pb::ListLinksResponse {
    let last = listed.last().map(|link| link.id);
    pb::ListLinksResponse {
        links: listed.items.iter().map(link::to_pb).collect(),
        next_page_token: tokens.next(page, last.as_ref()),
        total_size: listed.total.map(|total| total.size),
        total_size_capped: listed.total.is_some_and(|total| total.is_capped),
    }
}

pub(super) fn account(shown: &Shown) -> pb::GetAccountResponse {
    pb::GetAccountResponse {
        account: Some(to_pb(&shown.account, shown.is_protected)),
        link: shown.link.as_ref().map(link::to_pb),
    }
}

pub(super) fn pair(pair: Pair) -> pb::AccountPair {
    let expected = pair.expected.attributes.into_iter();
    let failures = pair.expected.failures.into_iter();
    pb::AccountPair {
        identity_id: pair.identity_id.map(|id| id.to_string()),
        expectation: pair.standing.as_ref().map_or(pb::Expectation::Unspecified, expectation).into(),
        expected_state: pair.state.map(AccountState::number),
        expected_attributes: expected.map(|(name, value)| attribute(name, &value)).collect(),
        failures: failures.map(|(name, message)| pb::AttributeFailure { name, message }).collect(),
        is_protected: pair.live.as_ref().is_some_and(|live| live.is_protected),
        live: pair.live.map(reads::target_account),
        link: pair.link.as_ref().map(link::to_pb),
        live_operation_count: pair.queued.live,
        in_flight: pair.queued.is_in_flight(),
    }
}

pub(super) fn expectation(standing: &Evaluation) -> pb::Expectation {
    match standing {
        Evaluation::In => pb::Expectation::ShouldHave,
        Evaluation::Out => pb::Expectation::ShouldNotHave,
        Evaluation::Unknown(_) => pb::Expectation::Unknown,
    }
}

fn attribute(name: String, expected: &ExpectedValue) -> pb::ExpectedAttribute {
    let values: &[Value] = expected.values().unwrap_or_default();
    pb::ExpectedAttribute {
        name,
        values: values.iter().map(value::to_pb).collect(),
        unmanaged: *expected == ExpectedValue::Unmanaged,
    }
}
