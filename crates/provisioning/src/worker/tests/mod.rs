//! The engine, stepped by hand on a real Postgres, against the memory target. The judge is the ledger that the target
//! itself keeps. Time is moved by hand.

mod conflicts;
mod crashes;
mod failures;
mod guard;
mod leaves;
mod order;
mod outages;
mod pacing;
mod premises;
mod retention;
mod staged;
mod standing;
mod together;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xavyo_connectors::{
    Options,
    memory::{self, ledger::Entry},
};
use xavyo_core::{
    change::{Change, Changes},
    conflict::{ConflictRule, ConflictType},
    connector::{Connector, GuardLimit, MemoryFault, MemorySettings, Mode, ObjectType, Policies, Settings},
    identity::Identity,
    ids::{ConnectorId, IdentityId, OperationId, SubjectId, TenantId, WorkerId},
    operation::{Operation, OperationStatus, OperationType},
    value::{Attributes, Value},
};
use xavyo_runtime::{Caller, Clock, Database, MasterKeys, db};
use xavyo_sandbox::{postgres, service::Kind};

use super::{
    Engine, Limits, Nudge,
    claim::{Claim, Claimed},
};
use crate::{
    operations::{ChangeOperation, CreateOperation, Operations},
    pacing::Pacing,
    programs::Programs,
    secrets::Vault,
    store::{
        connector::{self, work::Pair},
        identity,
    },
    targets::Targets,
};

/// A tenant with one memory connector, and an engine that is stepped by hand.
struct Bench {
    engine: Engine,
    operations: Operations,
    caller: Caller,
    pair: Pair,
    store: String,
    /// Dropped last: the database lives as long as it.
    database: postgres::Database,
}

fn set(name: &str, value: &str) -> Changes {
    Changes::from([(name.to_owned(), Change::Set(vec![Value::from(value)]))])
}

fn object_type() -> ObjectType {
    serde_json::from_value(serde_json::json!({
        "object_class": "account", "intent": "default", "scope": "", "naming": "identity.login", "mapping": [],
        "correlation": {
            "rules": [{ "expression": "identity.mail", "attribute": "mail", "normaliser": "text", "weight": 10 }],
            "threshold": 10
        },
        "protected": "has(account.role) && account.role == 'root'"
    }))
    .unwrap()
}

impl Bench {
    async fn new() -> Self {
        Self::with(MemorySettings::default(), |_| {}).await
    }

    async fn failing(faults: &[(&str, &str, i32)]) -> Self {
        let faults = faults
            .iter()
            .map(|(call, kind, times)| MemoryFault {
                call: (*call).to_owned(),
                kind: (*kind).to_owned(),
                times: *times,
            })
            .collect();
        Self::with(MemorySettings { faults, ..MemorySettings::default() }, |_| {}).await
    }

    async fn with(settings: MemorySettings, change: impl FnOnce(&mut Connector)) -> Self {
        static STORES: AtomicU32 = AtomicU32::new(0);
        let database =
            postgres::Postgres::shared().await.unwrap().database(Kind::Provisioning).await.unwrap();
        let store = format!("bench{}", STORES.fetch_add(1, Ordering::Relaxed));
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
        let pool = Database::over(database.pool().await.unwrap());
        let caller = Caller {
            tenant: TenantId(Uuid::from_u128(1)),
            subject: SubjectId(Uuid::from_u128(2)),
            roles: vec![],
            trace_id: "0".repeat(32),
        };
        let settings = MemorySettings { store: store.clone(), ..settings };
        let mut connector = connector_over(&clock, settings);
        change(&mut connector);
        let mut tx = pool.begin(caller.tenant).await.unwrap();
        connector::insert(&mut tx, caller.tenant, &connector, caller.subject).await.unwrap();
        db::commit(tx).await.unwrap();
        let nudge = Nudge::default();
        let engine = engine(&pool, &clock, &nudge);
        engine.lease.renew(&pool).await.unwrap();
        Self {
            operations: Operations::new(pool, clock.clone(), vault(&clock), nudge, CancellationToken::new()),
            engine,
            pair: Pair { tenant: caller.tenant, connector: connector.id },
            caller,
            store,
            database,
        }
    }

    /// Another process on the same database.
    async fn another_engine(&self) -> Engine {
        let engine = engine(&self.engine.database, &self.engine.clock, &self.engine.nudge);
        engine.lease.renew(&engine.database).await.unwrap();
        engine
    }

