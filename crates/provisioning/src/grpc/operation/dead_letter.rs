//! Dead letters by cause: requests and answers.

use xavyo_core::error::Result;
use xavyo_wire::{
    fields::Fields,
    limits,
    page::{Page, Tokens},
    pb::provisioning as pb,
    time,
};

use crate::{
    operations::{BatchRetry, ListGroups, Retried},
    paging::Listed,
    store::operation::dead_letter::{Group, Place},
};

pub(super) fn list_of_pb(
    request: &pb::ListDeadLetterGroupsRequest,
    page: &Page<Place>,
) -> Result<ListGroups> {
    let mut fields = Fields::default();
    let command = ListGroups {
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        after: page.after.clone(),
        page_size: page.size,
        count_total: page.count_total,
    };
    fields.finish(command)
}

pub(super) fn retry_of_pb(request: pb::BatchRetryOperationsRequest) -> Result<BatchRetry> {
    let mut fields = Fields::default();
    let command = BatchRetry {
        connector_id: fields.id("connector_id", &request.connector_id),
        error_code: fields.text("error_code", request.error_code, limits::NAME),
        dead_before: fields.time("dead_before", request.dead_before),
    };
    fields.finish(command)
}

pub(super) fn list_to_pb(
    tokens: &Tokens,
    page: &Page<Place>,
    listed: Listed<Group>,
) -> pb::ListDeadLetterGroupsResponse {
    pb::ListDeadLetterGroupsResponse {
        next_page_token: tokens.next(page, listed.last().map(Group::place).as_ref()),
        total_size: listed.total.map(|total| total.size),
        total_size_capped: listed.total.is_some_and(|total| total.is_capped),
        groups: listed.items.into_iter().map(group).collect(),
    }
}

pub(super) fn retried_to_pb(retried: &Retried) -> pb::BatchRetryOperationsResponse {
    pb::BatchRetryOperationsResponse {
        retried: retried.retried,
        skipped: retried.skipped,
        remaining: retried.remaining,
        overtaken_operation_ids: retried.overtaken.iter().map(ToString::to_string).collect(),
    }
}

fn group(group: Group) -> pb::DeadLetterGroup {
    pb::DeadLetterGroup {
        connector_id: group.connector_id.to_string(),
        connector_name: group.connector_name,
        error_code: group.error_code,
        count: group.count,
        first_at: Some(time::to_pb(group.first_at)),
        last_at: Some(time::to_pb(group.last_at)),
        example_operation_id: group.example_id.to_string(),
        example_message: group.example_message,
    }
}
