//! What both services are asked.

use anyhow::{Context, Result, ensure};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use uuid::Uuid;
use xavyo_wire::pb::{
    common::{Attribute, RemediationAction, Value, value},
    google::FieldMask,
    provisioning::{
        Connector, ConnectorMode, CreateConnectorRequest, ImportChunk, ImportEnd, ImportIdentitiesRequest,
        ImportStart, ImportedIdentity, UpdateConnectorRequest,
        connector_service_client::ConnectorServiceClient, identity_service_client::IdentityServiceClient,
        import_identities_request::Item,
    },
    reconciliation::{
        Discrepancy, GetDiscrepancyRequest, GetRunRequest, ListActionsRequest, ListDiscrepanciesRequest,
        ReconciliationMode, ReconciliationRunStatus, RemediateDiscrepancyRequest, ResolutionStatus,
        StartRunRequest, action_service_client::ActionServiceClient,
        discrepancy_service_client::DiscrepancyServiceClient, run_service_client::RunServiceClient,
    },
};

use super::Wrong;
use crate::{keys::Claims, service::Service, stack::Ground};

/// A discrepancy as anybody sees it, without what differs from run to run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub kind: String,
    pub identity: Option<String>,
    pub external_uid: Option<String>,
    pub attribute: Option<String>,
    pub values: (Option<String>, Option<String>),
    pub candidates: Vec<String>,
}

/// In the name of the tenant's administrator. Connections are made when needed, and again after a death.
pub struct Calls {
    provisioning: Channel,
    reconciliation: Channel,
    token: MetadataValue<Ascii>,
}

impl Calls {
    pub fn to(provisioning: &Service, reconciliation: &Service, ground: &Ground) -> Result<Self> {
        let lazily = |service: &Service| -> Result<Channel> {
            Ok(Endpoint::from_shared(service.url())?.connect_lazy())
        };
        let token = ground.keys.token(&Claims::of(ground.tenant, &["admin"]))?;
        Ok(Self {
            provisioning: lazily(provisioning)?,
            reconciliation: lazily(reconciliation)?,
            token: format!("Bearer {token}").parse()?,
        })
    }

    pub async fn create_connector(&self, request: CreateConnectorRequest) -> Result<String> {
        let mut connectors = ConnectorServiceClient::new(self.provisioning.clone());
        let made = connectors.create_connector(self.signed(request)).await?.into_inner();
        Ok(made.connector.context("an answer without a connector")?.id)
    }

    pub async fn stop_enforcing(&self, connector: &str) -> Result<()> {
        let connector = Connector {
            id: connector.to_owned(),
            mode: ConnectorMode::Manual.into(),
            ..Connector::default()
        };
        let update_mask = Some(FieldMask { paths: vec!["mode".to_owned()] });
        let request = UpdateConnectorRequest { connector: Some(connector), update_mask, secrets: None };
        ConnectorServiceClient::new(self.provisioning.clone()).update_connector(self.signed(request)).await?;
        Ok(())
    }

    /// Adds people of those names.
    pub async fn import(&self, names: &[&str]) -> Result<()> {
        let identities = names.iter().map(|name| ImportedIdentity {
            source_key: (*name).to_owned(),
            active: None,
            attributes: vec![Attribute {
                name: "username".to_owned(),
                values: vec![Value { kind: Some(value::Kind::StringValue((*name).to_owned())) }],
            }],
        });
        let items = [
            Item::Start(ImportStart::default()),
            Item::Chunk(ImportChunk { identities: identities.collect() }),
            Item::End(ImportEnd { count: i64::try_from(names.len())? }),
        ];
        let items = tokio_stream::iter(items.map(|item| ImportIdentitiesRequest { item: Some(item) }));
        let mut client = IdentityServiceClient::new(self.provisioning.clone());
        let mut answers = client.import_identities(self.signed(items)).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok(())
    }

