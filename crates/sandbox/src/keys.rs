//! The keys that the sandbox's services trust, and tokens signed with them: for any tenant, subject and role, and, since
//! every claim can be set, for every way in which a token can be wrong.

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;
use xavyo_runtime::Clock;

pub const ISSUER: &str = "https://sandbox.xavyo.test";
pub const AUDIENCE: &str = "xavyo";
/// How long a token is good for: a working day.
const LIFETIME_SECONDS: i64 = 12 * 3600;

/// What precedes an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// An Ed25519 key pair that signs tokens.
pub struct Keys {
    id: String,
    signer: EncodingKey,
}

/// The claims of a token. The fields are there to be changed: `Claims { exp: 0, ..Claims::of(tenant, &["admin"]) }`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: String,
    /// A token of the role `service` carries none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Uuid>,
    pub roles: Vec<String>,
    pub iat: i64,
    pub exp: i64,
}

impl Keys {
    pub fn generate() -> Self {
        let der = [PKCS8_PREFIX.as_slice(), &rand::random::<[u8; 32]>()].concat();
        Self { id: format!("sandbox-{:08x}", rand::random::<u32>()), signer: EncodingKey::from_ed_der(&der) }
    }

    /// The public half, as a JWKS document (RFC 7517).
    pub fn jwks(&self) -> Result<String> {
        let mut key =
            Jwk::from_encoding_key(&self.signer, Algorithm::EdDSA).context("cannot derive a public key")?;
        key.common.key_id = Some(self.id.clone());
        Ok(json!({ "keys": [key] }).to_string())
    }

    pub fn token(&self, claims: &Claims) -> Result<String> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.signer).context("cannot sign a token")
    }
}

impl Claims {
    /// Good claims of a person of that tenant.
    pub fn of(tenant: Uuid, roles: &[&str]) -> Self {
        Self { tenant: Some(tenant), ..Self::without_tenant("sandbox", roles) }
    }

    /// Good claims of the other service.
    pub fn of_service() -> Self {
        Self::without_tenant("reconciliation", &["service"])
    }

    fn without_tenant(subject: &str, roles: &[&str]) -> Self {
        let now = Clock::system().now().timestamp();
        Self {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: subject.to_owned(),
            tenant: None,
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            iat: now,
            exp: now + LIFETIME_SECONDS,
        }
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};

    use super::*;

    #[test]
    fn a_token_verifies_with_its_own_keys_and_no_others() {
        let keys = Keys::generate();
        let token = keys.token(&Claims::of(Uuid::nil(), &["admin"])).unwrap();

        assert!(verifies(&token, &keys));
        assert!(!verifies(&token, &Keys::generate()));
    }

    fn verifies(token: &str, keys: &Keys) -> bool {
        let set: JwkSet = serde_json::from_str(&keys.jwks().unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        let key = DecodingKey::from_jwk(&set.keys[0]).unwrap();
        jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation).is_ok()
    }
}
