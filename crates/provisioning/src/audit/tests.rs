//! The chain on a real Postgres: laid by several sealers, altered behind the program's back.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;
use xavyo_core::chain::Chain;
use xavyo_runtime::{Clock, Database, db};
use xavyo_sandbox::{
    postgres::{self, Postgres},
    service::Kind,
};

use super::{AuditLog, Verdict, sealer::Sealer};
use crate::{
    store::{
        audit::{self, Entry},
        audit_seal::Range,
    },
    testing::caller,
};

const MINE: u128 = 1;
const OTHERS: u128 = 2;

struct Log {
    audit: AuditLog,
    clock: Clock,
    /// Dropped last: the database lives as long as it.
    fresh: postgres::Database,
}

impl Log {
    async fn open() -> Self {
        let fresh = Postgres::shared().await.unwrap().database(Kind::Provisioning).await.unwrap();
        let database = Database::over(fresh.pool().await.unwrap());
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
        Self { audit: AuditLog::new(database, Chain::new([7; 32])), clock, fresh }
    }

    /// One row a minute.
    async fn write(&self, tenant: u128, count: usize) {
        for _ in 0..count {
            self.clock.advance(TimeDelta::minutes(1));
            let entry = Entry {
                method: "CancelOperation",
                resource_type: "operation",
                resource_id: Some(Uuid::from_u128(3)),
                connector_id: None,
                details: json!({ "reason": "ü", "n": 1.5, "a": [1, null] }),
                reason: Some("as agreed".to_owned()),
            };
            let caller = caller(tenant);
            let mut tx = self.audit.database.begin(caller.tenant).await.unwrap();
            audit::insert_asked(&mut tx, &self.clock, &caller, entry, Some(Uuid::from_u128(4)))
                .await
                .unwrap();
            db::commit(tx).await.unwrap();
        }
    }

    /// Three sealers at once, until there is nothing left.
    async fn seal(&self) -> usize {
        let sealer = Sealer { database: self.audit.database.clone(), chain: self.audit.chain.clone() };
        let mut sealed = 0;
        loop {
            let steps = join_all([sealer.step(), sealer.step(), sealer.step()]).await;
            match steps.into_iter().map(Result::unwrap).sum::<usize>() {
                0 => return sealed,
                more => sealed += more,
            }
        }
    }

    async fn verify(&self, tenant: u128, range: Range) -> Verdict {
        self.audit.verify(&caller(tenant), range).await.unwrap()
    }

    /// What no program may do.
    async fn tamper(&self, statement: &'static str) {
        let mut superuser = self.fresh.superuser().await.unwrap();
        sqlx::query(statement).execute(&mut superuser).await.unwrap();
    }
}

fn at(minute: u32) -> DateTime<Utc> {
    format!("2026-03-01T12:{minute:02}:00Z").parse().unwrap()
}

#[tokio::test]
async fn each_tenants_rows_are_chained_once_by_whoever_seals() {
    let log = Log::open().await;
    log.write(MINE, 5).await;
    log.write(OTHERS, 2).await;
    assert_eq!(log.verify(MINE, Range::default()).await, Verdict { unsealed: 5, ..Verdict::default() });
    assert_eq!(log.seal().await, 7);
    log.write(MINE, 2).await;
    assert_eq!(log.seal().await, 2);

    assert_eq!(log.verify(MINE, Range::default()).await, Verdict { verified: 7, ..Verdict::default() });
    assert_eq!(log.verify(OTHERS, Range::default()).await, Verdict { verified: 2, ..Verdict::default() });
    let range = Range { from: Some(at(2)), until: Some(at(4)) };
    assert_eq!(log.verify(MINE, range).await, Verdict { verified: 2, ..Verdict::default() });
}

#[tokio::test]
async fn what_was_altered_or_taken_out_behind_the_programs_back_is_found() {
    for statement in [
        "update audit_event set reason = 'forged' where at = '2026-03-01T12:02:00Z'",
        "update audit_event set details = '{}' where at = '2026-03-01T12:02:00Z'",
        "update audit_event set subject = gen_random_uuid() where at = '2026-03-01T12:02:00Z'",
        "update audit_seal set hash = sha256(hash) where position = 2",
        "update audit_seal set previous_hash = sha256(hash) where position = 2",
        "delete from audit_seal where position = 2",
    ] {
        let log = Log::open().await;
        log.write(MINE, 4).await;
        log.seal().await;
        log.tamper(statement).await;
        let verdict = log.verify(MINE, Range::default()).await;
        assert!(verdict.verified == 1 && verdict.first_broken.is_some(), "{statement}: {verdict:?}");
    }
}
