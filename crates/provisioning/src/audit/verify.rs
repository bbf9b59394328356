//! Verifying: the chain is walked along, each hash made anew from what the rows say now.

use uuid::Uuid;
use xavyo_core::{Error, error::Result};
use xavyo_runtime::Caller;

use super::AuditLog;
use crate::store::audit_seal::{self, Range};

/// Entries read at once.
const BATCH: i64 = 1_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Entries whose hashes were recomputed.
    pub verified: i64,
    /// Entries of the range that have no place in the chain yet.
    pub unsealed: i64,
    /// The first entry whose hash, or place in the chain, is wrong.
    pub first_broken: Option<Uuid>,
}

impl AuditLog {
    /// All of one moment. Entries of the range lie close together in the chain; those between them are walked over, too.
    pub async fn verify(&self, caller: &Caller, range: Range) -> Result<Verdict> {
        if range.from.zip(range.until).is_some_and(|(from, until)| from >= until) {
            return Err(Error::invalid("from", "before `until`"));
        }
        let tenant = caller.tenant;
        let mut tx = self.database.begin_snapshot(tenant).await?;
        let unsealed = audit_seal::count_unsealed(&mut tx, tenant, range).await?;
        let mut verdict = Verdict { unsealed, ..Verdict::default() };
        let Some((first, end)) = audit_seal::positions(&mut tx, tenant, range).await? else {
            return Ok(verdict);
        };
        let before = audit_seal::find(&mut tx, tenant, first - 1).await?;
        let mut walk = self.chain.walk(before.as_ref());
        let mut next = first;
        while next <= end {
            let entries = audit_seal::page(&mut tx, tenant, next..=end, BATCH).await?;
            let Some((_, last)) = entries.last() else { break };
            next = last.position + 1;
            for (entry, seal) in &entries {
                if !walk.step(seal, entry)? {
                    return Ok(Verdict { first_broken: Some(entry.id), ..verdict });
                }
                verdict.verified += 1;
            }
        }
        Ok(verdict)
    }
}
