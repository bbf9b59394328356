//! ScheduleService: what can be asked of schedules.

use tonic::Request;
use xavyo_wire::{pb::reconciliation as pb, status::not_implemented};

use super::Answer;

#[derive(Clone, Copy, Debug)]
pub struct ScheduleServer;

#[tonic::async_trait]
impl pb::schedule_service_server::ScheduleService for ScheduleServer {
    async fn get_schedule(&self, _: Request<pb::GetScheduleRequest>) -> Answer<pb::GetScheduleResponse> {
        Err(not_implemented("ScheduleService/GetSchedule"))
    }

    async fn put_schedule(&self, _: Request<pb::PutScheduleRequest>) -> Answer<pb::PutScheduleResponse> {
        Err(not_implemented("ScheduleService/PutSchedule"))
    }

    async fn delete_schedule(
        &self,
        _: Request<pb::DeleteScheduleRequest>,
    ) -> Answer<pb::DeleteScheduleResponse> {
        Err(not_implemented("ScheduleService/DeleteSchedule"))
    }

    async fn enable_schedule(
        &self,
        _: Request<pb::EnableScheduleRequest>,
    ) -> Answer<pb::EnableScheduleResponse> {
        Err(not_implemented("ScheduleService/EnableSchedule"))
    }

    async fn disable_schedule(
        &self,
        _: Request<pb::DisableScheduleRequest>,
    ) -> Answer<pb::DisableScheduleResponse> {
        Err(not_implemented("ScheduleService/DisableSchedule"))
    }

    async fn list_schedules(
        &self,
        _: Request<pb::ListSchedulesRequest>,
    ) -> Answer<pb::ListSchedulesResponse> {
        Err(not_implemented("ScheduleService/ListSchedules"))
    }
}
