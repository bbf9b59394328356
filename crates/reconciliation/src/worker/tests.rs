//! What takes days: on a real Postgres, in time that is moved by hand, over a provisioning service that is never reached.

use chrono::TimeDelta;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use xavyo_core::{
    digest::Digest,
    ids::{RunId, TenantId},
    run::{APPROVAL_WINDOW, PauseReason, Phase, RunStatus},
};
use xavyo_runtime::{Clock, Database, MasterKeys, db};
use xavyo_sandbox::{
    postgres::{self, Postgres},
    service::Kind,
};

use super::{Busy, Engine, Limits, lease::Lease};
use crate::{
    nudge::Nudges,
    provisioning::{Provisioning, ProvisioningSettings},
    remediation::Remediations,
    runs::record::{self, RunRecord},
    secret_values::SecretValues,
    store::{
        plan, run,
        run_work::{self, Work, WorkKind},
    },
};

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

struct Ground {
    engine: Engine,
    /// Dropped last: the database lives as long as it.
    _database: postgres::Database,
}

impl Ground {
    async fn lay() -> Self {
        let fresh = Postgres::shared().await.unwrap().database(Kind::Reconciliation).await.unwrap();
        let database = Database::over(fresh.pool().await.unwrap());
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
        Self { engine: engine(&database, &clock), _database: fresh }
    }

    /// A run whose plan waits since now.
    async fn held_run(&self) -> (Work, RunRecord) {
        let clock = &self.engine.clock;
        let mut record = record::example();
        record.run.id = RunId(clock.new_id());
        let work = Work { tenant: TENANT, kind: WorkKind::Run, id: record.run.id.0 };
        let mut tx = self.engine.database.begin(TENANT).await.unwrap();
        run::insert(&mut tx, TENANT, &record).await.unwrap();
        let expires_at = clock.now() + APPROVAL_WINDOW;
        plan::keep(&mut tx, TENANT, &mut record, (Digest([7; 16]), 1), Some(expires_at)).await.unwrap();
        record.run.started_at = Some(clock.now());
        record.run.status = RunStatus::Paused;
        record.run.phase = Phase::Guard;
        record.run.pause_reason = Some(PauseReason::Guard);
        run::save(&mut tx, TENANT, &mut record, clock.now()).await.unwrap();
        run_work::put(&mut tx, work, expires_at).await.unwrap();
        db::commit(tx).await.unwrap();
        (work, record)
    }

    /// What is due is looked at; how the run is then.
    async fn look(&self, work: Work) -> RunRecord {
        if self.engine.due(WorkKind::Run, 10).await.unwrap().contains(&work) {
            self.engine.conduct(work, &CancellationToken::new()).await.unwrap();
        }
        let mut tx = self.engine.database.begin(TENANT).await.unwrap();
        run::get(&mut tx, TENANT, RunId(work.id)).await.unwrap()
    }
}

fn engine(database: &Database, clock: &Clock) -> Engine {
    let token = std::env::temp_dir().join(format!("xavyo-token-{}", Clock::system().new_id()));
    std::fs::write(&token, "token").unwrap();
    let provisioning = Provisioning::open(&ProvisioningSettings {
        provisioning_url: "http://127.0.0.1:9".to_owned(),
        service_token_file: token,
        provisioning_ca_file: None,
    })
    .unwrap();
    let (lease, busy) = (Lease::new(clock.new_id().into()), Busy::default());
    let keys = MasterKeys::parse(&format!(r#"{{"1":"{}="}}"#, "A".repeat(43))).unwrap();
    let secret_values = SecretValues::new(&keys);
    let remediations = Remediations {
        database: database.clone(),
        clock: clock.clone(),
        provisioning: provisioning.clone(),
        lease: lease.clone(),
        busy: busy.clone(),
        secret_values: secret_values.clone(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    Engine {
        database: database.clone(),
        clock: clock.clone(),
        provisioning,
        nudges: Nudges::new(),
        lease,
        busy,
        secret_values,
        remediations,
        limits: Limits { runs: 1, remediations: 1, poll: std::time::Duration::from_millis(1) },
    }
}

#[tokio::test]
async fn a_plan_that_nobody_approves_in_three_days_is_dropped_with_its_run() {
    let ground = Ground::lay().await;
    let (work, _) = ground.held_run().await;

    ground.engine.clock.advance(APPROVAL_WINDOW - TimeDelta::seconds(1));
    assert_eq!(ground.look(work).await.run.status, RunStatus::Paused);
    ground.engine.clock.advance(TimeDelta::seconds(1));
    let ended = ground.look(work).await;

    assert_eq!((ended.run.status, ended.run.pause_reason), (RunStatus::Cancelled, None));
    assert!(ended.run.completed_at.is_some() && ended.worker.is_none());
    assert!(ground.engine.due(WorkKind::Run, 10).await.unwrap().is_empty());
}
