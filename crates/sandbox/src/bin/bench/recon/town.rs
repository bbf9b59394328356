//! Both services over one target, and an identity with a link for every account of it, in step.
//!
//! People are settled by SQL, out of what the product itself reads of the target: a million of them by calls would measure
//! imports. Runs and reads go through the API alone.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value as Json, json};
use sqlx::{Connection, PgConnection};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use uuid::Uuid;
use xavyo_runtime::Clock;
use xavyo_sandbox::{
    keys::Claims,
    postgres::{Durability, Postgres},
    service::Service,
    stack::Ground,
};
use xavyo_wire::pb::{
    common::{Attribute, value::Kind as Value},
    provisioning::{
        self as pb, account_service_client::AccountServiceClient,
        connector_service_client::ConnectorServiceClient, read_target_accounts_response::Item,
    },
    reconciliation::{self as pr, run_service_client::RunServiceClient, watch_run_response::Event},
};

type Authorised = InterceptedService<Channel, Bearer>;

/// The attributes of generated accounts that are one text each.
const GENERATED: [&str; 8] =
    ["uid", "mail", "given_name", "family_name", "display_name", "department", "title", "telephone_number"];
/// Tables with a row for each account or finding, by database.
const PROVISIONING_TABLES: [&str; 6] = ["identity", "link", "lane", "lane_alias", "link_event", "operation"];
const RECONCILIATION_TABLES: [&str; 2] = ["discrepancy", "remediation"];

pub struct Town {
    // Dropped in this order: who calls before who is called, programs before what they stand on.
    reconciliation: Service,
    provisioning: Service,
    runs: RunServiceClient<Authorised>,
    accounts: AccountServiceClient<Authorised>,
    connector: String,
    object_class: String,
    ground: Ground,
    _postgres: Postgres,
}

/// What a run did, by its own account.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub accounts: usize,
    pub found: usize,
    pub took: Duration,
}

/// The transactions to come, of each database.
#[derive(Clone, Copy, Debug)]
pub struct Transactions {
    provisioning: i64,
    reconciliation: i64,
}

#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A connector that only reports; identities have the attributes under the accounts' own names.
pub fn connector(
    kind: pb::connector_settings::Kind,
    object_class: &str,
    attributes: &[&str],
) -> pb::CreateConnectorRequest {
    let rule = |name: &&str| pb::AttributeRule {
        name: (*name).to_owned(),
        expression: format!("identity.{name}"),
        ..pb::AttributeRule::default()
    };
    let by_mail = pb::CorrelationRule {
        expression: "identity.mail".to_owned(),
        attribute: "mail".to_owned(),
        weight: 10,
        ..pb::CorrelationRule::default()
    };
    pb::CreateConnectorRequest {
        name: "target".to_owned(),
        mode: pb::ConnectorMode::Manual.into(),
        settings: Some(pb::ConnectorSettings { kind: Some(kind) }),
        object_types: vec![pb::ObjectType {
            object_class: object_class.to_owned(),
            naming: "identity.uid".to_owned(),
            mapping: attributes.iter().map(rule).collect(),
            correlation: Some(pb::CorrelationPolicy { rules: vec![by_mail], threshold: 10 }),
            ..pb::ObjectType::default()
        }],
        ..pb::CreateConnectorRequest::default()
    }
}

/// A target that generates so many accounts.
pub fn generated(accounts: usize) -> Result<pb::CreateConnectorRequest> {
    let memory = pb::MemorySettings {
        store: "million".to_owned(),
        generate: i64::try_from(accounts)?,
        ..pb::MemorySettings::default()
    };
    Ok(connector(pb::connector_settings::Kind::Memory(memory), "account", &GENERATED))
}

