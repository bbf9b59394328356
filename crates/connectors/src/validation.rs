//! Settings as a person may write them: every field at fault, with its path. No I/O, no name resolution.

use std::net::IpAddr;

use xavyo_core::{
    Violation,
    connector::{
        LdapSettings, LdapTls, MemoryFault, MemorySettings, RemoteSettings, ScimSettings, Settings,
        SqlDialect, SqlSettings,
    },
};

use crate::{MAX_PAGE, Options, ldap, memory, remote, sql};

/// The most sentinels of one connector, and the most faults of a memory connector.
const MAX_LISTED: usize = 100;
const MAX_TEXT: usize = 1_024;
const MAX_CERTIFICATES: usize = 65_536;

/// Everything that is wrong with the settings, by path (`settings.ldap.host`). Empty = they can be opened.
pub fn validate(settings: &Settings, options: &Options) -> Vec<Violation> {
    let mut found = Findings { prefix: settings.kind(), violations: Vec::new() };
    match settings {
        Settings::Ldap(settings) => check_ldap(settings, options, &mut found),
        Settings::Scim(settings) => check_scim(settings, options, &mut found),
        Settings::Sql(settings) => check_sql(settings, options, &mut found),
        Settings::Remote(settings) => check_remote(settings, options, &mut found),
        Settings::Memory(settings) => check_memory(settings, options, &mut found),
    }
    found.violations
}

/// The secrets that the kind can use; a secret of any other field is refused by callers.
pub fn secret_fields(settings: &Settings) -> &'static [&'static str] {
    match settings {
        Settings::Ldap(_) => &["bind_password"],
        Settings::Scim(_) => &["bearer_token", "password", "client_secret"],
        Settings::Sql(_) => &["password"],
        Settings::Remote(_) => &["bearer_token", "client_key"],
        Settings::Memory(_) => &[],
    }
}

struct Findings {
    prefix: &'static str,
    violations: Vec<Violation>,
}

impl Findings {
    fn require(&mut self, holds: bool, field: &str, expected: &str) {
        if !holds {
            let field = format!("settings.{}.{field}", self.prefix);
            self.violations.push(Violation { field, expected: expected.to_owned() });
        }
    }

    fn text(&mut self, text: &str, field: &str) {
        let fits = !text.is_empty() && is_plain(text);
        self.require(fits, field, "1 to 1,024 bytes without control characters");
    }

    fn optional_text(&mut self, text: Option<&str>, field: &str) {
        if let Some(text) = text {
            self.text(text, field);
        }
    }

    fn host(&mut self, host: &str) {
        self.require(is_host(host), "host", "a host name or an address");
    }

    fn sentinels(&mut self, sentinels: &[String]) {
        self.require(sentinels.len() <= MAX_LISTED, "sentinels", "at most 100 uids");
        for (index, sentinel) in sentinels.iter().enumerate() {
            self.text(sentinel, &format!("sentinels[{index}]"));
        }
    }

    fn certificates(&mut self, field: &str, pem: Option<&str>) {
        let fits = pem
            .is_none_or(|pem| pem.len() <= MAX_CERTIFICATES && pem.contains("-----BEGIN CERTIFICATE-----"));
        self.require(fits, field, "PEM certificates, at most 64 KiB");
    }

    fn url(&mut self, url: &str, field: &str, options: &Options) {
        let rest = match url.strip_prefix("http://") {
            Some(rest) if options.allow_clear_text => Some(rest),
            Some(_) => None,
            None => url.strip_prefix("https://"),
        };
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        let fits = is_plain(url) && authority.is_some_and(|host| !host.is_empty() && !host.contains('@'));
        self.require(fits, field, "an https URL with a host and without a user");
    }

    fn identifier(&mut self, dialect: SqlDialect, name: Option<&String>, field: &str) {
        let fits = name.is_none_or(|name| sql::is_identifier(dialect, name));
        let expected = match dialect {
            SqlDialect::Postgres => "a name of 1 to 63 bytes",
            SqlDialect::Mysql => "a name of 1 to 64 characters that ends in no space",
        };
        self.require(fits, field, expected);
    }

    fn page_size(&mut self, size: i32) {
        let fits = usize::try_from(size).is_ok_and(|size| (1..=MAX_PAGE).contains(&size));
        self.require(fits, "page_size", "1 to 1,000");
    }
}

