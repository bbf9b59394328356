//! What the process allows its connectors, and the secrets that one is opened with.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use crate::egress;

/// Limits that the process sets, the same for every connector. Every default is the careful one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Serves the memory kind: for tests and benches.
    pub allow_memory: bool,
    /// Where memory stores keep their journals, shared by all processes that name the same directory. None = accounts
    /// and ledger live and die with this process.
    pub memory_directory: Option<PathBuf>,
    /// Serves targets without TLS.
    pub allow_clear_text: bool,
    /// Serves SQL targets through Unix sockets.
    pub allow_sockets: bool,
    /// Calls that take longer are given up.
    pub call_timeout: Duration,
    pub egress: egress::Policy,
}

/// A connector's secrets by field: `bind_password`, `password`, `bearer_token`. Prints none of them.
#[derive(Clone, Debug, Default)]
pub struct Secrets(pub BTreeMap<String, SecretString>);

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_memory: false,
            memory_directory: None,
            allow_clear_text: false,
            allow_sockets: false,
            call_timeout: Duration::from_secs(30),
            egress: egress::Policy::default(),
        }
    }
}

impl Secrets {
    /// The secret of that field; an empty one counts as none.
    pub fn get(&self, field: &str) -> Option<&SecretString> {
        self.0.get(field).filter(|secret| !secret.expose_secret().is_empty())
    }
}

impl<F: Into<String>, S: Into<String>> FromIterator<(F, S)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (F, S)>>(secrets: I) -> Self {
        Self(
            secrets
                .into_iter()
                .map(|(field, secret)| (field.into(), SecretString::from(secret.into())))
                .collect(),
        )
    }
}
