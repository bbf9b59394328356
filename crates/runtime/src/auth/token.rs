//! What a token claims (RFC 7519), and what of it must hold: who issued it, for whom, and until when.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use xavyo_core::{Error, Reason, error::Result};

/// How far the clocks of the issuer and of this process may be apart, in seconds.
const LEEWAY_SECONDS: i64 = 30;

/// The claims that count here; others are ignored. Times are whole seconds since 1970.
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: Audience,
    pub sub: String,
    pub exp: i64,
    pub nbf: Option<i64>,
    /// Absent for the `service` role alone.
    pub tenant: Option<String>,
    #[serde(default)]
    pub roles: Vec<String>,
}

/// One name, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What this process expects of every token.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub issuer: String,
    pub audience: String,
}

impl Expectation {
    /// Of claims whose signature was verified.
    pub fn check(&self, claims: &Claims, now: DateTime<Utc>) -> Result<()> {
        let now = now.timestamp();
        if claims.iss != self.issuer {
            return Err(refused("the token is of another issuer"));
        }
        if !claims.aud.names(&self.audience) {
            return Err(refused("the token is for another audience"));
        }
        if claims.exp.saturating_add(LEEWAY_SECONDS) <= now {
            return Err(refused("the token has expired"));
        }
        if claims.nbf.is_some_and(|nbf| nbf.saturating_sub(LEEWAY_SECONDS) > now) {
            return Err(refused("the token is not valid yet"));
        }
        Ok(())
    }
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(name) => name == audience,
            Self::Several(names) => names.iter().any(|name| name == audience),
        }
    }
}

/// UNAUTHENTICATED. The message says what is wrong with the token, and nothing that is in it.
pub(super) fn refused(message: &'static str) -> Error {
    Error::new(Reason::InvalidToken, message)
}
