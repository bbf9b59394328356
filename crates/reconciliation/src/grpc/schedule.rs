//! ScheduleService: the index of what can be asked of schedules.

use tonic::Request;
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::ConnectorId,
    run::ReconciliationMode,
    schedule::{DEFAULT_FULL_EVERY_DAYS, MAX_FULL_EVERY_DAYS, Schedule, time_zone},
};
use xavyo_runtime::Caller;
use xavyo_wire::{Fields, page::Tokens, pb::reconciliation as pb, schedule, status::status};

use super::{Answer, Paging, answer};
use crate::{
    schedules::{PutSchedule, Schedules},
    store::schedule::ScheduleFilter,
};

#[derive(Debug)]
pub struct ScheduleServer {
    pub schedules: Schedules,
    pub tokens: Tokens,
}

#[tonic::async_trait]
impl pb::schedule_service_server::ScheduleService for ScheduleServer {
    async fn get_schedule(
        &self,
        request: Request<pb::GetScheduleRequest>,
    ) -> Answer<pb::GetScheduleResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let connector = connector_id(&request.into_inner().connector_id).map_err(status)?;
        let found = self.schedules.get(&caller, connector).await;
        answer(found.map(|found| pb::GetScheduleResponse { schedule: Some(schedule::to_pb(&found)) }))
    }

    async fn put_schedule(
        &self,
        request: Request<pb::PutScheduleRequest>,
    ) -> Answer<pb::PutScheduleResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let command = put(&request.into_inner()).map_err(status)?;
        let stored = self.schedules.put(&caller, command).await;
        answer(stored.map(|stored| pb::PutScheduleResponse { schedule: Some(schedule::to_pb(&stored)) }))
    }

    async fn delete_schedule(
        &self,
        request: Request<pb::DeleteScheduleRequest>,
    ) -> Answer<pb::DeleteScheduleResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let request = request.into_inner();
        let connector = connector_id(&request.connector_id).map_err(status)?;
        let etag = Fields::default().etag(&request.etag);
        let deleted = self.schedules.delete(&caller, connector, etag).await;
        answer(deleted.map(|()| pb::DeleteScheduleResponse {}))
    }

    async fn enable_schedule(
        &self,
        request: Request<pb::EnableScheduleRequest>,
    ) -> Answer<pb::EnableScheduleResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let connector = connector_id(&request.into_inner().connector_id).map_err(status)?;
        let enabled = self.schedules.enable(&caller, connector).await;
        answer(
            enabled.map(|enabled| pb::EnableScheduleResponse { schedule: Some(schedule::to_pb(&enabled)) }),
        )
    }

    async fn disable_schedule(
        &self,
        request: Request<pb::DisableScheduleRequest>,
    ) -> Answer<pb::DisableScheduleResponse> {
        let caller = Caller::of(&request).map_err(status)?;
        let connector = connector_id(&request.into_inner().connector_id).map_err(status)?;
        let disabled = self.schedules.disable(&caller, connector).await;
        answer(
            disabled
                .map(|disabled| pb::DisableScheduleResponse { schedule: Some(schedule::to_pb(&disabled)) }),
        )
    }

    async fn list_schedules(
        &self,
        request: Request<pb::ListSchedulesRequest>,
    ) -> Answer<pb::ListSchedulesResponse> {
        answer(self.list(&request).await)
    }
}

impl ScheduleServer {
    async fn list(&self, request: &Request<pb::ListSchedulesRequest>) -> Result<pb::ListSchedulesResponse> {
        let caller = Caller::of(request)?;
        let page = self.tokens.open::<Uuid, _>(caller.tenant, request.get_ref())?;
        let filter = ScheduleFilter { enabled: request.get_ref().enabled };
        let listed = self.schedules.list(&caller, &filter, &page).await?;
        let paging = Paging::of(&self.tokens, &page, &listed, |schedule: &Schedule| schedule.id.0);
        Ok(pb::ListSchedulesResponse {
            schedules: listed.items.iter().map(schedule::to_pb).collect(),
            next_page_token: paging.next_page_token,
            total_size: paging.total_size,
            total_size_capped: paging.total_size_capped,
        })
    }
}

fn connector_id(text: &str) -> Result<ConnectorId> {
    let mut fields = Fields::default();
    let id = fields.id("connector_id", text);
    fields.finish(id)
}

fn put(request: &pb::PutScheduleRequest) -> Result<PutSchedule> {
    let mut fields = Fields::default();
    let connector_id = fields.id("connector_id", &request.connector_id);
    let mode = fields.choice::<ReconciliationMode>("mode", request.mode);
    let recurrence = schedule::recurrence_of_pb(&mut fields, request);
    let time_zone = fields.take(time_zone(&request.time_zone));
    let full_every_days = fields.number(
        "full_every_days",
        request.full_every_days,
        1..=MAX_FULL_EVERY_DAYS,
        DEFAULT_FULL_EVERY_DAYS,
    );
    let etag = fields.etag(&request.etag);
    let parts = mode.zip(recurrence).zip(time_zone);
    let command = parts.map(|((mode, recurrence), time_zone)| PutSchedule {
        connector_id,
        mode,
        recurrence,
        time_zone,
        enabled: request.enabled.unwrap_or(true),
        full_every_days,
        etag,
    });
    fields.finish(command)?.ok_or_else(|| xavyo_core::Error::internal("a refused part has its violation"))
}

#[cfg(test)]
mod tests {
    use xavyo_core::Reason;

    use super::*;

    #[test]
    fn a_schedule_is_parsed_with_every_violation() {
        let request = pb::PutScheduleRequest {
            frequency: pb::ScheduleFrequency::Weekly.into(),
            day_of_week: Some(7),
            hour_of_day: Some(24),
            time_zone: "Mars/Olympus".to_owned(),
            full_every_days: Some(366),
            ..Default::default()
        };
        let error = put(&request).unwrap_err();
        assert_eq!(error.reason, Reason::InvalidField);
        let paths: Vec<&str> = error.violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(
            paths,
            ["connector_id", "mode", "day_of_week", "hour_of_day", "time_zone", "full_every_days"]
        );
    }
}
