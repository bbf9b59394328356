//! The client of the provisioning service: the only way to either side of a comparison, and to any change.
//!
//! A [`Session`] acts for one tenant and one subject, over one channel that reconnects by itself. Whatever comes back is
//! parsed here, once, or refused. Never here: a decision about what is read, a retry of a change without its request id.
//!
//! Begin with [`account`] (both sides of an account, links) and [`read`] (both sides as streams).

pub mod account;
pub mod connector;
pub mod guard;
pub mod identity;
pub mod operation;
pub mod read;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{SubjectId, TenantId},
};
use xavyo_runtime::{
    Reloading, StartError,
    auth::{SUBJECT_HEADER, TENANT_HEADER},
};
use xavyo_wire::status::error_of;

/// A call that takes longer has failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A thousand accounts with their attributes may be this large.
const MAX_ANSWER: usize = 64 * 1_024 * 1_024;
/// What a stream may have under way before it is read.
const WINDOW: u32 = 4 * 1_024 * 1_024;

#[derive(Clone, Debug, Args)]
pub struct ProvisioningSettings {
    /// Where the provisioning service listens.
    #[arg(long, env = "XAVYO_PROVISIONING_URL", value_name = "URL")]
    pub provisioning_url: String,
    /// The file that holds this service's own token (role `service`). Read again when it changes.
    #[arg(long, env = "XAVYO_SERVICE_TOKEN_FILE", value_name = "PATH")]
    pub service_token_file: PathBuf,
    /// The authority that signed the provisioning service's certificate (PEM), for an https URL.
    #[arg(long, env = "XAVYO_PROVISIONING_CA_FILE", value_name = "PATH")]
    pub provisioning_ca_file: Option<PathBuf>,
}

/// Cheap to clone; clones share the channel.
#[derive(Clone, Debug)]
pub struct Provisioning {
    channel: Channel,
    token: Reloading<ServiceToken>,
}

/// The service's own bearer token, as it goes on the wire.
#[derive(Clone, Debug)]
pub struct ServiceToken(MetadataValue<Ascii>);

/// Calls on behalf of one subject of one tenant.
#[derive(Clone, Debug)]
pub struct Session {
    channel: Channel,
    token: Reloading<ServiceToken>,
    tenant: MetadataValue<Ascii>,
    subject: MetadataValue<Ascii>,
    /// W3C `traceparent`, where the trace is known.
    trace: Option<MetadataValue<Ascii>>,
}

impl Provisioning {
    /// No connection is made yet: this service starts while the other is away.
    pub fn open(settings: &ProvisioningSettings) -> Result<Self, StartError> {
        let token = Reloading::read("service token", &settings.service_token_file, ServiceToken::parse)?;
        Ok(Self { channel: endpoint(settings)?.connect_lazy(), token })
    }

    /// The token's file, to be watched.
    pub fn token(&self) -> Reloading<ServiceToken> {
        self.token.clone()
    }

    pub fn session(&self, tenant: TenantId, subject: SubjectId, trace_id: Option<&str>) -> Session {
        let id =
            |id: Uuid| MetadataValue::try_from(id.hyphenated().to_string()).expect("a UUID is visible ASCII");
        Session {
            channel: self.channel.clone(),
            token: self.token.clone(),
            tenant: id(tenant.0),
            subject: id(subject.0),
            trace: trace_id.and_then(|trace| {
                MetadataValue::try_from(format!("00-{trace}-{}-01", &trace.get(..16)?)).ok()
            }),
        }
    }
}

impl Session {
    /// A request with everything that says for whom it is, to be answered within [`CALL_TIMEOUT`].
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.streaming(message);
        request.set_timeout(CALL_TIMEOUT);
        request
    }

    /// The same for a stream: it lasts as long as it lasts.
    fn streaming<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.token.current().0.clone());
        metadata.insert(TENANT_HEADER, self.tenant.clone());
        metadata.insert(SUBJECT_HEADER, self.subject.clone());
        if let Some(trace) = &self.trace {
            metadata.insert("traceparent", trace.clone());
        }
        request
    }
}

impl ServiceToken {
    fn parse(text: &str) -> Result<Self, String> {
        let mut value = MetadataValue::try_from(format!("Bearer {}", text.trim()))
            .map_err(|_| "not one line of visible ASCII".to_owned())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

fn endpoint(settings: &ProvisioningSettings) -> Result<Endpoint, StartError> {
    let refused = |problem: String| StartError::Setting { setting: "XAVYO_PROVISIONING_URL", problem };
    let endpoint = Endpoint::from_shared(settings.provisioning_url.clone())
        .map_err(|error| refused(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .tcp_nodelay(true);
    if !settings.provisioning_url.starts_with("https:") {
        return Ok(endpoint);
    }
    let tls = match &settings.provisioning_ca_file {
        None => ClientTlsConfig::new(),
        Some(path) => {
            let pem = std::fs::read(path).map_err(|source| StartError::Unreadable {
                what: "certificate authority",
                path: path.clone(),
                source,
            })?;
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
        }
    };
    endpoint.tls_config(tls).map_err(|error| refused(error.to_string()))
}

/// What the other service's refusal means to a caller of this one. That our own token was refused is nobody's fault but
/// ours, and must not look like the caller's.
fn failed(status: Status) -> Error {
    let error = error_of(&status);
    match error.reason {
        Reason::InvalidToken | Reason::RoleForbids => {
            Error::new(Reason::PeerUnavailable, "provisioning refuses this service's own token")
                .caused_by(status)
        }
        Reason::Internal => Error::internal(status),
        _ => error,
    }
}

/// An answer without a part that every answer has.
fn lacks(part: &'static str) -> Error {
    Error::internal(format!("provisioning's answer lacks {part}"))
}

/// A value in an answer that is not what the contract says.
fn malformed(error: Error) -> Error {
    Error::new(Reason::Internal, "provisioning's answer is malformed").caused_by(error)
}