fn check_ldap(settings: &LdapSettings, options: &Options, found: &mut Findings) {
    found.host(&settings.host);
    found.require(settings.port != 0, "port", "1 to 65535");
    let clear = settings.tls == LdapTls::None;
    found.require(
        !clear || options.allow_clear_text,
        "tls",
        "ldaps or start_tls: this process allows no clear text",
    );
    found.certificates("ca_certificates", settings.ca_certificates.as_deref());
    let trusts_somebody = clear || settings.ca_certificates.is_some();
    found.require(trusts_somebody, "ca_certificates", "the authorities that sign the server's certificate");
    for (dn, field) in [
        (&settings.bind_dn, "bind_dn"),
        (&settings.base_dn, "base_dn"),
        (&settings.create_base_dn, "create_base_dn"),
    ] {
        found.require(ldap::is_dn(dn), field, "a distinguished name (RFC 4514)");
    }
    let inside = ldap::is_within(&settings.create_base_dn, &settings.base_dn);
    found.require(inside, "create_base_dn", "base_dn or a DN below it: new accounts must be seen by reads");
    let filters = settings.filter.is_empty() || ldap::is_filter(&settings.filter);
    found.require(filters, "filter", "a filter (RFC 4515), or nothing");
    let named = ldap::is_attribute(&settings.naming_attribute);
    found.require(named, "naming_attribute", "an attribute's name");
    for (index, class) in settings.create_object_classes.iter().enumerate() {
        let field = format!("create_object_classes[{index}]");
        found.require(ldap::is_attribute(class), &field, "an object class's name");
    }
    let makes_something = !settings.create_object_classes.is_empty();
    found.require(makes_something, "create_object_classes", "at least one object class");
    found.page_size(settings.page_size);
    if let Some(attribute) = &settings.disabled_attribute {
        found.require(ldap::is_attribute(attribute), "disabled_attribute", "an attribute's name");
    }
    let paired = settings.disabled_attribute.is_some() == settings.disabled_value.is_some();
    found.require(paired, "disabled_value", "set together with disabled_attribute");
    found.optional_text(settings.disabled_value.as_deref(), "disabled_value");
    found.sentinels(&settings.sentinels);
    if let Some(base) = &settings.group_base_dn {
        found.require(ldap::is_dn(base), "group_base_dn", "a distinguished name (RFC 4514)");
    }
}

fn check_sql(settings: &SqlSettings, options: &Options, found: &mut Findings) {
    if settings.host.starts_with('/') {
        let is_postgres = settings.dialect == SqlDialect::Postgres;
        found.require(is_postgres, "host", "a host name or an address: sockets are for Postgres");
        found.require(
            options.allow_sockets || !is_postgres,
            "host",
            "a host name or an address: this process allows no sockets",
        );
        found.text(&settings.host, "host");
    } else {
        found.host(&settings.host);
        let protected = settings.require_tls || options.allow_clear_text;
        found.require(protected, "require_tls", "true: this process allows no clear text");
    }
    found.require(settings.port != 0, "port", "1 to 65535");
    found.certificates("ca_certificates", settings.ca_certificates.as_deref());
    found.text(&settings.database, "database");
    found.text(&settings.username, "username");
    let has_table = settings.statements.is_none();
    if let Some(statements) = &settings.statements {
        for (field, expected) in sql::faults(settings, statements) {
            found.require(false, &field, &expected);
        }
    }
    for (name, field) in [
        (Some(&settings.schema).filter(|_| has_table), "schema"),
        (Some(&settings.table).filter(|_| has_table), "table"),
        (Some(&settings.uid_column), "uid_column"),
        (settings.id_column.as_ref(), "id_column"),
        (settings.version_column.as_ref(), "version_column"),
        (settings.disabled_column.as_ref(), "disabled_column"),
        (settings.enabled_column.as_ref(), "enabled_column"),
        (settings.updated_at_column.as_ref(), "updated_at_column"),
        (settings.deleted_column.as_ref(), "deleted_column"),
    ] {
        found.identifier(settings.dialect, name, field);
    }
    for (index, name) in settings.json_array_columns.iter().enumerate() {
        found.identifier(settings.dialect, Some(name), &format!("json_array_columns[{index}]"));
    }
    let has_arrays = settings.dialect == SqlDialect::Postgres && !settings.json_array_columns.is_empty();
    found.require(!has_arrays, "json_array_columns", "nothing: Postgres has arrays of its own");
    let one_state = settings.disabled_column.is_none() || settings.enabled_column.is_none();
    found.require(one_state, "enabled_column", "nothing where disabled_column is set");
    found.sentinels(&settings.sentinels);
}

