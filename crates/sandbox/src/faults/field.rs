//! The field: laid out, worked on, healed, drained, judged.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;
use tonic::Request;
use uuid::Uuid;
use xavyo_runtime::Clock;
use xavyo_wire::pb::provisioning::{
    ImportedIdentity, MemoryFault, connector_service_client::ConnectorServiceClient,
};

use super::{Counts, Kind, Replica, Target, connector, people, snapshot};
use crate::{
    checker::{Evidence, Report, check},
    keys::Claims,
    load::{Account, Client, Patience, Plan},
    postgres::{Durability, Postgres},
    process::Signal,
    proxy::{Proxy, Server},
    service,
    stack::Ground,
    workspace,
};

/// How long a drain may stand still before it counts as stuck: many leases, and longer than a probe may be put off.
const STUCK: Duration = Duration::from_mins(1);
const GLANCE: Duration = Duration::from_millis(100);

/// What a field is made of.
#[derive(Clone, Debug)]
pub struct Layout {
    pub replicas: usize,
    /// The first tenant has all of them; each further tenant a memory store.
    pub targets: Vec<Kind>,
    pub tenants: usize,
    /// Of each tenant: each has an account on each of its targets.
    pub people: usize,
    pub durability: Durability,
    /// Binaries that can stand still at crash points.
    pub crash_points: bool,
    /// The first calls of the memory targets fail so.
    pub memory_faults: Vec<MemoryFault>,
    pub patience: Patience,
    /// Calls at once to a target, over all replicas.
    pub max_concurrency: i32,
    /// Connections of each replica to the database.
    pub pool: usize,
}

pub struct Field {
    // Dropped in this order: who calls before who is called.
    pub replicas: Vec<Replica>,
    pub client: Client,
    pub targets: Vec<Target>,
    /// Between the replicas and their database.
    pub database: Proxy,
    accounts: Vec<Account>,
    database_crashes: usize,
    ground: Ground,
    /// Of the targets: it never restarts.
    _target_cluster: Postgres,
    pub cluster: Postgres,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            replicas: 2,
            targets: vec![Kind::Memory],
            tenants: 1,
            people: 4,
            durability: Durability::Fast,
            crash_points: false,
            memory_faults: Vec::new(),
            patience: Patience { call: Duration::from_secs(5), tries: 3 },
            max_concurrency: 6,
            pool: 16,
        }
    }
}

impl Field {
    /// Starts everything, makes connectors, and imports people. About three seconds.
    pub async fn lay(layout: &Layout) -> Result<Self> {
        let (cluster, target_cluster) =
            tokio::try_join!(Postgres::start(layout.durability), Postgres::start(Durability::Fast))?;
        let ground = Ground::lay(&cluster).await?;
        let tenants: Vec<Uuid> =
            (1..layout.tenants).map(|_| Clock::system().new_id()).chain([ground.tenant]).rev().collect();
        let mut targets = Vec::new();
        for (number, tenant) in tenants.iter().enumerate() {
            let kinds = if number == 0 { layout.targets.as_slice() } else { &[Kind::Memory] };
            for kind in kinds {
                targets.push(target(*kind, *tenant, layout, &ground, &target_cluster).await?);
            }
        }
        let (replicas, database) = replicas(layout, &ground, &cluster).await?;
        let tokens =
            tenants.iter().map(|tenant| Ok((*tenant, ground.keys.token(&Claims::of(*tenant, &["admin"]))?)));
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        let people: HashMap<Uuid, Vec<ImportedIdentity>> = tenants
            .iter()
            .map(|tenant| (*tenant, (0..layout.people).map(|n| people::imported(*tenant, n)).collect()))
            .collect();
        let urls: Vec<String> = replicas.iter().map(|replica| replica.service.url()).collect();
        let client = Client::new(&urls, &tokens, people, layout.patience)?;
        let mut field = Self {
            replicas,
            client,
            targets,
            database,
            accounts: Vec::new(),
            database_crashes: 0,
            ground,
            _target_cluster: target_cluster,
            cluster,
        };
        field.make_connectors(&tokens, layout.max_concurrency).await?;
        field.import(&tenants, layout.people).await?;
        Ok(field)
    }

