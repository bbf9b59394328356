//! Connecting: to an address that the egress policy allows, over TLS, with our token.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpStream, time::timeout};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Identity, Uri},
};
use tower::service_fn;
use xavyo_core::{
    Error,
    connector::{FailureKind, RemoteSettings, TargetFailure},
};
use xavyo_wire::pb::connector::target_service_client::TargetServiceClient;

use super::failure::Unreached;
use crate::{Options, Secrets, egress::Policy, network};

pub(super) type Client = TargetServiceClient<Channel>;

/// A page is 1 MiB at most; an account with its attributes may be a little more.
const MAX_ANSWER: usize = 8 * 1_024 * 1_024;
/// What a stream may have under way before it is read: two pages.
const WINDOW: u32 = 2 * 1_024 * 1_024;
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Where the other side listens, and who we are to it.
pub(super) struct Endpoint {
    settings: tonic::transport::Endpoint,
    host: String,
    port: u16,
    egress: Policy,
    /// Of looking up, connecting, and the TLS handshake, each: together less than a call may take.
    connect_limit: Duration,
    token: Option<MetadataValue<Ascii>>,
    is_new: Arc<AtomicBool>,
    /// Made with the first call: it needs a runtime. It connects, and connects again, by itself.
    channel: OnceLock<Channel>,
}

/// `https://host:port`, without a path.
pub(crate) fn is_url(url: &str) -> bool {
    parts(url).is_some()
}

impl Endpoint {
    pub fn of(
        settings: &RemoteSettings,
        secrets: &Secrets,
        options: &Options,
        is_new: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let refused = || Error::invalid("settings.remote.url", "https://host:port");
        let (uri, host, port) = parts(&settings.url).ok_or_else(refused)?;
        let connect_limit = options.call_timeout / 4;
        let is_tls = uri.scheme_str() == Some("https");
        let mut endpoint = tonic::transport::Endpoint::from(uri)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .tcp_nodelay(true);
        if is_tls {
            let tls = tls(settings, secrets)?.timeout(connect_limit);
            let expected = "PEM certificates and, with a client's, its key in PEM (PKCS #8)";
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|_| Error::invalid("settings.remote.ca_certificates", expected))?;
        }
        Ok(Self {
            settings: endpoint,
            host,
            port,
            egress: options.egress.clone(),
            connect_limit,
            token: secrets.get("bearer_token").map(token).transpose()?,
            is_new,
            channel: OnceLock::new(),
        })
    }

    /// Cheap: all clients share one channel.
    pub fn client(&self) -> Client {
        let channel = self.channel.get_or_init(|| self.channel());
        TargetServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    /// A request with our token; none = a stream lasts as long as it lasts.
    pub fn request<M>(&self, message: M, limit: Option<Duration>) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(limit) = limit {
            request.set_timeout(limit);
        }
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    fn channel(&self) -> Channel {
        let (host, port) = (self.host.clone(), self.port);
        let (egress, limit, is_new) = (self.egress.clone(), self.connect_limit, self.is_new.clone());
        self.settings.connect_with_connector_lazy(service_fn(move |_| {
            let (host, egress, is_new) = (host.clone(), egress.clone(), is_new.clone());
            async move {
                let stream = connect(&host, port, &egress, limit).await.map_err(Unreached)?;
                is_new.store(true, Ordering::Release);
                Ok::<_, Unreached>(TokioIo::new(stream))
            }
        }))
    }
}

/// The name is resolved once; only addresses that are allowed are connected to.
async fn connect(
    host: &str,
    port: u16,
    egress: &Policy,
    limit: Duration,
) -> Result<TcpStream, TargetFailure> {
    let down = |code, message| TargetFailure::new(FailureKind::Down, code, message);
    let mut last = None;
    for address in network::resolve(host, port, egress, limit).await? {
        match timeout(limit, open(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(down("REMOTE_CONNECT", format!("{address}: {error}"))),
            Err(_) => last = Some(down("REMOTE_CONNECT", format!("{address} did not answer in time"))),
        }
    }
    Err(last.unwrap_or_else(|| down("REMOTE_CONNECT", format!("{host} has no address"))))
}

async fn open(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Trusts the authorities that are named, else the web's; shows our own certificate where there is one.
fn tls(settings: &RemoteSettings, secrets: &Secrets) -> Result<ClientTlsConfig, Error> {
    let mut tls = match &settings.ca_certificates {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().trust_anchors(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    };
    if let Some(certificate) = &settings.client_certificate {
        let missing = || Error::invalid("secrets.client_key", "the key of client_certificate, PEM");
        let key = secrets.get("client_key").ok_or_else(missing)?;
        tls = tls.identity(Identity::from_pem(certificate, key.expose_secret()));
    }
    Ok(tls)
}

fn token(secret: &SecretString) -> Result<MetadataValue<Ascii>, Error> {
    let mut value = MetadataValue::try_from(format!("Bearer {}", secret.expose_secret()))
        .map_err(|_| Error::invalid("secrets.bearer_token", "one line of visible ASCII"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn parts(url: &str) -> Option<(Uri, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let default = match uri.scheme_str()? {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let has_path = !matches!(uri.path(), "" | "/") || uri.query().is_some() || url.contains('#');
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(default);
    (!has_path && !host.is_empty()).then_some((uri, host, port))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.settings.uri().to_string()).finish()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_scheme_a_host_and_a_port() {
        let read = |url| parts(url).map(|(_, host, port)| (host, port));
        assert_eq!(read("https://hr.example.org:8443"), Some(("hr.example.org".to_owned(), 8443)));
        assert_eq!(read("https://[::1]/"), Some(("::1".to_owned(), 443)));
        for refused in
            ["hr.example.org:8443", "ldap://h", "https://", "https://h/path", "https://h?q", "https://h#f"]
        {
            assert!(!is_url(refused), "{refused}");
        }
    }
}
