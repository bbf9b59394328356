//! The settings that both services share, from `XAVYO_*` environment variables or flags of the same name.
//!
//! Never a secret: those come from files, of which a setting holds the path. So neither the command line nor the
//! environment of a process gives one away.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{
    Args, ValueEnum,
    builder::{PossibleValue, RangedU64ValueParser},
};

use crate::StartError;

/// What `serve` takes, beside the settings of the service itself.
#[derive(Clone, Debug, Args)]
#[group(id = "RuntimeSettings")]
pub struct Settings {
    #[command(flatten)]
    pub listen: ListenSettings,
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub token: TokenSettings,
    /// Master keys, the same on every replica: JSON {"<id>": "<base64 of 32 bytes>"}; the last id in order seals.
    #[arg(long, env = "XAVYO_MASTER_KEYS_FILE", value_name = "PATH")]
    pub master_keys_file: PathBuf,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub log: LogSettings,
}

/// Where the gRPC server listens, and with which certificates.
#[derive(Clone, Debug, Args)]
pub struct ListenSettings {
    /// The address to listen on; port 0 picks a free one.
    #[arg(long, env = "XAVYO_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Where to write the bound address, once the server listens.
    #[arg(long, env = "XAVYO_ADDRESS_FILE", value_name = "PATH")]
    pub address_file: Option<PathBuf>,
    /// Serve without TLS beyond loopback too: for a service mesh that brings its own.
    #[arg(long, env = "XAVYO_LISTEN_CLEAR_TEXT")]
    pub listen_clear_text: bool,
    /// The server's certificate chain, PEM.
    #[arg(long, env = "XAVYO_TLS_CERTIFICATE_FILE", value_name = "PATH", requires = "tls_key_file")]
    pub tls_certificate_file: Option<PathBuf>,
    /// The private key of the certificate, PEM.
    #[arg(long, env = "XAVYO_TLS_KEY_FILE", value_name = "PATH", requires = "tls_certificate_file")]
    pub tls_key_file: Option<PathBuf>,
    /// The authorities that sign clients' certificates, PEM. With it, a client without one is refused (mutual TLS).
    #[arg(long, env = "XAVYO_TLS_CLIENT_CA_FILE", value_name = "PATH", requires = "tls_certificate_file")]
    pub tls_client_ca_file: Option<PathBuf>,
}

/// The service's database, as the program's role: one that owns nothing and cannot bypass row-level security.
#[derive(Clone, Debug, Args)]
pub struct DatabaseSettings {
    /// postgres://user@host/name or postgres:///name?host=/socket/directory&user=name; a password in it is refused.
    #[arg(long, env = "XAVYO_DATABASE_URL", value_name = "URL")]
    pub database_url: String,
    /// The password of the database's user.
    #[arg(long, env = "XAVYO_DATABASE_PASSWORD_FILE", value_name = "PATH")]
    pub database_password_file: Option<PathBuf>,
    /// The most connections to the database; one more carries the heartbeat.
    #[arg(long, env = "XAVYO_DATABASE_POOL_SIZE", value_name = "COUNT", default_value_t = 16, value_parser = count(1, 1_000))]
    pub database_pool_size: u32,
    /// How long one statement may take.
    #[arg(long, env = "XAVYO_DATABASE_STATEMENT_SECONDS", value_name = "SECONDS", default_value_t = 60, value_parser = count(1, 3_600))]
    pub database_statement_seconds: u32,
}

/// Which bearer tokens are believed.
#[derive(Clone, Debug, Args)]
pub struct TokenSettings {
    /// The public keys that sign tokens: a JSON Web Key Set (RFC 7517), read again when it changes.
    #[arg(long, env = "XAVYO_JWKS_FILE", value_name = "PATH")]
    pub jwks_file: PathBuf,
    /// The `iss` that a token must carry.
    #[arg(long, env = "XAVYO_TOKEN_ISSUER", value_name = "URL")]
    pub token_issuer: String,
    /// The `aud` that a token must name.
    #[arg(long, env = "XAVYO_TOKEN_AUDIENCE", value_name = "NAME", default_value = "xavyo")]
    pub token_audience: String,
}

