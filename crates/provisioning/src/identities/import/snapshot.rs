//! Snapshots: an import that is the whole source, so that who does not come in it has left.
//!
//! Nobody is inactivated unless the end counted exactly what was received: a source that was cut off, or is empty,
//! must not look like a company whose people have all gone. The guard over mass effects still stands behind it.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use xavyo_core::{Error, error::Result, identity::Identity, ids::IdentityId};
use xavyo_runtime::db;

use super::{
    BATCH, Import,
    batch::count,
    counts::{Committed, Counts},
};
use crate::{identities::automation::Change, store::identity};

/// The source keys that came, 16 bytes each.
pub(super) struct Seen {
    keys: HashSet<[u8; 16]>,
    since: DateTime<Utc>,
}

impl Seen {
    pub fn new(since: DateTime<Utc>) -> Self {
        Self { keys: HashSet::new(), since }
    }

    pub fn add(&mut self, source_key: &str) {
        self.keys.insert(digest(source_key));
    }

    /// Whether the identity was there before the import began, and did not come in it.
    fn misses(&self, identity: &Identity) -> bool {
        let is_absent = identity.source_key.as_ref().is_some_and(|key| !self.keys.contains(&digest(key)));
        is_absent && identity.created_at < self.since
    }
}

/// Refuses an end that does not count what was received.
pub(super) fn check_end(is_snapshot: bool, received: i64, counted: i64) -> Result<()> {
    if counted != received {
        return Err(Error::invalid("end.count", format!("{received}: so many records were received")));
    }
    if is_snapshot && received == 0 {
        return Err(Error::invalid("end.count", "at least 1: an empty snapshot would inactivate everybody"));
    }
    Ok(())
}

impl Import {
    /// Inactivates who did not come.
    pub(super) async fn sweep(&mut self) -> Result<()> {
        let tenant = self.caller.tenant;
        let limit = count(BATCH);
        let mut after: Option<IdentityId> = None;
        loop {
            let mut tx = self.identities.database.begin(tenant).await?;
            let page = identity::page_of_source(&mut tx, tenant, after, limit).await?;
            drop(tx);
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            let gone: Vec<IdentityId> = page
                .iter()
                .filter(|identity| self.seen.misses(identity))
                .map(|identity| identity.id)
                .collect();
            if gone.is_empty() {
                continue;
            }
            let last_source_key = last.source_key.clone().unwrap_or_default();
            let counts = db::retry(|| self.inactivate(&gone)).await?;
            let committed = Committed { counts, errors: Vec::new() };
            self.acknowledge(committed.acknowledge(last_source_key)).await?;
        }
    }

    async fn inactivate(&self, ids: &[IdentityId]) -> Result<Counts> {
        let tenant = self.caller.tenant;
        let mut tx = self.identities.database.begin(tenant).await?;
        let present = identity::find_all(&mut tx, tenant, ids).await?;
        drop(tx);
        let now = self.identities.clock.now();
        let changes = present.into_iter().filter(|identity| identity.active).map(|before| {
            let after =
                Identity { active: false, version: before.version + 1, updated_at: now, ..before.clone() };
            Change { before: Some(before), after: Some(after) }
        });
        let counts = self.write(changes.collect()).await?;
        Ok(Counts { updated: 0, inactivated: counts.updated, ..counts })
    }
}

fn digest(source_key: &str) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(source_key.as_bytes()).as_bytes()[..16]);
    first
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;
    use xavyo_core::value::Attributes;

    use super::*;

    fn identity(source_key: Option<&str>, created_at: DateTime<Utc>) -> Identity {
        Identity {
            id: IdentityId(Uuid::from_u128(1)),
            source_key: source_key.map(str::to_owned),
            active: true,
            attributes: Attributes::new(),
            version: 1,
            created_at,
            updated_at: created_at,
        }
    }

    #[test]
    fn only_who_was_there_before_and_did_not_come_has_left() {
        let begun = DateTime::UNIX_EPOCH + TimeDelta::hours(1);
        let mut seen = Seen::new(begun);
        seen.add("came");

        assert!(seen.misses(&identity(Some("gone"), DateTime::UNIX_EPOCH)));
        assert!(!seen.misses(&identity(Some("came"), DateTime::UNIX_EPOCH)));
        assert!(!seen.misses(&identity(None, DateTime::UNIX_EPOCH)), "no source ever named it");
        assert!(!seen.misses(&identity(Some("new"), begun)), "made while the import ran");
    }

    #[test]
    fn an_end_that_counts_otherwise_inactivates_nobody() {
        assert!(check_end(true, 3, 3).is_ok());
        assert!(check_end(true, 3, 4).is_err());
        assert!(check_end(false, 3, 2).is_err());
        assert!(check_end(true, 0, 0).is_err(), "an empty source is not a company without people");
    }
}
