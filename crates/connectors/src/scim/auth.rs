//! Who we are to the server: a bearer token, a user's password, or a token that an OAuth server gives for our client's
//! secret (RFC 6749 section 4.4).

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;
use tokio::{sync::Mutex, time::Instant};
use xavyo_core::{
    Error,
    connector::{FailureKind, ScimSettings, TargetFailure},
};

use super::http::Http;
use crate::{Secrets, redaction::Redaction};

/// A token is not used in the last part of its life: it could end on the way.
const MARGIN: Duration = Duration::from_secs(30);
/// The life of a token whose server does not say.
const USUAL_LIFE: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(super) enum Credentials {
    /// The whole `Authorization` header.
    Fixed(SecretString),
    Client {
        token_url: String,
        authorization: SecretString,
        redaction: Redaction,
        /// Asked for by one call at a time.
        token: Mutex<Option<Token>>,
    },
}

#[derive(Debug)]
pub(super) struct Token {
    authorization: SecretString,
    ends_at: Instant,
}

impl Credentials {
    /// Fails with a violation where the secret that the settings call for is missing.
    pub fn open(settings: &ScimSettings, secrets: &Secrets) -> Result<Self, Error> {
        let secret = |field: &str| {
            let missing = || Error::invalid(format!("secrets.{field}"), "a secret that is not empty");
            secrets.get(field).ok_or_else(missing)
        };
        match (&settings.token_url, &settings.username) {
            (Some(token_url), _) => {
                let (client, secret) =
                    (settings.client_id.as_deref().unwrap_or_default(), secret("client_secret")?);
                let secret = secret.expose_secret();
                Ok(Self::Client {
                    token_url: token_url.clone(),
                    authorization: basic(&form(client), &form(secret)),
                    redaction: Redaction::of(&[secret.into()]),
                    token: Mutex::new(None),
                })
            }
            (None, Some(username)) => Ok(Self::Fixed(basic(username, secret("password")?.expose_secret()))),
            (None, None) => {
                let token = secret("bearer_token")?.expose_secret();
                Ok(Self::Fixed(format!("Bearer {token}").into()))
            }
        }
    }

    /// The header's value, and whether another would be no fresher.
    pub async fn authorization(
        &self,
        http: &Http,
        deadline: Instant,
    ) -> Result<(String, bool), TargetFailure> {
        match self {
            Self::Fixed(header) => Ok((header.expose_secret().to_owned(), true)),
            Self::Client { token_url, authorization, redaction, token } => {
                let mut token = token.lock().await;
                if let Some(token) = token.as_ref().filter(|token| token.ends_at > Instant::now()) {
                    return Ok((token.authorization.expose_secret().to_owned(), false));
                }
                let asked_at = Instant::now();
                let answer =
                    http.token(token_url, authorization.expose_secret(), deadline, redaction).await?;
                let found = match (answer.is_success(), &answer.body) {
                    (true, Some(body)) => granted(body, asked_at),
                    _ => None,
                };
                let found = found.ok_or_else(|| denied(answer.status.as_u16()))?;
                let header = found.authorization.expose_secret().to_owned();
                *token = Some(found);
                Ok((header, true))
            }
        }
    }

    /// The server knows the token no more.
    pub async fn forget(&self) {
        match self {
            Self::Fixed(_) => {}
            Self::Client { token, .. } => *token.lock().await = None,
        }
    }
}

fn granted(body: &Json, asked_at: Instant) -> Option<Token> {
    let token = body.get("access_token")?.as_str()?;
    let is_bearer =
        body.get("token_type").and_then(Json::as_str).is_none_or(|it| it.eq_ignore_ascii_case("bearer"));
    let life = body.get("expires_in").and_then(Json::as_u64).map_or(USUAL_LIFE, Duration::from_secs);
    is_bearer.then(|| Token {
        authorization: format!("Bearer {token}").into(),
        ends_at: asked_at + life.saturating_sub(MARGIN),
    })
}

/// 400 `invalid_client` and 401 are our secret's fault; the rest passes.
fn denied(status: u16) -> TargetFailure {
    let kind = match status {
        400 | 401 | 403 => FailureKind::BadCredentials,
        429 => FailureKind::Busy,
        _ => FailureKind::Down,
    };
    TargetFailure::new(kind, format!("SCIM_TOKEN_{status}"), "the token server gave no token")
}

fn basic(user: &str, password: &str) -> SecretString {
    use base64::{Engine, prelude::BASE64_STANDARD};
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))).into()
}

/// As a form has it (RFC 6749 section 2.3.1).
fn form(text: &str) -> String {
    let mut url = reqwest::Url::parse("x:").expect("it is a URL");
    url.query_pairs_mut().append_key_only(text);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_clients_name_and_secret_are_escaped_before_they_are_joined() {
        assert_eq!(form("a:b c%/é"), "a%3Ab+c%25%2F%C3%A9");
        assert_eq!(basic("Aladdin", "open sesame").expose_secret(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_ends_a_little_before_its_server_ends_it() {
        let now = Instant::now();
        let token = granted(&json!({"access_token": "t", "token_type": "Bearer", "expires_in": 90}), now);
        assert_eq!(token.unwrap().ends_at, now + Duration::from_mins(1));
        assert!(granted(&json!({"access_token": "t", "token_type": "mac"}), now).is_none());
        assert!(granted(&json!({"error": "invalid_client"}), now).is_none());
    }
}
