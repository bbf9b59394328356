//! What strikes at random: kills, stops past the lease, crashes of Postgres, faults of the network. Everything that is
//! struck is healed a moment later.

use std::time::Duration;

use anyhow::Result;
use rand::{
    RngExt, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
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

/// How often each comes before all have come.
const BLOWS: [(Blow, usize); 5] =
    [(Blow::Kill, 6), (Blow::Stop, 2), (Blow::CrashDatabase, 2), (Blow::Target, 7), (Blow::Database, 3)];

/// Strikes, blow by blow. In which order is random; over a minute or two everything has its turn.
#[derive(Debug)]
pub struct Chaos {
    random: StdRng,
    /// What comes before the next shuffle.
    blows: Vec<Blow>,
    /// The crash points of the service.
    declared: Vec<String>,
    pub reached: Reached,
}

impl Chaos {
    pub fn new(seed: u64, declared: Vec<String>) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { random, blows: Vec::new(), declared, reached: Reached::default() }
    }

    /// Strikes once, waits, and heals what was struck. Replicas that stand at a crash point are killed on the way; each
    /// start arms another point that has not been reached.
    pub async fn strike(&mut self, field: &mut Field) -> Result<()> {
        self.bury(field).await?;
        let victim = self.random.random_range(0..field.replicas.len());
        match self.next_blow() {
            Blow::Kill => {
                field.replicas[victim].kill()?;
                self.pause(50..1_500).await;
                self.rearm(field, victim).await?;
            }
            Blow::Stop => {
                field.replicas[victim].stop()?;
                sleep(PAST_THE_LEASE).await;
                field.replicas[victim].go_on()?;
            }
            Blow::CrashDatabase => field.crash_database().await?,
            Blow::Target => {
                let proxies: Vec<_> =
                    field.targets.iter().filter_map(|target| target.proxy.as_ref()).collect();
                if let Some(proxy) = proxies.choose(&mut self.random) {
                    proxy.set(trouble(&mut self.random));
                    self.pause(200..2_500).await;
                    proxy.heal();
                }
            }
            Blow::Database => {
                field.database.set(trouble_of_database(&mut self.random));
                self.pause(100..1_000).await;
                field.database.heal();
            }
        }
        self.pause(200..1_500).await;
        Ok(())
    }

    fn next_blow(&mut self) -> Blow {
        if self.blows.is_empty() {
            self.blows =
                BLOWS.into_iter().flat_map(|(blow, times)| std::iter::repeat_n(blow, times)).collect();
            self.blows.shuffle(&mut self.random);
        }
        self.blows.pop().unwrap_or(Blow::Kill)
    }

    /// Kills the replicas that stand at a crash point, and starts them again; also those that have died by themselves.
    async fn bury(&mut self, field: &mut Field) -> Result<()> {
        for number in 0..field.replicas.len() {
            let replica = &mut field.replicas[number];
            let stands_at = replica.stands_at().map(str::to_owned);
            if let Some(point) = &stands_at {
                self.reached.note(point);
                replica.kill()?;
            }
            if stands_at.is_some() || replica.service.process().ended().is_some() {
                self.rearm(field, number).await?;
            }
        }
        Ok(())
    }

    /// Starts a replica that stops again at a point, one that has not been reached while there is such a one.
    async fn rearm(&mut self, field: &mut Field, number: usize) -> Result<()> {
        let open = self.reached.missing(&self.declared);
        let point = open.choose(&mut self.random).or_else(|| self.declared.choose(&mut self.random));
        match point {
            Some(point) => {
                let pass = self.random.random_range(1..6);
                field.replicas[number].restart_armed(point, pass).await
            }
            None => field.replicas[number].restart().await,
        }
    }

    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.random.random_range(milliseconds))).await;
    }
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
