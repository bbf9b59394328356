//! Makes evidence by telling what happened, step by step, as a sound system would record it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::super::{Asked, Attempt, ClientCall, Connector, Count, Evidence, Lane, Move, Operation, Outcome};
use crate::ledger::{Account, Attributes, Call, Ledger, Tag, Write, texts};

pub struct Scene {
    evidence: Evidence,
    now: DateTime<Utc>,
    next_id: u128,
    lanes: BTreeMap<(Uuid, String), (Uuid, i64)>,
    accounts: BTreeMap<(Uuid, String), Attributes>,
}

/// How an attempt ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Success,
    /// To be retried.
    Busy,
    Refused,
    /// The target is down, and comes back.
    Down,
    /// The worker dies.
    Lost,
}

impl Scene {
    /// Connectors with their tenants, and whether their ledgers know tags.
    pub fn of(connectors: [(Uuid, Uuid, bool); 2]) -> Self {
        let mut evidence = Evidence::default();
        for (id, tenant, tagged) in connectors {
            evidence.snapshot.connectors.push(Connector {
                tenant,
                id,
                name: format!("connector {id}"),
                paused: false,
                breaker_open: false,
                max_concurrency: 8,
            });
            evidence.ledgers.push(Ledger { connector: id, tagged, writes: Vec::new(), accounts: Vec::new() });
        }
        Self {
            evidence,
            now: DateTime::UNIX_EPOCH,
            next_id: 1_000,
            lanes: BTreeMap::new(),
            accounts: BTreeMap::new(),
        }
    }

    /// A call that is answered with one operation.
    pub fn accept(&mut self, connector: Uuid, uid: &str, operation_type: &str, payload: &Value) -> Uuid {
        let call = self.id();
        let id = self.append(call, connector, uid, operation_type, payload);
        let tenant = self.tenant(connector);
        self.call(call, tenant, Asked::Enqueue { operations: 1 }, Outcome::Ok(vec![id]));
        id
    }

    /// A call that is answered with two: a create and an update.
    pub fn accept_two(&mut self, connector: Uuid, uid: &str, payloads: [&Value; 2]) -> [Uuid; 2] {
        let call = self.id();
        let ids = [
            self.append(call, connector, uid, "create", payloads[0]),
            self.append(call, connector, uid, "update", payloads[1]),
        ];
        let tenant = self.tenant(connector);
        self.call(call, tenant, Asked::Enqueue { operations: 2 }, Outcome::Ok(ids.to_vec()));
        ids
    }

    /// A call that is refused.
    pub fn refuse(&mut self) {
        let (id, tenant) = (self.id(), self.evidence.snapshot.connectors[0].tenant);
        self.call(id, tenant, Asked::Enqueue { operations: 1 }, Outcome::Failed("INVALID".to_owned()));
    }

    /// A call without an answer, that did nothing.
    pub fn leave_unknown(&mut self) {
        let (id, tenant) = (self.id(), self.evidence.snapshot.connectors[0].tenant);
        self.call(id, tenant, Asked::Enqueue { operations: 3 }, Outcome::Unknown("cut".to_owned()));
    }

    pub fn cancel(&mut self, id: Uuid) {
        self.moved(id, "cancelled", "cancelled", Some(Uuid::nil()), None);
        let (call, tenant) = (self.id(), self.operation(id).tenant);
        self.call(call, tenant, Asked::Cancel(id), Outcome::Ok(vec![id]));
    }

    /// One attempt under that fence: what it writes, and how it ends.
    pub fn attempt(&mut self, id: Uuid, fence: i64, call: Option<Call>, end: End) {
        if self.operation(id).status == "failed" {
            self.moved(id, "due", "pending", None, None);
        }
        let started_at = self.tick();
        self.moved(id, "claimed", "in_progress", None, Some(fence));
        let operation = self.operation(id);
        operation.attempts += 1;
        let number = operation.attempts;
        if let Some(call) = call {
            self.write(id, Tag { operation: id, attempt: number, fence }, call);
        }
        let (error_code, outcome_unknown) = match end {
            End::Success => (None, false),
            End::Busy => (Some("MEMORY_BUSY"), false),
            End::Refused => (Some("MEMORY_REFUSED"), false),
            End::Down => (Some("MEMORY_DOWN"), false),
            End::Lost => (Some("LEASE_LOST"), true),
        };
        let completed_at = self.tick();
        self.evidence.snapshot.attempts.push(Attempt {
            operation: id,
            number,
            fence,
            worker: Uuid::from_u128(1),
            started_at,
            completed_at,
            success: end == End::Success,
            error_code: error_code.map(str::to_owned),
            outcome_unknown,
        });
        self.end(id, fence, end, error_code);
    }

