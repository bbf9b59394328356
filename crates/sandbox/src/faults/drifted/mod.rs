//! A table of people that has drifted from what it should be, once in each of the six ways, and both services over it:
//! for runs and remediations that are killed.
//!
//! Begin with [`Drifted::lay`]; [`calls`] is what it is asked, and [`people`] who is in it.

mod calls;
mod people;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::Connection;
use tokio::time::sleep;

use super::{Replica, Target};
use crate::{
    ledger::Write,
    postgres::{Durability, Postgres},
    process::GLANCE,
    service::{self, Service},
    stack::Ground,
    workspace,
};
use calls::Calls;

pub use calls::Found;

/// Many leases: whoever was killed is missed, and another goes on.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Drifted {
    // Dropped in this order: who calls before who is called.
    /// With crash points.
    pub reconciliation: Replica,
    _provisioning: Service,
    calls: Calls,
    target: Target,
    connector: String,
    ground: Ground,
    _cluster: Postgres,
}

impl Drifted {
    /// Starts everything, provisions the people, and lets the table drift. About five seconds.
    pub async fn lay() -> Result<Self> {
        let cluster = Postgres::start(Durability::Fast).await?;
        let ground = Ground::lay(&cluster).await?;
        let target = Target::sql(ground.tenant, &cluster).await?;
        let provisioning = ground.start_provisioning("1", &[]).await?;
        let binary = workspace::crash_points_binary(&service::Kind::Reconciliation.binary())?;
        let reconciliation =
            ground.start_reconciliation_binary(binary, "1", &provisioning.url(), &[]).await?;
        let calls = Calls::to(&provisioning, &reconciliation, &ground)?;
        let connector = calls.create_connector(people::connector(&target)).await?;
        let reconciliation = Replica::of(reconciliation);
        let drifted = Self {
            reconciliation,
            _provisioning: provisioning,
            calls,
            target,
            connector,
            ground,
            _cluster: cluster,
        };
        drifted.calls.import(people::STAFF).await?;
        drifted.until_provisioned().await?;
        // Who comes now gets no account by itself.
        drifted.calls.stop_enforcing(&drifted.connector).await?;
        drifted.calls.import(people::NEWCOMERS).await?;
        drifted.change(people::DRIFT).await?;
        Ok(drifted)
    }

    /// Starts a full run, lets the service die at a point of it, and start again. None = it never came there.
    pub async fn run_killed_at(&mut self, point: &str) -> Result<Option<String>> {
        self.reconciliation.restart_armed(point, 1).await?;
        let run = self.calls.start_run(&self.connector).await?;
        let stood = self.reconciliation.comes_to_stand(PATIENCE).await;
        self.reconciliation.kill()?;
        self.reconciliation.restart().await?;
        Ok(stood.then_some(run))
    }

    /// A full run that nobody disturbs, to its end.
    pub async fn run(&self) -> Result<String> {
        let run = self.calls.start_run(&self.connector).await?;
        self.until_nothing_is_under_way().await?;
        Ok(run)
    }

    /// What a completed run says that it found, as a count and one by one, in order.
    pub async fn found(&self, run: &str) -> Result<(i64, Vec<Found>)> {
        self.calls.found(run).await
    }

    /// Makes something of one person wrong, in the table or by what is expected, and finds it. Returns the discrepancy and
    /// whose it is.
    pub async fn go_wrong(&self, wrong: Wrong, number: usize) -> Result<(String, String)> {
        let login = match wrong {
            Wrong::Value => {
                self.change(&[&format!("update people set mail = 'whim{number}' where login = 'fine'")])
                    .await?;
                "fine".to_owned()
            }
            Wrong::NoAccount => {
                let login = format!("late{number}");
                self.calls.import(&[&login]).await?;
                login
            }
        };
        let run = self.run().await?;
        let discrepancy = self.calls.discrepancy_of(&run, &self.identity(&login).await?).await?;
        Ok((discrepancy, login))
    }

    async fn identity(&self, login: &str) -> Result<String> {
        let mut judge = self.ground.provisioning.superuser().await?;
        let id: uuid::Uuid = sqlx::query_scalar("select id from identity where source_key = $1")
            .bind(login)
            .fetch_one(&mut judge)
            .await?;
        judge.close().await?;
        Ok(id.to_string())
    }

    /// Remediates, lets the service die at a point of it, and start again. False = it never came there.
    pub async fn remediation_killed_at(
        &mut self,
        point: &str,
        discrepancy: &str,
        wrong: Wrong,
    ) -> Result<bool> {
        self.reconciliation.restart_armed(point, 1).await?;
        let asked = self.calls.remediate(discrepancy, wrong);
        let stood = tokio::select! {
            stood = self.reconciliation.comes_to_stand(PATIENCE) => stood,
            _ = asked => self.reconciliation.comes_to_stand(Duration::from_secs(1)).await,
        };
        self.reconciliation.kill()?;
        self.reconciliation.restart().await?;
        Ok(stood)
    }

    /// Whether a discrepancy is told to be settled by a remediation, and how often the audit says that one succeeded.
    pub async fn remedy(&self, discrepancy: &str) -> Result<(bool, usize)> {
        self.calls.remedy(discrepancy).await
    }

    /// What the product wrote to an account, as the target says.
    pub async fn writes(&self, login: &str) -> Result<Vec<Write>> {
        let writes = self.target.ledger().await?.writes.into_iter();
        Ok(writes
            .filter(|write| write.external_uid == login && write.applied && write.tag.is_some())
            .collect())
    }

    /// Waits until no run and no remediation is left to be carried on.
    pub async fn until_nothing_is_under_way(&self) -> Result<()> {
        let judge = self.ground.reconciliation.superuser().await?;
        until_none(judge, "select count(*) from run_work").await
    }

    async fn until_provisioned(&self) -> Result<()> {
        let judge = self.ground.provisioning.superuser().await?;
        until_none(judge, "select count(*) from operation").await
    }

    /// Directly in the table, behind everybody's back.
    async fn change(&self, statements: &[&str]) -> Result<()> {
        let table = self.target.table().context("the target is a table")?;
        for statement in statements {
            let changed = sqlx::query(sqlx::AssertSqlSafe((*statement).to_owned())).execute(table).await?;
            ensure!(changed.rows_affected() == 1, "{statement} changed {} rows", changed.rows_affected());
        }
        Ok(())
    }
}

/// What may be wrong with one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A value: to be updated.
    Value,
    /// There is no account: to be created.
    NoAccount,
}

async fn until_none(mut judge: sqlx::PgConnection, query: &'static str) -> Result<()> {
    let began = Instant::now();
    loop {
        let count: i64 = sqlx::query_scalar(query).fetch_one(&mut judge).await?;
        if count == 0 {
            return Ok(judge.close().await?);
        }
        ensure!(began.elapsed() < PATIENCE, "there are still {count}: {query}");
        sleep(GLANCE).await;
    }
}
