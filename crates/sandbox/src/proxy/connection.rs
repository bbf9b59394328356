//! One connection through the proxy: two directions, each read, judged by the rules of the moment, and passed on.
//!
//! It ends when either side does, when a rule says so, or when a healed proxy finds that it has lost bytes.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::watch,
    time::{Duration, sleep},
};

use super::{Bites, Ending, Fault, Flow, Rules, Server, Stream};

/// The most bytes of one piece.
const PIECE: usize = 65_536;
/// Starved connections get their share in so many pieces a second.
const SHARES_PER_SECOND: u32 = 20;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// What both directions know of each other.
#[derive(Debug, Default)]
struct Shared {
    /// The end of what was asked so far: a sought piece may arrive in two.
    asked: Mutex<Vec<u8>>,
    /// A request whose answer is to be lost has arrived.
    doomed: AtomicBool,
    /// Bytes were swallowed: what follows makes no sense to anybody.
    has_hole: AtomicBool,
}

/// Carries a connection to its end.
pub(super) async fn carry(client: Stream, server: Server, rules: watch::Receiver<Rules>, bites: Bites) {
    let down = rules.borrow().down;
    if let Some(ending) = down {
        bites.count();
        return end(client, ending);
    }
    // Where the server is gone the client sees a connection that ends at once.
    let Ok(server) = server.connect().await else { return };
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let shared = Shared::default();
    let pump =
        |direction| Pump { direction, shared: &shared, rules: rules.clone(), bites: &bites, passed: 0 };

    let ending = tokio::select! {
        ending = pump(Direction::ToServer).run(&mut from_client, &mut to_server) => ending,
        ending = pump(Direction::ToClient).run(&mut from_server, &mut to_client) => ending,
        ending = told_to_end(rules.clone(), &shared) => {
            bites.count();
            ending
        }
    };
    end(from_client.unsplit(to_client), ending);
    end(from_server.unsplit(to_server), ending);
}

fn end(stream: Stream, ending: Ending) {
    match ending {
        Ending::Cut => drop(stream),
        Ending::Reset => stream.reset(),
    }
}

/// Waits for rules that end this connection.
async fn told_to_end(mut rules: watch::Receiver<Rules>, shared: &Shared) -> Ending {
    loop {
        let now = rules.borrow_and_update().clone();
        if let Some(ending) = now.down {
            return ending;
        }
        if now == Rules::default() && shared.has_hole.load(Ordering::Relaxed) {
            return Ending::Cut;
        }
        if rules.changed().await.is_err() {
            return Ending::Cut;
        }
    }
}

/// One direction of a connection.
struct Pump<'a> {
    direction: Direction,
    shared: &'a Shared,
    rules: watch::Receiver<Rules>,
    bites: &'a Bites,
    /// Bytes passed on so far.
    passed: u64,
}

impl Pump<'_> {
    /// Passes everything on until one side is gone or a fault ends the connection.
    async fn run(mut self, from: &mut ReadHalf<Stream>, to: &mut WriteHalf<Stream>) -> Ending {
        let mut piece = vec![0; PIECE];
        loop {
            let read = match from.read(&mut piece).await {
                Ok(0) | Err(_) => return Ending::Cut,
                Ok(read) => &piece[..read],
            };
            let flow = self.flow();
            match self.pass(&flow, read, to).await {
                Ok(()) => {}
                Err(ending) => return ending,
            }
        }
    }

    /// The rules of this direction as they are now.
    fn flow(&self) -> Flow {
        let rules = self.rules.borrow();
        match self.direction {
            Direction::ToServer => rules.to_server.clone(),
            Direction::ToClient => rules.to_client.clone(),
        }
    }

    async fn pass(&mut self, flow: &Flow, read: &[u8], to: &mut WriteHalf<Stream>) -> Result<(), Ending> {
        if self.direction == Direction::ToServer {
            self.listen(read);
        }
        match &flow.fault {
            Some(Fault::BlackHole) => {
                self.bites.count();
                self.shared.has_hole.store(true, Ordering::Relaxed);
                Ok(())
            }
            Some(Fault::DropReply { .. }) if self.shared.doomed.load(Ordering::Acquire) => {
                self.bites.count();
                Err(Ending::Cut)
            }
            Some(Fault::Truncate { after, ending }) => {
                let left = usize::try_from(after.saturating_sub(self.passed)).unwrap_or(usize::MAX);
                if left > read.len() {
                    return self.send(flow, read, to).await;
                }
                self.send(flow, &read[..left], to).await?;
                self.bites.count();
                Err(*ending)
            }
            Some(Fault::DropReply { .. }) | None => self.send(flow, read, to).await,
        }
    }

    /// Looks whether the piece that a rule seeks has been asked, before it is passed on: its answer may come at once.
    fn listen(&self, read: &[u8]) {
        let sought = match &self.rules.borrow().to_client.fault {
            Some(Fault::DropReply { to }) => to.clone(),
            Some(Fault::BlackHole | Fault::Truncate { .. }) | None => return,
        };
        let mut asked = self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.extend_from_slice(read);
        if sought.is_empty() || asked.windows(sought.len()).any(|window| window == sought) {
            self.shared.doomed.store(true, Ordering::Release);
        }
        let kept = asked.len().saturating_sub(sought.len().saturating_sub(1));
        asked.drain(..kept);
    }

    /// Passes bytes on at the pace of the rules.
    async fn send(&mut self, flow: &Flow, bytes: &[u8], to: &mut WriteHalf<Stream>) -> Result<(), Ending> {
        let (share, pause) = match (flow.drip, flow.bytes_per_second) {
            (Some(pause), _) => (1, pause),
            (None, Some(rate)) => {
                let share = (rate / SHARES_PER_SECOND).max(1);
                (usize::try_from(share).unwrap_or(PIECE), Duration::from_secs(1) * share / rate.max(1))
            }
            (None, None) => (PIECE, Duration::ZERO),
        };
        if !flow.latency.is_zero() {
            sleep(flow.latency).await;
        }
        for part in bytes.chunks(share) {
            to.write_all(part).await.map_err(|_| Ending::Cut)?;
            self.passed += u64::try_from(part.len()).unwrap_or(u64::MAX);
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
        Ok(())
    }
}
