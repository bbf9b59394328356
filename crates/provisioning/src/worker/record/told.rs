//! What is told of attempts that ended: each is one row of the log; what follows at once is a move of its own behind it.

use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::TenantId,
    operation::{Event, OperationStatus},
};
use xavyo_runtime::Clock;

use crate::store::operation::{
    attempt::{self, Attempt},
    log::{self, Move},
};

/// Attempts of one transaction, gathered before they are written.
#[derive(Debug, Default)]
pub struct Told {
    attempts: Vec<Attempt>,
    /// What followed the end of an attempt.
    moves: Vec<Move>,
}

impl Told {
    /// Adds an attempt by the events that ended it, at least one: `attempt` gets the first, and where it leads. Returns
    /// where the last one leads. Fails where the state machine knows no such way.
    pub fn add(
        &mut self,
        events: &[Event],
        attempt: impl FnOnce(Event, OperationStatus) -> Attempt,
    ) -> Result<OperationStatus> {
        let claimed = OperationStatus::Pending.after(Event::Claimed)?;
        let [first, rest @ ..] = events else { return Ok(claimed) };
        let attempt = attempt(*first, claimed.after(*first)?);
        let mut from = attempt.to;
        for event in rest {
            let to = from.after(*event)?;
            self.moves.push(Move {
                operation_id: attempt.operation_id,
                connector_id: attempt.connector_id,
                at: attempt.completed_at,
                event: Some(*event),
                from: Some(from),
                to,
                level: attempt.level,
                message: attempt.message.clone(),
                actor: None,
                fence: Some(attempt.fence),
            });
            from = to;
        }
        self.attempts.push(attempt);
        Ok(from)
    }

    /// Writes all of it, the attempts first: ids rise.
    pub async fn write(&self, tx: &mut PgConnection, clock: &Clock, tenant: TenantId) -> Result<()> {
        attempt::insert(tx, clock, tenant, &self.attempts).await?;
        if self.moves.is_empty() {
            return Ok(());
        }
        log::insert(tx, clock, tenant, &self.moves).await
    }
}
