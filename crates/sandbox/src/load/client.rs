//! A client of several replicas that remembers each call and its outcome: ok, failed, or unknown.
//!
//! A call without an answer may be asked again, of another replica and under the same request id: what the second answer
//! says then holds for both.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use tokio_util::task::TaskTracker;
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use uuid::Uuid;
use xavyo_runtime::Clock;
use xavyo_wire::pb::common::{Attribute, Value, value};
use xavyo_wire::pb::provisioning::{
    BatchCreateOperationsRequest, CancelOperationRequest, CreateOperationRequest, ImportChunk, ImportEnd,
    ImportIdentitiesRequest, ImportStart, ImportedIdentity, ListOperationsRequest, OperationStatus,
    ProvisioningOperation, ResolveOperationRequest, RetryOperationRequest,
    identity_service_client::IdentityServiceClient, import_identities_request::Item,
    operation_service_client::OperationServiceClient,
};

use crate::checker::{Asked, ClientCall, Outcome};

type Answer = Result<Vec<ProvisioningOperation>, Status>;

/// How long a call may take, and how often one without an answer is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub call: Duration,
    pub tries: usize,
}

/// What all clients of a test asked; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Vec<ClientCall>>>);

/// Cheap to clone; clones share the history.
#[derive(Clone)]
pub struct Client {
    replicas: Vec<Channel>,
    tokens: HashMap<Uuid, MetadataValue<Ascii>>,
    people: HashMap<Uuid, Vec<ImportedIdentity>>,
    patience: Patience,
    clock: Clock,
    turn: Arc<AtomicUsize>,
    busy: TaskTracker,
    pub history: History,
}

impl History {
    pub fn calls(&self) -> Vec<ClientCall> {
        self.lock().clone()
    }

    fn add(&self, call: ClientCall) {
        self.lock().push(call);
    }

    /// An operation of before, counted back from the newest, and its tenant.
    fn recent(&self, pick: usize) -> Option<(Uuid, Uuid)> {
        let calls = self.lock();
        let mut operations = calls.iter().rev().filter_map(|call| match (&call.asked, &call.outcome) {
            (Asked::Enqueue { .. }, Outcome::Ok(ids)) => Some((call.tenant, *ids.first()?)),
            _ => None,
        });
        operations.nth(pick)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ClientCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Of replicas at these addresses, with a token for each tenant and the people that it imports.
    pub fn new(
        urls: &[String],
        tokens: &[(Uuid, String)],
        people: HashMap<Uuid, Vec<ImportedIdentity>>,
        patience: Patience,
    ) -> Result<Self> {
        let channel = |url: &String| -> Result<Channel> {
            let endpoint = Endpoint::from_shared(url.clone())?.connect_timeout(Duration::from_secs(1));
            Ok(endpoint.timeout(patience.call).connect_lazy())
        };
        let token = |(tenant, token): &(Uuid, String)| -> Result<_> {
            Ok((*tenant, format!("Bearer {token}").parse().context("a token is ASCII")?))
        };
        Ok(Self {
            replicas: urls.iter().map(channel).collect::<Result<_>>()?,
            tokens: tokens.iter().map(token).collect::<Result<_>>()?,
            people,
            patience,
            clock: Clock::system(),
            turn: Arc::default(),
            busy: TaskTracker::new(),
            history: History::default(),
        })
    }

    /// Does a step in the background; [`Client::quiet`] waits for its end.
    pub fn begin(&self, step: super::Step) {
        let client = self.clone();
        self.busy.spawn(async move { client.take(step).await });
    }

    /// Does something in the background; [`Client::quiet`] waits for its end.
    pub fn work<F: Future<Output = ()> + Send + 'static>(&self, work: impl FnOnce(Self) -> F) {
        self.busy.spawn(work(self.clone()));
    }

    /// Waits until everything that was begun has its answer, or none.
    pub async fn quiet(&self) {
        self.busy.close();
        self.busy.wait().await;
        self.busy.reopen();
    }

    /// Does a step, whatever becomes of it.
    pub async fn take(&self, step: super::Step) {
        use super::Step;
        match step {
            Step::Enqueue(tenant, operations) => drop(self.enqueue(tenant, operations).await),
            Step::Cancel { pick } => {
                if let Some((tenant, id)) = self.history.recent(pick) {
                    self.cancel(tenant, id).await;
                }
            }
            Step::Retry { pick } => {
                if let Some((tenant, id)) = self.history.recent(pick) {
                    self.retry(tenant, id).await;
                }
            }
            Step::TendDeadLetters { tenant, retry } => self.tend_dead_letters(tenant, retry).await,
            Step::Import(tenant) => self.import(tenant).await,
        }
    }

    /// Asks for operations. All are accepted, or none.
    pub async fn enqueue(&self, tenant: Uuid, operations: Vec<CreateOperationRequest>) -> Outcome {
        self.enqueue_as(Uuid::from_u128(rand::random()), tenant, operations).await
    }

    /// Under that request id.
    pub async fn enqueue_as(
        &self,
        id: Uuid,
        tenant: Uuid,
        operations: Vec<CreateOperationRequest>,
    ) -> Outcome {
        let asked = Asked::Enqueue { operations: operations.len() };
        let request_id = Some(id.to_string());
        if let [one] = operations.as_slice() {
            let request = CreateOperationRequest { request_id, ..one.clone() };
            return self
                .remembered(id, tenant, asked, |mut client| {
                    let request = self.signed(tenant, request.clone());
                    async move {
                        let made = client.create_operation(request).await?.into_inner();
                        Ok(made.operation.into_iter().collect())
                    }
                })
                .await;
        }
        let request = BatchCreateOperationsRequest { operations, request_id };
        self.remembered(id, tenant, asked, |mut client| {
            let request = self.signed(tenant, request.clone());
            async move { Ok(client.batch_create_operations(request).await?.into_inner().operations) }
        })
        .await
    }

