//! Signs tokens for tests: the keys are fixed, public, and believed by nobody else.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};

/// PKCS #8 (RFC 5958) around an Ed25519 seed and around a P-256 scalar.
const ED25519_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
const P256_PREFIX: [u8; 35] = [
    48, 65, 2, 1, 0, 48, 19, 6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 8, 42, 134, 72, 206, 61, 3, 1, 7, 4, 39,
    48, 37, 2, 1, 1, 4, 32,
];
const RSA: &[u8] = include_bytes!("signer_rsa.pem");

pub(crate) struct Signer {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn ed25519(kid: &'static str, seed: u8) -> Self {
        let key = EncodingKey::from_ed_der(&[&ED25519_PREFIX[..], &[seed; 32]].concat());
        Self { kid, algorithm: Algorithm::EdDSA, key }
    }

    pub(crate) fn p256(kid: &'static str) -> Self {
        let key = EncodingKey::from_ec_der(&[&P256_PREFIX[..], &[7; 32]].concat());
        Self { kid, algorithm: Algorithm::ES256, key }
    }

    pub(crate) fn rsa(kid: &'static str) -> Self {
        Self { kid, algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_pem(RSA).unwrap() }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }

    /// The public key as an entry of a key set.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }
}

pub(crate) fn key_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}
