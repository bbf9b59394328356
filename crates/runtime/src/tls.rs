//! TLS of the gRPC server, by ring: the only provider of cryptography for TLS in the tree.

use std::{fs, path::Path, time::Duration};

use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::{StartError, settings::ListenSettings};

/// A client that has not finished its handshake by then is let go.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Makes ring the process's provider. First thing in `main`, and in tests that use TLS; again does no harm.
pub fn install() {
    // The error says that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// None: the settings name no certificate.
pub fn server(settings: &ListenSettings) -> Result<Option<ServerTlsConfig>, StartError> {
    let (Some(certificate), Some(key)) = (&settings.tls_certificate_file, &settings.tls_key_file) else {
        return Ok(None);
    };
    let identity = Identity::from_pem(read("certificate", certificate)?, read("private key", key)?);
    let config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE_WITHIN);
    let Some(authorities) = &settings.tls_client_ca_file else { return Ok(Some(config)) };
    Ok(Some(config.client_ca_root(Certificate::from_pem(read("client authorities", authorities)?))))
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(path).map_err(|source| StartError::Unreadable { what, path: path.to_owned(), source })
}