    /// One call, not written down: one that was made before, or that must be refused.
    pub async fn ask(&self, tenant: Uuid, request: CreateOperationRequest) -> Result<Uuid, Code> {
        let request = self.signed(tenant, request);
        let made = OperationServiceClient::new(self.channel()).create_operation(request).await;
        let operation = made.map_err(|status| status.code())?.into_inner().operation.unwrap_or_default();
        operation.id.parse().map_err(|_| Code::DataLoss)
    }

    pub async fn cancel(&self, tenant: Uuid, id: Uuid) -> Outcome {
        let request = CancelOperationRequest { operation_id: id.to_string(), ..Default::default() };
        self.remembered(Uuid::from_u128(rand::random()), tenant, Asked::Cancel(id), |mut client| {
            let request = self.signed(tenant, request.clone());
            async move { Ok(client.cancel_operation(request).await?.into_inner().operation.into_iter().collect()) }
        })
        .await
    }

    pub async fn retry(&self, tenant: Uuid, id: Uuid) -> Outcome {
        let request = RetryOperationRequest { operation_id: id.to_string(), ..Default::default() };
        self.remembered(Uuid::from_u128(rand::random()), tenant, Asked::Retry(id), |mut client| {
            let request = self.signed(tenant, request.clone());
            async move { Ok(client.retry_operation(request).await?.into_inner().operation.into_iter().collect()) }
        })
        .await
    }

    pub async fn resolve(&self, tenant: Uuid, id: Uuid) -> Outcome {
        let request = ResolveOperationRequest {
            operation_id: id.to_string(),
            resolution_notes: "dealt with by hand".to_owned(),
            ..Default::default()
        };
        self.remembered(Uuid::from_u128(rand::random()), tenant, Asked::Resolve(id), |mut client| {
            let request = self.signed(tenant, request.clone());
            async move {
                Ok(client.resolve_operation(request).await?.into_inner().operation.into_iter().collect())
            }
        })
        .await
    }

    /// Asks until there is an answer or patience is at its end, and writes down what came of it.
    async fn remembered<F: Future<Output = Answer> + Send>(
        &self,
        id: Uuid,
        tenant: Uuid,
        asked: Asked,
        call: impl Fn(OperationServiceClient<Channel>) -> F,
    ) -> Outcome {
        let sent_at = self.clock.now();
        let mut outcome = Outcome::Unknown(String::new());
        for attempt in 0..self.patience.tries.max(1) {
            match call(OperationServiceClient::new(self.channel())).await {
                Ok(operations) => {
                    outcome = Outcome::Ok(operations.iter().filter_map(|one| one.id.parse().ok()).collect());
                    break;
                }
                Err(status) if is_answer(&status) => {
                    // After a try that nobody answered, a refusal may be of what that try has done.
                    if attempt == 0 {
                        outcome = Outcome::Failed(described(&status));
                    }
                    break;
                }
                Err(status) => outcome = Outcome::Unknown(described(&status)),
            }
        }
        self.write_down(id, tenant, asked, sent_at, outcome.clone());
        outcome
    }

    fn write_down(&self, id: Uuid, tenant: Uuid, asked: Asked, sent_at: DateTime<Utc>, outcome: Outcome) {
        let answered_at = self.clock.now();
        self.history.add(ClientCall { id, tenant, asked, sent_at, answered_at, outcome });
    }

    async fn tend_dead_letters(&self, tenant: Uuid, retry: bool) {
        let request = ListOperationsRequest {
            page_size: 20,
            statuses: vec![OperationStatus::DeadLetter.into()],
            ..Default::default()
        };
        let listed =
            OperationServiceClient::new(self.channel()).list_operations(self.signed(tenant, request)).await;
        let found = listed.map(Response::into_inner).unwrap_or_default().operations;
        for id in found.iter().filter_map(|operation| operation.id.parse().ok()) {
            if retry {
                self.retry(tenant, id).await;
            } else {
                self.resolve(tenant, id).await;
            }
        }
    }

    /// What comes of it is of no interest: it is repeated anyway.
    async fn import(&self, tenant: Uuid) {
        let mut identities = self.people.get(&tenant).cloned().unwrap_or_default();
        let news = Uuid::from_u128(rand::random()).to_string();
        for identity in &mut identities {
            let values = vec![Value { kind: Some(value::Kind::StringValue(news.clone())) }];
            identity.attributes.push(Attribute { name: "news".to_owned(), values });
        }
        let count = i64::try_from(identities.len()).unwrap_or_default();
        let items = [
            Item::Start(ImportStart::default()),
            Item::Chunk(ImportChunk { identities }),
            Item::End(ImportEnd { count }),
        ];
        let items = tokio_stream::iter(items.map(|item| ImportIdentitiesRequest { item: Some(item) }));
        let mut client = IdentityServiceClient::new(self.channel());
        if let Ok(answers) = client.import_identities(self.signed(tenant, items)).await {
            let mut answers = answers.into_inner();
            while let Ok(Some(_)) = answers.message().await {}
        }
    }

    /// The replicas take turns.
    fn channel(&self) -> Channel {
        self.replicas[self.turn.fetch_add(1, Ordering::Relaxed) % self.replicas.len()].clone()
    }

    fn signed<T>(&self, tenant: Uuid, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = self.tokens.get(&tenant) {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }
}

/// The service has decided; everything else leaves open what it did.
fn is_answer(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::ResourceExhausted
            | Code::Unimplemented
    )
}

fn described(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
