//! Making a connector.

use serde::Serialize;
use serde_json::json;
use uuid::Uuid;
use xavyo_core::{
    connector::{Connector, Mode, ObjectType, Policies, Settings},
    error::Result,
    ids::ConnectorId,
};
use xavyo_runtime::{auth::Caller, db};

use super::{Connectors, GivenSecrets, Shown, entry, secrets, show, validation};
use crate::store::{audit, connector, request};

const METHOD: &str = "CreateConnector";

/// A connector to be made.
#[derive(Clone, Debug)]
pub struct CreateConnector {
    pub name: String,
    pub mode: Mode,
    pub settings: Settings,
    pub secrets: GivenSecrets,
    pub object_types: Vec<ObjectType>,
    pub policies: Policies,
    pub request_id: Option<Uuid>,
}

/// What makes two calls the same.
#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    mode: Mode,
    settings: &'a Settings,
    /// Keyed: nobody can guess a secret from it.
    secrets_fingerprint: String,
    object_types: &'a [ObjectType],
    policies: &'a Policies,
}

impl Connectors {
    /// Stores a connector in which everything can be used. Nothing is sent to the target.
    pub async fn create(&self, caller: &Caller, command: CreateConnector) -> Result<Shown> {
        let request_id = command.request_id;
        let key = request::Key::of(METHOD, request_id, &self.body(&command))?;
        let secrets = secrets(&command.secrets);
        let connector = self.draft(command);
        validation::check(&connector, &secrets, self.targets.options())?;
        validation::check_mode(&connector)?;
        self.compile(connector.object_types.clone()).await?;

        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        if let Some(ids) = request::recall(&mut tx, &self.clock, tenant, key.as_ref()).await? {
            let id = ids.first().copied().unwrap_or_default();
            let existing = connector::get(&mut tx, tenant, ConnectorId(id)).await?;
            return show(&mut tx, tenant, existing).await;
        }
        connector::insert(&mut tx, tenant, &connector, caller.subject).await?;
        self.vault.put(&mut tx, tenant, connector.id, &secrets).await?;
        let details = json!({
            "name": connector.name,
            "kind": connector.settings.kind(),
            "mode": connector.mode.name(),
            "secrets": secrets.0.keys().collect::<Vec<_>>(),
        });
        let entry = entry(METHOD, &connector, details, None);
        audit::insert_asked(&mut tx, &self.clock, caller, entry, request_id).await?;
        request::remember(&mut tx, tenant, key.as_ref(), &[connector.id.0]).await?;
        let shown = show(&mut tx, tenant, connector).await?;
        db::commit(tx).await?;
        Ok(shown)
    }

    fn draft(&self, command: CreateConnector) -> Connector {
        let now = self.clock.now();
        Connector {
            id: ConnectorId(self.clock.new_id()),
            name: command.name,
            mode: command.mode,
            settings: command.settings,
            object_types: command.object_types,
            policies: command.policies,
            revision: 1,
            paused: false,
            pause_reason: None,
            first_full_run_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    fn body<'a>(&self, command: &'a CreateConnector) -> Body<'a> {
        Body {
            name: &command.name,
            mode: command.mode,
            settings: &command.settings,
            secrets_fingerprint: self.vault.fingerprint(&secrets(&command.secrets)),
            object_types: &command.object_types,
            policies: &command.policies,
        }
    }
}
