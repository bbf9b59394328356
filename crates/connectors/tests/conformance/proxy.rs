//! A TCP proxy that loses answers: it passes everything on until it sees a given piece of a request, passes that on
//! too, waits until the server has answered, and then cuts the connection without passing the answer back.

use std::{io, path::PathBuf, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};

/// The server behind the proxy.
#[derive(Clone, Debug)]
pub enum Server {
    Port(u16),
    Socket(PathBuf),
}

/// When the proxy cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The request arrives and is answered; the answer is lost.
    Answer,
    /// The request itself is lost.
    Request,
}

/// Starts a proxy for as long as the test runs; returns its port.
pub async fn start(server: Server, marker: &'static [u8], cut: Cut) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Arc::new(server);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                match server.as_ref() {
                    Server::Port(port) => {
                        pass(client, TcpStream::connect(("127.0.0.1", *port)).await?, marker, cut).await
                    }
                    Server::Socket(path) => pass(client, UnixStream::connect(path).await?, marker, cut).await,
                }
            });
        }
    });
    port
}

async fn pass(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Unpin,
    marker: &[u8],
    cut: Cut,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let (mut request, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            size = from_client.read(&mut request) => {
                let request = &request[..size?];
                let marked = request.windows(marker.len()).any(|window| window == marker);
                if request.is_empty() || (marked && cut == Cut::Request) {
                    return Ok(());
                }
                to_server.write_all(request).await?;
                if marked {
                    // The answer, or the server's own end: either way it is not passed on.
                    return from_server.read(&mut answer).await.map(drop);
                }
            }
            size = from_server.read(&mut answer) => {
                let answer = &answer[..size?];
                if answer.is_empty() {
                    return Ok(());
                }
                to_client.write_all(answer).await?;
            }
        }
    }
}
