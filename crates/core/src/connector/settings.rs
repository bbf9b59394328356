//! Settings: how each kind of target is reached and what is read there. Secrets are never part of them.

use serde::{Deserialize, Serialize};

/// One variant per kind; the kind follows from the variant and never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[expect(clippy::large_enum_variant, reason = "a connector has one of them, and nothing holds many")]
pub enum Settings {
    Ldap(LdapSettings),
    Scim(ScimSettings),
    Sql(SqlSettings),
    Remote(RemoteSettings),
    Memory(MemorySettings),
}

/// An LDAP directory (RFC 4511). Secret: `bind_password`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LdapSettings {
    pub host: String,
    pub port: u16,
    pub tls: LdapTls,
    /// PEM of the authorities that sign the server's certificate; none = the web's roots are not used either: TLS fails.
    pub ca_certificates: Option<String>,
    pub bind_dn: String,
    /// Accounts are read below it, whole subtree.
    pub base_dn: String,
    /// RFC 4515; and-ed with the object class.
    pub filter: String,
    /// Where new accounts go, and how they are named: `uid={uid},ou=people,dc=example,dc=org` is built from this
    /// attribute and base.
    pub naming_attribute: String,
    pub create_base_dn: String,
    /// The objectClass values of a new account.
    pub create_object_classes: Vec<String>,
    pub dialect: LdapDialect,
    /// 1–1,000 entries a page.
    pub page_size: i32,
    /// The attribute and value that mark an account disabled. None = as the dialect does it, if it does.
    pub disabled_attribute: Option<String>,
    pub disabled_value: Option<String>,
    /// Uids that every complete read must show.
    pub sentinels: Vec<String>,
    /// Where groups are: a mapped `memberOf` is written to the `member` of those below it. None = it is not written.
    #[serde(default)]
    pub group_base_dn: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LdapTls {
    #[default]
    Ldaps,
    StartTls,
    /// Clear text. For loopback and test servers only.
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LdapDialect {
    /// Recognised from the root DSE.
    #[default]
    Detect,
    OpenLdap,
    Dirsrv389,
    ActiveDirectory,
}

/// A SCIM 2.0 service provider (RFC 7644). Secrets: `bearer_token`, or `password`, or `client_secret`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScimSettings {
    pub base_url: String,
    pub username: Option<String>,
    pub client_id: Option<String>,
    pub token_url: Option<String>,
    pub ca_certificates: Option<String>,
    pub page_size: i32,
    pub sentinels: Vec<String>,
}

/// A table of a SQL database. Secret: `password`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SqlSettings {
    pub dialect: SqlDialect,
    /// A host name or address; or, for Postgres, the absolute path of a socket directory where the process allows it.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub username: String,
    pub require_tls: bool,
    pub ca_certificates: Option<String>,
    pub schema: String,
    pub table: String,
    /// The column that names an account (`external_uid`); unique.
    pub uid_column: String,
    /// The column that never changes nor returns (`immutable_id`).
    pub id_column: Option<String>,
    pub version_column: Option<String>,
    /// A boolean column: true = disabled. None = no disabled state.
    pub disabled_column: Option<String>,
    /// A boolean column: true = enabled. At most one of the two.
    pub enabled_column: Option<String>,
    pub sentinels: Vec<String>,
    /// A column of times that every write of anybody moves: what changed is read by it, and our writes move it too.
    #[serde(default)]
    pub updated_at_column: Option<String>,
    /// A boolean or a time: a row where it is set is no account, and a delete sets it instead of removing the row.
    #[serde(default)]
    pub deleted_column: Option<String>,
    /// Columns of MySQL that hold a JSON array: one value of the attribute each element.
    #[serde(default)]
    pub json_array_columns: Vec<String>,
    /// Instead of a table: the columns above are then those of `statements.list`.
    #[serde(default)]
    pub statements: Option<SqlStatements>,
}

/// Statements of an operator's own, with named parameters: `:uid`, `:id`, `:enabled`, `:tag`, and the attributes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SqlStatements {
    /// What `list` shows beside uid, id, version and state, and what `create` and `update` may name.
    pub attributes: Vec<String>,
    /// Every account.
    pub list: String,
    /// The account of `:uid`. None = looked up in the list.
    pub get: Option<String>,
    /// The accounts whose `:attribute` is `:value`. None = looked up in the list.
    pub find: Option<String>,
    pub create: Option<String>,
    /// Given every attribute: what an update does not change as it is.
    pub update: Option<String>,
    pub delete: Option<String>,
    pub enable: Option<String>,
    pub disable: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SqlDialect {
    #[default]
    Postgres,
    Mysql,
}

/// A connector of your own that serves `xavyo.connector.v1.TargetService`. Secrets: `bearer_token`; `client_key` with
/// `client_certificate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RemoteSettings {
    pub url: String,
    /// PEM of the authorities that sign the other side's certificate; none = the web's.
    pub ca_certificates: Option<String>,
    /// PEM of our own certificate, for a side that asks for one (mutual TLS).
    pub client_certificate: Option<String>,
    pub sentinels: Vec<String>,
}

/// Accounts in the memory of the process, with a ledger: tests and benches only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemorySettings {
    /// Connectors that name the same store share its accounts and ledger.
    pub store: String,
    /// Makes this many accounts from the seed when the store is first opened.
    pub generate: i64,
    pub seed: i64,
    /// Calls fail on demand, in this order, then succeed.
    pub faults: Vec<MemoryFault>,
    /// Each call takes so long.
    pub latency_ms: i64,
    /// Updates of generated accounts succeed and are forgotten: a target that costs nothing.
    pub forgets: bool,
}

/// One failure on demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryFault {
    /// `read`, `get`, `create`, `update`, `delete`, or `any`.
    pub call: String,
    /// `refused`, `bad_credentials`, `busy`, `down`, `unknown_before` (nothing was written), `unknown_after` (it was);
    /// of reads alone `truncate` (it ends early and says so) and `hidden` (it shows every second account and calls
    /// itself complete, as a directory does that hides a subtree).
    pub kind: String,
    pub times: i32,
}

impl Settings {
    /// The kind's name, as filters and reports show it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ldap(_) => "ldap",
            Self::Scim(_) => "scim",
            Self::Sql(_) => "sql",
            Self::Remote(_) => "remote",
            Self::Memory(_) => "memory",
        }
    }

    /// Uids that every complete read of the target must show.
    pub fn sentinels(&self) -> &[String] {
        match self {
            Self::Ldap(settings) => &settings.sentinels,
            Self::Scim(settings) => &settings.sentinels,
            Self::Sql(settings) => &settings.sentinels,
            Self::Remote(settings) => &settings.sentinels,
            Self::Memory(_) => &[],
        }
    }
}