impl Town {
    pub async fn build(connector: pb::CreateConnectorRequest) -> Result<Self> {
        let postgres = Postgres::start(Durability::Durable).await?;
        let ground = Ground::lay(&postgres).await?;
        let quiet = ("XAVYO_LOG", "warn");
        let provisioning = ground.start_provisioning("1", &[quiet, ("XAVYO_MEMORY_DIRECTORY", "")]).await?;
        let reconciliation = ground.start_reconciliation("1", &provisioning.url(), &[quiet]).await?;
        let token = ground.keys.token(&Claims::of(ground.tenant, &["admin"]))?;
        let bearer = Bearer(format!("Bearer {token}").parse().context("a token is ASCII")?);
        let channel = provisioning.channel().await?;
        let object_class = connector.object_types[0].object_class.clone();
        let mut connectors = ConnectorServiceClient::with_interceptor(channel.clone(), bearer.clone());
        let made = connectors.create_connector(connector).await?.into_inner();
        Ok(Self {
            connector: made.connector.context("an answer without a connector")?.id,
            object_class,
            runs: RunServiceClient::with_interceptor(reconciliation.channel().await?, bearer.clone()),
            accounts: AccountServiceClient::with_interceptor(channel, bearer),
            reconciliation,
            provisioning,
            ground,
            _postgres: postgres,
        })
    }

    /// Makes an identity and a link for each account that the target shows.
    pub async fn settle(&self) -> Result<()> {
        let request = pb::ReadTargetAccountsRequest {
            connector_id: self.connector.clone(),
            object_class: self.object_class.clone(),
            intent: String::new(),
            include_attributes: true,
            since: None,
        };
        let mut pages = self.accounts.clone().read_target_accounts(request).await?.into_inner();
        let mut judge = self.ground.provisioning.superuser().await?;
        let mut settled = 0;
        while let Some(message) = pages.message().await? {
            match message.item {
                Some(Item::Page(page)) => {
                    settled += page.accounts.len();
                    self.settle_some(&mut judge, page.accounts).await?;
                }
                Some(Item::Proof(proof)) => ensure!(proof.complete, "{}", proof.evidence),
                None => {}
            }
        }
        eprintln!("{settled} people have an account");
        sqlx::raw_sql("vacuum analyze identity, link, lane").execute(&mut judge).await?;
        Ok(judge.close().await?)
    }