    async fn identity(&self, login: &str, mail: &str) -> IdentityId {
        let now = self.engine.clock.now();
        let values = |value: &str| vec![Value::from(value)];
        let identity = Identity {
            id: IdentityId(self.engine.clock.new_id()),
            source_key: Some(login.to_owned()),
            active: true,
            attributes: Attributes::from([
                ("login".to_owned(), values(login)),
                ("mail".to_owned(), values(mail)),
            ]),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.engine.database.begin(self.pair.tenant).await.unwrap();
        identity::insert(&mut tx, self.pair.tenant, std::slice::from_ref(&identity)).await.unwrap();
        db::commit(tx).await.unwrap();
        identity.id
    }

    fn command(&self, kind: OperationType, uid: &str, payload: Changes) -> CreateOperation {
        CreateOperation {
            connector_id: self.pair.connector,
            identity_id: None,
            operation_type: kind,
            object_class: "account".to_owned(),
            intent: "default".to_owned(),
            target_uid: Some(uid.to_owned()),
            priority: 50,
            max_retries: None,
            payload,
            precondition: None,
            not_before: None,
            reason: None,
            cause: None,
        }
    }

    async fn accept(&self, command: CreateOperation) -> OperationId {
        self.operations.create(&self.caller, command, None).await.unwrap().id
    }

    async fn create(&self, uid: &str) -> OperationId {
        self.accept(self.command(OperationType::Create, uid, set("mail", &format!("{uid}@x")))).await
    }

    async fn update(&self, uid: &str, mail: &str) -> OperationId {
        self.accept(self.command(OperationType::Update, uid, set("mail", mail))).await
    }

    async fn delete(&self, uid: &str) -> OperationId {
        self.accept(self.command(OperationType::Delete, uid, Changes::new())).await
    }

    fn change(id: OperationId, notes: Option<&str>) -> ChangeOperation {
        ChangeOperation { operation_id: id, etag: None, notes: notes.map(str::to_owned) }
    }

    /// Lets the engine work until nothing can be claimed now.
    async fn drain(&self) {
        self.engine.drain(self.pair, CancellationToken::new()).await.unwrap();
        self.engine.targets.pacing().step(Duration::ZERO).await;
    }

    async fn claim(&self, engine: &Engine) -> Vec<Claim> {
        self.claim_up_to(engine, 100).await
    }

    async fn claim_up_to(&self, engine: &Engine, limit: i64) -> Vec<Claim> {
        let target = engine.open(self.pair).await.unwrap().unwrap();
        let Engine { database, clock, lease, .. } = engine;
        match super::claim::claim(database, clock, lease.worker, self.pair, &target, limit).await.unwrap() {
            Claimed::Lanes(claims) => claims,
            Claimed::Outdated => panic!("the connector was just read"),
        }
    }

    /// As if the process died: its row is gone, what it had claimed is abandoned.
    async fn kill(&self, engine: &Engine) {
        engine.lease.give_up(&engine.database).await.unwrap();
    }

    /// As if the process had died so many seconds ago: its lease has ended, its row stays.
    async fn died(&self, engine: &Engine, seconds_ago: f64) {
        let mut tx = self.engine.database.begin_system().await.unwrap();
        sqlx::query("update worker set lease_until = now() - make_interval(secs => $2) where id = $1")
            .bind(engine.lease.worker.0)
            .bind(seconds_ago)
            .execute(&mut *tx)
            .await
            .unwrap();
        db::commit(tx).await.unwrap();
    }

    /// Past the time in which a call of a dead worker may still arrive.
    async fn take_over(&self) -> usize {
        let target = self.engine.open(self.pair).await.unwrap().unwrap();
        self.engine.take_over(self.pair, &target, true).await.unwrap()
    }

    fn wait(&self, seconds: i64) {
        self.engine.clock.advance(TimeDelta::seconds(seconds));
    }

    async fn get(&self, id: OperationId) -> Operation {
        self.operations.get(&self.caller, id).await.unwrap().operation
    }

    async fn status(&self, id: OperationId) -> OperationStatus {
        self.get(id).await.status
    }

    async fn error_code(&self, id: OperationId) -> Option<String> {
        self.get(id).await.failure.map(|failure| failure.code)
    }

    /// The states that the log says it went through.
    async fn path(&self, id: OperationId) -> String {
        let lines = self.operations.logs(&self.caller, id, None, 1_000).await.unwrap();
        lines.iter().map(|line| line.to_status.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// What the target saw, one word a write: `create:ann`.
    fn writes(&self) -> Vec<String> {
        let entry = |entry: Entry| match serde_json::to_value(entry.call).unwrap().as_str() {
            Some(call @ ("create" | "update" | "delete")) => Some(format!("{call}:{}", entry.external_uid)),
            _ => None,
        };
        memory::ledger(&self.store, None).unwrap().into_iter().filter_map(entry).collect()
    }
}

fn connector_over(clock: &Clock, settings: MemorySettings) -> Connector {
    let now = clock.now();
    let mut policies = Policies::default();
    policies.allowed_actions.delete = true;
    // Updates follow each other here, whatever they write: what contradicts has tests of its own.
    policies.conflicts.insert(ConflictType::ConcurrentUpdate, ConflictRule::Applied);
    policies.guard.destructive = GuardLimit::None;
    policies.guard.constructive = GuardLimit::None;
    Connector {
        id: ConnectorId(clock.new_id()),
        name: "bench".to_owned(),
        mode: Mode::Manual,
        settings: Settings::Memory(settings),
        object_types: vec![object_type()],
        policies,
        revision: 1,
        paused: false,
        pause_reason: None,
        first_full_run_at: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn vault(clock: &Clock) -> Vault {
    Vault::new(MasterKeys::parse(crate::testing::KEYS).unwrap(), clock.clone())
}

fn engine(database: &Database, clock: &Clock, nudge: &Nudge) -> Engine {
    let vault = vault(clock);
    let options = Options { allow_memory: true, ..Options::default() };
    let worker = WorkerId(clock.new_id());
    let pacing = Pacing::shared(database, worker);
    let targets = Targets::new(database.clone(), vault, Programs::default(), options).paced_by(pacing);
    let limits = Limits { pairs: 4, lanes_per_claim: 100, poll: Duration::from_millis(1) };
    Engine::new(worker, database.clone(), clock.clone(), targets, nudge.clone(), limits)
}
