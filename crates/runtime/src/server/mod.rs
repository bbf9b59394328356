//! The gRPC server: one listener, one [`gate`] that every call passes, then the services.
//!
//! Every limit is set here or in the gate, because tonic's own defaults are open: connections, calls and streams at
//! once, how long a call may take, how old a connection may get, how large a message may be.
//!
//! Never here: what a service does. Begin with [`gate`], the way of a call; [`trace`] is what the log says of it.

mod answer;
mod connection;
mod gate;
mod health;
mod room;
mod service;
mod trace;
mod unread;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tonic::transport::Server;

use self::{
    connection::connections,
    gate::{Gate, GateLayer},
    room::Room,
};
pub use self::{service::Service, unread::unreadable};
use crate::{Runtime, Settings, StartError, auth::Authenticator, tls};

/// The largest message, both ways. Incoming, it is tonic's default; services set it for what they send.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// HTTP/2 streams at once on one connection.
const STREAMS_A_CONNECTION: u32 = 1_024;
/// How much a client may send on one stream before it is read.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// All the metadata of a call.
const METADATA_BYTES: u32 = 16 << 10;
/// A silent connection is pinged so often, and closed when the answer takes longer than the time-out.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Binds, writes the address file, and spawns the server, its health and the look-out for new keys as tasks.
pub(crate) async fn start(
    settings: &Settings,
    service: Service,
    authenticator: Authenticator,
    runtime: &mut Runtime,
) -> Result<(), StartError> {
    settings.listen.check()?;
    let (routes, reporter) = service.routes()?;
    let keys = authenticator.keys();
    let gate = Gate {
        authenticator,
        room: Room::with(&settings.limits),
        limits: settings.limits,
        status: service.status,
        clock: runtime.clock.clone(),
        stop: runtime.stop(),
    };
    let mut server = Server::builder()
        .max_concurrent_streams(STREAMS_A_CONNECTION)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(METADATA_BYTES)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .max_connection_age(settings.limits.connection_age());
    if let Some(config) = tls::server(&settings.listen)? {
        server = server.tls_config(config).map_err(StartError::Tls)?;
    }
    let (listener, address) = bind(settings.listen.listen).await?;
    let incoming = connections(listener, settings.limits.max_connections);
    let router = server.layer(GateLayer(Arc::new(gate))).add_routes(routes);

    let database = runtime.database.clone();
    runtime.tasks.spawn("server", |stop| async move {
        let serving = router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
        serving.await.map_err(xavyo_core::Error::internal)
    });
    runtime.tasks.spawn("health", |stop| health::run(reporter, service.names, database, stop));
    runtime.watch("key set", keys);

    if let Some(path) = &settings.listen.address_file {
        write_address(path, address)?;
    }
    tracing::info!(%address, tls = settings.listen.tls_certificate_file.is_some(), "listening");
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Whoever waits for the file never sees half of it.
fn write_address(path: &Path, address: SocketAddr) -> Result<(), StartError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, address.to_string())
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|source| StartError::Unwritable { what: "address file", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