    async fn settle_some(&self, judge: &mut PgConnection, accounts: Vec<pb::TargetAccount>) -> Result<()> {
        let clock = Clock::system();
        let ids: Vec<Uuid> = accounts.iter().map(|_| clock.new_id()).collect();
        let attributes: Vec<Json> = accounts.iter().map(|account| json_of(&account.attributes)).collect();
        sqlx::query(
            "with person as (
                 insert into identity (tenant_id, id, active, attributes, created_at, updated_at)
                 select $1, id, true, attributes, now(), now() from unnest($4::uuid[], $5::jsonb[]) as it (id, attributes)),
             queue as (
                 insert into lane (tenant_id, id, connector_id, object_class, intent)
                 select $1, id, $2, $3, 'default' from unnest($4::uuid[]) as it (id))
             insert into link (tenant_id, id, connector_id, object_class, intent, identity_id, lane_id, external_uid,
                               uid_key, immutable_id, created_at, updated_at)
             select $1, id, $2, $3, 'default', id, id, uid, lower(uid), immutable_id, now(), now()
               from unnest($4::uuid[], $6::text[], $7::text[]) as it (id, uid, immutable_id)",
        )
        .bind(self.ground.tenant)
        .bind(self.connector.parse::<Uuid>()?)
        .bind(&self.object_class)
        .bind(&ids)
        .bind(attributes)
        .bind(accounts.iter().map(|account| account.external_uid.clone()).collect::<Vec<_>>())
        .bind(accounts.iter().map(|account| account.immutable_id.clone()).collect::<Vec<_>>())
        .execute(judge)
        .await?;
        Ok(())
    }

    /// So many people get another title than their accounts show.
    pub async fn drift(&self, people: usize) -> Result<usize> {
        let mut judge = self.ground.provisioning.superuser().await?;
        let drifted = sqlx::query(
            "update identity
                set attributes = jsonb_set(attributes, '{title}', '[\"Drifter\"]'), version = version + 1
              where tenant_id = $1 and id in (select id from identity where tenant_id = $1 order by id limit $2)",
        )
        .bind(self.ground.tenant)
        .bind(i64::try_from(people)?)
        .execute(&mut judge)
        .await?;
        judge.close().await?;
        Ok(usize::try_from(drifted.rows_affected())?)
    }

    /// A full run to its end.
    pub async fn run(&self) -> Result<Run> {
        let request = pr::StartRunRequest {
            connector_id: self.connector.clone(),
            mode: pr::ReconciliationMode::Full.into(),
            ..pr::StartRunRequest::default()
        };
        let started = self.runs.clone().start_run(request).await?.into_inner();
        let id = started.run.context("an answer without a run")?.id;
        let request = pr::WatchRunRequest { run_id: id, ..pr::WatchRunRequest::default() };
        let mut watched = self.runs.clone().watch_run(request).await?.into_inner();
        let mut last = None;
        while let Some(message) = watched.message().await? {
            if let Some(Event::Run(run)) = message.event {
                last = Some(run);
            }
        }
        let run = last.context("a watch without its run")?;
        ensure!(run.status() == pr::ReconciliationRunStatus::Completed, "the run did not complete: {run:?}");
        Ok(Run {
            accounts: usize::try_from(run.accounts_processed)?,
            found: usize::try_from(run.discrepancies_found)?,
            took: Duration::from_secs_f64(run.duration_seconds.context("a run that ended took its time")?),
        })
    }

    /// Where both databases are now.
    pub async fn transactions(&self) -> Result<Transactions> {
        let next = "select pg_current_xact_id()::text::bigint";
        let mut provisioning = self.ground.provisioning.superuser().await?;
        let mut reconciliation = self.ground.reconciliation.superuser().await?;
        Ok(Transactions {
            provisioning: sqlx::query_scalar(next).fetch_one(&mut provisioning).await?,
            reconciliation: sqlx::query_scalar(next).fetch_one(&mut reconciliation).await?,
        })
    }

    /// Rows of accounts and findings that were written since then.
    pub async fn rows_since(&self, before: &Transactions) -> Result<i64> {
        let mut provisioning = self.ground.provisioning.superuser().await?;
        let mut reconciliation = self.ground.reconciliation.superuser().await?;
        let there = written(&mut provisioning, &PROVISIONING_TABLES, before.provisioning).await?;
        Ok(there + written(&mut reconciliation, &RECONCILIATION_TABLES, before.reconciliation).await?)
    }

    /// The most that both services had resident, in kilobytes.
    pub fn peak_memory(&mut self) -> Result<u64> {
        let pids = [self.provisioning.process().id(), self.reconciliation.process().id()];
        pids.into_iter().map(peak_of).sum()
    }
}

async fn written(judge: &mut PgConnection, tables: &[&str], since: i64) -> Result<i64> {
    let mut rows = 0;
    for table in tables {
        let count = format!("select count(*) from {table} where xmin::text::bigint >= $1");
        let counted: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(count)).bind(since).fetch_one(&mut *judge).await?;
        rows += counted;
    }
    Ok(rows)
}

fn peak_of(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.context("a process without VmHWM")?.trim().trim_end_matches(" kB");
    Ok(kilobytes.trim().parse()?)
}

/// Attributes as the identity table keeps them.
fn json_of(attributes: &[Attribute]) -> Json {
    let values = |attribute: &Attribute| -> Json {
        attribute.values.iter().filter_map(|value| value.kind.as_ref()).map(json_of_value).collect()
    };
    let by_name: Map<String, Json> =
        attributes.iter().map(|attribute| (attribute.name.clone(), values(attribute))).collect();
    Json::Object(by_name)
}

fn json_of_value(value: &Value) -> Json {
    match value {
        Value::StringValue(text) => json!(text),
        Value::Int64Value(number) => json!(number),
        Value::DoubleValue(number) => json!(number),
        Value::BoolValue(truth) => json!(truth),
        Value::BytesValue(_) | Value::TimestampValue(_) => Json::Null,
    }
}
