//! The ground that tests of the use cases stand on: a real Postgres as the program's role, the memory target, and time
//! that is moved by hand.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use uuid::Uuid;
use xavyo_connectors::Options;
use xavyo_core::{
    connector::{GuardLimit, MemorySettings, Mode, ObjectType, Policies, Settings},
    identity::Identity,
    ids::{ConnectorId, SubjectId, TenantId},
    role::Role,
    value::{Attributes, Value},
};
use xavyo_runtime::{Caller, Clock, Database, MasterKeys};
use xavyo_sandbox::{
    postgres::{self, Postgres},
    service::Kind,
};

use crate::{
    accounts::Accounts,
    connectors::{Connectors, CreateConnector},
    identities::{CreateIdentity, Identities, automation::Automation},
    programs::Programs,
    secrets::Vault,
    targets::Targets,
    worker::Nudge,
};

/// Master keys of tests.
pub const KEYS: &str = r#"{"k1": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}"#;

/// One service without its worker, on a database of its own.
pub struct Ground {
    pub database: Database,
    pub clock: Clock,
    pub vault: Vault,
    pub connectors: Connectors,
    pub identities: Identities,
    pub accounts: Accounts,
    pub caller: Caller,
    /// Dropped last: the database lives as long as it.
    _database: postgres::Database,
}

impl Ground {
    pub async fn lay() -> Self {
        Self::lay_with(Options { allow_memory: true, ..Options::default() }).await
    }

    pub async fn lay_with(options: Options) -> Self {
        let fresh = Postgres::shared().await.unwrap().database(Kind::Provisioning).await.unwrap();
        let database = Database::over(fresh.pool().await.unwrap());
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
        let vault = Vault::new(MasterKeys::parse(KEYS).unwrap(), clock.clone());
        let programs = Programs::default();
        let targets = Targets::new(database.clone(), vault.clone(), programs.clone(), options);
        let automation = Automation::new(database.clone(), clock.clone(), programs);
        let nudge = Nudge::default();
        Self {
            connectors: Connectors::new(database.clone(), clock.clone(), vault.clone(), targets.clone()),
            identities: Identities::new(database.clone(), clock.clone(), automation, nudge),
            accounts: Accounts::new(database.clone(), clock.clone(), targets),
            caller: caller(1),
            database,
            clock,
            vault,
            _database: fresh,
        }
    }

    /// A connector to a memory store of its own, whose rules are [`object_type`]'s.
    pub async fn connector(&self, name: &str, mode: Mode, generate: i64) -> ConnectorId {
        self.connectors.create(&self.caller, connector(name, mode, generate)).await.unwrap().connector.id
    }

    /// An active identity whose login, mail and department follow from its name.
    pub async fn identity(&self, login: &str) -> Identity {
        let command = CreateIdentity {
            source_key: Some(login.to_owned()),
            active: true,
            attributes: person(login),
            request_id: None,
        };
        self.identities.create(&self.caller, command).await.unwrap().identity
    }

    /// Rows of a table that the tenant can see.
    pub async fn count(&self, rows: &'static str) -> i64 {
        let mut tx = self.database.begin(self.caller.tenant).await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {rows}")))
            .fetch_one(&mut *tx)
            .await
            .unwrap()
    }
}

/// Somebody of the tenant of that number, with every role but that of the other service.
pub fn caller(tenant: u128) -> Caller {
    Caller {
        tenant: TenantId(Uuid::from_u128(tenant)),
        subject: SubjectId(Uuid::from_u128(2)),
        roles: vec![Role::Admin],
        trace_id: "0".repeat(32),
    }
}

pub fn connector(name: &str, mode: Mode, generate: i64) -> CreateConnector {
    static STORES: AtomicU32 = AtomicU32::new(0);
    let store = format!("ground{}", STORES.fetch_add(1, Ordering::Relaxed));
    let mut policies = Policies { skip_first_run: true, ..Policies::default() };
    policies.guard.constructive = GuardLimit::None;
    CreateConnector {
        name: name.to_owned(),
        mode,
        settings: Settings::Memory(MemorySettings { store, generate, ..MemorySettings::default() }),
        secrets: BTreeMap::new(),
        object_types: vec![object_type()],
        policies,
        request_id: None,
    }
}

/// Everybody but externals has an account, named by the login; its mail and department are kept.
pub fn object_type() -> ObjectType {
    let rule = |name: &str| {
        serde_json::json!({
            "name": name, "expression": format!("identity.{name}"), "inverse": null, "matching": "exact",
            "multi_valued": false, "ownership": "yielded", "on_create_only": false, "write_only": false,
            "sensitive": name == "department", "authority": "xavyo"
        })
    };
    serde_json::from_value(serde_json::json!({
        "object_class": "account", "intent": "default",
        "scope": "identity.department != 'External'", "naming": "identity.login",
        "mapping": [rule("mail"), rule("department")],
        "correlation": {
            "rules": [{ "expression": "identity.mail", "attribute": "mail", "normaliser": "text", "weight": 10 }],
            "threshold": 10
        },
        "protected": "account.external_uid == 'root'"
    }))
    .unwrap()
}

/// The attributes of somebody, as the memory target generates them for an account of the same name.
pub fn person(login: &str) -> Attributes {
    let values = |value: String| vec![Value::from(value)];
    Attributes::from([
        ("login".to_owned(), values(login.to_owned())),
        ("mail".to_owned(), values(format!("{login}@example.com"))),
        ("department".to_owned(), values("Sales".to_owned())),
    ])
}
