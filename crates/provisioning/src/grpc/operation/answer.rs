//! Answers of OperationService.

use uuid::Uuid;
use xavyo_core::operation::{Operation, OperationStatus};
use xavyo_runtime::Caller;
use xavyo_wire::{
    numbers::Numbered,
    operation,
    page::{Page, Tokens},
    pb::{common, provisioning as pb},
    time,
};

use crate::{
    operations::{Listed, Statistics, Wait, WaitKind, Watched},
    paging::MOST_COUNTED,
    store::{
        operation::feed::Place,
        operation::{attempt::AttemptLine, log::Line},
    },
};

pub(super) fn operation(caller: &Caller, operation: &Operation) -> pb::ProvisioningOperation {
    operation::to_pb(operation, caller.tenant, Vec::new())
}

pub(in crate::grpc) fn listed(caller: &Caller, listed: &Listed) -> pb::ProvisioningOperation {
    operation::to_pb(&listed.operation, caller.tenant, listed.waits.iter().map(wait).collect())
}

pub(super) fn operations_page(
    caller: &Caller,
    tokens: &Tokens,
    page: &Page<Uuid>,
    found: Vec<Listed>,
    total: Option<i64>,
) -> pb::ListOperationsResponse {
    let (shown, last) = cut(page, found, |listed| listed.operation.id.0);
    pb::ListOperationsResponse {
        operations: shown.iter().map(|one| listed(caller, one)).collect(),
        next_page_token: tokens.next(page, last.as_ref()),
        total_size: total.map(|total| total.min(MOST_COUNTED)),
        total_size_capped: total.is_some_and(|total| total > MOST_COUNTED),
    }
}

pub(super) fn watched(
    caller: &Caller,
    tokens: &Tokens,
    page: &Page<Place>,
    watched: Watched,
) -> pb::WatchOperationsResponse {
    let (place, event) = match watched {
        Watched::Change(place, change) => {
            let change = pb::OperationChange {
                log: Some(log(change.line)),
                operation: Some(operation(caller, &change.operation)),
            };
            (place, pb::watch_operations_response::Event::Change(change))
        }
        Watched::Bookmark(place, at) => {
            let bookmark = common::Bookmark { at: Some(time::to_pb(at)) };
            (place, pb::watch_operations_response::Event::Bookmark(bookmark))
        }
    };
    pb::WatchOperationsResponse { resume_token: tokens.next(page, Some(&place)), event: Some(event) }
}

/// One item more than the page was asked for: it only says that there is a next page.
fn cut<T, C>(page: &Page<C>, mut found: Vec<T>, cursor: impl Fn(&T) -> C) -> (Vec<T>, Option<C>) {
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more).map(cursor);
    (found, last)
}

pub(super) fn logs_page(
    tokens: &Tokens,
    page: &Page<Uuid>,
    lines: Vec<Line>,
) -> pb::ListOperationLogsResponse {
    let (shown, last) = cut(page, lines, |line| line.id);
    pb::ListOperationLogsResponse {
        logs: shown.into_iter().map(log).collect(),
        next_page_token: tokens.next(page, last.as_ref()),
        total_size: None,
        total_size_capped: false,
    }
}

/// An operation has few attempts: they are read at once and paged here.
pub(super) fn attempts_page(
    tokens: &Tokens,
    page: &Page<i32>,
    attempts: Vec<AttemptLine>,
) -> pb::ListExecutionAttemptsResponse {
    let total = i64::try_from(attempts.len()).unwrap_or(i64::MAX);
    let rest =
        attempts.into_iter().filter(|attempt| page.after.is_none_or(|after| attempt.attempt_number > after));
    let (shown, last) = cut(page, rest.collect(), |attempt| attempt.attempt_number);
    pb::ListExecutionAttemptsResponse {
        attempts: shown.into_iter().map(attempt).collect(),
        next_page_token: tokens.next(page, last.as_ref()),
        total_size: page.count_total.then_some(total),
        total_size_capped: false,
    }
}

fn log(line: Line) -> pb::OperationLog {
    let number = |name: &str| OperationStatus::named(name).map(Numbered::number);
    pb::OperationLog {
        id: line.id.to_string(),
        operation_id: line.operation_id.to_string(),
        timestamp: Some(time::to_pb(line.timestamp)),
        level: line.level,
        message: line.message,
        from_status: line.from_status.as_deref().and_then(number),
        to_status: number(&line.to_status),
        performed_by: line.actor.map(|actor| actor.to_string()),
    }
}

fn attempt(line: AttemptLine) -> pb::ExecutionAttempt {
    let duration = line.completed_at.map(|completed| (completed - line.started_at).num_milliseconds());
    pb::ExecutionAttempt {
        attempt_number: line.attempt_number,
        started_at: Some(time::to_pb(line.started_at)),
        completed_at: line.completed_at.map(time::to_pb),
        success: line.success.filter(|_| !line.outcome_unknown),
        error_code: line.error_code,
        error_message: line.error_message,
        duration_ms: duration,
        fence: line.fence,
        outcome_unknown: line.outcome_unknown,
    }
}

pub(in crate::grpc) fn statistics(statistics: &Statistics) -> pb::QueueStatistics {
    pb::QueueStatistics {
        pending: statistics.pending,
        in_progress: statistics.in_progress,
        completed: statistics.completed,
        failed: statistics.failed,
        dead_letter: statistics.dead_letter,
        awaiting_system: statistics.awaiting_system,
        avg_processing_time_secs: statistics.avg_processing_time_secs,
        resolved: statistics.resolved,
        cancelled: statistics.cancelled,
        blocked: statistics.blocked,
        held: statistics.held,
        in_conflict: statistics.in_conflict,
        waiting_for_target: statistics.waiting_for_target,
        oldest_age_secs: statistics.oldest_age_secs,
    }
}

fn wait(wait: &Wait) -> pb::WaitsFor {
    let (kind, operation_id, conflict_id) = match wait.kind {
        WaitKind::BlockedBy(id) => (pb::WaitKind::BlockedBy, Some(id), None),
        WaitKind::EarlierOperation(id) => (pb::WaitKind::EarlierOperation, Some(id), None),
        WaitKind::Conflict(id) => (pb::WaitKind::Conflict, None, id),
        WaitKind::Guard => (pb::WaitKind::Guard, None, None),
        WaitKind::Breaker => (pb::WaitKind::Breaker, None, None),
        WaitKind::Pause => (pb::WaitKind::Pause, None, None),
        WaitKind::NotBefore => (pb::WaitKind::NotBefore, None, None),
        WaitKind::RetryAt => (pb::WaitKind::RetryAt, None, None),
    };
    pb::WaitsFor {
        kind: kind.into(),
        operation_id: operation_id.map(|id| id.to_string()),
        conflict_id: conflict_id.map(|id| id.to_string()),
        until: wait.until.map(time::to_pb),
        message: wait.message.clone(),
    }
}
