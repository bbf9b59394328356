//! Settings of connectors. Here a message becomes what `core` knows, with the defaults that the contract states filled in;
//! whether a target can be reached by it is for `connectors::validate` to say.

use xavyo_core::connector::{
    LdapDialect, LdapSettings, LdapTls, MemoryFault, MemorySettings, RemoteSettings, ScimSettings, Settings,
    SqlDialect, SqlSettings, SqlStatements,
};

use crate::{
    fields::Fields,
    limits,
    numbers::Numbered,
    pb::provisioning::{self as pb, connector_settings::Kind},
};

const LDAP_PAGE: i32 = 500;
const SCIM_PAGE: i32 = 100;

pub fn to_pb(settings: &Settings) -> pb::ConnectorSettings {
    let kind = match settings {
        Settings::Ldap(settings) => Kind::Ldap(ldap_to_pb(settings)),
        Settings::Scim(settings) => Kind::Scim(pb::ScimSettings {
            base_url: settings.base_url.clone(),
            username: settings.username.clone(),
            client_id: settings.client_id.clone(),
            token_url: settings.token_url.clone(),
            ca_certificates: settings.ca_certificates.clone(),
            page_size: settings.page_size,
            sentinels: settings.sentinels.clone(),
        }),
        Settings::Sql(settings) => Kind::Sql(sql_to_pb(settings)),
        Settings::Remote(settings) => Kind::Remote(pb::RemoteSettings {
            url: settings.url.clone(),
            ca_certificates: settings.ca_certificates.clone(),
            sentinels: settings.sentinels.clone(),
            client_certificate: settings.client_certificate.clone(),
        }),
        Settings::Memory(settings) => Kind::Memory(memory_to_pb(settings)),
    };
    pb::ConnectorSettings { kind: Some(kind) }
}

/// The settings at the path `settings`.
pub fn of_pb(fields: &mut Fields, settings: Option<pb::ConnectorSettings>) -> Settings {
    fields.within("settings", |fields| match settings.and_then(|settings| settings.kind) {
        Some(Kind::Ldap(it)) => Settings::Ldap(fields.within("ldap", |fields| ldap_of_pb(fields, it))),
        Some(Kind::Scim(it)) => Settings::Scim(fields.within("scim", |fields| scim_of_pb(fields, it))),
        Some(Kind::Sql(it)) => Settings::Sql(fields.within("sql", |fields| sql_of_pb(fields, it))),
        Some(Kind::Remote(it)) => {
            Settings::Remote(fields.within("remote", |fields| remote_of_pb(fields, it)))
        }
        Some(Kind::Memory(it)) => {
            Settings::Memory(fields.within("memory", |fields| memory_of_pb(fields, it)))
        }
        None => {
            fields.refuse("", "required: one of ldap, scim, sql, remote, memory");
            Settings::Memory(MemorySettings::default())
        }
    })
}

fn ldap_to_pb(settings: &LdapSettings) -> pb::LdapSettings {
    pb::LdapSettings {
        host: settings.host.clone(),
        port: settings.port.into(),
        tls: settings.tls.number(),
        ca_certificates: settings.ca_certificates.clone(),
        bind_dn: settings.bind_dn.clone(),
        base_dn: settings.base_dn.clone(),
        filter: settings.filter.clone(),
        naming_attribute: settings.naming_attribute.clone(),
        create_base_dn: settings.create_base_dn.clone(),
        create_object_classes: settings.create_object_classes.clone(),
        dialect: settings.dialect.number(),
        page_size: settings.page_size,
        disabled_attribute: settings.disabled_attribute.clone(),
        disabled_value: settings.disabled_value.clone(),
        sentinels: settings.sentinels.clone(),
        group_base_dn: settings.group_base_dn.clone(),
    }
}

fn ldap_of_pb(fields: &mut Fields, it: pb::LdapSettings) -> LdapSettings {
    let tls = fields.choice_or("tls", it.tls, LdapTls::default());
    let usual_port = match tls {
        LdapTls::Ldaps => 636,
        LdapTls::StartTls | LdapTls::None => 389,
    };
    let create_base_dn = if it.create_base_dn.is_empty() { it.base_dn.clone() } else { it.create_base_dn };
    LdapSettings {
        host: setting(fields, "host", it.host),
        port: port(fields, it.port, usual_port),
        tls,
        ca_certificates: certificates(fields, it.ca_certificates),
        bind_dn: setting(fields, "bind_dn", it.bind_dn),
        base_dn: setting(fields, "base_dn", it.base_dn),
        filter: setting(fields, "filter", it.filter),
        naming_attribute: setting(fields, "naming_attribute", it.naming_attribute),
        create_base_dn: setting(fields, "create_base_dn", create_base_dn),
        create_object_classes: list(fields, "create_object_classes", it.create_object_classes),
        dialect: fields.choice_or("dialect", it.dialect, LdapDialect::default()),
        page_size: page_size(it.page_size, LDAP_PAGE),
        disabled_attribute: fields.optional_text(
            "disabled_attribute",
            it.disabled_attribute,
            limits::SETTING,
        ),
        disabled_value: fields.optional_text("disabled_value", it.disabled_value, limits::SETTING),
        sentinels: list(fields, "sentinels", it.sentinels),
        group_base_dn: fields.optional_text("group_base_dn", it.group_base_dn, limits::SETTING),
    }
}

