//! The store on a real Postgres, as the program's role.

mod finding;
mod remediation;
mod run;
mod tenancy;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use xavyo_core::{
    digest::Digest,
    discrepancy::{Discrepancy, DiscrepancyType, ResolutionStatus},
    fingerprint::Fingerprint,
    ids::{ConnectorId, DiscrepancyId, IdentityId, RunId, SubjectId, TenantId},
    run::RunStatus,
};
use xavyo_runtime::{
    Clock, Database,
    db::{self, Transaction},
};
use xavyo_sandbox::{
    postgres::{self, Postgres},
    service::Kind,
};

use crate::runs::record::{self, RunRecord};

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const CONNECTOR: ConnectorId = ConnectorId(Uuid::from_u128(2));
const PERSON: SubjectId = SubjectId(Uuid::from_u128(3));

/// A database of its own, and time that is moved by hand.
struct Ground {
    database: Database,
    clock: Clock,
    /// Dropped last: the database lives as long as it.
    _database: postgres::Database,
}

impl Ground {
    async fn lay() -> Self {
        let fresh = Postgres::shared().await.unwrap().database(Kind::Reconciliation).await.unwrap();
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
        Self { database: Database::over(fresh.pool().await.unwrap()), clock, _database: fresh }
    }

    async fn begin(&self) -> Transaction {
        self.database.begin(TENANT).await.unwrap()
    }

    /// A run of the connector; earlier ones must have ended.
    async fn run(&self) -> RunRecord {
        let mut tx = self.begin().await;
        let mut record = record::example();
        record.run.id = RunId(self.clock.new_id());
        record.run.connector_id = CONNECTOR;
        record.run.created_at = self.clock.now();
        super::run::insert(&mut tx, TENANT, &record).await.unwrap();
        db::commit(tx).await.unwrap();
        record
    }

    /// A run that found these and has completed; it settles older findings.
    async fn completed_run(&self, fingerprints: &[u8]) -> (RunRecord, Vec<DiscrepancyId>) {
        let mut record = self.run().await;
        let found: Vec<Discrepancy> =
            fingerprints.iter().map(|number| self.finding(&record, *number)).collect();
        let mut tx = self.begin().await;
        super::finding::insert_all(&mut tx, TENANT, &found).await.unwrap();
        let successor = self.successor(&record);
        super::finding::keep_first_seen(&mut tx, TENANT, successor).await.unwrap();
        super::finding::supersede(&mut tx, TENANT, successor).await.unwrap();
        super::finding::settle_gone(&mut tx, TENANT, successor, &record.spared).await.unwrap();
        record.run.status = RunStatus::Completed;
        record.run.started_at = Some(self.now());
        record.run.completed_at = Some(self.now());
        super::run::save(&mut tx, TENANT, &mut record, self.now()).await.unwrap();
        db::commit(tx).await.unwrap();
        (record, found.iter().map(|finding| finding.id).collect())
    }

    fn successor(&self, record: &RunRecord) -> super::finding::Successor {
        super::finding::Successor {
            connector_id: CONNECTOR,
            run_id: record.run.id,
            by: PERSON,
            at: self.now(),
        }
    }

    /// An identity without account.
    fn finding(&self, record: &RunRecord, number: u8) -> Discrepancy {
        Discrepancy {
            id: DiscrepancyId(self.clock.new_id()),
            connector_id: CONNECTOR,
            run_id: record.run.id,
            discrepancy_type: DiscrepancyType::Missing,
            object_class: "account".to_owned(),
            intent: "default".to_owned(),
            identity_id: Some(IdentityId(Uuid::from_u128(number.into()))),
            external_uid: None,
            immutable_id: None,
            attribute_name: None,
            expected_value: None,
            actual_value: None,
            candidates: Vec::new(),
            connector_revision: 1,
            fingerprint: Fingerprint(Digest([number; 16])),
            first_seen_at: self.now(),
            suggested: None,
            planned: None,
            planned_effect: None,
            resolution_status: ResolutionStatus::Pending,
            resolved_at: None,
            resolved_by: None,
            resolution_note: None,
            superseded_by_id: None,
            created_at: self.now(),
            version: 1,
        }
    }

    async fn get(&self, id: DiscrepancyId) -> Discrepancy {
        super::discrepancy::get(&mut *self.begin().await, TENANT, id).await.unwrap().discrepancy
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
