//! `xavyo-demo`: the main job, from end to end, on a real target.
//!
//! People are imported and get accounts by real operations; the target then drifts behind our back, in each of the six
//! ways; a full run finds exactly that; everything is remediated; a second run finds nothing. Everything goes through the
//! public API, but for the drift, which is made where it happens: in the target itself.
//!
//! Begin with [`play`].

mod api;
mod connector;
mod drift;
mod people;
mod picture;
mod provision;
mod reconcile;
mod remediate;
mod story;
mod target;

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use serde_json::json;
use xavyo_sandbox::{
    postgres::{Durability, Postgres},
    stack::Stack,
};

use api::Api;
use drift::{Counts, Drift};
use people::Population;
use target::{Choice, Database, Target};

/// Imports people, provisions accounts, lets the target drift, finds all of it, repairs it, and finds nothing more.
#[derive(Parser)]
#[command(name = "cargo xtask demo")]
struct Arguments {
    /// The target is an OpenLDAP directory instead of a SQL table.
    #[arg(long)]
    ldap: bool,
    /// The target is a SCIM application.
    #[arg(long, conflicts_with = "ldap")]
    scim: bool,
    /// The SQL table is one of this database.
    #[arg(long, value_enum, default_value_t = Database::Postgres, conflicts_with_all = ["ldap", "scim"])]
    sql: Database,
    /// How many people to import.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(50..=200_000))]
    people: u32,
    /// Print one JSON line with the counts at the end.
    #[arg(long)]
    json: bool,
}

/// What came of it.
struct Outcome {
    injected: Counts,
    found: Counts,
    remediated: i64,
    second_run_found: i64,
    accounts_per_second: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let began = Instant::now();
    story::begin(arguments.people, arguments.choice());
    let postgres = Postgres::start(Durability::Fast).await?;
    let stack = Stack::start(&postgres).await?;
    let target = Target::start(arguments.choice(), &postgres).await?;
    story::done("Postgres, both services and the target run", began.elapsed());

    let outcome = tokio::select! {
        outcome = play(&arguments, &stack, &target) => outcome?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    };
    stack.stop()?;
    story::end(began.elapsed());
    if arguments.json {
        println!("{}", outcome.to_json(&arguments, began.elapsed().as_secs_f64()));
    }
    outcome.check()
}

async fn play(arguments: &Arguments, stack: &Stack, target: &Target) -> Result<Outcome> {
    let api = Api::connect(stack).await?;
    let population = Population::of(arguments.people);
    let connector_id = connector::create(&api, target).await?;

    provision::import(&api, &population.staff).await?;
    provision::drain(&api, &connector_id).await?;
    // From here on nothing happens by itself: who comes now gets no account.
    connector::stop_enforcing(&api, &connector_id).await?;
    provision::import(&api, &population.newcomers).await?;

    let drift = Drift::plan(&population);
    drift.inject(target).await?;

    let first = reconcile::run(&api, &connector_id, target.count().await?).await?;
    picture::draw(&first, &drift.counts);
    let remediated = remediate::everything(&api, &connector_id).await?;
    let second = reconcile::run(&api, &connector_id, target.count().await?).await?;
    picture::draw_second(&second);

    Ok(Outcome {
        injected: drift.counts,
        found: first.found,
        remediated,
        second_run_found: second.found.total(),
        accounts_per_second: first.accounts_per_second,
    })
}

impl Arguments {
    fn choice(&self) -> Choice {
        match (self.ldap, self.scim) {
            (true, _) => Choice::Ldap,
            (false, true) => Choice::Scim,
            (false, false) => Choice::Sql(self.sql),
        }
    }
}

impl Outcome {
    fn to_json(&self, arguments: &Arguments, seconds: f64) -> serde_json::Value {
        json!({
            "target": arguments.choice().name(),
            "people": arguments.people,
            "injected": self.injected.to_json(),
            "found": self.found.to_json(),
            "remediated": self.remediated,
            "second_run_found": self.second_run_found,
            "accounts_per_second": self.accounts_per_second.round(),
            "seconds": (seconds * 10.0).round() / 10.0,
        })
    }

    /// The demo fails where the product did not do its job.
    fn check(&self) -> Result<()> {
        ensure!(self.found == self.injected, "the first run found something else than was injected");
        ensure!(self.second_run_found == 0, "the second run still found {}", self.second_run_found);
        Ok(())
    }
}
