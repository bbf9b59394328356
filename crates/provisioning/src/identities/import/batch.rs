//! One transaction of an import.

use std::collections::HashMap;

use futures::{FutureExt, future::BoxFuture};
use serde_json::json;
use xavyo_core::{Error, Reason, error::Result, identity::Identity, ids::IdentityId};
use xavyo_runtime::db;

use super::{
    Import, Record,
    counts::{Committed, Counts, RefusedRecord},
};
use crate::{
    crash::{self, Point},
    identities::{automation::Change, change::lock_unchanged},
    store::{audit, identity},
};

impl Import {
    /// Commits records of different source keys, in as few transactions as can be: a batch that meets a limit is
    /// halved, until the record that meets it stands alone and is named.
    pub(super) fn commit(&self, records: Vec<(i64, Record)>) -> BoxFuture<'_, Result<Committed>> {
        async move {
            match db::retry(|| self.upsert(&records)).await {
                Ok(counts) => Ok(Committed { counts, errors: Vec::new() }),
                Err(error) if error.reason != Reason::LimitExceeded => Err(error),
                Err(error) => match records.as_slice() {
                    [(index, record)] => {
                        let mut committed = Committed::default();
                        committed.refuse(vec![RefusedRecord::of(*index, record.source_key.clone(), &error)]);
                        Ok(committed)
                    }
                    many => {
                        let (first, second) = many.split_at(many.len() / 2);
                        let first = self.commit(first.to_vec()).await?;
                        Ok(first.join(self.commit(second.to_vec()).await?))
                    }
                },
            }
        }
        .boxed()
    }

    async fn upsert(&self, records: &[(i64, Record)]) -> Result<Counts> {
        let tenant = self.caller.tenant;
        let keys: Vec<String> = records.iter().map(|(_, record)| record.source_key.clone()).collect();
        let mut tx = self.identities.database.begin(tenant).await?;
        let known = identity::find_by_source_keys(&mut tx, tenant, &keys).await?;
        drop(tx);
        let mut known: HashMap<String, Identity> =
            known.into_iter().filter_map(|identity| Some((identity.source_key.clone()?, identity))).collect();
        let changes: Vec<Change> = records
            .iter()
            .filter_map(|(_, record)| self.change(known.remove(&record.source_key), record))
            .collect();
        let unchanged = records.len() - changes.len();
        let mut counts = self.write(changes).await?;
        counts.unchanged = count(unchanged);
        Ok(counts)
    }

    /// None where the record says what is known already.
    fn change(&self, before: Option<Identity>, record: &Record) -> Option<Change> {
        let now = self.identities.clock.now();
        let Some(known) = &before else {
            let made = Identity {
                id: IdentityId(self.identities.clock.new_id()),
                source_key: Some(record.source_key.clone()),
                active: record.active,
                attributes: record.attributes.clone(),
                version: 1,
                created_at: now,
                updated_at: now,
            };
            return Some(Change { before: None, after: Some(made) });
        };
        if known.active == record.active && known.attributes == record.attributes {
            return None;
        }
        let after = Identity {
            active: record.active,
            attributes: record.attributes.clone(),
            version: known.version + 1,
            updated_at: now,
            ..known.clone()
        };
        Some(Change { before, after: Some(after) })
    }

    /// Writes changes with everything that follows from them.
    pub(super) async fn write(&self, changes: Vec<Change>) -> Result<Counts> {
        if changes.is_empty() {
            return Ok(Counts::default());
        }
        let tenant = self.caller.tenant;
        let automation = &self.identities.automation;
        let foresight = automation.foresee(tenant, &changes).await?;
        let (made, saved): (Vec<&Change>, Vec<&Change>) =
            changes.iter().partition(|one| one.before.is_none());
        let after = |changes: &[&Change]| -> Vec<Identity> {
            changes.iter().filter_map(|change| change.after.clone()).collect()
        };
        let mut tx = self.identities.database.begin(tenant).await?;
        lock_unchanged(&mut tx, tenant, &changes).await?;
        identity::insert(&mut tx, tenant, &after(&made)).await.map_err(contended_where_taken)?;
        identity::save(&mut tx, tenant, &after(&saved)).await?;
        let decided = automation.decide(&mut tx, tenant, &changes, &foresight).await?;
        let mut counts =
            Counts { created: count(made.len()), updated: count(saved.len()), ..Counts::default() };
        audit::insert(&mut tx, &self.identities.clock, &self.caller, self.entry(&counts)).await?;
        let planned = automation.enqueue(&mut tx, tenant, decided, &self.cause()).await?;
        crash::point(Point::ImportWritten);
        db::commit(tx).await?;
        self.identities.nudge(&planned);
        counts.operations_enqueued = count(planned.iter().filter(|one| one.operation_id.is_some()).count());
        Ok(counts)
    }

    fn entry(&self, counts: &Counts) -> audit::Entry {
        audit::Entry {
            method: "ImportIdentities",
            resource_type: "import",
            resource_id: Some(self.id),
            connector_id: None,
            details: json!({ "created": counts.created, "updated": counts.updated }),
            reason: self.start.as_ref().and_then(|start| start.reason.clone()),
        }
    }
}

/// Somebody made an identity of the same source key since we looked: the batch is tried again, and updates it.
fn contended_where_taken(error: Error) -> Error {
    match error.reason {
        Reason::AlreadyExists => {
            Error::new(Reason::Contended, "a source key was taken meanwhile").caused_by(error)
        }
        _ => error,
    }
}

pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
