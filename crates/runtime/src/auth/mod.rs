//! Who calls, and whether they may.
//!
//! Every call but those of health and reflection carries one bearer token. [`jwks`] knows whose signatures are
//! believed, [`token`] what a token must claim, [`caller`] what becomes of it, [`access`] which role may call which
//! method. The gate in [`crate::server`] asks all of them before a service sees anything of the call.
//!
//! Never here: a look into a request's body, a query, or a secret in a message.

pub mod access;
pub mod caller;
pub mod jwks;
pub mod token;

use http::{HeaderMap, header::AUTHORIZATION};
use xavyo_core::{Error, error::Result};

pub use self::caller::{Caller, Deadline, SUBJECT_HEADER, TENANT_HEADER};
use self::{
    caller::Issuer,
    jwks::KeySet,
    token::{Expectation, refused},
};
use crate::{Clock, Reloading, StartError, settings::TokenSettings};

/// Turns the headers of a call into its [`Caller`], or refuses it.
#[derive(Debug)]
pub struct Authenticator {
    keys: Reloading<KeySet>,
    expectation: Expectation,
    issuer: Issuer,
    clock: Clock,
}

impl Authenticator {
    /// Reads the key set, which must be there and good.
    pub fn open(settings: &TokenSettings, clock: Clock) -> Result<Self, StartError> {
        Ok(Self {
            keys: Reloading::read("key set", &settings.jwks_file, KeySet::parse)?,
            expectation: Expectation {
                issuer: settings.token_issuer.clone(),
                audience: settings.token_audience.clone(),
            },
            issuer: Issuer::named(&settings.token_issuer),
            clock,
        })
    }

    /// The key set, for the task that looks for changes.
    pub fn keys(&self) -> Reloading<KeySet> {
        self.keys.clone()
    }

    pub fn authenticate(&self, headers: &HeaderMap, trace_id: String) -> Result<Caller> {
        let claims = self.keys.current().verify(bearer(headers)?)?;
        self.expectation.check(&claims, self.clock.now())?;
        Caller::from_claims(&claims, headers, &self.issuer, trace_id)
    }
}

/// The token of the one authorization header. Two headers are refused: whoever looks at the first and whoever looks at
/// the last would see different callers.
fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(refused("a bearer token is needed")) };
    if values.next().is_some() {
        return Err(refused("more than one authorization header"));
    }
    let value = value.to_str().map_err(|_| refused("the authorization header is not text"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(refused("the authorization header is not `Bearer <token>`")),
    }
}

#[cfg(test)]
pub(crate) mod signer;
#[cfg(test)]
mod tests;