    async fn make_connectors(&mut self, tokens: &[(Uuid, String)], max_concurrency: i32) -> Result<()> {
        let channel = self.replicas[0].service.channel().await?;
        for target in &mut self.targets {
            let (_, token) =
                tokens.iter().find(|(tenant, _)| *tenant == target.tenant).context("a tenant has a token")?;
            let mut request = Request::new(connector::request(target, max_concurrency));
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
            let made = ConnectorServiceClient::new(channel.clone()).create_connector(request).await?;
            target.connector =
                made.into_inner().connector.context("an answer without a connector")?.id.parse()?;
        }
        Ok(())
    }

    async fn import(&mut self, tenants: &[Uuid], people: usize) -> Result<()> {
        for tenant in tenants {
            self.client.take(crate::load::Step::Import(*tenant)).await;
        }
        let mut judge = self.judge().await?;
        let known: Vec<(Uuid, String, Uuid)> =
            sqlx::query_as("select tenant_id, source_key, id from identity").fetch_all(&mut judge).await?;
        ensure!(known.len() == tenants.len() * people, "only {} people were imported", known.len());
        let accounts = self.targets.iter().flat_map(|target| {
            known.iter().filter(|(tenant, ..)| *tenant == target.tenant).map(
                |(tenant, username, identity)| Account {
                    tenant: *tenant,
                    connector: target.connector,
                    identity: *identity,
                    object_class: target.kind.object_class().to_owned(),
                    external_uid: target.kind.uid(username),
                    list_attribute: target.kind.list_attribute(),
                    poison: target.kind.poison(),
                },
            )
        });
        self.accounts = accounts.collect();
        Ok(())
    }

    /// A load on all accounts of the field.
    pub fn plan(&self, seed: u64) -> Plan {
        Plan::new(seed, self.accounts.clone())
    }

    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Where logs, markers and journals are.
    pub fn directory(&self) -> PathBuf {
        self.ground.directory().to_owned()
    }

    /// Sees every tenant's rows.
    pub async fn judge(&self) -> Result<PgConnection> {
        self.ground.provisioning.superuser().await
    }

    /// Postgres ends as by a power cut, and comes back.
    pub async fn crash_database(&mut self) -> Result<()> {
        self.database_crashes += 1;
        self.cluster.crash_and_restart().await
    }

    /// Everything runs again, and nothing is armed.
    pub async fn heal(&mut self) -> Result<()> {
        self.database.heal();
        for target in &self.targets {
            target.proxy.iter().for_each(Proxy::heal);
        }
        for replica in &mut self.replicas {
            replica.heal().await?;
        }
        Ok(())
    }

    /// Waits until something that one number tells of all tenants is so; the number is what `query` counts.
    pub async fn until(&self, query: &'static str, is_so: impl Fn(i64) -> bool) -> Result<()> {
        let mut judge = self.judge().await?;
        let began = Instant::now();
        loop {
            let count = sqlx::query_scalar(query).fetch_one(&mut judge).await?;
            if is_so(count) {
                return Ok(judge.close().await?);
            }
            ensure!(began.elapsed() < STUCK, "it stays at {count}: {query}");
            sleep(GLANCE).await;
        }
    }

    /// Waits until nothing is left to do (true), or nothing moves any more: whether that is right is for the judge.
    pub async fn drain(&self) -> Result<bool> {
        let mut judge = self.judge().await?;
        let (mut last, mut moved_at) = (0, Instant::now());
        loop {
            let (left, moves) = left(&mut judge).await?;
            if left == 0 || moved_at.elapsed() > STUCK {
                judge.close().await?;
                return Ok(left == 0);
            }
            if moves != last {
                (last, moved_at) = (moves, Instant::now());
            }
            sleep(GLANCE).await;
        }
    }

    /// Everything that there is to be seen, as of one instant: meanwhile all replicas stand still.
    pub async fn evidence(&mut self) -> Result<Evidence> {
        self.signal_all(Signal::STOP)?;
        let evidence = self.look().await;
        self.signal_all(Signal::CONT)?;
        evidence
    }