fn check_scim(settings: &ScimSettings, options: &Options, found: &mut Findings) {
    found.url(&settings.base_url, "base_url", options);
    if let Some(url) = &settings.token_url {
        found.url(url, "token_url", options);
    }
    found.optional_text(settings.username.as_deref(), "username");
    found.optional_text(settings.client_id.as_deref(), "client_id");
    let is_client = settings.token_url.is_some();
    found.require(is_client == settings.client_id.is_some(), "client_id", "set together with token_url");
    found.require(!is_client || settings.username.is_none(), "username", "nothing where token_url is set");
    let is_bare = !settings.base_url.contains(['?', '#']);
    found.require(is_bare, "base_url", "a URL without a query or a fragment");
    found.certificates("ca_certificates", settings.ca_certificates.as_deref());
    found.page_size(settings.page_size);
    found.sentinels(&settings.sentinels);
}

fn check_remote(settings: &RemoteSettings, options: &Options, found: &mut Findings) {
    found.url(&settings.url, "url", options);
    found.require(remote::is_url(&settings.url), "url", "https://host:port, without a path");
    found.certificates("ca_certificates", settings.ca_certificates.as_deref());
    found.certificates("client_certificate", settings.client_certificate.as_deref());
    found.sentinels(&settings.sentinels);
}

fn check_memory(settings: &MemorySettings, options: &Options, found: &mut Findings) {
    found.require(options.allow_memory, "store", "another kind: this process serves no memory connectors");
    let expected = "1 to 64 letters, digits, `.`, `-` or `_`, beginning with a letter or digit";
    found.require(memory::is_store_name(&settings.store), "store", expected);
    let fits = (0..=memory::MAX_GENERATED).contains(&settings.generate);
    found.require(fits, "generate", "0 to 10,000,000");
    found.require((0..=60_000).contains(&settings.latency_ms), "latency_ms", "0 to 60,000");
    found.require(settings.faults.len() <= MAX_LISTED, "faults", "at most 100");
    for (index, MemoryFault { call, kind, times }) in settings.faults.iter().enumerate() {
        let field = format!("faults[{index}]");
        found.require(memory::is_fault(call, kind), &field, memory::FAULTS);
        found.require((1..=1_000_000).contains(times), &format!("{field}.times"), "1 to 1,000,000");
    }
}

fn is_plain(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}

