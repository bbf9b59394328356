//! The log of every move of every operation: append-only. An attempt is one row of it, and two moves: see
//! [`super::attempt`].

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::{ConnectorId, OperationId, SubjectId, TenantId},
    operation::{Event, OperationStatus},
};
use xavyo_runtime::{Clock, db};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A move, as it is logged in the transaction that makes it.
#[derive(Clone, Debug)]
pub struct Move {
    pub operation_id: OperationId,
    pub connector_id: ConnectorId,
    pub at: DateTime<Utc>,
    /// None = the operation was accepted.
    pub event: Option<Event>,
    pub from: Option<OperationStatus>,
    pub to: OperationStatus,
    pub level: Level,
    pub message: String,
    pub actor: Option<SubjectId>,
    pub fence: Option<i64>,
}

/// Appends moves in the order given: their ids rise.
///
/// The feed tells an operation's moves in their order: the lane's lock gives it, but a transaction may have had its number
/// before it waited for that lock, a lower one than the move ahead. It then takes over the number of that move; by id it
/// comes after it, and nothing has been served so far, because this transaction is still running. A move under a fence
/// needs no look: its transaction began after the claim, hence after every move ahead.
pub async fn insert(tx: &mut PgConnection, clock: &Clock, tenant: TenantId, moves: &[Move]) -> Result<()> {
    let ids: Vec<Uuid> = moves.iter().map(|_| clock.new_id()).collect();
    let operations: Vec<Uuid> = moves.iter().map(|one| one.operation_id.0).collect();
    let connectors: Vec<Uuid> = moves.iter().map(|one| one.connector_id.0).collect();
    let times: Vec<DateTime<Utc>> = moves.iter().map(|one| one.at).collect();
    let levels: Vec<String> = moves.iter().map(|one| one.level.name().to_owned()).collect();
    let messages: Vec<String> = moves.iter().map(|one| one.message.clone()).collect();
    let events: Vec<String> =
        moves.iter().map(|one| one.event.map_or("accepted", Event::name).to_owned()).collect();
    let from: Vec<Option<String>> =
        moves.iter().map(|one| one.from.map(|status| status.name().to_owned())).collect();
    let to: Vec<String> = moves.iter().map(|one| one.to.name().to_owned()).collect();
    let actors: Vec<Option<Uuid>> = moves.iter().map(|one| one.actor.map(|actor| actor.0)).collect();
    let fences: Vec<Option<i64>> = moves.iter().map(|one| one.fence).collect();
    sqlx::query!(
        r#"insert into operation_log (
               tenant_id, operation_id, id, connector_id, "timestamp", level, message, event,
               from_status, to_status, actor, fence, transaction_id)
           select $1, move.*, greatest(pg_current_xact_id(), ahead.transaction_id)
             from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[], $11::uuid[], $12::bigint[])
                  as move (operation_id, id, connector_id, "timestamp", level, message, event,
                           from_status, to_status, actor, fence)
             left join lateral (
                   select transaction_id
                     from operation_log
                    where tenant_id = $1 and operation_id = move.operation_id
                      and move.from_status is not null and move.fence is null
                    order by transaction_id desc
                    limit 1) as ahead
               on true"#,
        tenant.0,
        &operations,
        &ids,
        &connectors,
        &times,
        &levels,
        &messages,
        &events,
        &from as &[Option<String>],
        &to,
        &actors as &[Option<Uuid>],
        &fences as &[Option<i64>],
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

/// A move as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub id: Uuid,
    pub operation_id: Uuid,
    pub connector_id: Uuid,
    pub timestamp: DateTime<Utc>,
    pub level: String,
    pub message: String,
    pub event: String,
    pub from_status: Option<String>,
    pub to_status: String,
    pub actor: Option<Uuid>,
    pub fence: Option<i64>,
}

/// A row of the log: a move, or a claim and the move after it.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Row {
    id: Uuid,
    operation_id: Uuid,
    connector_id: Uuid,
    timestamp: DateTime<Utc>,
    level: String,
    message: String,
    event: String,
    from_status: Option<String>,
    to_status: String,
    actor: Option<Uuid>,
    fence: Option<i64>,
    claimed_at: Option<DateTime<Utc>>,
    attempt_number: Option<i32>,
}

impl Row {
    /// The moves of the row, in order.
    pub fn lines(self) -> impl Iterator<Item = Line> {
        let claim = self.claimed_at.zip(self.attempt_number).map(|(at, attempt)| Line {
            // Nothing lies between the two, in no order by id.
            id: Uuid::from_u128(self.id.as_u128() - 1),
            operation_id: self.operation_id,
            connector_id: self.connector_id,
            timestamp: at,
            level: Level::Info.name().to_owned(),
            message: format!("attempt {attempt}"),
            event: Event::Claimed.name().to_owned(),
            from_status: Some(OperationStatus::Pending.name().to_owned()),
            to_status: OperationStatus::InProgress.name().to_owned(),
            actor: None,
            fence: self.fence,
        });
        let own = Line {
            id: self.id,
            operation_id: self.operation_id,
            connector_id: self.connector_id,
            timestamp: self.timestamp,
            level: self.level,
            message: self.message,
            event: self.event,
            from_status: self.from_status,
            to_status: self.to_status,
            actor: self.actor,
            fence: self.fence,
        };
        claim.into_iter().chain([own])
    }
}

/// The log of one operation, oldest first, after `after`.
pub async fn page(
    tx: &mut PgConnection,
    tenant: TenantId,
    operation: OperationId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Line>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id, operation_id, connector_id, "timestamp", level, message, event, from_status, to_status,
                  actor, fence, claimed_at, attempt_number
             from operation_log
            where tenant_id = $1 and operation_id = $2 and ($3::uuid is null or id > $3)
            order by id
            limit $4"#,
        tenant.0,
        operation.0,
        after,
        limit,
    )
    .fetch_all(tx)
    .await
    .map_err(db::failed)?;
    let lines =
        rows.into_iter().flat_map(Row::lines).filter(|line| after.is_none_or(|after| line.id > after));
    Ok(lines.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
}
