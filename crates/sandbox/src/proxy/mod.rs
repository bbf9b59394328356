//! A proxy that does to connections what networks do to them: delays, starves, cuts, resets, swallows, truncates, and,
//! worst of all, delivers a request and loses its answer.
//!
//! It knows no protocol and never changes a byte. It listens on a free port or on a Unix socket, and forwards to either.
//! Faults are switched at run time by [`Proxy::set`], for each direction apart, and hold for open connections too.
//!
//! Begin with [`Rules`], what can go wrong; [`connection`] is how.

mod connection;
mod rules;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

pub use rules::{Ending, Fault, Flow, Rules};
pub use stream::Server;

use stream::Stream;

/// A running proxy. Dropped, it ends with all its connections.
#[derive(Debug)]
pub struct Proxy {
    place: Place,
    rules: watch::Sender<Rules>,
    bites: Bites,
    accepting: AbortHandle,
}

#[derive(Debug)]
enum Place {
    Port(u16),
    Socket(PathBuf),
}

/// How often a fault has done harm: a fault that nobody met proves nothing.
#[derive(Clone, Debug, Default)]
struct Bites(Arc<AtomicU64>);

impl Proxy {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(server: Server) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free")?;
        let place = Place::Port(listener.local_addr()?.port());
        Ok(Self::over(place, server, Listener::Tcp(listener)))
    }

    /// Listens on a Unix socket; for Postgres that is `<folder>/.s.PGSQL.<port>`. The socket goes with the proxy.
    pub fn start_on_socket(path: &Path, server: Server) -> Result<Self> {
        let listener =
            UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
        Ok(Self::over(Place::Socket(path.to_owned()), server, Listener::Unix(listener)))
    }

    fn over(place: Place, server: Server, listener: Listener) -> Self {
        let (rules, _) = watch::channel(Rules::default());
        let bites = Bites::default();
        let accepting = tokio::spawn(accept(listener, server, rules.clone(), bites.clone())).abort_handle();
        Self { place, rules, bites, accepting }
    }

    /// The port that it listens on; 0 where it listens on a socket.
    pub fn port(&self) -> u16 {
        match self.place {
            Place::Port(port) => port,
            Place::Socket(_) => 0,
        }
    }

    /// From now on, for open connections too.
    pub fn set(&self, rules: Rules) {
        self.rules.send_replace(rules);
    }

    /// No fault any more. Connections that have lost something are cut: nobody could go on with them.
    pub fn heal(&self) {
        self.set(Rules::default());
    }

    /// How often its faults have done harm so far.
    pub fn bites(&self) -> u64 {
        self.bites.0.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Place::Socket(path) = &self.place {
            // It may be gone with its folder.
            let _ = fs::remove_file(path);
        }
    }
}

impl Bites {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => Ok(Stream::of_tcp(listener.accept().await?.0)),
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// Until aborted; its connections, being in its set, end with it.
async fn accept(listener: Listener, server: Server, rules: watch::Sender<Rules>, bites: Bites) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors, or the caller was gone at once: the next one may have more luck.
                let Ok(client) = accepted else { continue };
                connections.spawn(connection::carry(client, server.clone(), rules.subscribe(), bites.clone()));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}
