//! ExplainAccount: its request and its answer.

use xavyo_core::{account::AccountState, error::Result, mapping::Evaluation};
use xavyo_runtime::Caller;
use xavyo_wire::{Numbered, account, conflict, fields::Fields, link, pb::provisioning as pb};

use super::{answer::expectation, parse};
use crate::{
    accounts::{ExplainAccount, Explained, ExplainedAttribute},
    grpc::operation::answer::listed,
};

pub(super) fn of_pb(request: pb::ExplainAccountRequest) -> Result<ExplainAccount> {
    use pb::{explain_account_request::Key as Pb, get_account_request::Key};
    let mut fields = Fields::default();
    let kind = parse::kind(&mut fields, &request.connector_id, request.object_class, request.intent);
    let key = request.key.map(|key| match key {
        Pb::IdentityId(id) => Key::IdentityId(id),
        Pb::ExternalUid(uid) => Key::ExternalUid(uid),
        Pb::ImmutableId(id) => Key::ImmutableId(id),
    });
    let key = parse::key(&mut fields, key);
    fields.finish(ExplainAccount { kind, key })
}

pub(super) fn to_pb(caller: &Caller, explained: Explained) -> pb::ExplainAccountResponse {
    let Explained { statements, pair, attributes, operations, conflicts } = explained;
    let scope_error = match &pair.standing {
        Some(Evaluation::Unknown(error)) => Some(error.clone()),
        Some(Evaluation::In | Evaluation::Out) | None => None,
    };
    pb::ExplainAccountResponse {
        statements,
        expectation: pair.standing.as_ref().map_or(pb::Expectation::Unspecified, expectation).into(),
        scope_error,
        expected_state: pair.state.map(AccountState::number),
        account: pair.live.map(|live| account::to_pb(&live.account, live.is_protected)),
        link: pair.link.as_ref().map(link::to_pb),
        attributes: attributes.into_iter().map(attribute).collect(),
        operations: operations.iter().map(|one| listed(caller, one)).collect(),
        conflicts: conflicts.iter().map(|one| conflict::to_pb(one, caller.tenant)).collect(),
    }
}

fn attribute(explained: ExplainedAttribute) -> pb::ExplainedAttribute {
    pb::ExplainedAttribute {
        name: explained.name,
        expression: explained.expression,
        expected_value: explained.expected,
        actual_value: explained.actual,
        equal: explained.is_equal,
        unmanaged: explained.is_unmanaged,
        error: explained.error,
        last_operation_id: explained.last_written_by.map(|id| id.to_string()),
    }
}
