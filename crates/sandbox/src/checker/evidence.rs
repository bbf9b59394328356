//! What the judge is shown. All of it can be written to a file and judged again later.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ledger::Ledger;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What the clients asked, and what they were told.
    pub history: Vec<ClientCall>,
    /// The database of provisioning, every tenant's rows, after draining.
    pub snapshot: Snapshot,
    pub ledgers: Vec<Ledger>,
}

/// One call of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientCall {
    /// Passed along as the call's request id.
    pub id: Uuid,
    pub tenant: Uuid,
    pub asked: Asked,
    pub sent_at: DateTime<Utc>,
    pub answered_at: DateTime<Utc>,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// To accept so many operations.
    Enqueue {
        operations: usize,
    },
    Cancel(Uuid),
    Retry(Uuid),
    Resolve(Uuid),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With the operations of the answer.
    Ok(Vec<Uuid>),
    /// Refused by the service: nothing happened.
    Failed(String),
    /// No answer, or one that leaves it open.
    Unknown(String),
}

/// The tables, as far as the rules need them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub connectors: Vec<Connector>,
    pub lanes: Vec<Lane>,
    /// Hot ones and history.
    pub operations: Vec<Operation>,
    pub attempts: Vec<Attempt>,
    /// In the order in which they were committed.
    pub moves: Vec<Move>,
    /// As the service adds them up.
    pub counts: Vec<Count>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connector {
    pub tenant: Uuid,
    pub id: Uuid,
    pub name: String,
    pub paused: bool,
    /// Its target is held to be down.
    pub breaker_open: bool,
    pub max_concurrency: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    pub tenant: Uuid,
    pub id: Uuid,
    pub connector: Uuid,
    pub fence: i64,
    /// First and last sequence in progress.
    pub claimed: Option<(i64, i64)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub tenant: Uuid,
    pub id: Uuid,
    pub connector: Uuid,
    pub lane: Uuid,
    pub sequence: i64,
    /// create, update or delete.
    pub operation_type: String,
    pub has_identity: bool,
    pub target_uid: Option<String>,
    /// As stored.
    pub status: String,
    pub payload: BTreeMap<String, serde_json::Value>,
    pub retry_count: i32,
    pub max_retries: i32,
    pub crash_count: i32,
    pub attempts: i32,
    pub error_code: Option<String>,
    pub hold_reason: Option<String>,
    pub not_before: Option<DateTime<Utc>>,
    pub request_id: Option<Uuid>,
    /// What it follows from; `api` for what clients ask.
    pub cause: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub operation: Uuid,
    pub number: i32,
    pub fence: i64,
    pub worker: Uuid,
    pub started_at: DateTime<Utc>,
    pub completed_at: DateTime<Utc>,
    pub success: bool,
    pub error_code: Option<String>,
    pub outcome_unknown: bool,
}

impl Attempt {
    /// Its worker was given up for dead: when its call ended, and how, nobody knows.
    pub fn lost_its_lease(&self) -> bool {
        self.error_code.as_deref() == Some("LEASE_LOST")
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    pub operation: Uuid,
    pub at: DateTime<Utc>,
    pub event: String,
    pub from: Option<String>,
    pub to: String,
    pub actor: Option<Uuid>,
    pub fence: Option<i64>,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Count {
    pub tenant: Uuid,
    pub connector: Uuid,
    pub status: String,
    pub n: i64,
}
