//! OperationService: the index of what can be asked of operations.

pub(super) mod answer;
mod dead_letter;
mod held;
mod parse;

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status};
use uuid::Uuid;
use xavyo_runtime::Caller;
use xavyo_wire::{
    page::Tokens,
    pb::provisioning as pb,
    status::{not_implemented, status},
};

use crate::{operations::Operations, paging::MOST_COUNTED, store::operation::feed::Place};

#[derive(Debug)]
pub struct OperationServer {
    pub operations: Operations,
    pub tokens: Tokens,
}

type Answer<T> = Result<Response<T>, Status>;
type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::WatchOperationsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl pb::operation_service_server::OperationService for OperationServer {
    type WatchOperationsStream = WatchStream;

    async fn create_operation(
        &self,
        request: Request<pb::CreateOperationRequest>,
    ) -> Answer<pb::CreateOperationResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let (command, request_id) = parse::create(request.into_inner(), &caller).map_err(status)?;
        let made = self.operations.create(&caller, command, request_id).await.map_err(status)?;
        Ok(Response::new(pb::CreateOperationResponse { operation: Some(answer::operation(&caller, &made)) }))
    }

    async fn batch_create_operations(
        &self,
        request: Request<pb::BatchCreateOperationsRequest>,
    ) -> Answer<pb::BatchCreateOperationsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let (commands, request_id) = parse::create_batch(request.into_inner(), &caller).map_err(status)?;
        let made = self.operations.create_batch(&caller, commands, request_id).await.map_err(status)?;
        let operations = made.iter().map(|operation| answer::operation(&caller, operation)).collect();
        Ok(Response::new(pb::BatchCreateOperationsResponse { operations }))
    }

    async fn get_operation(
        &self,
        request: Request<pb::GetOperationRequest>,
    ) -> Answer<pb::GetOperationResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let id = parse::operation_id(&request.into_inner().operation_id).map_err(status)?;
        let listed = self.operations.get(&caller, id).await.map_err(status)?;
        Ok(Response::new(pb::GetOperationResponse { operation: Some(answer::listed(&caller, &listed)) }))
    }

    async fn list_operations(
        &self,
        request: Request<pb::ListOperationsRequest>,
    ) -> Answer<pb::ListOperationsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open::<Uuid, _>(caller.tenant, &request).map_err(status)?;
        let filter = parse::filter(request).map_err(status)?;
        let found =
            self.operations.list(&caller, &filter, page.after, page.size + 1).await.map_err(status)?;
        let total = if page.count_total {
            Some(self.operations.count(&caller, &filter, MOST_COUNTED + 1).await.map_err(status)?)
        } else {
            None
        };
        Ok(Response::new(answer::operations_page(&caller, &self.tokens, &page, found, total)))
    }

    async fn retry_operation(
        &self,
        request: Request<pb::RetryOperationRequest>,
    ) -> Answer<pb::RetryOperationResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::retry(&request.into_inner()).map_err(status)?;
        let operation = self.operations.retry(&caller, &command).await.map_err(status)?;
        Ok(Response::new(pb::RetryOperationResponse {
            operation: Some(answer::operation(&caller, &operation)),
        }))
    }

    async fn cancel_operation(
        &self,
        request: Request<pb::CancelOperationRequest>,
    ) -> Answer<pb::CancelOperationResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::cancel(request.into_inner()).map_err(status)?;
        let operation = self.operations.cancel(&caller, &command).await.map_err(status)?;
        Ok(Response::new(pb::CancelOperationResponse {
            operation: Some(answer::operation(&caller, &operation)),
        }))
    }

    async fn resolve_operation(
        &self,
        request: Request<pb::ResolveOperationRequest>,
    ) -> Answer<pb::ResolveOperationResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = parse::resolve(request.into_inner()).map_err(status)?;
        let operation = self.operations.resolve(&caller, &command).await.map_err(status)?;
        Ok(Response::new(pb::ResolveOperationResponse {
            operation: Some(answer::operation(&caller, &operation)),
        }))
    }

    async fn list_operation_logs(
        &self,
        request: Request<pb::ListOperationLogsRequest>,
    ) -> Answer<pb::ListOperationLogsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open::<Uuid, _>(caller.tenant, &request).map_err(status)?;
        let id = parse::operation_id(&request.operation_id).map_err(status)?;
        let lines = self.operations.logs(&caller, id, page.after, page.size + 1).await.map_err(status)?;
        Ok(Response::new(answer::logs_page(&self.tokens, &page, lines)))
    }

    async fn list_execution_attempts(
        &self,
        request: Request<pb::ListExecutionAttemptsRequest>,
    ) -> Answer<pb::ListExecutionAttemptsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open::<i32, _>(caller.tenant, &request).map_err(status)?;
        let id = parse::operation_id(&request.operation_id).map_err(status)?;
        let attempts = self.operations.attempts(&caller, id).await.map_err(status)?;
        Ok(Response::new(answer::attempts_page(&self.tokens, &page, attempts)))
    }

    async fn get_queue_statistics(
        &self,
        request: Request<pb::GetQueueStatisticsRequest>,
    ) -> Answer<pb::GetQueueStatisticsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let connector = parse::statistics(&request.into_inner()).map_err(status)?;
        let statistics = self.operations.statistics(&caller, connector).await.map_err(status)?;
        let statistics = Some(answer::statistics(&statistics));
        Ok(Response::new(pb::GetQueueStatisticsResponse { statistics }))
    }

    async fn watch_operations(&self, request: Request<pb::WatchOperationsRequest>) -> Answer<WatchStream> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let page = self.tokens.open::<Place, _>(caller.tenant, &request).map_err(status)?;
        let filter = parse::watch(request).map_err(status)?;
        let watched = self.operations.watch(&caller, filter, page.after).await.map_err(status)?;
        let tokens = self.tokens.clone();
        let answers = watched.map(move |item| {
            item.map(|watched| answer::watched(&caller, &tokens, &page, watched)).map_err(status)
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_dead_letter_groups(
        &self,
        request: Request<pb::ListDeadLetterGroupsRequest>,
    ) -> Answer<pb::ListDeadLetterGroupsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let page = self.tokens.open(caller.tenant, request.get_ref()).map_err(status)?;
        let command = dead_letter::list_of_pb(request.get_ref(), &page).map_err(status)?;
        let listed = self.operations.dead_letter_groups(&caller, &command).await.map_err(status)?;
        Ok(Response::new(dead_letter::list_to_pb(&self.tokens, &page, listed)))
    }

    async fn batch_retry_operations(
        &self,
        request: Request<pb::BatchRetryOperationsRequest>,
    ) -> Answer<pb::BatchRetryOperationsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = dead_letter::retry_of_pb(request.into_inner()).map_err(status)?;
        let retried = self.operations.batch_retry(&caller, &command).await.map_err(status)?;
        Ok(Response::new(dead_letter::retried_to_pb(&retried)))
    }

    async fn list_held_operations(
        &self,
        request: Request<pb::ListHeldOperationsRequest>,
    ) -> Answer<pb::ListHeldOperationsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let page = self.tokens.open(caller.tenant, request.get_ref()).map_err(status)?;
        let command = held::list(request.get_ref(), &page).map_err(status)?;
        let listed = self.operations.held(&caller, command).await.map_err(status)?;
        Ok(Response::new(held::page(&caller, &self.tokens, &page, &listed)))
    }

    async fn release_held_operations(
        &self,
        request: Request<pb::ReleaseHeldOperationsRequest>,
    ) -> Answer<pb::ReleaseHeldOperationsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = held::release(request.into_inner()).map_err(status)?;
        let released = self.operations.release_held(&caller, &command).await.map_err(status)?;
        Ok(Response::new(pb::ReleaseHeldOperationsResponse { released }))
    }

    async fn cancel_held_operations(
        &self,
        request: Request<pb::CancelHeldOperationsRequest>,
    ) -> Answer<pb::CancelHeldOperationsResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = held::cancel(request.into_inner()).map_err(status)?;
        let cancelled = self.operations.cancel_held(&caller, &command).await.map_err(status)?;
        Ok(Response::new(pb::CancelHeldOperationsResponse { cancelled }))
    }

    async fn register_approved_plan(
        &self,
        request: Request<pb::RegisterApprovedPlanRequest>,
    ) -> Answer<pb::RegisterApprovedPlanResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = held::register(request.into_inner()).map_err(status)?;
        let registered = self.operations.register_plan(&caller, command).await.map_err(status)?;
        Ok(Response::new(held::registered(registered)))
    }

    async fn revert_operations(
        &self,
        _: Request<pb::RevertOperationsRequest>,
    ) -> Answer<pb::RevertOperationsResponse> {
        Err(not_implemented("OperationService/RevertOperations"))
    }
}