fn scim_of_pb(fields: &mut Fields, it: pb::ScimSettings) -> ScimSettings {
    ScimSettings {
        base_url: setting(fields, "base_url", it.base_url),
        username: fields.optional_text("username", it.username, limits::SETTING),
        client_id: fields.optional_text("client_id", it.client_id, limits::SETTING),
        token_url: fields.optional_text("token_url", it.token_url, limits::SETTING),
        ca_certificates: certificates(fields, it.ca_certificates),
        page_size: page_size(it.page_size, SCIM_PAGE),
        sentinels: list(fields, "sentinels", it.sentinels),
    }
}

fn sql_to_pb(settings: &SqlSettings) -> pb::SqlSettings {
    pb::SqlSettings {
        dialect: settings.dialect.number(),
        host: settings.host.clone(),
        port: settings.port.into(),
        database: settings.database.clone(),
        username: settings.username.clone(),
        require_tls: settings.require_tls,
        ca_certificates: settings.ca_certificates.clone(),
        schema: settings.schema.clone(),
        table: settings.table.clone(),
        uid_column: settings.uid_column.clone(),
        id_column: settings.id_column.clone(),
        version_column: settings.version_column.clone(),
        disabled_column: settings.disabled_column.clone(),
        enabled_column: settings.enabled_column.clone(),
        sentinels: settings.sentinels.clone(),
        updated_at_column: settings.updated_at_column.clone(),
        deleted_column: settings.deleted_column.clone(),
        json_array_columns: settings.json_array_columns.clone(),
        statements: settings.statements.as_ref().map(statements_to_pb),
    }
}

fn statements_to_pb(statements: &SqlStatements) -> pb::SqlStatements {
    pb::SqlStatements {
        attributes: statements.attributes.clone(),
        list: statements.list.clone(),
        get: statements.get.clone(),
        find: statements.find.clone(),
        create: statements.create.clone(),
        update: statements.update.clone(),
        delete: statements.delete.clone(),
        enable: statements.enable.clone(),
        disable: statements.disable.clone(),
    }
}

fn sql_of_pb(fields: &mut Fields, it: pb::SqlSettings) -> SqlSettings {
    let dialect = fields.choice_or("dialect", it.dialect, SqlDialect::default());
    let (usual_port, usual_schema) = match dialect {
        SqlDialect::Postgres => (5432, "public".to_owned()),
        SqlDialect::Mysql => (3306, it.database.clone()),
    };
    let has_table = it.statements.is_none();
    let schema = if it.schema.is_empty() && has_table { usual_schema } else { it.schema };
    let statements = it
        .statements
        .map(|statements| fields.within("statements", |fields| statements_of_pb(fields, statements)));
    SqlSettings {
        dialect,
        host: setting(fields, "host", it.host),
        port: port(fields, it.port, usual_port),
        database: setting(fields, "database", it.database),
        username: setting(fields, "username", it.username),
        require_tls: it.require_tls,
        ca_certificates: certificates(fields, it.ca_certificates),
        schema: setting(fields, "schema", schema),
        table: setting(fields, "table", it.table),
        uid_column: setting(fields, "uid_column", it.uid_column),
        id_column: fields.optional_text("id_column", it.id_column, limits::SETTING),
        version_column: fields.optional_text("version_column", it.version_column, limits::SETTING),
        disabled_column: fields.optional_text("disabled_column", it.disabled_column, limits::SETTING),
        enabled_column: fields.optional_text("enabled_column", it.enabled_column, limits::SETTING),
        sentinels: list(fields, "sentinels", it.sentinels),
        updated_at_column: fields.optional_text("updated_at_column", it.updated_at_column, limits::SETTING),
        deleted_column: fields.optional_text("deleted_column", it.deleted_column, limits::SETTING),
        json_array_columns: list(fields, "json_array_columns", it.json_array_columns),
        statements,
    }
}

fn statements_of_pb(fields: &mut Fields, it: pb::SqlStatements) -> SqlStatements {
    let mut statement =
        |field: &str, text: Option<String>| fields.optional_text(field, text, limits::STATEMENT);
    let (get, find) = (statement("get", it.get), statement("find", it.find));
    let (create, update) = (statement("create", it.create), statement("update", it.update));
    let delete = statement("delete", it.delete);
    let (enable, disable) = (statement("enable", it.enable), statement("disable", it.disable));
    SqlStatements {
        attributes: list(fields, "attributes", it.attributes),
        list: fields.any_text("list", it.list, limits::STATEMENT),
        get,
        find,
        create,
        update,
        delete,
        enable,
        disable,
    }
}

