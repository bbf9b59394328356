//! A target of the field: its server, the proxy before it, its ledger.

use std::path::PathBuf;

use anyhow::Result;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;
use xavyo_wire::pb::provisioning::{
    ConnectorSecrets, ConnectorSettings, LdapDialect, LdapSettings, LdapTls, MemoryFault, MemorySettings,
    SqlSettings, connector_settings,
};

use crate::{
    ledger::{self, Ledger, sql::Table},
    postgres::{Postgres, TargetDatabase},
    proxy::{Proxy, Server},
    slapd::{self, BASE, CONNECTOR_DN, PEOPLE, Slapd},
};

/// The kinds of targets that keep a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Memory,
    Sql,
    Ldap,
}

/// A target, and the connector to it.
pub struct Target {
    pub tenant: Uuid,
    /// None until the connector is made.
    pub connector: Uuid,
    pub kind: Kind,
    /// A memory target has no network to fail.
    pub proxy: Option<Proxy>,
    place: Place,
}

enum Place {
    Memory {
        directory: PathBuf,
        store: String,
        faults: Vec<MemoryFault>,
    },
    Sql {
        // Dropped in this order: the pool before its database.
        pool: PgPool,
        database: TargetDatabase,
    },
    Ldap(Box<Slapd>),
}

/// So many calls of that kind of a memory target fail so.
pub fn memory_fault(call: &str, kind: &str, times: i32) -> MemoryFault {
    MemoryFault { call: call.to_owned(), kind: kind.to_owned(), times }
}

const TABLE: Table =
    Table { name: "people", uid_column: "login", id_column: "id", enabled_column: Some("enabled") };

const SCHEMA: &str = "
    create table people (
        id      bigint generated always as identity primary key,
        login   text not null unique,
        owner   text,
        mail    text,
        title   text,
        groups  text[],
        enabled boolean not null default true
    )";

impl Kind {
    pub const ALL: [Self; 3] = [Self::Memory, Self::Sql, Self::Ldap];

    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sql => "sql",
            Self::Ldap => "ldap",
        }
    }

    pub fn object_class(self) -> &'static str {
        match self {
            Self::Memory => "account",
            Self::Sql => TABLE.name,
            Self::Ldap => "inetOrgPerson",
        }
    }

    /// The attribute by which an account is known to be a person's.
    pub fn owner_attribute(self) -> &'static str {
        match self {
            Self::Memory | Self::Sql => "owner",
            Self::Ldap => "employeeNumber",
        }
    }

    /// The attribute with several values.
    pub fn list_attribute(self) -> &'static str {
        match self {
            Self::Memory | Self::Sql => "groups",
            Self::Ldap => "description",
        }
    }

    /// An attribute that such a target does not have.
    pub fn poison(self) -> Option<&'static str> {
        match self {
            Self::Memory => None,
            Self::Sql | Self::Ldap => Some("nowhere"),
        }
    }

    pub fn uid(self, username: &str) -> String {
        match self {
            Self::Memory | Self::Sql => username.to_owned(),
            Self::Ldap => format!("uid={username},{PEOPLE}"),
        }
    }
}

impl Target {
    /// A memory store in that directory, whose first calls fail so.
    pub fn memory(tenant: Uuid, directory: PathBuf, faults: Vec<MemoryFault>) -> Self {
        let store = format!("field-{tenant}");
        Self::over(tenant, Kind::Memory, None, Place::Memory { directory, store, faults })
    }

    /// A table in a database of its own.
    pub async fn sql(tenant: Uuid, postgres: &Postgres) -> Result<Self> {
        let database = postgres.target().await?;
        let pool = database.pool().await?;
        sqlx::raw_sql(AssertSqlSafe(SCHEMA)).execute(&pool).await?;
        ledger::sql::install(&pool, &TABLE).await?;
        let proxy = Proxy::start(Server::Unix(postgres.sockets().join(".s.PGSQL.5432"))).await?;
        Ok(Self::over(tenant, Kind::Sql, Some(proxy), Place::Sql { pool, database }))
    }

    /// A directory.
    pub async fn ldap(tenant: Uuid) -> Result<Self> {
        let slapd = Slapd::start(&slapd::Options { ledger: true, ..slapd::Options::default() }).await?;
        let proxy = Proxy::start(Server::Tcp((slapd::HOST, slapd.port()).into())).await?;
        Ok(Self::over(tenant, Kind::Ldap, Some(proxy), Place::Ldap(Box::new(slapd))))
    }

    fn over(tenant: Uuid, kind: Kind, proxy: Option<Proxy>, place: Place) -> Self {
        Self { tenant, connector: Uuid::nil(), kind, proxy, place }
    }

    /// How a connector reaches it: through the proxy.
    pub fn settings(&self) -> ConnectorSettings {
        let port = self.proxy.as_ref().map(|proxy| i32::from(proxy.port())).unwrap_or_default();
        let kind = match &self.place {
            Place::Memory { store, faults, .. } => connector_settings::Kind::Memory(MemorySettings {
                store: store.clone(),
                faults: faults.clone(),
                ..MemorySettings::default()
            }),
            Place::Sql { database, .. } => connector_settings::Kind::Sql(SqlSettings {
                host: slapd::HOST.to_string(),
                port,
                database: database.name().to_owned(),
                username: TargetDatabase::ROLE.to_owned(),
                table: TABLE.name.to_owned(),
                uid_column: TABLE.uid_column.to_owned(),
                id_column: Some(TABLE.id_column.to_owned()),
                enabled_column: TABLE.enabled_column.map(str::to_owned),
                ..SqlSettings::default()
            }),
            Place::Ldap(_) => connector_settings::Kind::Ldap(LdapSettings {
                host: slapd::HOST.to_string(),
                port,
                tls: LdapTls::None.into(),
                bind_dn: CONNECTOR_DN.to_owned(),
                base_dn: BASE.to_owned(),
                naming_attribute: "uid".to_owned(),
                create_base_dn: PEOPLE.to_owned(),
                create_object_classes: vec![Kind::Ldap.object_class().to_owned()],
                dialect: LdapDialect::OpenLdap.into(),
                ..LdapSettings::default()
            }),
        };
        ConnectorSettings { kind: Some(kind) }
    }

    pub fn secrets(&self) -> Option<ConnectorSecrets> {
        match &self.place {
            Place::Memory { .. } | Place::Sql { .. } => None,
            Place::Ldap(slapd) => Some(ConnectorSecrets {
                bind_password: Some(slapd.password().to_owned()),
                ..ConnectorSecrets::default()
            }),
        }
    }

    /// The database of a table, as its own administrator sees it.
    pub fn table(&self) -> Option<&PgPool> {
        match &self.place {
            Place::Sql { pool, .. } => Some(pool),
            Place::Memory { .. } | Place::Ldap(_) => None,
        }
    }

    /// What it says itself that was written.
    pub async fn ledger(&self) -> Result<Ledger> {
        match &self.place {
            Place::Memory { directory, store, .. } => ledger::memory::read(self.connector, directory, store),
            Place::Sql { pool, .. } => ledger::sql::read(self.connector, pool, &TABLE).await,
            Place::Ldap(slapd) => ledger::ldap::read(self.connector, slapd).await,
        }
    }
}
