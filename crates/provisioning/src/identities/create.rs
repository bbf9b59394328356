//! Making an identity.

use serde::Serialize;
use uuid::Uuid;
use xavyo_core::{cause::CauseKind, error::Result, identity::Identity, ids::IdentityId, value::Attributes};
use xavyo_runtime::{auth::Caller, db};

use super::{Changed, Identities, automation::Change, cause, entry};
use crate::store::{audit, identity, request};

const METHOD: &str = "CreateIdentity";

/// An identity to be made.
#[derive(Clone, Debug)]
pub struct CreateIdentity {
    pub source_key: Option<String>,
    pub active: bool,
    pub attributes: Attributes,
    pub request_id: Option<Uuid>,
}

/// What makes two calls the same.
#[derive(Serialize)]
struct Body<'a> {
    source_key: Option<&'a str>,
    active: bool,
    attributes: &'a Attributes,
}

impl Identities {
    /// A repeated call answers the identity as it is now, and no operations: they were answered to the first.
    pub async fn create(&self, caller: &Caller, command: CreateIdentity) -> Result<Changed> {
        let CreateIdentity { source_key, active, attributes, request_id } = command;
        let body = Body { source_key: source_key.as_deref(), active, attributes: &attributes };
        let key = request::Key::of(METHOD, request_id, &body)?;
        let now = self.clock.now();
        let id = IdentityId(self.clock.new_id());
        let made =
            Identity { id, source_key, active, attributes, version: 1, created_at: now, updated_at: now };
        db::retry(|| self.make(caller, &made, key.as_ref())).await
    }

    async fn make(&self, caller: &Caller, made: &Identity, key: Option<&request::Key>) -> Result<Changed> {
        let tenant = caller.tenant;
        let changes = [Change { before: None, after: Some(made.clone()) }];
        let foresight = self.automation.foresee(tenant, &changes).await?;
        let mut tx = self.database.begin(tenant).await?;
        if let Some(ids) = request::recall(&mut tx, &self.clock, tenant, key).await? {
            let id = IdentityId(ids.first().copied().unwrap_or_default());
            let identity = identity::get(&mut tx, tenant, id).await?;
            return Ok(Changed { identity, operations: Vec::new() });
        }
        identity::insert(&mut tx, tenant, std::slice::from_ref(made)).await?;
        let decided = self.automation.decide(&mut tx, tenant, &changes, &foresight).await?;
        let names: Vec<String> = made.attributes.keys().cloned().collect();
        let entry = entry(METHOD, made, &names, decided.plans.len(), None);
        audit::insert_asked(&mut tx, &self.clock, caller, entry, key.map(request::Key::request_id)).await?;
        request::remember(&mut tx, tenant, key, &[made.id.0]).await?;
        let cause = cause(caller, CauseKind::IdentityChange, made.id.0, None);
        let operations = self.automation.enqueue(&mut tx, tenant, decided, &cause).await?;
        db::commit(tx).await?;
        self.nudge(&operations);
        Ok(Changed { identity: made.clone(), operations })
    }
}