    pub async fn start_run(&self, connector: &str) -> Result<String> {
        let request = StartRunRequest {
            connector_id: connector.to_owned(),
            mode: ReconciliationMode::Full.into(),
            request_id: Some(Uuid::from_u128(rand::random()).to_string()),
            ..StartRunRequest::default()
        };
        let mut runs = RunServiceClient::new(self.reconciliation.clone());
        let started = runs.start_run(self.signed(request)).await?.into_inner();
        Ok(started.run.context("an answer without a run")?.id)
    }

    /// How many a completed run says that it found, and each of them.
    pub async fn found(&self, run: &str) -> Result<(i64, Vec<Found>)> {
        let request = GetRunRequest { run_id: run.to_owned() };
        let mut runs = RunServiceClient::new(self.reconciliation.clone());
        let told = runs.get_run(self.signed(request)).await?.into_inner().run.unwrap_or_default();
        ensure!(
            told.status() == ReconciliationRunStatus::Completed,
            "the run is {:?}: {}",
            told.status(),
            told.error_message()
        );
        let mut found: Vec<Found> = self.discrepancies(run).await?.into_iter().map(Found::from).collect();
        found.sort();
        Ok((told.discrepancies_found, found))
    }

    /// The one about that identity.
    pub async fn discrepancy_of(&self, run: &str, identity: &str) -> Result<String> {
        let mut all = self.discrepancies(run).await?.into_iter();
        let found = all.find(|one| one.identity_id() == identity);
        Ok(found.with_context(|| format!("nothing was found about {identity}"))?.id)
    }

    async fn discrepancies(&self, run: &str) -> Result<Vec<Discrepancy>> {
        let request = ListDiscrepanciesRequest {
            run_id: Some(run.to_owned()),
            page_size: 200,
            ..ListDiscrepanciesRequest::default()
        };
        let listed = self.discrepancies_client().list_discrepancies(self.signed(request)).await?.into_inner();
        ensure!(listed.next_page_token.is_empty(), "there are few discrepancies");
        Ok(listed.discrepancies)
    }

    pub async fn remediate(&self, discrepancy: &str, wrong: Wrong) -> Result<(), Status> {
        let action = match wrong {
            Wrong::Value => RemediationAction::Update,
            Wrong::NoAccount => RemediationAction::Create,
        };
        let request = RemediateDiscrepancyRequest {
            discrepancy_id: discrepancy.to_owned(),
            action: action.into(),
            ..RemediateDiscrepancyRequest::default()
        };
        self.discrepancies_client().remediate_discrepancy(self.signed(request)).await.map(drop)
    }

    /// Whether a discrepancy was settled by a successful remediation, and how many the audit tells of.
    pub async fn remedy(&self, discrepancy: &str) -> Result<(bool, usize)> {
        let request = GetDiscrepancyRequest { discrepancy_id: discrepancy.to_owned() };
        let got = self.discrepancies_client().get_discrepancy(self.signed(request)).await?.into_inner();
        let got = got.discrepancy.unwrap_or_default();
        let is_settled = got.resolution_status() == ResolutionStatus::Resolved
            && got.remediation.is_some_and(|remediation| remediation.success);
        let request = ListActionsRequest {
            discrepancy_id: Some(discrepancy.to_owned()),
            result: Some("success".to_owned()),
            ..ListActionsRequest::default()
        };
        let mut actions = ActionServiceClient::new(self.reconciliation.clone());
        let listed = actions.list_actions(self.signed(request)).await?.into_inner();
        Ok((is_settled, listed.actions.len()))
    }

    fn discrepancies_client(&self) -> DiscrepancyServiceClient<Channel> {
        DiscrepancyServiceClient::new(self.reconciliation.clone())
    }

    fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.clone());
        request
    }
}

impl From<Discrepancy> for Found {
    fn from(one: Discrepancy) -> Self {
        let candidates = one.candidates.iter();
        let mut candidates: Vec<String> =
            candidates.map(|it| format!("{} {} {}", it.identity_id, it.external_uid, it.score)).collect();
        candidates.sort();
        Self {
            kind: format!("{:?}", one.discrepancy_type()),
            identity: one.identity_id,
            external_uid: one.external_uid,
            attribute: one.attribute_name,
            values: (one.expected_value, one.actual_value),
            candidates,
        }
    }
}
