//! The clients of the public API, as an admin of the sandbox's tenant.

use anyhow::{Context, Result};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use xavyo_sandbox::stack::Stack;
use xavyo_wire::pb::{
    provisioning::{
        connector_service_client::ConnectorServiceClient, identity_service_client::IdentityServiceClient,
        operation_service_client::OperationServiceClient,
    },
    reconciliation::{
        discrepancy_service_client::DiscrepancyServiceClient, run_service_client::RunServiceClient,
    },
};

type Authorised = InterceptedService<Channel, Bearer>;

/// Every service that the demo calls. Clients are cheap to clone, and a call needs one of its own.
pub struct Api {
    pub connectors: ConnectorServiceClient<Authorised>,
    pub identities: IdentityServiceClient<Authorised>,
    pub operations: OperationServiceClient<Authorised>,
    pub runs: RunServiceClient<Authorised>,
    pub discrepancies: DiscrepancyServiceClient<Authorised>,
}

/// Adds the token to each call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Api {
    pub async fn connect(stack: &Stack) -> Result<Self> {
        let token = format!("Bearer {}", stack.token(&["admin"])?).parse().context("a token is ASCII")?;
        let bearer = Bearer(token);
        let (provisioning, reconciliation) =
            (stack.provisioning.channel().await?, stack.reconciliation.channel().await?);
        Ok(Self {
            connectors: ConnectorServiceClient::with_interceptor(provisioning.clone(), bearer.clone()),
            identities: IdentityServiceClient::with_interceptor(provisioning.clone(), bearer.clone()),
            operations: OperationServiceClient::with_interceptor(provisioning, bearer.clone()),
            runs: RunServiceClient::with_interceptor(reconciliation.clone(), bearer.clone()),
            discrepancies: DiscrepancyServiceClient::with_interceptor(reconciliation, bearer),
        })
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}
