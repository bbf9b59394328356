//! `xavyo-soak`: three replicas, real targets, random load, and everything that can go wrong, for as long as asked; then
//! the judgement.
//!
//! `check FILE` judges the evidence of a failed soak again.

mod outcome;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use rand::RngExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use xavyo_sandbox::{
    checker::{self, Evidence},
    faults::{Field, Kind, Layout, chaos::Chaos, crash, known},
    load::{Patience, Plan},
    postgres::Durability,
    service, workspace,
};

use outcome::Outcome;

/// Judges what is left of provisioning after minutes of kills, cuts and crashes.
#[derive(Parser)]
#[command(name = "cargo xtask soak", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long things go wrong, before they are healed and judged.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Of load and faults; random if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Print one JSON line with the counts at the end.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Judges evidence that an earlier soak has written.
    Check { file: PathBuf },
}

/// Between two steps of a client.
const PACE: std::ops::Range<u64> = 5..60;
const CLIENTS: usize = 6;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Command::Check { file }) = &arguments.command {
        return judge_again(file);
    }
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let command = format!("cargo xtask soak --minutes {} --seed {seed}", arguments.minutes);
    eprintln!("soak: {command}");
    let outcome = soak(&arguments, seed).await.with_context(|| command.clone())?;
    eprint!("{outcome}");
    if arguments.json {
        println!("{}", outcome.to_json(seed));
    }
    let broken = outcome.report.invariants().into_iter().map(str::to_owned).collect();
    let surprises = known::surprises(&broken, false)?;
    if !surprises.is_empty() {
        bail!("{}; to see it again: {command}", surprises.join(", "));
    }
    Ok(())
}

async fn soak(arguments: &Arguments, seed: u64) -> Result<Outcome> {
    let declared = crash::declared(service::Kind::Provisioning)?;
    let mut field = Field::lay(&layout()).await?;
    let mut chaos = Chaos::new(seed, declared.clone());
    let mut plan = field.plan(seed);
    let load = begin_load(&field, &mut plan, seed);

    let until = Instant::now() + Duration::from_secs_f64(arguments.minutes * 60.0);
    while Instant::now() < until {
        chaos.strike(&mut field).await?;
    }
    load.cancel();
    let mut reached = chaos.reached;
    for point in reached.missing(&declared) {
        field.heal().await?;
        if crash::strike(&mut field, &mut plan, &point).await? {
            reached.note(&point);
        }
    }
    let (evidence, report) = field.verdict().await?;
    let evidence_file = if report.is_clean() { None } else { Some(keep(&evidence, seed)?) };
    Ok(Outcome {
        counts: field.counts(),
        taken_over: evidence.snapshot.attempts.iter().filter(|attempt| attempt.lost_its_lease()).count(),
        reached: reached.count(),
        missing: reached.missing(&declared),
        declared: declared.len(),
        calls: evidence.history.len(),
        report,
        evidence_file,
    })
}

fn layout() -> Layout {
    Layout {
        replicas: 3,
        targets: Kind::ALL.to_vec(),
        tenants: 2,
        people: 5,
        durability: Durability::Durable,
        crash_points: true,
        memory_faults: [
            ("create", "unknown_after", 2),
            ("update", "busy", 5),
            ("update", "unknown_after", 5),
        ]
        .map(|(call, kind, times)| xavyo_sandbox::faults::memory_fault(call, kind, times))
        .to_vec(),
        patience: Patience { call: Duration::from_secs(3), tries: 3 },
        ..Layout::default()
    }
}

/// Clients at work until told to stop.
fn begin_load(field: &Field, plan: &mut Plan, seed: u64) -> CancellationToken {
    let stop = CancellationToken::new();
    plan.creates().into_iter().for_each(|step| field.client.begin(step));
    for number in 1..=CLIENTS {
        let mut plan = field.plan(seed.wrapping_add(u64::try_from(number).unwrap_or_default()));
        plan.number_values(number);
        let stop = stop.clone();
        field.client.work(|client| async move {
            while !stop.is_cancelled() {
                let step = plan.step();
                client.take(step).await;
                let pause = plan.random().random_range(PACE);
                sleep(Duration::from_millis(pause)).await;
            }
        });
    }
    stop
}

/// Evidence that is worth another look.
fn keep(evidence: &Evidence, seed: u64) -> Result<PathBuf> {
    let folder = workspace::binaries()?.parent().context("target/<profile> has a parent")?.join("soak");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{seed}.json"));
    fs::write(&file, serde_json::to_vec(evidence)?)?;
    Ok(file)
}

fn judge_again(file: &Path) -> Result<()> {
    let text = fs::read(file).with_context(|| file.display().to_string())?;
    let report = checker::check(&serde_json::from_slice::<Evidence>(&text)?);
    print!("{}", report.excerpt(usize::MAX));
    if !report.is_clean() {
        bail!("{} violations of {:?}", report.violations.len(), report.invariants());
    }
    println!("{} operations and {} writes, and nothing wrong", report.operations, report.writes);
    Ok(())
}
