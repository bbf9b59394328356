//! Changing one identity: its attributes, whether it is active, and deleting it.
//!
//! All of them are the same four steps: read, evaluate (without a transaction), lock and check that nothing moved,
//! write with everything that follows. Where something moved, the whole is done again.

use std::collections::BTreeSet;

use xavyo_core::{
    Error, Reason,
    cause::CauseKind,
    error::Result,
    identity::Identity,
    ids::{IdentityId, TenantId},
    value::{Attributes, Value},
};
use xavyo_runtime::{auth::Caller, db};

use super::{
    Changed, Identities, Planned,
    automation::{Change, Decided},
    cause, entry, planned,
};
use crate::{
    connectors::check_etag,
    store::{audit, identity},
};

/// One change of attributes.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    ReplaceAll(Attributes),
    Set(String, Vec<Value>),
    Clear(String),
}

#[derive(Clone, Debug)]
pub struct UpdateIdentity {
    pub identity_id: IdentityId,
    /// The version that the caller has seen; None = any.
    pub etag: Option<i64>,
    /// In this order.
    pub edits: Vec<Edit>,
    /// Change nothing, and say what would follow.
    pub validate_only: bool,
}

/// The person left, or is back.
#[derive(Clone, Debug)]
pub struct ChangeActivity {
    pub identity_id: IdentityId,
    pub etag: Option<i64>,
    pub active: bool,
    pub reason: Option<String>,
    pub validate_only: bool,
}

#[derive(Clone, Debug)]
pub struct DeleteIdentity {
    pub identity_id: IdentityId,
    pub etag: Option<i64>,
    pub reason: Option<String>,
}

/// What all changes have in common.
struct Task {
    method: &'static str,
    identity_id: IdentityId,
    etag: Option<i64>,
    reason: Option<String>,
}

impl Identities {
    pub async fn update(&self, caller: &Caller, command: UpdateIdentity) -> Result<Changed> {
        let UpdateIdentity { identity_id, etag, edits, validate_only } = command;
        let task = Task { method: "UpdateIdentity", identity_id, etag, reason: None };
        let change = |before: &Identity| {
            let attributes = edits.iter().fold(before.attributes.clone(), edited);
            Identity { attributes, ..before.clone() }
        };
        self.run(caller, &task, validate_only, change).await
    }

    /// Repeating it changes nothing.
    pub async fn change_activity(&self, caller: &Caller, command: ChangeActivity) -> Result<Changed> {
        let ChangeActivity { identity_id, etag, active, reason, validate_only } = command;
        let method = if active { "ReactivateIdentity" } else { "InactivateIdentity" };
        let task = Task { method, identity_id, etag, reason };
        self.run(caller, &task, validate_only, |before| Identity { active, ..before.clone() }).await
    }

    /// The accounts are deprovisioned like those of an inactive identity; the record answers NOT_FOUND from now on.
    pub async fn delete(&self, caller: &Caller, command: DeleteIdentity) -> Result<Vec<Planned>> {
        let DeleteIdentity { identity_id, etag, reason } = command;
        let task = Task { method: "DeleteIdentity", identity_id, etag, reason };
        db::retry(|| self.remove(caller, &task)).await
    }

    async fn run(
        &self,
        caller: &Caller,
        task: &Task,
        validate_only: bool,
        change: impl Fn(&Identity) -> Identity,
    ) -> Result<Changed> {
        if validate_only {
            db::retry(|| self.preview(caller.tenant, task, &change)).await
        } else {
            db::retry(|| self.apply(caller, task, &change)).await
        }
    }

    async fn apply(
        &self,
        caller: &Caller,
        task: &Task,
        change: &impl Fn(&Identity) -> Identity,
    ) -> Result<Changed> {
        let tenant = caller.tenant;
        let before = self.read(tenant, task).await?;
        let mut after = change(&before);
        if after == before {
            return Ok(Changed { identity: before, operations: Vec::new() });
        }
        after.version += 1;
        after.updated_at = self.clock.now();
        let names = changed_names(&before.attributes, &after.attributes);
        let changes = [Change { before: Some(before), after: Some(after.clone()) }];
        let foresight = self.automation.foresee(tenant, &changes).await?;
        let mut tx = self.database.begin(tenant).await?;
        lock_unchanged(&mut tx, tenant, &changes).await?;
        identity::save(&mut tx, tenant, std::slice::from_ref(&after)).await?;
        let decided = self.automation.decide(&mut tx, tenant, &changes, &foresight).await?;
        let operations = self.finish(&mut tx, caller, task, &after, &names, decided).await?;
        db::commit(tx).await?;
        self.nudge(&operations);
        Ok(Changed { identity: after, operations })
    }