    fn end(&mut self, id: Uuid, fence: i64, end: End, error_code: Option<&str>) {
        let fence = Some(fence);
        match end {
            End::Success => self.moved(id, "succeeded", "completed", None, fence),
            End::Busy => {
                self.moved(id, "failed", "failed", None, fence);
                self.operation(id).retry_count += 1;
            }
            End::Refused => {
                self.moved(id, "failed", "failed", None, fence);
                self.moved(id, "gave_up", "dead_letter", None, fence);
            }
            End::Down => {
                self.moved(id, "target_down", "awaiting_system", None, fence);
                self.moved(id, "target_back", "pending", None, None);
            }
            End::Lost => self.moved(id, "lease_lost", "pending", None, fence),
        }
        self.operation(id).error_code = error_code.map(str::to_owned);
    }

    /// Everything as it stands now, the statistics counted.
    pub fn finish(mut self) -> Evidence {
        for ((connector, uid), attributes) in self.accounts {
            let account = Account { external_uid: uid, immutable_id: None, attributes };
            let ledger = self.evidence.ledgers.iter_mut().find(|one| one.connector == connector).unwrap();
            ledger.accounts.push(account);
        }
        for ((connector, _), (id, _)) in self.lanes {
            let tenant =
                self.evidence.snapshot.connectors.iter().find(|one| one.id == connector).unwrap().tenant;
            self.evidence.snapshot.lanes.push(Lane { tenant, id, connector, fence: 9, claimed: None });
        }
        let snapshot = &mut self.evidence.snapshot;
        for operation in &snapshot.operations {
            snapshot.counts.push(Count {
                tenant: operation.tenant,
                connector: operation.connector,
                status: operation.status.clone(),
                n: 1,
            });
        }
        self.evidence
    }

    fn append(
        &mut self,
        call: Uuid,
        connector: Uuid,
        uid: &str,
        operation_type: &str,
        payload: &Value,
    ) -> Uuid {
        let (id, new_lane, tenant) = (self.id(), self.id(), self.tenant(connector));
        let lane = self.lanes.entry((connector, uid.to_lowercase())).or_insert((new_lane, 0));
        lane.1 += 1;
        let (lane, sequence) = *lane;
        self.evidence.snapshot.operations.push(Operation {
            tenant,
            id,
            connector,
            lane,
            sequence,
            operation_type: operation_type.to_owned(),
            has_identity: true,
            target_uid: Some(uid.to_owned()),
            status: String::new(),
            payload: serde_json::from_value(payload.clone()).unwrap(),
            retry_count: 0,
            max_retries: 3,
            crash_count: 0,
            attempts: 0,
            error_code: None,
            hold_reason: None,
            not_before: None,
            request_id: Some(call),
            cause: "api".to_owned(),
        });
        self.moved(id, "accepted", "pending", Some(Uuid::nil()), None);
        id
    }

    fn write(&mut self, id: Uuid, tag: Tag, call: Call) {
        let operation = self.operation(id).clone();
        let at = self.tick();
        let key = (operation.connector, operation.target_uid.clone().unwrap().to_lowercase());
        let attributes = match call {
            Call::Delete => {
                self.accounts.remove(&key);
                None
            }
            Call::Create | Call::Update => {
                let account = self.accounts.entry(key).or_default();
                for (name, change) in &operation.payload {
                    let values = if change.is_object() { texts(&change["add"]) } else { texts(change) };
                    account.insert(name.clone(), values);
                }
                account.retain(|_, values| !values.is_empty());
                Some(account.clone())
            }
        };
        let ledgers = self.evidence.ledgers.iter_mut();
        let ledger = ledgers.into_iter().find(|one| one.connector == operation.connector).unwrap();
        ledger.writes.push(Write {
            position: u64::try_from(ledger.writes.len()).unwrap() + 1,
            tag: ledger.tagged.then_some(tag),
            call,
            external_uid: operation.target_uid.unwrap(),
            immutable_id: None,
            attributes,
            applied: true,
            at: (!ledger.tagged).then_some(at),
        });
    }

    fn moved(&mut self, id: Uuid, event: &str, to: &str, actor: Option<Uuid>, fence: Option<i64>) {
        let at = self.tick();
        let operation = self.operation(id);
        let from = Some(operation.status.clone()).filter(|status| !status.is_empty());
        to.clone_into(&mut operation.status);
        self.evidence.snapshot.moves.push(Move {
            operation: id,
            at,
            event: event.to_owned(),
            from,
            to: to.to_owned(),
            actor,
            fence,
            message: event.to_owned(),
        });
    }

    fn call(&mut self, id: Uuid, tenant: Uuid, asked: Asked, outcome: Outcome) {
        let (sent_at, answered_at) = (self.tick(), self.tick());
        self.evidence.history.push(ClientCall { id, tenant, asked, sent_at, answered_at, outcome });
    }

    fn operation(&mut self, id: Uuid) -> &mut Operation {
        self.evidence.snapshot.operations.iter_mut().find(|one| one.id == id).unwrap()
    }

    fn tenant(&self, connector: Uuid) -> Uuid {
        self.evidence.snapshot.connectors.iter().find(|one| one.id == connector).unwrap().tenant
    }

    fn id(&mut self) -> Uuid {
        self.next_id += 1;
        Uuid::from_u128(self.next_id)
    }

    fn tick(&mut self) -> DateTime<Utc> {
        self.now += TimeDelta::milliseconds(1);
        self.now
    }
}
