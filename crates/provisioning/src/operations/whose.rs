//! Whose account an operation names.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::PgConnection;
use xavyo_core::{
    connector::Connector,
    error::Result,
    ids::{ConnectorId, IdentityId, TenantId},
    link::Link,
};

use super::CreateOperation;
use crate::{
    accounts::uid::uid_key,
    store::link::{self, AccountName},
};

/// The place of a command, its identity and the account that it names.
type Named = (usize, IdentityId, AccountName);

/// The places of those commands whose account is known to be another identity's. Who names no identity means the account
/// itself, whosever it is.
pub(super) async fn anothers(
    tx: &mut PgConnection,
    tenant: TenantId,
    connectors: &HashMap<ConnectorId, Connector>,
    commands: &[CreateOperation],
) -> Result<HashSet<usize>> {
    let mut named: BTreeMap<(ConnectorId, &str), Vec<Named>> = BTreeMap::new();
    for (place, command) in commands.iter().enumerate() {
        let (Some(identity), Some(uid)) = (command.identity_id, &command.target_uid) else { continue };
        let Some(connector) = connectors.get(&command.connector_id) else { continue };
        let immutable_id = command.precondition.as_ref().and_then(|one| one.immutable_id.clone());
        let name = AccountName { uid_key: uid_key(&connector.settings, uid), immutable_id };
        named.entry((command.connector_id, &command.object_class)).or_default().push((place, identity, name));
    }
    let mut anothers = HashSet::new();
    for ((id, class), wanted) in named {
        let Some(connector) = connectors.get(&id) else { continue };
        let names: Vec<AccountName> = wanted.iter().map(|(.., name)| name.clone()).collect();
        let links = link::of_accounts(tx, tenant, id, class, &names).await?;
        let found = wanted.iter().filter(|(_, identity, name)| {
            links.iter().any(|link| link.identity_id != *identity && is_of(connector, link, name))
        });
        anothers.extend(found.map(|(place, ..)| *place));
    }
    Ok(anothers)
}

fn is_of(connector: &Connector, link: &Link, name: &AccountName) -> bool {
    match (&link.account.immutable_id, &name.immutable_id) {
        (Some(one), Some(other)) => one == other,
        (Some(_) | None, None) | (None, Some(_)) => {
            uid_key(&connector.settings, &link.account.external_uid) == name.uid_key
        }
    }
}
