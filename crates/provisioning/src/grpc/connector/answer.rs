//! Answers of ConnectorService.

use xavyo_connectors::{Capabilities, CheckStep};
use xavyo_core::ids::ConnectorId;
use xavyo_wire::{
    connector::{schema, to_pb},
    page::{Page, Tokens},
    pb::{connector as target, provisioning as pb},
    time,
};

use crate::{
    connectors::{Check, Discovered, Shown},
    paging::Listed,
};

pub(super) fn connector(shown: Shown) -> pb::Connector {
    to_pb(&shown.connector, shown.stored_secrets)
}

pub(super) fn list(
    tokens: &Tokens,
    page: &Page<ConnectorId>,
    listed: Listed<Shown>,
) -> pb::ListConnectorsResponse {
    let last = listed.last().map(|shown| shown.connector.id);
    pb::ListConnectorsResponse {
        next_page_token: tokens.next(page, last.as_ref()),
        total_size: listed.total.map(|total| total.size),
        total_size_capped: listed.total.is_some_and(|total| total.is_capped),
        connectors: listed.items.into_iter().map(connector).collect(),
    }
}

pub(super) fn check(check: Check) -> pb::CheckConnectionResponse {
    let step = |CheckStep { name, ok, detail }| target::CheckStep { name, ok, detail };
    pb::CheckConnectionResponse { ok: check.is_ok(), steps: check.steps.into_iter().map(step).collect() }
}

pub(super) fn discovered(discovered: &Discovered) -> pb::DiscoverSchemaResponse {
    pb::DiscoverSchemaResponse {
        object_schemas: discovered.object_schemas.iter().map(schema::to_pb).collect(),
        capabilities: Some(capabilities(discovered.capabilities)),
        discovered_at: Some(time::to_pb(discovered.at)),
    }
}

fn capabilities(can: Capabilities) -> target::TargetCapabilities {
    let Capabilities { immutable_ids, versions, disables, repeatable_updates, changes } = can;
    target::TargetCapabilities { immutable_ids, versions, disables, repeatable_updates, changes }
}
