//! The story of an account, whoever it belonged to.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use xavyo_core::{
    change::Changes,
    connector::Connector,
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, OperationId, TenantId},
    sealed,
};
use xavyo_runtime::auth::Caller;

use super::{Accounts, uid::uid_key};
use crate::{
    operations::seal,
    paging::{self, Listed},
    store::{
        account::event::{self, Event, Place},
        connector,
        lane::alias::{self, Alias},
        operation,
    },
};

/// Whose story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoryKey {
    Lane(LaneId),
    ExternalUid(String),
    ImmutableId(String),
    /// Of all accounts that the identity ever had.
    Identity(IdentityId),
}

#[derive(Clone, Debug)]
pub struct ListAccountEvents {
    pub connector_id: ConnectorId,
    pub key: StoryKey,
    pub after: Option<Place>,
    pub page_size: i64,
}

/// An event, and what its operation wrote: nothing that nobody may read.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    pub event: Event,
    pub written: Changes,
}

impl Accounts {
    /// Newest first.
    pub async fn list_events(
        &self,
        caller: &Caller,
        command: &ListAccountEvents,
    ) -> Result<Listed<Happened>> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let connector = connector::get(&mut tx, tenant, command.connector_id).await?;
        let lanes = lanes(&mut tx, tenant, &connector, &command.key).await?;
        let rows = paging::rows(command.page_size);
        let events = event::page(&mut tx, tenant, &lanes, command.after, rows).await?;
        let ids: Vec<OperationId> =
            events.iter().filter_map(|event| event.operation_id).map(OperationId).collect();
        let operations = operation::find_all(&mut tx, tenant, &ids).await?;
        let operations = seal::hidden(&mut tx, tenant, operations).await?;
        let written: HashMap<_, _> =
            operations.into_iter().map(|operation| (operation.id.0, operation.payload)).collect();
        let happened = events.into_iter().map(|event| {
            let changes = written.get(&event.id).map(sealed::shown).unwrap_or_default();
            Happened { event, written: changes }
        });
        Ok(Listed::of(happened.collect(), command.page_size, None))
    }
}

/// The lanes that the key leads to, on this connector; none where it leads to nothing.
async fn lanes(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: &Connector,
    key: &StoryKey,
) -> Result<Vec<LaneId>> {
    let classes = || connector.object_types.iter();
    let aliases: Vec<Alias> = match key {
        StoryKey::Lane(lane) => return Ok(vec![*lane]),
        StoryKey::ImmutableId(id) => vec![Alias::immutable(connector.id, id)],
        StoryKey::ExternalUid(uid) => {
            let key = uid_key(&connector.settings, uid);
            classes().map(|kind| Alias::uid(connector.id, &kind.object_class, &key)).collect()
        }
        StoryKey::Identity(id) => classes()
            .map(|kind| Alias::identity(connector.id, &kind.object_class, &kind.intent, *id))
            .collect(),
    };
    let mut lanes: BTreeSet<LaneId> = alias::find_all(tx, tenant, &aliases).await?.into_values().collect();
    if let StoryKey::Identity(id) = key {
        lanes.extend(event::lanes_of_identity(tx, tenant, connector.id, *id).await?);
    }
    Ok(Vec::from_iter(lanes))
}
