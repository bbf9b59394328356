//! Crash points: a replica is armed with one, stands still there, and is killed; everything else is healed, drained and
//! judged.

use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use tokio::time::sleep;

use super::Field;
use crate::{
    load::{Plan, Step},
    proxy::{Ending, Rules},
    service::Kind,
    workspace,
};

/// How long the load is driven until a point is reached.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two steps of the load.
const PACE: Duration = Duration::from_millis(15);
/// How long an outage lasts that is there to be ended.
const OUTAGE: Duration = Duration::from_millis(1_500);
const OUTAGES_EVERY: Duration = Duration::from_secs(12);

/// The points that a service declares.
pub fn declared(service: Kind) -> Result<Vec<String>> {
    let binary = workspace::crash_points_binary(&service.binary())?;
    let output = Command::new(binary).arg("crash-points").output()?;
    let names: Vec<String> = String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect();
    ensure!(output.status.success() && !names.is_empty(), "the service does not list its crash points");
    Ok(names)
}

/// Which points have been reached.
#[derive(Clone, Debug, Default)]
pub struct Reached(BTreeSet<String>);

impl Reached {
    pub fn note(&mut self, point: &str) {
        self.0.insert(point.to_owned());
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Those of the declared ones that have not.
    pub fn missing(&self, declared: &[String]) -> Vec<String> {
        declared.iter().filter(|point| !self.0.contains(*point)).cloned().collect()
    }
}

/// Lets the first replica stand still at a point, while all others are down and the load is driven, and kills it there.
/// False = it never came there.
pub async fn strike(field: &mut Field, plan: &mut Plan, point: &str) -> Result<bool> {
    let pass = if is_rare(point) { 1 } else { plan.random().random_range(1..4) };
    // Behind dead letters nothing moves, and no point is passed.
    let tenant = field.accounts()[0].tenant;
    field.client.take(Step::TendDeadLetters { tenant, retry: false }).await;
    if point == "take_over.written" {
        leave_lanes_behind(field, plan).await?;
    }
    for replica in &mut field.replicas[1..] {
        replica.kill()?;
    }
    field.replicas[0].restart_armed(point, pass).await?;
    let stood = tokio::select! {
        stood = field.replicas[0].comes_to_stand(PATIENCE) => stood,
        ended = drive(field, plan, is_of_outages(point)) => ended.map(|()| false)?,
    };
    field.replicas[0].kill()?;
    field.heal().await?;
    Ok(stood)
}

/// Points that are passed once in a while only.
fn is_rare(point: &str) -> bool {
    ["take_over.", "probe.", "release.", "fold.", "import."].iter().any(|prefix| point.starts_with(prefix))
}

fn is_of_outages(point: &str) -> bool {
    point.starts_with("probe.") || point.starts_with("release.")
}

/// A worker dies in the middle of its work: its lanes are there to be taken over.
async fn leave_lanes_behind(field: &mut Field, plan: &mut Plan) -> Result<()> {
    let first = field.replicas.first_mut().context("a field has replicas")?;
    first.restart_armed("call.after", 1).await?;
    tokio::select! {
        _ = field.replicas[0].comes_to_stand(PATIENCE) => {}
        ended = drive(field, plan, false) => ended?,
    }
    field.replicas[0].kill()
}

/// Until dropped. An outage comes first, and again when it was of no use.
async fn drive(field: &Field, plan: &mut Plan, with_outages: bool) -> Result<()> {
    let began = Instant::now();
    loop {
        let step = match plan.random().random_range(0..20) {
            0 => Step::Import(field.accounts()[0].tenant),
            1 => Step::TendDeadLetters { tenant: field.accounts()[0].tenant, retry: false },
            _ => plan.step(),
        };
        // An answer may never come: the load goes on without it.
        field.client.begin(step);
        if with_outages {
            let is_down = began.elapsed().as_millis() % OUTAGES_EVERY.as_millis() < OUTAGE.as_millis();
            let rules = if is_down { Rules::down(Ending::Cut) } else { Rules::default() };
            let proxies = field.targets.iter().filter_map(|target| target.proxy.as_ref());
            proxies.for_each(|proxy| proxy.set(rules.clone()));
        }
        sleep(PACE).await;
    }
}
