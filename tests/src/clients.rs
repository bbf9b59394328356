//! The clients of every service, as one caller.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use xavyo_wire::pb::{
    provisioning::{
        account_service_client::AccountServiceClient, audit_service_client::AuditServiceClient,
        conflict_service_client::ConflictServiceClient, connector_service_client::ConnectorServiceClient,
        identity_service_client::IdentityServiceClient, operation_service_client::OperationServiceClient,
    },
    reconciliation::{
        action_service_client::ActionServiceClient, discrepancy_service_client::DiscrepancyServiceClient,
        run_service_client::RunServiceClient, schedule_service_client::ScheduleServiceClient,
    },
};

type Authorised = InterceptedService<Channel, Bearer>;

/// Adds a token to each call.
#[derive(Clone, Debug)]
pub struct Bearer(pub MetadataValue<Ascii>);

/// Clients are cheap to clone, and a call needs one of its own.
#[derive(Clone, Debug)]
pub struct Clients {
    pub connectors: ConnectorServiceClient<Authorised>,
    pub identities: IdentityServiceClient<Authorised>,
    pub accounts: AccountServiceClient<Authorised>,
    pub operations: OperationServiceClient<Authorised>,
    pub conflicts: ConflictServiceClient<Authorised>,
    pub audit: AuditServiceClient<Authorised>,
    pub runs: RunServiceClient<Authorised>,
    pub discrepancies: DiscrepancyServiceClient<Authorised>,
    pub schedules: ScheduleServiceClient<Authorised>,
    pub actions: ActionServiceClient<Authorised>,
}

impl Clients {
    pub fn new(provisioning: &Channel, reconciliation: &Channel, token: &str) -> Self {
        let bearer = Bearer(format!("Bearer {token}").parse().expect("a token is ASCII"));
        let (ours, theirs) = (|| provisioning.clone(), || reconciliation.clone());
        Self {
            connectors: ConnectorServiceClient::with_interceptor(ours(), bearer.clone()),
            identities: IdentityServiceClient::with_interceptor(ours(), bearer.clone()),
            accounts: AccountServiceClient::with_interceptor(ours(), bearer.clone()),
            operations: OperationServiceClient::with_interceptor(ours(), bearer.clone()),
            conflicts: ConflictServiceClient::with_interceptor(ours(), bearer.clone()),
            audit: AuditServiceClient::with_interceptor(ours(), bearer.clone()),
            runs: RunServiceClient::with_interceptor(theirs(), bearer.clone()),
            discrepancies: DiscrepancyServiceClient::with_interceptor(theirs(), bearer.clone()),
            schedules: ScheduleServiceClient::with_interceptor(theirs(), bearer.clone()),
            actions: ActionServiceClient::with_interceptor(theirs(), bearer),
        }
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}