fn remote_of_pb(fields: &mut Fields, it: pb::RemoteSettings) -> RemoteSettings {
    RemoteSettings {
        url: setting(fields, "url", it.url),
        ca_certificates: certificates(fields, it.ca_certificates),
        client_certificate: fields.optional_text(
            "client_certificate",
            it.client_certificate,
            limits::CERTIFICATES,
        ),
        sentinels: list(fields, "sentinels", it.sentinels),
    }
}

fn memory_to_pb(settings: &MemorySettings) -> pb::MemorySettings {
    let fault = |fault: &MemoryFault| pb::MemoryFault {
        call: fault.call.clone(),
        kind: fault.kind.clone(),
        times: fault.times,
    };
    pb::MemorySettings {
        store: settings.store.clone(),
        generate: settings.generate,
        seed: settings.seed,
        faults: settings.faults.iter().map(fault).collect(),
        latency_ms: settings.latency_ms,
        forgets: settings.forgets,
    }
}

fn memory_of_pb(fields: &mut Fields, it: pb::MemorySettings) -> MemorySettings {
    MemorySettings {
        store: setting(fields, "store", it.store),
        generate: it.generate,
        seed: it.seed,
        faults: fields.each("faults", it.faults, limits::LISTED, |fields, fault| MemoryFault {
            call: setting(fields, "call", fault.call),
            kind: setting(fields, "kind", fault.kind),
            times: fault.times,
        }),
        latency_ms: it.latency_ms,
        forgets: it.forgets,
    }
}

/// Text that may be empty here: whether it must not is the kind's to say.
fn setting(fields: &mut Fields, field: &str, text: String) -> String {
    fields.any_text(field, text, limits::SETTING)
}

fn list(fields: &mut Fields, field: &str, texts: Vec<String>) -> Vec<String> {
    fields.each(field, texts, limits::LISTED, |fields, text| fields.text("", text, limits::SETTING))
}

fn certificates(fields: &mut Fields, pem: Option<String>) -> Option<String> {
    fields.optional_text("ca_certificates", pem, limits::CERTIFICATES)
}

fn page_size(size: i32, usual: i32) -> i32 {
    if size == 0 { usual } else { size }
}

fn port(fields: &mut Fields, port: i32, usual: u16) -> u16 {
    match u16::try_from(port) {
        Ok(0) => usual,
        Ok(port) => port,
        Err(_) => {
            fields.refuse("port", "0 (the usual one) to 65535");
            usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: Option<Kind>) -> xavyo_core::error::Result<Settings> {
        let mut fields = Fields::default();
        let settings = of_pb(&mut fields, Some(pb::ConnectorSettings { kind }));
        fields.finish(settings)
    }

    #[test]
    fn what_is_left_out_is_what_the_contract_says_it_is() {
        let ldap = pb::LdapSettings { base_dn: "dc=x".into(), ..Default::default() };
        let Ok(Settings::Ldap(settings)) = parse(Some(Kind::Ldap(ldap))) else { panic!("refused") };
        assert_eq!((settings.tls, settings.port, settings.page_size), (LdapTls::Ldaps, 636, 500));
        assert_eq!((settings.dialect, settings.create_base_dn.as_str()), (LdapDialect::Detect, "dc=x"));

        let sql = pb::SqlSettings {
            dialect: SqlDialect::Mysql.number(),
            database: "hr".into(),
            ..Default::default()
        };
        let Ok(Settings::Sql(settings)) = parse(Some(Kind::Sql(sql))) else { panic!("refused") };
        assert_eq!((settings.port, settings.schema.as_str()), (3306, "hr"));
    }

    #[test]
    fn settings_survive_the_wire() {
        let memory = pb::MemorySettings {
            store: "s".into(),
            generate: 5,
            faults: vec![pb::MemoryFault { call: "get".into(), kind: "busy".into(), times: 2 }],
            ..Default::default()
        };
        let scim = pb::ScimSettings {
            base_url: "https://x".into(),
            sentinels: vec!["a".into()],
            ..Default::default()
        };
        let remote = pb::RemoteSettings { url: "https://x".into(), ..Default::default() };
        let kinds = [
            Kind::Ldap(pb::LdapSettings { filter: "(a=b)".into(), ..Default::default() }),
            Kind::Sql(pb::SqlSettings { enabled_column: Some("on".into()), ..Default::default() }),
            Kind::Scim(scim),
            Kind::Remote(remote),
            Kind::Memory(memory),
        ];
        for kind in kinds {
            let settings = parse(Some(kind)).unwrap();
            assert_eq!(parse(to_pb(&settings).kind).unwrap(), settings);
        }
    }

    #[test]
    fn every_bad_field_is_named() {
        let ldap = pb::LdapSettings { host: "a\0".into(), port: 70_000, tls: 9, ..Default::default() };
        let fields: Vec<String> = parse(Some(Kind::Ldap(ldap)))
            .unwrap_err()
            .violations
            .into_iter()
            .map(|violation| violation.field)
            .collect();
        assert_eq!(fields, ["settings.ldap.tls", "settings.ldap.host", "settings.ldap.port"]);
        assert_eq!(parse(None).unwrap_err().violations[0].field, "settings");
    }
}
