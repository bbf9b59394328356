//! The generated types, one module a package. They carry the contract's names: `pb::provisioning::ProvisioningOperation`.
//! `google.protobuf` types are those of `pbjson_types`, re-exported as [`google`]: they print as JSON.

use std::fmt;

pub use generated::xavyo::{
    common::v1 as common, connector::v1 as connector, provisioning::v1 as provisioning,
    reconciliation::v1 as reconciliation,
};
pub use pbjson_types as google;

#[expect(clippy::allow_attributes, reason = "generated")]
mod generated {
    #![allow(clippy::all, clippy::pedantic, missing_docs, unused_qualifications)]
    include!(concat!(env!("OUT_DIR"), "/xavyo.rs"));
}

/// Which secrets are there, never what they are.
impl fmt::Debug for provisioning::ConnectorSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bind_password, password, bearer_token, client_secret, client_key } = self;
        let shown = |secret: &Option<String>| secret.as_ref().map(|_| "***");
        f.debug_struct("ConnectorSecrets")
            .field("bind_password", &shown(bind_password))
            .field("password", &shown(password))
            .field("bearer_token", &shown(bearer_token))
            .field("client_secret", &shown(client_secret))
            .field("client_key", &shown(client_key))
            .finish()
    }
}
