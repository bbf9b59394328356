//! What is measured: one provisioning process on a durable Postgres, with memory targets that do next to nothing.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::time::sleep;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use uuid::Uuid;
use xavyo_sandbox::{
    keys::Claims,
    postgres::{Durability, Postgres, TargetDatabase},
    service::Service,
    stack::Ground,
};
use xavyo_wire::pb::{
    google::{Struct, value::Kind},
    provisioning::{
        self as pb, connector_service_client::ConnectorServiceClient,
        operation_service_client::OperationServiceClient,
    },
};

type Authorised = InterceptedService<Channel, Bearer>;

/// Calls that may be under way to the target at once: the policy's most.
const CONCURRENCY: i32 = 64;

pub struct Rig {
    // Dropped in this order: the service before what it stands on.
    _service: Service,
    pub operations: OperationServiceClient<Authorised>,
    connectors: ConnectorServiceClient<Authorised>,
    ground: Ground,
    /// The bare tables' own database, in the same cluster.
    pub bare: PgPool,
    _bare: TargetDatabase,
    _postgres: Postgres,
}

#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Rig {
    pub async fn build() -> Result<Self> {
        let postgres = Postgres::start(Durability::Durable).await?;
        let ground = Ground::lay(&postgres).await?;
        // Without a directory the memory target writes no journal: its calls cost next to nothing.
        let more = [("XAVYO_MEMORY_DIRECTORY", ""), ("XAVYO_LOG", "warn")];
        let service = ground.start_provisioning("1", &more).await?;
        let token = ground.keys.token(&Claims::of(ground.tenant, &["admin"]))?;
        let bearer = Bearer(format!("Bearer {token}").parse().context("a token is ASCII")?);
        let channel = service.channel().await?;
        let target = postgres.target().await?;
        let bare =
            PgPoolOptions::new().max_connections(40).connect(&postgres.url(target.name(), "target")).await?;
        Ok(Self {
            _service: service,
            operations: OperationServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            connectors: ConnectorServiceClient::with_interceptor(channel, bearer),
            ground,
            bare,
            _bare: target,
            _postgres: postgres,
        })
    }

    /// A connector over a fresh memory target with so many accounts, paused.
    pub async fn connector(&self, accounts: usize) -> Result<String> {
        let name = Uuid::from_u128(rand::random()).to_string();
        let memory = pb::MemorySettings {
            store: name.clone(),
            generate: i64::try_from(accounts)?,
            // What is measured is the queue.
            forgets: true,
            ..pb::MemorySettings::default()
        };
        let request = pb::CreateConnectorRequest {
            name,
            mode: pb::ConnectorMode::Manual.into(),
            settings: Some(pb::ConnectorSettings {
                kind: Some(pb::connector_settings::Kind::Memory(memory)),
            }),
            object_types: vec![pb::ObjectType {
                object_class: "account".to_owned(),
                naming: "identity.uid".to_owned(),
                ..pb::ObjectType::default()
            }],
            policies: Some(policies()),
            ..pb::CreateConnectorRequest::default()
        };
        let made = self.connectors.clone().create_connector(request).await?.into_inner();
        let id = made.connector.context("an answer without a connector")?.id;
        let pause = pb::PauseConnectorRequest { connector_id: id.clone(), ..Default::default() };
        self.connectors.clone().pause_connector(pause).await?;
        Ok(id)
    }

    pub async fn resume(&self, connector: &str) -> Result<()> {
        let request = pb::ResumeConnectorRequest { connector_id: connector.to_owned() };
        self.connectors.clone().resume_connector(request).await?;
        Ok(())
    }

    /// Waits until no operation of the connector is left in the queue. The judge is there already: to begin with a
    /// connection costs what is measured.
    pub async fn drained(&self, judge: &mut PgConnection, connector: &str) -> Result<()> {
        let connector: Uuid = connector.parse()?;
        loop {
            let left: bool = sqlx::query_scalar(
                "select exists (select from operation where tenant_id = $1 and connector_id = $2)",
            )
            .bind(self.ground.tenant)
            .bind(connector)
            .fetch_one(&mut *judge)
            .await?;
            if !left {
                return Ok(());
            }
            // The look itself costs what is measured: it passes over all that has just left.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// By the clock of the database.
    pub async fn now(&self, judge: &mut PgConnection) -> Result<DateTime<Utc>> {
        Ok(sqlx::query_scalar("select clock_timestamp()").fetch_one(judge).await?)
    }

    /// When the transaction was committed that recorded the connector's last operation.
    pub async fn last_recorded(&self, judge: &mut PgConnection, connector: &str) -> Result<DateTime<Utc>> {
        let at = sqlx::query_scalar(
            "select max(pg_xact_commit_timestamp(xmin))
               from operation_history
              where tenant_id = $1 and connector_id = $2",
        );
        let at = at.bind(self.ground.tenant).bind(connector.parse::<Uuid>()?);
        Ok(at.fetch_one(judge).await?)
    }

    /// Operations of the connector that were completed, and calls that were made for them.
    pub async fn completed(&self, connector: &str) -> Result<(i64, i64)> {
        let mut judge = self.judge().await?;
        let counts = sqlx::query_as(
            "select count(*), coalesce(sum(attempts), 0)::bigint
               from operation_history
              where tenant_id = $1 and connector_id = $2 and status = 'completed'",
        )
        .bind(self.ground.tenant)
        .bind(connector.parse::<Uuid>()?)
        .fetch_one(&mut judge)
        .await?;
        judge.close().await?;
        Ok(counts)
    }

    /// Milliseconds from the acceptance of each operation to the start of its first attempt.
    pub async fn start_delays(&self, connector: &str) -> Result<Vec<f64>> {
        let mut judge = self.judge().await?;
        let delays = sqlx::query_scalar(
            "select (extract(epoch from a.started_at - o.created_at) * 1000)::float8
               from operation_history o
               join execution_attempt a
                 on a.tenant_id = o.tenant_id and a.operation_id = o.id and a.attempt_number = 1
              where o.tenant_id = $1 and o.connector_id = $2",
        )
        .bind(self.ground.tenant)
        .bind(connector.parse::<Uuid>()?)
        .fetch_all(&mut judge)
        .await?;
        judge.close().await?;
        Ok(delays)
    }

    pub fn tenant(&self) -> Uuid {
        self.ground.tenant
    }

    /// Sees every row, and may write any.
    pub async fn judge(&self) -> Result<PgConnection> {
        self.ground.provisioning.superuser().await
    }
}

/// Nothing is held, and every update is written: updates of one account follow each other.
fn policies() -> pb::Policies {
    let unlimited = || Some(pb::GuardLimit { limit: Some(pb::guard_limit::Limit::None(pb::NoLimit {})) });
    let followed = pb::conflict_policy::Decision::Outcome(pb::ConflictOutcome::Applied.into());
    pb::Policies {
        max_concurrency: CONCURRENCY,
        guard: Some(pb::GuardPolicy {
            destructive: unlimited(),
            constructive: unlimited(),
            four_eyes: false,
        }),
        conflict_policies: [(
            "concurrent_update".to_owned(),
            pb::ConflictPolicy { decision: Some(followed) },
        )]
        .into(),
        ..pb::Policies::default()
    }
}

/// An update of one attribute of one account; each round has its own attribute, so that none contradicts another.
pub fn update(connector: &str, account: usize, round: usize) -> pb::CreateOperationRequest {
    let value = Kind::StringValue(format!("user{account}.{round}@example.com"));
    pb::CreateOperationRequest {
        connector_id: connector.to_owned(),
        operation_type: pb::OperationType::Update.into(),
        object_class: "account".to_owned(),
        target_uid: Some(format!("user{account:06}")),
        payload: Some(Struct { fields: [(format!("attribute{round}"), value.into())].into() }),
        ..pb::CreateOperationRequest::default()
    }
}
