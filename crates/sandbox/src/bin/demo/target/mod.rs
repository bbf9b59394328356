//! The target, as its own administrator sees it: this is how drift gets in.

mod ldap;
mod scim;
mod sql;

use anyhow::Result;
use clap::ValueEnum;
use xavyo_sandbox::postgres::Postgres;
use xavyo_wire::pb::provisioning::{ConnectorSecrets, ConnectorSettings};

use crate::people::Person;
use ldap::LdapTarget;
use scim::ScimTarget;
use sql::SqlTarget;

/// Which target to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Sql(Database),
    Ldap,
    Scim,
}

/// Which database a SQL table is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Database {
    Postgres,
    Mariadb,
}

/// A real target of one of three kinds.
pub enum Target {
    Sql(SqlTarget),
    Ldap(LdapTarget),
    Scim(ScimTarget),
}

/// What an account shows of a person: the ten mapped attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    FullName,
    GivenName,
    FamilyName,
    Mail,
    Title,
    Department,
    Phone,
    City,
    Office,
    EmployeeNumber,
}

/// An account made by hand.
#[derive(Clone, Debug)]
pub struct HandMade {
    pub username: String,
    pub values: Vec<(Column, String)>,
}

impl Target {
    /// A table of Postgres is in the cluster of the services, in a database of its own.
    pub async fn start(choice: Choice, postgres: &Postgres) -> Result<Self> {
        Ok(match choice {
            Choice::Sql(Database::Postgres) => Self::Sql(SqlTarget::postgres(postgres).await?),
            Choice::Sql(Database::Mariadb) => Self::Sql(SqlTarget::mariadb().await?),
            Choice::Ldap => Self::Ldap(LdapTarget::start().await?),
            Choice::Scim => Self::Scim(ScimTarget::start().await?),
        })
    }

    /// The connector's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sql(_) => "staff table",
            Self::Ldap(_) => "directory",
            Self::Scim(_) => "application",
        }
    }

    pub fn object_class(&self) -> &'static str {
        match self {
            Self::Sql(_) => sql::TABLE,
            Self::Ldap(_) => ldap::OBJECT_CLASS,
            Self::Scim(_) => scim::OBJECT_CLASS,
        }
    }

    pub fn attribute(&self, column: Column) -> &'static str {
        match self {
            Self::Sql(_) => sql::name(column),
            Self::Ldap(_) => ldap::name(column),
            Self::Scim(_) => scim::name(column),
        }
    }

    pub fn settings(&self) -> (ConnectorSettings, Option<ConnectorSecrets>) {
        match self {
            Self::Sql(target) => (target.settings(), target.secrets()),
            Self::Ldap(target) => (target.settings(), Some(target.secrets())),
            Self::Scim(target) => (target.settings(), Some(target.secrets())),
        }
    }

    /// An account can be disabled there.
    pub fn disables(&self) -> bool {
        match self {
            Self::Sql(_) | Self::Scim(_) => true,
            Self::Ldap(_) => false,
        }
    }

    pub async fn count(&self) -> Result<u64> {
        match self {
            Self::Sql(target) => target.count().await,
            Self::Ldap(target) => target.count().await,
            Self::Scim(target) => target.count().await,
        }
    }

    pub async fn add(&self, account: &HandMade) -> Result<()> {
        match self {
            Self::Sql(target) => target.add(account).await,
            Self::Ldap(target) => target.add(account).await,
            Self::Scim(target) => target.add(account).await,
        }
    }

    pub async fn change(&self, username: &str, column: Column, value: &str) -> Result<()> {
        match self {
            Self::Sql(target) => target.change(username, column, value).await,
            Self::Ldap(target) => target.change(username, column, value).await,
            Self::Scim(target) => target.change(username, column, value).await,
        }
    }

    /// Only where the target [`disables`](Self::disables).
    pub async fn disable(&self, username: &str) -> Result<()> {
        match self {
            Self::Sql(target) => target.disable(username).await,
            Self::Scim(target) => target.disable(username).await,
            Self::Ldap(_) => anyhow::bail!("the demo's directory has no disabled accounts"),
        }
    }

    pub async fn remove(&self, username: &str) -> Result<()> {
        match self {
            Self::Sql(target) => target.remove(username).await,
            Self::Ldap(target) => target.remove(username).await,
            Self::Scim(target) => target.remove(username).await,
        }
    }
}

impl Choice {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sql(Database::Postgres) => "sql",
            Self::Sql(Database::Mariadb) => "mariadb",
            Self::Ldap => "ldap",
            Self::Scim => "scim",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::Sql(Database::Postgres) => "a SQL table",
            Self::Sql(Database::Mariadb) => "a table of MariaDB",
            Self::Ldap => "an OpenLDAP directory",
            Self::Scim => "a SCIM application",
        }
    }
}

impl Column {
    pub const ALL: [Self; 10] = [
        Self::FullName,
        Self::GivenName,
        Self::FamilyName,
        Self::Mail,
        Self::Title,
        Self::Department,
        Self::Phone,
        Self::City,
        Self::Office,
        Self::EmployeeNumber,
    ];

    /// How it follows from the identity.
    pub fn expression(self) -> &'static str {
        match self {
            Self::FullName => "identity.given_name + ' ' + identity.family_name",
            Self::GivenName => "identity.given_name",
            Self::FamilyName => "identity.family_name",
            Self::Mail => "identity.mail",
            Self::Title => "identity.title",
            Self::Department => "identity.department",
            Self::Phone => "identity.phone",
            Self::City => "identity.city",
            Self::Office => "identity.office",
            Self::EmployeeNumber => "identity.employee_number",
        }
    }

    pub fn of(self, person: &Person) -> String {
        match self {
            Self::FullName => person.full_name(),
            Self::GivenName => person.given_name.to_owned(),
            Self::FamilyName => person.family_name.to_owned(),
            Self::Mail => person.mail(),
            Self::Title => person.title.to_owned(),
            Self::Department => person.department.to_owned(),
            Self::Phone => person.phone(),
            Self::City => person.city.to_owned(),
            Self::Office => person.office(),
            Self::EmployeeNumber => person.employee_number(),
        }
    }
}
