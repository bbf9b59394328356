//! Changing a connector.

use serde_json::json;
use xavyo_connectors::Secrets;
use xavyo_core::{
    Error, Violation,
    connector::{Connector, LdapTls, Mode, ObjectType, Policies, Settings},
    error::Result,
    ids::ConnectorId,
};
use xavyo_runtime::{auth::Caller, db};

use super::{BAD_CREDENTIALS, Connectors, GivenSecrets, Shown, check_etag, entry, secrets, show, validation};
use crate::store::{
    audit,
    connector::{self, secret, work},
    lane,
};

/// What to change; an absent part stays as it is.
#[derive(Clone, Debug)]
pub struct UpdateConnector {
    pub connector_id: ConnectorId,
    /// The version that the caller has seen; None = any.
    pub etag: Option<i64>,
    pub name: Option<String>,
    pub mode: Option<Mode>,
    pub settings: Option<Settings>,
    pub object_types: Option<Vec<ObjectType>>,
    pub policies: Option<Policies>,
    /// In the place of those stored; others stay.
    pub secrets: GivenSecrets,
}

impl Connectors {
    /// Enqueues nothing: the next run reports what the new rules make different.
    pub async fn update(&self, caller: &Caller, command: UpdateConnector) -> Result<Shown> {
        let tenant = caller.tenant;
        let secrets = secrets(&command.secrets);
        if let Some(object_types) = &command.object_types {
            self.compile(object_types.clone()).await?;
        }
        let mut tx = self.database.begin(tenant).await?;
        let before = connector::lock(&mut tx, tenant, command.connector_id).await?;
        check_etag(command.etag, before.version)?;
        let mut after = changed(&before, command);
        check_kind(&before.settings, &after.settings)?;
        validation::check(&after, &secrets, self.targets.options())?;
        if after.mode != before.mode {
            validation::check_mode(&after)?;
        }
        let stored = secret::fields(&mut tx, tenant, &[before.id]).await?.remove(&before.id);
        check_secrets_follow(&before.settings, &after.settings, &stored.unwrap_or_default(), &secrets)?;
        if after == before && secrets.0.is_empty() {
            return show(&mut tx, tenant, before).await;
        }
        if !secrets.0.is_empty() && after.pause_reason.as_deref() == Some(BAD_CREDENTIALS) {
            after = Connector { paused: false, pause_reason: None, ..after };
        }
        after.updated_at = self.clock.now();
        if (&after.object_types, &after.policies) != (&before.object_types, &before.policies) {
            after.revision += 1;
            connector::insert_revision(&mut tx, tenant, &after, caller.subject).await?;
        }
        connector::save(&mut tx, tenant, &after).await?;
        if after.policies.on_dead_letter != before.policies.on_dead_letter {
            // What a dead letter held may pass it now.
            let held = lane::lock_blocked(&mut tx, tenant, after.id).await?;
            lane::refresh(&mut tx, tenant, &held, after.updated_at).await?;
        }
        self.vault.put(&mut tx, tenant, after.id, &secrets).await?;
        work::set_due(&mut tx, tenant, &[after.id], after.updated_at).await?;
        let entry = entry("UpdateConnector", &after, differences(&before, &after, &secrets), None);
        audit::insert(&mut tx, &self.clock, caller, entry).await?;
        let saved = connector::get(&mut tx, tenant, after.id).await?;
        let shown = show(&mut tx, tenant, saved).await?;
        db::commit(tx).await?;
        Ok(shown)
    }
}

fn changed(before: &Connector, command: UpdateConnector) -> Connector {
    let before = before.clone();
    Connector {
        name: command.name.unwrap_or(before.name),
        mode: command.mode.unwrap_or(before.mode),
        settings: command.settings.unwrap_or(before.settings),
        object_types: command.object_types.unwrap_or(before.object_types),
        policies: command.policies.unwrap_or(before.policies),
        ..before
    }
}

fn check_kind(before: &Settings, after: &Settings) -> Result<()> {
    if before.kind() == after.kind() {
        return Ok(());
    }
    Err(Error::invalid(
        "connector.settings",
        format!("settings of the kind {}: a kind never changes", before.kind()),
    ))
}

/// Where secrets are sent. A secret must not follow a connector to another place without being given again.
fn address(settings: &Settings) -> Vec<String> {
    match settings {
        Settings::Ldap(ldap) => {
            let is_clear = ldap.tls == LdapTls::None;
            vec![ldap.host.clone(), ldap.port.to_string(), is_clear.to_string()]
        }
        Settings::Sql(sql) => vec![sql.host.clone(), sql.port.to_string(), sql.require_tls.to_string()],
        Settings::Scim(scim) => vec![scim.base_url.clone(), scim.token_url.clone().unwrap_or_default()],
        Settings::Remote(remote) => vec![remote.url.clone()],
        Settings::Memory(_) => Vec::new(),
    }
}

fn check_secrets_follow(
    before: &Settings,
    after: &Settings,
    stored: &[String],
    given: &Secrets,
) -> Result<()> {
    if address(before) == address(after) {
        return Ok(());
    }
    let missing = stored.iter().filter(|field| given.get(field).is_none());
    let violations: Vec<Violation> = missing
        .map(|field| Violation {
            field: format!("secrets.{field}"),
            expected: "the secret again: the address that it is sent to has changed".to_owned(),
        })
        .collect();
    if violations.is_empty() { Ok(()) } else { Err(Error::all_invalid(violations)) }
}

/// The names of what changed, for the audit log: settings may hold names that are nobody's business there.
fn differences(before: &Connector, after: &Connector, secrets: &Secrets) -> serde_json::Value {
    let parts = [
        ("name", before.name != after.name),
        ("mode", before.mode != after.mode),
        ("settings", before.settings != after.settings),
        ("object_types", before.object_types != after.object_types),
        ("policies", before.policies != after.policies),
    ];
    let changed: Vec<&str> = parts.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    json!({
        "changed": changed,
        "mode": after.mode.name(),
        "revision": after.revision,
        "secrets": secrets.0.keys().collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use xavyo_core::connector::RemoteSettings;

    use super::*;

    fn remote(url: &str) -> Settings {
        Settings::Remote(RemoteSettings {
            url: url.to_owned(),
            ca_certificates: None,
            client_certificate: None,
            sentinels: Vec::new(),
        })
    }

    #[test]
    fn a_secret_never_follows_a_changed_address_by_itself() {
        let (here, there) = (remote("https://a"), remote("https://b"));
        let stored = ["bearer_token".to_owned()];
        let again = Secrets::from_iter([("bearer_token", "s")]);

        let refused = check_secrets_follow(&here, &there, &stored, &Secrets::default()).unwrap_err();
        assert_eq!(refused.violations[0].field, "secrets.bearer_token");
        assert!(check_secrets_follow(&here, &there, &stored, &again).is_ok());
        assert!(check_secrets_follow(&here, &here, &stored, &Secrets::default()).is_ok());
    }
}
