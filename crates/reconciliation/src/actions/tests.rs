//! The chain on a real Postgres: laid by several sealers, altered behind the program's back.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;
use xavyo_core::{
    chain::Chain,
    ids::{ConnectorId, SubjectId, TenantId},
};
use xavyo_runtime::{Caller, Clock, Database, db};
use xavyo_sandbox::{
    postgres::{self, Postgres},
    service::Kind,
};

use super::{Actions, Range, Verdict, sealer::Sealer};
use crate::store::action::{self, Action, ActionResult};

const MINE: TenantId = TenantId(Uuid::from_u128(1));
const OTHERS: TenantId = TenantId(Uuid::from_u128(2));

struct Log {
    actions: Actions,
    clock: Clock,
    /// Dropped last: the database lives as long as it.
    fresh: postgres::Database,
}

impl Log {
    async fn open() -> Self {
        let fresh = Postgres::shared().await.unwrap().database(Kind::Reconciliation).await.unwrap();
        let database = Database::over(fresh.pool().await.unwrap());
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
        Self { actions: Actions { database, chain: Chain::new([7; 32]) }, clock, fresh }
    }

    /// Rows of one a minute; their ids.
    async fn write(&self, tenant: TenantId, count: usize) -> Vec<Uuid> {
        let mut ids = Vec::new();
        for _ in 0..count {
            self.clock.advance(TimeDelta::minutes(1));
            let action = Action {
                id: self.clock.new_id(),
                connector_id: ConnectorId(Uuid::nil()),
                run_id: None,
                discrepancy_id: None,
                action_type: "ignore",
                result: ActionResult::Success,
                dry_run: false,
                performed_by: SubjectId(Uuid::nil()),
                performed_at: self.clock.now(),
                details: Some(json!({ "reason": "ü", "n": 1.5, "a": [1, null] })),
                trace_id: None,
            };
            let mut tx = self.actions.database.begin(tenant).await.unwrap();
            action::insert(&mut tx, tenant, &action).await.unwrap();
            db::commit(tx).await.unwrap();
            ids.push(action.id);
        }
        ids
    }

    /// Three sealers at once, until there is nothing left.
    async fn seal(&self) -> usize {
        let Actions { database, chain } = &self.actions;
        let sealer = Sealer { database: database.clone(), chain: chain.clone() };
        let mut sealed = 0;
        loop {
            let steps = join_all([sealer.step(), sealer.step(), sealer.step()]).await;
            match steps.into_iter().map(Result::unwrap).sum::<usize>() {
                0 => return sealed,
                more => sealed += more,
            }
        }
    }

    async fn verify(&self, tenant: TenantId, range: Range) -> Verdict {
        let caller =
            Caller { tenant, subject: SubjectId(Uuid::nil()), roles: vec![], trace_id: String::new() };
        self.actions.verify(&caller, range).await.unwrap()
    }

    /// What no program may do.
    async fn tamper(&self, statement: &'static str, id: Uuid) {
        let mut superuser = self.fresh.superuser().await.unwrap();
        sqlx::query(statement).bind(id).execute(&mut superuser).await.unwrap();
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
        "update action set result = 'failure' where id = $1",
        "update action set details = null where id = $1",
        "update action set performed_at = performed_at + interval '1 microsecond' where id = $1",
        "update action_seal set hash = sha256(hash) where action_id = $1",
        "update action_seal set previous_hash = sha256(hash) where action_id = $1",
        "update action_seal set position = 99 where action_id = $1",
    ] {
        let log = Log::open().await;
        let ids = log.write(MINE, 4).await;
        log.seal().await;
        log.tamper(statement, ids[1]).await;
        let verdict = log.verify(MINE, Range::default()).await;
        let broken = if statement.contains("position") { ids[2] } else { ids[1] };
        assert_eq!(verdict, Verdict { verified: 1, unsealed: 0, first_broken: Some(broken) }, "{statement}");
    }
}