/// What one process takes on at most. Above it, callers get RESOURCE_EXHAUSTED at once instead of waiting.
#[derive(Clone, Copy, Debug, Args)]
pub struct Limits {
    /// The longest that a unary call may take; a caller's shorter deadline wins.
    #[arg(long, env = "XAVYO_CALL_SECONDS", value_name = "SECONDS", default_value_t = 60, value_parser = count(1, 3_600))]
    pub call_seconds: u32,
    /// Unary calls at once.
    #[arg(long, env = "XAVYO_MAX_CALLS", value_name = "COUNT", default_value_t = 1_024, value_parser = count(1, 1_000_000))]
    pub max_calls: u32,
    /// Streaming calls at once.
    #[arg(long, env = "XAVYO_MAX_STREAMS", value_name = "COUNT", default_value_t = 512, value_parser = count(1, 1_000_000))]
    pub max_streams: u32,
    /// Connections at once; more are closed as they come.
    #[arg(long, env = "XAVYO_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = 1_024, value_parser = count(1, 1_000_000))]
    pub max_connections: u32,
    /// After so long a connection takes no new calls, so that clients spread over replicas again.
    #[arg(long, env = "XAVYO_CONNECTION_AGE_SECONDS", value_name = "SECONDS", default_value_t = 1_800, value_parser = count(1, 86_400))]
    pub connection_age_seconds: u32,
    /// How long a process that was asked to stop may take to finish what it has begun.
    #[arg(long, env = "XAVYO_DRAIN_SECONDS", value_name = "SECONDS", default_value_t = 20, value_parser = count(1, 3_600))]
    pub drain_seconds: u32,
}

/// What is written to standard error, and how.
#[derive(Clone, Debug, Args)]
pub struct LogSettings {
    /// A level, or directives: info,xavyo_runtime=debug.
    #[arg(long, env = "XAVYO_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// One line for people, or one JSON object, an event.
    #[arg(long, env = "XAVYO_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// What `migrate` takes: the database as its owner.
#[derive(Clone, Debug, Args)]
pub struct MigrateSettings {
    /// Like XAVYO_DATABASE_URL, as the role that owns the tables; a password in it is refused.
    #[arg(long, env = "XAVYO_OWNER_DATABASE_URL", value_name = "URL")]
    pub owner_database_url: String,
    /// The password of the owner.
    #[arg(long, env = "XAVYO_OWNER_DATABASE_PASSWORD_FILE", value_name = "PATH")]
    pub owner_database_password_file: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogSettings,
}

impl Limits {
    pub fn call(&self) -> Duration {
        Duration::from_secs(self.call_seconds.into())
    }

    pub fn connection_age(&self) -> Duration {
        Duration::from_secs(self.connection_age_seconds.into())
    }

    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }
}

impl ListenSettings {
    /// Clear text stays on the machine, unless somebody has said that it may leave.
    pub fn check(&self) -> Result<(), StartError> {
        let is_sealed = self.tls_certificate_file.is_some();
        if is_sealed || self.listen.ip().is_loopback() || self.listen_clear_text {
            return Ok(());
        }
        Err(StartError::Setting {
            setting: "XAVYO_LISTEN",
            problem: format!(
                "{} is not loopback: set XAVYO_TLS_CERTIFICATE_FILE and XAVYO_TLS_KEY_FILE, or XAVYO_LISTEN_CLEAR_TEXT=true",
                self.listen
            ),
        })
    }
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Text => "text",
            Self::Json => "json",
        }))
    }
}

fn count(least: u64, most: u64) -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(least..=most)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        settings: Settings,
    }

    const NEEDED: [&str; 9] = [
        "program",
        "--database-url",
        "postgres:///x",
        "--jwks-file",
        "keys.json",
        "--token-issuer",
        "https://issuer.test",
        "--master-keys-file",
        "master.json",
    ];

    fn parse(more: &[&str]) -> Result<Settings, clap::Error> {
        Program::try_parse_from(NEEDED.iter().chain(more)).map(|program| program.settings)
    }

    #[test]
    fn what_has_a_careful_default_need_not_be_set() {
        let settings = parse(&[]).unwrap();

        assert!(settings.listen.listen.ip().is_loopback());
        assert_eq!(settings.token.token_audience, "xavyo");
        assert_eq!(settings.limits.call(), Duration::from_mins(1));
        assert_eq!(settings.log.log_format, LogFormat::Text);
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        for limit in
            ["--max-calls", "--max-streams", "--call-seconds", "--drain-seconds", "--database-pool-size"]
        {
            assert!(parse(&[limit, "0"]).is_err(), "{limit}");
        }
    }

    #[test]
    fn clear_text_does_not_leave_the_machine_unless_told_to() {
        assert!(parse(&["--listen", "[::1]:0"]).unwrap().listen.check().is_ok());
        assert!(parse(&["--listen", "0.0.0.0:0"]).unwrap().listen.check().is_err());
        assert!(parse(&["--listen", "0.0.0.0:0", "--listen-clear-text"]).unwrap().listen.check().is_ok());
        let sealed = ["--listen", "0.0.0.0:0", "--tls-certificate-file", "c.pem", "--tls-key-file", "k.pem"];
        assert!(parse(&sealed).unwrap().listen.check().is_ok());
    }

    #[test]
    fn half_of_a_certificate_is_refused() {
        assert!(parse(&["--tls-certificate-file", "c.pem"]).is_err());
        assert!(parse(&["--tls-client-ca-file", "ca.pem"]).is_err());
    }
}
