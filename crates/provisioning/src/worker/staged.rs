//! The second stage of a deprovisioning: accounts that were disabled long enough are deleted, and identities that were
//! deleted and have nothing left are forgotten. Every replica does it; what another has just done is not done twice.

use sqlx::PgConnection;
use xavyo_core::{
    cause::Cause,
    change::Changes,
    error::Result,
    ids::{IdentityId, LinkId, TenantId},
    operation::{DEFAULT_PRIORITY, OperationType, Precondition},
};
use xavyo_runtime::db;

use super::Engine;
use crate::{
    queue::{self, NewOperation},
    store::{
        identity,
        link::{self, staged},
    },
};

/// Links, or identities, in one transaction.
const AT_ONCE: i64 = 200;

impl Engine {
    /// Enqueues the deletes that are due in a tenant, and forgets who is gone for good. Returns how many of both.
    pub(super) async fn finish_departures(&self, tenant: TenantId) -> Result<(usize, u64)> {
        let mut deletes = 0;
        loop {
            let enqueued = db::retry(|| self.enqueue_due(tenant)).await?;
            deletes += enqueued;
            if enqueued == 0 {
                break;
            }
        }
        let mut tx = self.database.begin(tenant).await?;
        let forgotten = identity::forget_departed(&mut tx, tenant, AT_ONCE).await?;
        db::commit(tx).await?;
        if deletes > 0 {
            self.nudge.now();
        }
        Ok((deletes, forgotten))
    }

    async fn enqueue_due(&self, tenant: TenantId) -> Result<usize> {
        let now = self.clock.now();
        let mut tx = self.database.begin(tenant).await?;
        let seen = staged::due(&mut tx, tenant, now, None, AT_ONCE).await?;
        let links = locked(&mut tx, tenant, seen).await?;
        if links.is_empty() {
            return Ok(0);
        }
        // Who has returned meanwhile has dropped the date, under the lock that is ours now.
        let due = staged::due(&mut tx, tenant, now, Some(&links), AT_ONCE).await?;
        if due.is_empty() {
            return Ok(0);
        }
        // Only of what is enqueued: a connector that no longer enforces keeps its dates.
        let done: Vec<_> = due.iter().map(|one| (one.link, None)).collect();
        link::save_deprovision_due(&mut tx, tenant, &done).await?;
        let deletes: Vec<NewOperation> = due.into_iter().map(delete).collect();
        let count = deletes.len();
        queue::enqueue(&mut tx, &self.clock, tenant, deletes).await?;
        db::commit(tx).await?;
        Ok(count)
    }
}

/// The links, once their identities are locked against changes.
async fn locked(tx: &mut PgConnection, tenant: TenantId, due: Vec<staged::Due>) -> Result<Vec<LinkId>> {
    let people: Vec<IdentityId> = due.iter().map(|one| one.identity_id).collect();
    identity::hold(tx, tenant, &people).await?;
    Ok(due.into_iter().map(|one| one.link).collect())
}

/// Only of the account that was disabled, and only while it is still the identity's.
fn delete(due: staged::Due) -> NewOperation {
    let premise = Precondition {
        immutable_id: due.account.immutable_id.clone(),
        linked: Some(true),
        ..Precondition::default()
    };
    NewOperation {
        connector_id: due.connector_id,
        connector_name: due.connector_name,
        connector_revision: due.connector_revision,
        identity_id: Some(due.identity_id),
        operation_type: OperationType::Delete,
        object_class: due.object_class,
        intent: due.intent,
        target_uid: Some(due.account.external_uid),
        uid_key: Some(due.uid_key),
        immutable_id: due.account.immutable_id,
        payload: Changes::new(),
        precondition: Some(premise),
        priority: DEFAULT_PRIORITY,
        max_retries: due.max_retries,
        not_before: None,
        cause: Cause {
            reason: due.cause.reason.or_else(|| Some("its deprovisioning is due".to_owned())),
            ..due.cause
        },
        request_id: None,
    }
}
