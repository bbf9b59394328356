//! Connectors: the resource, its secrets, and in files of their own its settings, object types and policies, and
//! what its target can hold.

pub mod object_type;
pub mod policy;
pub mod schema;
pub mod settings;

use std::collections::BTreeMap;

use xavyo_core::connector::{Connector, Settings};

use crate::{fields::Fields, limits, numbers::Numbered, pb::provisioning as pb, time};

/// `stored_secrets` are the names of the secrets that are kept for it.
pub fn to_pb(connector: &Connector, stored_secrets: Vec<String>) -> pb::Connector {
    pb::Connector {
        id: connector.id.to_string(),
        name: connector.name.clone(),
        kind: kind(&connector.settings).into(),
        mode: connector.mode.number(),
        settings: Some(settings::to_pb(&connector.settings)),
        object_types: connector.object_types.iter().map(object_type::to_pb).collect(),
        policies: Some(policy::to_pb(&connector.policies)),
        revision: connector.revision,
        paused: connector.paused,
        pause_reason: connector.pause_reason.clone(),
        first_full_run_at: connector.first_full_run_at.map(time::to_pb),
        stored_secrets,
        etag: connector.version.to_string(),
        created_at: Some(time::to_pb(connector.created_at)),
        updated_at: Some(time::to_pb(connector.updated_at)),
    }
}

/// The secrets that are there, by field. Which of them the kind takes is the caller's to check.
pub fn secrets_of_pb(
    fields: &mut Fields,
    secrets: Option<pb::ConnectorSecrets>,
) -> BTreeMap<&'static str, String> {
    let pb::ConnectorSecrets { bind_password, password, bearer_token, client_secret, client_key } =
        secrets.unwrap_or_default();
    let all = [
        ("bind_password", bind_password),
        ("password", password),
        ("bearer_token", bearer_token),
        ("client_secret", client_secret),
        ("client_key", client_key),
    ];
    fields.within("secrets", |fields| {
        let given = all.into_iter().filter_map(|(field, secret)| Some((field, secret?)));
        given.map(|(field, secret)| (field, fields.text(field, secret, limits::SECRET))).collect()
    })
}

/// The name of a kind, as `Settings::kind` has it; for the filter of lists.
pub fn kind_name(kind: pb::ConnectorKind) -> Option<&'static str> {
    match kind {
        pb::ConnectorKind::Unspecified => None,
        pb::ConnectorKind::Ldap => Some("ldap"),
        pb::ConnectorKind::Scim => Some("scim"),
        pb::ConnectorKind::Sql => Some("sql"),
        pb::ConnectorKind::Remote => Some("remote"),
        pb::ConnectorKind::Memory => Some("memory"),
    }
}

fn kind(settings: &Settings) -> pb::ConnectorKind {
    match settings {
        Settings::Ldap(_) => pb::ConnectorKind::Ldap,
        Settings::Scim(_) => pb::ConnectorKind::Scim,
        Settings::Sql(_) => pb::ConnectorKind::Sql,
        Settings::Remote(_) => pb::ConnectorKind::Remote,
        Settings::Memory(_) => pb::ConnectorKind::Memory,
    }
}
