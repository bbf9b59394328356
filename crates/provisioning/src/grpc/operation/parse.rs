//! Requests of OperationService, parsed into commands: every field at fault is named.

use uuid::Uuid;
use xavyo_core::{
    connector::DEFAULT_INTENT,
    error::Result,
    ids::{ConnectorId, OperationId},
    operation::{
        DEFAULT_MAX_RETRIES, DEFAULT_PRIORITY, MAX_PRIORITY, MAX_RETRIES_LIMIT, OperationType, Precondition,
    },
};
use xavyo_runtime::Caller;
use xavyo_wire::{change, fields::Fields, limits, pb::provisioning as pb};

use crate::{
    operations::{ChangeOperation, CreateOperation, WatchFilter},
    store::operation::list::Filter,
};

/// Digits of a digest of 16 bytes.
const DIGEST_DIGITS: usize = 32;

pub(super) fn create(
    request: pb::CreateOperationRequest,
    caller: &Caller,
) -> Result<(CreateOperation, Option<Uuid>)> {
    let mut fields = Fields::default();
    let request_id = fields.optional_id("request_id", request.request_id.as_deref());
    let command = one(&mut fields, request, caller);
    fields.finish((command, request_id))
}

pub(super) fn create_batch(
    request: pb::BatchCreateOperationsRequest,
    caller: &Caller,
) -> Result<(Vec<CreateOperation>, Option<Uuid>)> {
    let mut fields = Fields::default();
    let request_id = fields.optional_id("request_id", request.request_id.as_deref());
    if request.operations.is_empty() {
        fields.refuse("operations", format!("1 to {} operations", limits::BATCH));
    }
    let commands = fields.each("operations", request.operations, limits::BATCH, |fields, request| {
        if request.request_id.is_some() {
            fields.refuse("request_id", "absent: the batch has its own");
        }
        one(fields, request, caller)
    });
    fields.finish((commands, request_id))
}

fn one(fields: &mut Fields, request: pb::CreateOperationRequest, caller: &Caller) -> CreateOperation {
    let intent = if request.intent.is_empty() { DEFAULT_INTENT.to_owned() } else { request.intent };
    let retries =
        fields.number("max_retries", request.max_retries, 0..=MAX_RETRIES_LIMIT, DEFAULT_MAX_RETRIES);
    let cause_kind = fields.optional_choice("cause_kind", request.cause_kind);
    let cause_id = fields.optional_id("cause_id", request.cause_id.as_deref());
    if (cause_kind.is_some() || cause_id.is_some()) && !caller.is_service() {
        fields.refuse("cause_kind", "absent: only a service names another cause than api");
    }
    CreateOperation {
        connector_id: fields.id("connector_id", &request.connector_id),
        identity_id: fields.optional_id("user_id", request.user_id.as_deref()),
        operation_type: fields
            .choice("operation_type", request.operation_type)
            .unwrap_or(OperationType::Update),
        object_class: fields.text("object_class", request.object_class, limits::ATTRIBUTE_NAME),
        intent: fields.any_text("intent", intent, limits::ATTRIBUTE_NAME),
        target_uid: fields.optional_text("target_uid", request.target_uid, limits::UID),
        priority: fields.number("priority", request.priority, 0..=MAX_PRIORITY, DEFAULT_PRIORITY),
        max_retries: request.max_retries.map(|_| retries),
        payload: change::of_struct(fields, "payload", request.payload),
        precondition: request.precondition.map(|one| precondition(fields, one)),
        not_before: fields.time("not_before", request.not_before),
        reason: fields.optional_text("reason", request.reason, limits::REASON),
        cause: cause_kind.map(|kind| (kind, cause_id)),
    }
}

fn precondition(fields: &mut Fields, request: pb::Precondition) -> Precondition {
    fields.within("precondition", |fields| {
        let digest = request.attributes_digest;
        if digest.as_ref().is_some_and(|hex| {
            hex.len() != DIGEST_DIGITS || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        }) {
            fields.refuse("attributes_digest", "32 hexadecimal digits in lower case");
        }
        Precondition {
            immutable_id: fields.optional_text("immutable_id", request.immutable_id, limits::UID),
            linked: request.linked,
            identity_active: request.identity_active,
            attributes_digest: digest,
        }
    })
}

pub(super) fn operation_id(text: &str) -> Result<OperationId> {
    let mut fields = Fields::default();
    let id = fields.id("operation_id", text);
    fields.finish(id)
}

pub(super) fn retry(request: &pb::RetryOperationRequest) -> Result<ChangeOperation> {
    let mut fields = Fields::default();
    let command = ChangeOperation {
        operation_id: fields.id("operation_id", &request.operation_id),
        etag: fields.etag(&request.etag),
        notes: None,
    };
    fields.finish(command)
}

pub(super) fn cancel(request: pb::CancelOperationRequest) -> Result<ChangeOperation> {
    let mut fields = Fields::default();
    let command = ChangeOperation {
        operation_id: fields.id("operation_id", &request.operation_id),
        etag: fields.etag(&request.etag),
        notes: fields.optional_text("reason", request.reason, limits::REASON),
    };
    fields.finish(command)
}

pub(super) fn resolve(request: pb::ResolveOperationRequest) -> Result<ChangeOperation> {
    let mut fields = Fields::default();
    let command = ChangeOperation {
        operation_id: fields.id("operation_id", &request.operation_id),
        etag: fields.etag(&request.etag),
        notes: Some(fields.text("resolution_notes", request.resolution_notes, limits::NOTES)),
    };
    fields.finish(command)
}

pub(super) fn statistics(request: &pb::GetQueueStatisticsRequest) -> Result<Option<ConnectorId>> {
    let mut fields = Fields::default();
    let connector = fields.optional_id("connector_id", request.connector_id.as_deref());
    fields.finish(connector)
}

pub(super) fn filter(request: pb::ListOperationsRequest) -> Result<Filter> {
    let mut fields = Fields::default();
    let statuses = fields.each("statuses", request.statuses, 8, |fields, status| fields.choice("", status));
    let filter = Filter {
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        identity_id: fields.optional_id("user_id", request.user_id.as_deref()),
        statuses: statuses.into_iter().flatten().collect(),
        operation_type: fields.optional_choice("operation_type", request.operation_type),
        created_from: fields.time("created_from", request.created_from),
        created_until: fields.time("created_until", request.created_until),
        cause_kind: fields.optional_choice("cause_kind", request.cause_kind),
        cause_id: fields.optional_id("cause_id", request.cause_id.as_deref()),
        requested_by: fields.optional_id("requested_by", request.requested_by.as_deref()),
        trace_id: fields.optional_text("trace_id", request.trace_id, limits::NAME),
        lane_id: fields.optional_id("lane_id", request.lane_id.as_deref()),
        hold_reason: fields.optional_choice("hold_reason", request.hold_reason),
    };
    fields.finish(filter)
}

pub(super) fn watch(request: pb::WatchOperationsRequest) -> Result<WatchFilter> {
    let mut fields = Fields::default();
    let statuses = fields.each("statuses", request.statuses, 8, |fields, status| fields.choice("", status));
    let filter = WatchFilter {
        connector_id: fields.optional_id("connector_id", request.connector_id.as_deref()),
        identity_id: fields.optional_id("user_id", request.user_id.as_deref()),
        operation_id: fields.optional_id("operation_id", request.operation_id.as_deref()),
        statuses: statuses.into_iter().flatten().collect(),
    };
    fields.finish(filter)
}