/// An address, or dot-separated labels of letters, digits, `-` and `_`. A number alone is refused: `2130706433` is an
/// address in a disguise that resolvers undo.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        let characters =
            label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        !label.is_empty() && label.len() <= 63 && characters && !label.starts_with('-')
    };
    let looks_numeric = |label: &str| {
        label.bytes().all(|byte| byte.is_ascii_digit()) || label.starts_with("0x") || label.starts_with("0X")
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    host.parse::<IpAddr>().is_ok()
        || (name.len() <= 253
            && name.split('.').all(label)
            && !name.rsplit('.').next().is_some_and(looks_numeric))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ldap() -> Value {
        json!({
            "kind": "ldap", "host": "ldap.example.org", "port": 636, "tls": "ldaps",
            "ca_certificates": "-----BEGIN CERTIFICATE-----", "bind_dn": "cn=x,dc=example", "base_dn": "dc=example",
            "filter": "", "naming_attribute": "uid", "create_base_dn": "ou=people,dc=example",
            "create_object_classes": ["inetOrgPerson"], "dialect": "detect", "page_size": 500,
            "disabled_attribute": null, "disabled_value": null, "sentinels": [],
        })
    }

    fn sql() -> Value {
        json!({
            "kind": "sql", "dialect": "postgres", "host": "db.example.org", "port": 5432, "database": "d",
            "username": "u", "require_tls": true, "ca_certificates": null, "schema": "public", "table": "people",
            "uid_column": "login", "id_column": null, "version_column": null, "disabled_column": null,
            "enabled_column": null, "sentinels": [],
        })
    }

    fn scim() -> Value {
        json!({
            "kind": "scim", "base_url": "https://scim.example.org/v2", "username": null, "client_id": null,
            "token_url": null, "ca_certificates": null, "page_size": 100, "sentinels": [],
        })
    }

    fn memory() -> Value {
        json!({"kind": "memory", "store": "s", "generate": 10, "seed": 1, "faults": [], "latency_ms": 0})
    }

    /// The fields at fault when one field of good settings is changed.
    fn at_fault(mut settings: Value, field: &str, value: Value, options: &Options) -> Vec<String> {
        settings[field] = value;
        let settings = serde_json::from_value(settings).unwrap();
        validate(&settings, options).into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn each_field_at_fault_is_named_by_its_path() {
        let strict = Options { allow_memory: true, ..Options::default() };
        for (settings, field, value, path) in [
            (ldap(), "host", json!(""), "settings.ldap.host"),
            (ldap(), "host", json!("ldapi:///x"), "settings.ldap.host"),
            (ldap(), "host", json!("2130706433"), "settings.ldap.host"),
            (ldap(), "host", json!("0x7f.1"), "settings.ldap.host"),
            (ldap(), "host", json!("127.1"), "settings.ldap.host"),
            (ldap(), "host", json!("a b"), "settings.ldap.host"),
            (ldap(), "port", json!(0), "settings.ldap.port"),
            (ldap(), "tls", json!("none"), "settings.ldap.tls"),
            (ldap(), "ca_certificates", json!("x"), "settings.ldap.ca_certificates"),
            (ldap(), "ca_certificates", json!(null), "settings.ldap.ca_certificates"),
            (ldap(), "bind_dn", json!(""), "settings.ldap.bind_dn"),
            (ldap(), "create_base_dn", json!("dc=other"), "settings.ldap.create_base_dn"),
            (ldap(), "filter", json!("(a=b)(c=d)"), "settings.ldap.filter"),
            (ldap(), "naming_attribute", json!("u)(id"), "settings.ldap.naming_attribute"),
            (ldap(), "create_object_classes", json!([]), "settings.ldap.create_object_classes"),
            (ldap(), "page_size", json!(1_001), "settings.ldap.page_size"),
            (ldap(), "disabled_value", json!("x"), "settings.ldap.disabled_value"),
            (ldap(), "sentinels", json!(["a", ""]), "settings.ldap.sentinels[1]"),
            (ldap(), "group_base_dn", json!("groups"), "settings.ldap.group_base_dn"),
            (sql(), "host", json!("/run/postgresql"), "settings.sql.host"),
            (sql(), "require_tls", json!(false), "settings.sql.require_tls"),
            (sql(), "table", json!(""), "settings.sql.table"),
            (sql(), "uid_column", json!("x".repeat(64)), "settings.sql.uid_column"),
            (sql(), "id_column", json!("a\u{0}"), "settings.sql.id_column"),
            (scim(), "base_url", json!("http://scim.example.org"), "settings.scim.base_url"),
            (scim(), "base_url", json!("https://u:p@scim.example.org"), "settings.scim.base_url"),
            (scim(), "base_url", json!("https://scim.example.org/?x"), "settings.scim.base_url"),
            (scim(), "client_id", json!("xavyo"), "settings.scim.client_id"),
            (scim(), "page_size", json!(0), "settings.scim.page_size"),
            (memory(), "store", json!("../x"), "settings.memory.store"),
            (memory(), "generate", json!(-1), "settings.memory.generate"),
            (
                memory(),
                "faults",
                json!([{"call": "x", "kind": "busy", "times": 1}]),
                "settings.memory.faults[0]",
            ),
        ] {
            assert_eq!(at_fault(settings, field, value.clone(), &strict), [path], "{value}");
        }
    }

    #[test]
    fn good_settings_have_no_violations() {
        let strict = Options { allow_memory: true, ..Options::default() };
        for settings in [ldap(), sql(), scim(), memory()] {
            assert_eq!(validate(&serde_json::from_value(settings).unwrap(), &strict), []);
        }
        for host in ["127.0.0.1", "::1", "db", "db-1.example.org.", "1a.example"] {
            assert!(at_fault(sql(), "host", json!(host), &strict).is_empty(), "{host}");
        }
    }

    #[test]
    fn memory_is_refused_unless_the_process_serves_it() {
        assert_eq!(at_fault(memory(), "seed", json!(2), &Options::default()), ["settings.memory.store"]);
    }
}
