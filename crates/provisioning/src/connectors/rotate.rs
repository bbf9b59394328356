//! Rotating secrets: the data key of each connector is wrapped anew under the active master key, while work goes on. What
//! the data key seals stays as it is.

use serde_json::json;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::{Caller, db};

use super::Connectors;
use crate::store::{
    audit::{self, Entry},
    connector::{self, secret},
};

/// Connectors looked at in one transaction.
const PAGE: i64 = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Connectors whose secrets are under the active key now.
    pub connectors: i64,
    pub key_id: String,
}

impl Connectors {
    /// One connector, or all of the tenant: each in a transaction of its own. One whose master key is lost does not keep
    /// the others from being rotated; it is the error in the end.
    pub async fn rotate_secrets(&self, caller: &Caller, only: Option<ConnectorId>) -> Result<Rotated> {
        let connectors = match only {
            Some(id) => vec![self.existing(caller.tenant, id).await?],
            None => self.with_secrets(caller.tenant).await?,
        };
        let mut lost = None;
        let mut rotated = 0;
        for id in connectors {
            match self.rotate(caller, id).await {
                Ok(()) => rotated += 1,
                Err(error) => lost = lost.or(Some(error)),
            }
        }
        match lost {
            Some(error) => Err(error),
            None => Ok(Rotated { connectors: rotated, key_id: self.vault.active_key_id().to_owned() }),
        }
    }

    async fn rotate(&self, caller: &Caller, id: ConnectorId) -> Result<()> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        if self.vault.rewrap(&mut tx, tenant, id).await? {
            let entry = Entry {
                method: "RotateSecrets",
                resource_type: "connector",
                resource_id: Some(id.0),
                connector_id: Some(id),
                details: json!({ "key_id": self.vault.active_key_id() }),
                reason: None,
            };
            audit::insert(&mut tx, &self.clock, caller, entry).await?;
        }
        db::commit(tx).await
    }

    async fn existing(&self, tenant: TenantId, id: ConnectorId) -> Result<ConnectorId> {
        let mut tx = self.database.begin(tenant).await?;
        Ok(connector::get(&mut tx, tenant, id).await?.id)
    }

    async fn with_secrets(&self, tenant: TenantId) -> Result<Vec<ConnectorId>> {
        let mut all = Vec::new();
        let mut tx = self.database.begin(tenant).await?;
        loop {
            let page = secret::with_key(&mut tx, tenant, all.last().copied(), PAGE).await?;
            let is_last = page.is_empty();
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret, SecretString};
    use xavyo_connectors::{Options, Secrets};
    use xavyo_core::{Reason, connector::Mode};
    use xavyo_runtime::MasterKeys;

    use super::*;
    use crate::{
        programs::Programs,
        secrets::Vault,
        targets::Targets,
        testing::{Ground, KEYS},
    };

    const BOTH: &str = r#"{"k1": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
                           "k2": "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg="}"#;
    const NEW: &str = r#"{"k2": "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg="}"#;

    /// The process as it is after a restart with other master keys.
    fn restarted(ground: &Ground, keys: &str) -> (Connectors, Vault) {
        let vault = Vault::new(MasterKeys::parse(keys).unwrap(), ground.clock.clone());
        let (database, clock) = (ground.database.clone(), ground.clock.clone());
        let targets = Targets::new(database.clone(), vault.clone(), Programs::default(), Options::default());
        (Connectors::new(database, clock, vault.clone(), targets), vault)
    }

    /// A connector with a secret under the first key.
    async fn planted(ground: &Ground, name: &str) -> ConnectorId {
        let id = ground.connector(name, Mode::Observe, 0).await;
        let mut tx = ground.database.begin(ground.caller.tenant).await.unwrap();
        let secrets = Secrets([("password".to_owned(), SecretString::from("canary"))].into());
        ground.vault.put(&mut tx, ground.caller.tenant, id, &secrets).await.unwrap();
        db::commit(tx).await.unwrap();
        id
    }

    async fn opened(ground: &Ground, vault: &Vault, id: ConnectorId) -> Result<String> {
        let mut tx = ground.database.begin(ground.caller.tenant).await.unwrap();
        let secrets = vault.open(&mut tx, ground.caller.tenant, id).await?;
        Ok(secrets.get("password").unwrap().expose_secret().to_owned())
    }

    #[tokio::test]
    async fn after_a_rotation_the_old_master_key_is_needed_no_more() {
        let ground = Ground::lay().await;
        let id = planted(&ground, "one").await;
        planted(&ground, "two").await;
        let (connectors, _) = restarted(&ground, BOTH);
        let rotated = connectors.rotate_secrets(&ground.caller, None).await.unwrap();
        assert_eq!(rotated, Rotated { connectors: 2, key_id: "k2".to_owned() });
        let (_, vault) = restarted(&ground, NEW);
        assert_eq!(opened(&ground, &vault, id).await.unwrap(), "canary");
        assert_eq!(ground.count("audit_event where method = 'RotateSecrets'").await, 2);
        connectors.rotate_secrets(&ground.caller, Some(id)).await.unwrap();
        assert_eq!(ground.count("audit_event where method = 'RotateSecrets'").await, 2, "nothing to do");
    }

    #[tokio::test]
    async fn a_lost_master_key_fails_closed_and_changes_nothing() {
        let ground = Ground::lay().await;
        let id = planted(&ground, "one").await;
        let (connectors, vault) = restarted(&ground, NEW);
        let refused = connectors.rotate_secrets(&ground.caller, None).await.unwrap_err();
        assert_eq!(refused.reason, Reason::KeyLost);
        assert_eq!(opened(&ground, &vault, id).await.unwrap_err().reason, Reason::KeyLost);
        let (_, vault) = restarted(&ground, KEYS);
        assert_eq!(opened(&ground, &vault, id).await.unwrap(), "canary", "the file is put back");
    }
}
