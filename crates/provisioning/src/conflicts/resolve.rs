//! Deciding a conflict: what the outcome means for its operations.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use xavyo_core::{
    change,
    conflict::{self as core, Clash, Conflict, ConflictOutcome, ConflictType},
    error::Result,
    ids::{OperationId, TenantId},
    operation::{Operation, OperationStatus, OperationType},
};
use xavyo_runtime::{auth::Caller, db};

use super::{Conflicts, ResolveConflict};
use crate::{
    connectors::check_etag,
    queue::settlement::{Cause, Settlement},
    store::{
        audit::{self, Entry},
        conflict::{self, Decision},
        connector::{self, work},
        lane, operation,
    },
};

impl Conflicts {
    pub(super) async fn try_resolve(&self, caller: &Caller, command: &ResolveConflict) -> Result<Conflict> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let lane = conflict::lane_of(&mut tx, tenant, command.conflict_id).await?;
        let connector = conflict::get(&mut tx, tenant, command.conflict_id).await?.connector_id;
        connector::hold(&mut tx, tenant, connector).await?;
        lane::lock(&mut tx, tenant, &[lane]).await?;
        // Under the lane's lock nobody decides it, claims its operations or ends them.
        let found = conflict::get(&mut tx, tenant, command.conflict_id).await?;
        // After the lock: whatever held it comes first, in the log's times too.
        let now = self.clock.now();
        check_etag(command.etag, found.version)?;
        found.status.after(core::Event::Resolved)?;
        let settlement = Decided::load(&mut tx, tenant, &found).await?.settle(caller, command, now)?;
        conflict::resolve(&mut tx, tenant, &decision(caller, command, now)).await?;
        settlement.write(&mut tx, &self.clock, tenant).await?;
        let parties = [found.operation_id_a, found.operation_id_b];
        conflict::let_go(&mut tx, tenant, &parties, now).await?;
        lane::refresh(&mut tx, tenant, &[lane], now).await?;
        work::set_due(&mut tx, tenant, &[connector], now).await?;
        audit::insert(&mut tx, &self.clock, caller, entry(command, &found)).await?;
        let resolved = conflict::get(&mut tx, tenant, command.conflict_id).await?;
        db::commit(tx).await?;
        Ok(resolved)
    }
}

/// A conflict with its operations as they are now.
struct Decided<'a> {
    conflict: &'a Conflict,
    /// None = retention has dropped it long since.
    a: Option<Operation>,
    b: Operation,
}

impl<'a> Decided<'a> {
    async fn load(tx: &mut PgConnection, tenant: TenantId, conflict: &'a Conflict) -> Result<Self> {
        let ids = [conflict.operation_id_a, conflict.operation_id_b];
        let mut found = operation::find_all(tx, tenant, &ids).await?;
        let mut take = |id: OperationId| {
            let place = found.iter().position(|operation| operation.id == id)?;
            Some(found.swap_remove(place))
        };
        let b = take(conflict.operation_id_b).ok_or_else(|| xavyo_core::Error::not_found("operation"))?;
        Ok(Self { conflict, a: take(conflict.operation_id_a), b })
    }

    fn settle(
        mut self,
        caller: &Caller,
        command: &ResolveConflict,
        now: DateTime<Utc>,
    ) -> Result<Settlement> {
        core::allowed(self.clash(), command.outcome)?;
        let mut settlement = Settlement::new(now);
        let cause = |what: String| Cause {
            note: command.notes.as_ref().map_or_else(|| what.clone(), |notes| format!("{what}: {notes}")),
            merged_into: None,
            actor: caller.subject,
        };
        if self.conflict.operation_id_a == self.conflict.operation_id_b {
            self.settle_with_target(&mut settlement, command.outcome, cause)?;
            return Ok(settlement);
        }
        match (command.outcome, self.a.take()) {
            (ConflictOutcome::Rejected, _) => {
                let with = self.conflict.operation_id_a;
                settlement.cancel(&self.b, cause(format!("rejected for {with}")))?;
            }
            (ConflictOutcome::Superseded, Some(a)) => {
                settlement.cancel(&a, cause(format!("superseded by {}", self.b.id)))?;
            }
            (ConflictOutcome::Merged, Some(a)) => {
                let merged_into = Some(self.b.id);
                let folded = cause(format!("folded into {}", self.b.id));
                settlement.cancel(&a, Cause { merged_into, ..folded })?;
                self.b.payload = change::joined(&a.payload, &self.b.payload);
                settlement.change(&self.b);
            }
            // What is gone stands, too.
            (ConflictOutcome::Applied, _) | (ConflictOutcome::Superseded | ConflictOutcome::Merged, None) => {
            }
        }
        Ok(settlement)
    }

    /// Ours is written, given up, or written without what the target changed.
    fn settle_with_target(
        mut self,
        settlement: &mut Settlement,
        outcome: ConflictOutcome,
        cause: impl Fn(String) -> Cause,
    ) -> Result<()> {
        let affected = &self.conflict.affected_attributes;
        match outcome {
            ConflictOutcome::Superseded | ConflictOutcome::Rejected => {
                return settlement.cancel(&self.b, cause(format!("{outcome} for the target")));
            }
            ConflictOutcome::Merged => {
                self.b.payload.retain(|name, _| !affected.contains(name));
                if self.b.payload.is_empty() {
                    return settlement.cancel(&self.b, cause("nothing is left to write".to_owned()));
                }
            }
            ConflictOutcome::Applied => {}
        }
        self.b.decided = Some(outcome);
        settlement.change(&self.b);
        Ok(())
    }

    fn clash(&self) -> Clash {
        let a_stands = self.a.as_ref().is_none_or(|a| match a.status {
            OperationStatus::Pending | OperationStatus::Failed | OperationStatus::AwaitingSystem => {
                a.identity_id != self.b.identity_id
            }
            OperationStatus::InProgress
            | OperationStatus::DeadLetter
            | OperationStatus::Completed
            | OperationStatus::Resolved
            | OperationStatus::Cancelled => true,
        });
        match self.conflict.conflict_type {
            ConflictType::ConcurrentUpdate => Clash::ConcurrentUpdate { a_stands },
            ConflictType::DuplicateCreate => Clash::DuplicateCreate,
            ConflictType::DeleteUpdate if self.b.operation_type == OperationType::Delete => {
                Clash::UpdateThenDelete { a_stands }
            }
            ConflictType::DeleteUpdate => Clash::DeleteThenUpdate { a_stands },
            ConflictType::ExternalChange => Clash::ExternalChange { authority: None },
            ConflictType::MissingTarget => Clash::MissingTarget,
            ConflictType::AccountExists => Clash::AccountExists,
        }
    }
}

fn decision(caller: &Caller, command: &ResolveConflict, at: DateTime<Utc>) -> Decision {
    Decision {
        id: command.conflict_id,
        outcome: command.outcome,
        notes: command.notes.clone(),
        by: caller.subject,
        at,
    }
}

fn entry(command: &ResolveConflict, conflict: &Conflict) -> Entry {
    Entry {
        method: "ResolveConflict",
        resource_type: "conflict",
        resource_id: Some(conflict.id.0),
        connector_id: Some(conflict.connector_id),
        details: json!({
            "conflict_type": conflict.conflict_type, "outcome": command.outcome,
            "operation_id_a": conflict.operation_id_a, "operation_id_b": conflict.operation_id_b,
        }),
        reason: command.notes.clone(),
    }
}