    async fn look(&self) -> Result<Evidence> {
        let mut judge = self.judge().await?;
        let snapshot = snapshot::read(&mut judge).await?;
        let mut ledgers = Vec::new();
        for target in &self.targets {
            ledgers.push(target.ledger().await?);
        }
        Ok(Evidence { history: self.client.history.calls(), snapshot, ledgers })
    }

    fn signal_all(&mut self, signal: Signal) -> Result<()> {
        self.replicas.iter_mut().try_for_each(|replica| replica.service.process().signal(signal))
    }

    /// Heals, drains, and judges.
    pub async fn verdict(&mut self) -> Result<(Evidence, Report)> {
        self.heal().await?;
        self.client.quiet().await;
        self.drain().await?;
        let evidence = self.evidence().await?;
        let report = check(&evidence);
        Ok((evidence, report))
    }

    /// Waits until a fault of a network has done harm since there were so many of them; for no longer than `limit`.
    pub async fn until_bitten(&self, before: u64, limit: Duration) {
        let began = Instant::now();
        while self.counts().bites <= before && began.elapsed() < limit {
            sleep(GLANCE).await;
        }
    }

    /// What was done to it so far.
    pub fn counts(&self) -> Counts {
        let crashes = self.database_crashes;
        let mut counts = Counts { restarts: crashes, database_crashes: crashes, ..Counts::default() };
        self.replicas.iter().for_each(|replica| counts.add(replica.counts));
        let proxies = self.targets.iter().filter_map(|target| target.proxy.as_ref());
        counts.bites = proxies.chain([&self.database]).map(Proxy::bites).sum();
        counts
    }
}

async fn target(
    kind: Kind,
    tenant: Uuid,
    layout: &Layout,
    ground: &Ground,
    cluster: &Postgres,
) -> Result<Target> {
    match kind {
        Kind::Memory => {
            Ok(Target::memory(tenant, ground.directory().join("memory"), layout.memory_faults.clone()))
        }
        Kind::Sql => Target::sql(tenant, cluster).await,
        Kind::Ldap => Target::ldap(tenant).await,
    }
}

/// Replicas that reach their database through a proxy.
async fn replicas(layout: &Layout, ground: &Ground, cluster: &Postgres) -> Result<(Vec<Replica>, Proxy)> {
    let folder = ground.directory().join("db");
    std::fs::create_dir(&folder)?;
    let server = Server::Unix(cluster.sockets().join(".s.PGSQL.5432"));
    let database = Proxy::start_on_socket(&folder.join(".s.PGSQL.5432"), server)?;
    let [direct, proxied] = [cluster.sockets(), &folder].map(|folder| folder.display().to_string());
    let url = ground.provisioning.program_url().replace(&direct, &proxied);
    let name = service::Kind::Provisioning.binary();
    let binary =
        if layout.crash_points { workspace::crash_points_binary(&name)? } else { workspace::binary(&name)? };
    let pool = layout.pool.to_string();
    let more = [("XAVYO_DATABASE_URL", url.as_str()), ("XAVYO_DATABASE_POOL_SIZE", pool.as_str())];
    let mut replicas = Vec::new();
    for number in 1..=layout.replicas {
        let service = ground.start_provisioning_binary(binary.clone(), &number.to_string(), &more).await?;
        replicas.push(Replica::of(service));
    }
    Ok((replicas, database))
}

/// Operations that should still move, and all moves so far.
async fn left(judge: &mut PgConnection) -> Result<(i64, i64)> {
    let counted = sqlx::query_as(
        "select (select count(*)
                   from operation o
                   join connector c on c.tenant_id = o.tenant_id and c.id = o.connector_id
                  where not c.paused
                    and not exists (
                        select from operation b
                         where b.tenant_id = o.tenant_id and b.lane_id = o.lane_id and b.sequence <= o.sequence
                           and (b.status = 'dead_letter' or b.hold_reason is not null)))
              + (select count(*) from lane where worker_id is not null),
                (select count(*) from operation_log)",
    );
    Ok(counted.fetch_one(judge).await?)
}
