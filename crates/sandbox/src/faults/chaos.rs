//! What strikes at random: kills, stops past the lease, crashes of Postgres, faults of the network. Everything that is
//! struck is healed a moment later.

use std::time::Duration;

use anyhow::Result;
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use tokio::time::sleep;

use super::{Field, crash::Reached};
use crate::proxy::{Ending, Fault, Flow, Rules};

/// A lease, a call, and a bit: whoever slept so long has lost what it held.
const PAST_THE_LEASE: Duration = Duration::from_secs(9);

/// One blow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Kill,
    Stop,
    CrashDatabase,
    Target,
    Database,
}

/// Strikes once, waits, and heals what was struck. Replicas that stand at a crash point are killed on the way; each start
/// arms another point that has not been reached.
pub async fn strike(
    field: &mut Field,
    random: &mut StdRng,
    declared: &[String],
    reached: &mut Reached,
) -> Result<()> {
    bury(field, random, declared, reached).await?;
    let blow = match random.random_range(0..100) {
        0..30 => Blow::Kill,
        30..38 => Blow::Stop,
        38..48 => Blow::CrashDatabase,
        48..85 => Blow::Target,
        _ => Blow::Database,
    };
    let victim = random.random_range(0..field.replicas.len());
    match blow {
        Blow::Kill => {
            field.replicas[victim].kill()?;
            pause(random, 50..1_500).await;
            rearm(field, victim, random, declared, reached).await
        }
        Blow::Stop => {
            field.replicas[victim].stop()?;
            sleep(PAST_THE_LEASE).await;
            field.replicas[victim].go_on()
        }
        Blow::CrashDatabase => field.crash_database().await,
        Blow::Target => {
            let proxies: Vec<_> = field.targets.iter().filter_map(|target| target.proxy.as_ref()).collect();
            if let Some(proxy) = proxies.choose(random) {
                proxy.set(trouble(random));
                pause(random, 200..2_500).await;
                proxy.heal();
            }
            Ok(())
        }
        Blow::Database => {
            field.database.set(trouble_of_database(random));
            pause(random, 100..1_000).await;
            field.database.heal();
            Ok(())
        }
    }
}

/// Kills the replicas that stand at a crash point, and starts them again.
async fn bury(
    field: &mut Field,
    random: &mut StdRng,
    declared: &[String],
    reached: &mut Reached,
) -> Result<()> {
    for number in 0..field.replicas.len() {
        let replica = &mut field.replicas[number];
        let stands_at = replica.stands_at().map(str::to_owned);
        if let Some(point) = &stands_at {
            reached.note(point);
            replica.kill()?;
        }
        if stands_at.is_some() || replica.service.process().ended().is_some() {
            rearm(field, number, random, declared, reached).await?;
        }
    }
    Ok(())
}

async fn rearm(
    field: &mut Field,
    number: usize,
    random: &mut StdRng,
    declared: &[String],
    reached: &Reached,
) -> Result<()> {
    let open = reached.missing(declared);
    let point = open.choose(random).or_else(|| declared.choose(random));
    match point {
        Some(point) => {
            let pass = random.random_range(1..6);
            field.replicas[number].restart_armed(point, pass).await
        }
        None => field.replicas[number].restart().await,
    }
}

async fn pause(random: &mut StdRng, milliseconds: std::ops::Range<u64>) {
    sleep(Duration::from_millis(random.random_range(milliseconds))).await;
}

/// What a network does to a target.
fn trouble(random: &mut StdRng) -> Rules {
    let ending = if random.random_bool(0.5) { Ending::Cut } else { Ending::Reset };
    match random.random_range(0..8) {
        0 => Rules::down(ending),
        1 => Rules::hang(),
        2 | 3 => Rules::drop_reply(b""),
        4 => {
            let fault = Some(Fault::BlackHole);
            Rules { to_client: Flow { fault, ..Flow::default() }, ..Rules::default() }
        }
        5 => Rules::slow(Duration::from_millis(random.random_range(20..300))),
        6 => {
            let fault = Some(Fault::Truncate { after: random.random_range(100..3_000), ending });
            Rules { to_client: Flow { fault, ..Flow::default() }, ..Rules::default() }
        }
        _ => {
            let flow = Flow { drip: Some(Duration::from_millis(2)), ..Flow::default() };
            Rules::both(&flow)
        }
    }
}

/// What happens between a service and its database.
fn trouble_of_database(random: &mut StdRng) -> Rules {
    match random.random_range(0..4) {
        0 => Rules::down(Ending::Cut),
        1 => Rules::hang(),
        2 => Rules::drop_reply(b"COMMIT"),
        _ => Rules::slow(Duration::from_millis(30)),
    }
}
