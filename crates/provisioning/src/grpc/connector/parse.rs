//! Requests of ConnectorService, parsed into commands: every field at fault is named.

use xavyo_core::{
    connector::{Mode, ObjectType, Policies, Settings},
    error::Result,
    ids::ConnectorId,
};
use xavyo_wire::{
    connector::{kind_name, secrets_of_pb},
    fields::Fields,
    limits, object_type,
    page::Page,
    pb::provisioning as pb,
    policy, settings,
};

use crate::{
    connectors::{
        CreateConnector, DeleteConnector, DiscoverSchema, GivenSecrets, ListConnectors, PauseConnector,
        UpdateConnector,
    },
    store::connector::Filter,
};

const PATHS: &str = "of name, mode, settings, object_types, policies";

pub(super) fn connector_id(text: &str) -> Result<ConnectorId> {
    let mut fields = Fields::default();
    let id = fields.id("connector_id", text);
    fields.finish(id)
}

pub(super) fn create(request: pb::CreateConnectorRequest) -> Result<CreateConnector> {
    let mut fields = Fields::default();
    let settings = settings::of_pb(&mut fields, request.settings);
    let command = CreateConnector {
        name: fields.text("name", request.name, limits::NAME),
        mode: fields.choice_or("mode", request.mode, Mode::default()),
        settings,
        secrets: secrets(&mut fields, request.secrets),
        object_types: object_type::all_of_pb(&mut fields, request.object_types),
        policies: policy::of_pb(&mut fields, request.policies),
        request_id: fields.optional_id("request_id", request.request_id.as_deref()),
    };
    fields.finish(command)
}

pub(super) fn list(request: &pb::ListConnectorsRequest, page: &Page<ConnectorId>) -> Result<ListConnectors> {
    let mut fields = Fields::default();
    let kind = pb::ConnectorKind::try_from(request.kind.unwrap_or_default());
    if kind.is_err() {
        fields.refuse("kind", "a ConnectorKind");
    }
    let kind = kind.ok().and_then(kind_name);
    let filter = Filter { kind, mode: fields.optional_choice("mode", request.mode) };
    let command =
        ListConnectors { filter, after: page.after, page_size: page.size, count_total: page.count_total };
    fields.finish(command)
}

/// Only what the mask names is looked at.
pub(super) fn update(request: pb::UpdateConnectorRequest) -> Result<UpdateConnector> {
    let mut fields = Fields::default();
    let connector = fields.required("connector", request.connector).unwrap_or_default();
    let paths = request.update_mask.unwrap_or_default().paths;
    for path in &paths {
        if !["name", "mode", "settings", "object_types", "policies"].contains(&path.as_str()) {
            fields.refuse("update_mask", format!("paths {PATHS}, not {path:?}"));
        }
    }
    let secrets = secrets(&mut fields, request.secrets);
    if paths.is_empty() && secrets.is_empty() {
        fields.refuse("update_mask", format!("at least one path {PATHS}, or secrets"));
    }
    let names = |path: &str| paths.iter().any(|named| named == path);
    let command = fields.within("connector", |fields| UpdateConnector {
        connector_id: fields.id("id", &connector.id),
        etag: fields.etag(&connector.etag),
        name: names("name").then(|| fields.text("name", connector.name, limits::NAME)),
        mode: if names("mode") { fields.choice::<Mode>("mode", connector.mode) } else { None },
        settings: names("settings").then(|| -> Settings { settings::of_pb(fields, connector.settings) }),
        object_types: names("object_types")
            .then(|| -> Vec<ObjectType> { object_type::all_of_pb(fields, connector.object_types) }),
        policies: names("policies").then(|| -> Policies { policy::of_pb(fields, connector.policies) }),
        secrets,
    });
    fields.finish(command)
}

pub(super) fn delete(request: &pb::DeleteConnectorRequest) -> Result<DeleteConnector> {
    let mut fields = Fields::default();
    let command = DeleteConnector {
        connector_id: fields.id("connector_id", &request.connector_id),
        etag: fields.etag(&request.etag),
    };
    fields.finish(command)
}

pub(super) fn pause(request: pb::PauseConnectorRequest) -> Result<PauseConnector> {
    let mut fields = Fields::default();
    let command = PauseConnector {
        connector_id: fields.id("connector_id", &request.connector_id),
        reason: fields.optional_text("reason", request.reason, limits::REASON),
        until: fields.time("until", request.until),
    };
    fields.finish(command)
}

pub(super) fn discover(request: &pb::DiscoverSchemaRequest) -> Result<DiscoverSchema> {
    let connector_id = connector_id(&request.connector_id)?;
    Ok(DiscoverSchema { connector_id, refresh: request.refresh })
}

pub(super) fn rotate(request: &pb::RotateSecretsRequest) -> Result<Option<ConnectorId>> {
    let mut fields = Fields::default();
    let id = fields.optional_id("connector_id", request.connector_id.as_deref());
    fields.finish(id)
}

fn secrets(fields: &mut Fields, secrets: Option<pb::ConnectorSecrets>) -> GivenSecrets {
    let given = secrets_of_pb(fields, secrets);
    given.into_iter().map(|(field, secret)| (field.to_owned(), secret.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update_of(paths: &[&str]) -> pb::UpdateConnectorRequest {
        let connector = pb::Connector {
            id: "00000000-0000-0000-0000-000000000001".to_owned(),
            name: "directory".to_owned(),
            paused: true,
            ..Default::default()
        };
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        pb::UpdateConnectorRequest {
            connector: Some(connector),
            update_mask: Some(xavyo_wire::pb::google::FieldMask { paths }),
            secrets: None,
        }
    }

    #[test]
    fn an_update_looks_only_at_what_its_mask_names() {
        let command = update(update_of(&["name"])).unwrap();
        assert_eq!(command.name.as_deref(), Some("directory"));
        assert!(command.mode.is_none() && command.settings.is_none() && command.object_types.is_none());
    }

    #[test]
    fn unknown_immutable_and_output_only_paths_are_refused() {
        for path in ["id", "kind", "revision", "paused", "etag", "secrets", "settings.ldap.host", "*", ""] {
            let error = update(update_of(&[path])).unwrap_err();
            assert_eq!(error.violations[0].field, "update_mask", "{path}");
        }
        assert_eq!(update(update_of(&[])).unwrap_err().violations[0].field, "update_mask");
    }
}