    async fn remove(&self, caller: &Caller, task: &Task) -> Result<Vec<Planned>> {
        let tenant = caller.tenant;
        let before = self.read(tenant, task).await?;
        let changes = [Change { before: Some(before.clone()), after: None }];
        let foresight = self.automation.foresee(tenant, &changes).await?;
        let mut tx = self.database.begin(tenant).await?;
        lock_unchanged(&mut tx, tenant, &changes).await?;
        identity::delete(&mut tx, tenant, before.id, self.clock.now()).await?;
        let decided = self.automation.decide(&mut tx, tenant, &changes, &foresight).await?;
        let operations = self.finish(&mut tx, caller, task, &before, &[], decided).await?;
        db::commit(tx).await?;
        self.nudge(&operations);
        Ok(operations)
    }

    /// Writes nothing: the transaction is rolled back.
    async fn preview(
        &self,
        tenant: TenantId,
        task: &Task,
        change: &impl Fn(&Identity) -> Identity,
    ) -> Result<Changed> {
        let before = self.read(tenant, task).await?;
        let after = change(&before);
        let changes = [Change { before: Some(before), after: Some(after.clone()) }];
        let foresight = self.automation.foresee(tenant, &changes).await?;
        let mut tx = self.database.begin(tenant).await?;
        let decided = self.automation.decide(&mut tx, tenant, &changes, &foresight).await?;
        Ok(Changed { identity: after, operations: planned::foreseen(decided.plans) })
    }

    async fn read(&self, tenant: TenantId, task: &Task) -> Result<Identity> {
        let mut tx = self.database.begin(tenant).await?;
        let identity = identity::get(&mut tx, tenant, task.identity_id).await?;
        check_etag(task.etag, identity.version)?;
        Ok(identity)
    }

    async fn finish(
        &self,
        tx: &mut db::Transaction,
        caller: &Caller,
        task: &Task,
        identity: &Identity,
        names: &[String],
        decided: Decided,
    ) -> Result<Vec<Planned>> {
        let entry = entry(task.method, identity, names, decided.plans.len(), task.reason.clone());
        audit::insert(tx, &self.clock, caller, entry).await?;
        let cause = cause(caller, CauseKind::IdentityChange, identity.id.0, task.reason.clone());
        self.automation.enqueue(tx, caller.tenant, decided, &cause).await
    }
}

/// Locks the identities of changes, and refuses with CONTENDED where one is no longer what was read.
pub(super) async fn lock_unchanged(
    tx: &mut db::Transaction,
    tenant: TenantId,
    changes: &[Change],
) -> Result<()> {
    let mut read: Vec<(IdentityId, i64)> =
        changes.iter().filter_map(|one| one.before.as_ref()).map(|one| (one.id, one.version)).collect();
    read.sort_unstable();
    let ids: Vec<IdentityId> = read.iter().map(|(id, _)| *id).collect();
    let present = identity::lock(tx, tenant, &ids).await?;
    if present == read {
        return Ok(());
    }
    Err(Error::new(Reason::Contended, "an identity changed while what follows was evaluated"))
}

fn edited(mut attributes: Attributes, edit: &Edit) -> Attributes {
    match edit {
        Edit::ReplaceAll(all) => attributes.clone_from(all),
        Edit::Set(name, values) => {
            attributes.insert(name.clone(), values.clone());
        }
        Edit::Clear(name) => {
            attributes.remove(name);
        }
    }
    attributes
}

fn changed_names(before: &Attributes, after: &Attributes) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![Value::from(*value)])).collect()
    }

    #[test]
    fn edits_apply_in_order() {
        let edits = [
            Edit::ReplaceAll(attributes(&[("mail", "a"), ("dept", "x")])),
            Edit::Set("mail".to_owned(), vec![Value::from("b")]),
            Edit::Clear("dept".to_owned()),
        ];
        assert_eq!(edits.iter().fold(Attributes::new(), edited), attributes(&[("mail", "b")]));
    }

    #[test]
    fn the_audit_log_names_what_changed_in_either_direction() {
        let (before, after) = (attributes(&[("a", "1"), ("b", "1")]), attributes(&[("b", "2"), ("c", "1")]));
        assert_eq!(changed_names(&before, &after), ["a", "b", "c"]);
    }
}
