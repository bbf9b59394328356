//! The guard where writes happen: how much of its window is used, and which plans it is to let pass.

use xavyo_core::{
    Error, Reason,
    error::Result,
    guard::Effects,
    ids::{ConnectorId, DiscrepancyId, IdentityId, RunId, SubjectId},
    operation::OperationType,
};
use xavyo_wire::{
    Numbered,
    pb::provisioning::{self as pb, connector_service_client::ConnectorServiceClient},
};

use super::{Session, failed, lacks};

/// A plan that somebody has approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    pub connector_id: ConnectorId,
    pub run_id: RunId,
    pub plan_digest: String,
    pub by: SubjectId,
}

/// One operation that an approved plan is going to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedItem {
    pub discrepancy_id: DiscrepancyId,
    pub operation_type: OperationType,
    pub object_class: String,
    pub intent: String,
    pub identity_id: Option<IdentityId>,
    /// Of an account without owner, or of one that is to be deleted.
    pub external_uid: Option<String>,
    pub immutable_id: Option<String>,
}

impl Session {
    /// Effects that the guard's window holds, whatever their cause.
    pub async fn effects_in_window(&self, connector: ConnectorId) -> Result<Effects> {
        let request = pb::GetConnectorHealthRequest { connector_id: connector.to_string() };
        let mut client = ConnectorServiceClient::new(self.channel.clone());
        let answer = client.get_connector_health(self.request(request)).await.map_err(failed);
        let Some(answer) = served(answer)? else { return Ok(Effects::default()) };
        let health = answer.into_inner().health.ok_or_else(|| lacks("the connector's health"))?;
        let used = |usage: Option<pb::GuardUsage>| usage.map_or(0, |usage| usage.used);
        Ok(Effects { destructive: used(health.destructive), constructive: used(health.constructive) })
    }

    /// Registers these items of the plan. Repeating it is harmless.
    pub async fn register_approved_plan(&self, approved: &Approved, items: &[ApprovedItem]) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        let request = pb::RegisterApprovedPlanRequest {
            connector_id: approved.connector_id.to_string(),
            run_id: approved.run_id.to_string(),
            plan_digest: approved.plan_digest.clone(),
            approved_by: approved.by.to_string(),
            items: items.iter().map(item).collect(),
        };
        let answer = self.operations().register_approved_plan(self.request(request)).await;
        served(answer.map(drop).map_err(failed)).map(Option::unwrap_or_default)
    }
}

/// None where the other service is older than the call.
fn served<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(error) if error.reason == Reason::NotImplemented => Ok(None),
        answer => answer.map(Some),
    }
}

fn item(item: &ApprovedItem) -> pb::ApprovedItem {
    pb::ApprovedItem {
        discrepancy_id: item.discrepancy_id.to_string(),
        operation_type: item.operation_type.number(),
        object_class: item.object_class.clone(),
        intent: item.intent.clone(),
        identity_id: item.identity_id.map(|id| id.to_string()),
        external_uid: item.external_uid.clone(),
        immutable_id: item.immutable_id.clone(),
    }
}
