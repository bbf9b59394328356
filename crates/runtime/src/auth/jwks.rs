//! Whose signatures are believed: the public keys of a JSON Web Key Set (RFC 7517), each for exactly one algorithm.
//!
//! The algorithm follows from the key, never from the token: a token that asks for `none`, or for HMAC with a public
//! key as its secret, is refused before anything is computed.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use xavyo_core::error::Result;

use super::token::{Claims, refused};

/// A call with a token that was verified before costs a hash instead of a signature. At most so many are remembered.
const REMEMBERED: usize = 4_096;

/// The shortest modulus of an RSA key, in bytes (2,048 bits: NIST SP 800-131A).
const RSA_LEAST_BYTES: usize = 256;

/// The keys of one version of the file, and what they have verified: a new version starts with an empty memory.
pub struct KeySet {
    keys: HashMap<String, VerificationKey>,
    verified: Mutex<HashMap<blake3::Hash, Arc<Claims>>>,
}

struct VerificationKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl KeySet {
    /// Refuses the whole set if one of its keys is none for signatures of the three algorithms, so that a mistake shows
    /// when the file is written, not when a token comes. Keys for encryption (`"use": "enc"`) are passed over.
    pub fn parse(text: &str) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_str(text).map_err(|_| "not a JSON Web Key Set".to_owned())?;
        let mut keys = HashMap::new();
        for (place, jwk) in set.keys.iter().enumerate() {
            if jwk.common.public_key_use == Some(PublicKeyUse::Encryption) {
                continue;
            }
            let id = jwk.common.key_id.clone().ok_or_else(|| format!("keys[{place}]: it has no kid"))?;
            let key = VerificationKey::of(jwk).map_err(|problem| format!("keys[{place}]: {problem}"))?;
            if keys.insert(id, key).is_some() {
                return Err(format!("keys[{place}]: another key has the same kid"));
            }
        }
        if keys.is_empty() {
            return Err("no key for signatures in it".to_owned());
        }
        Ok(Self { keys, verified: Mutex::default() })
    }

    /// The claims of a token whose signature holds. What they claim is not checked here.
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>> {
        let fingerprint = blake3::hash(token.as_bytes());
        if let Some(claims) = self.memory().get(&fingerprint) {
            return Ok(claims.clone());
        }
        let claims = Arc::new(self.verify_signature(token)?);
        let mut memory = self.memory();
        if memory.len() >= REMEMBERED {
            memory.clear();
        }
        memory.insert(fingerprint, claims.clone());
        Ok(claims)
    }

    fn verify_signature(&self, token: &str) -> Result<Claims> {
        let header = decode_header(token).map_err(|_| refused("the token is malformed"))?;
        let Some(id) = header.kid else { return Err(refused("the token names no key")) };
        let Some(key) = self.keys.get(&id) else { return Err(refused("the token's key is unknown")) };
        if header.alg != key.algorithm {
            return Err(refused("the token's algorithm is not its key's"));
        }
        // RFC 7515, section 4.1.11: what is critical and not understood makes the token invalid.
        if header.crit.is_some() {
            return Err(refused("the token has critical extensions"));
        }
        let verified = decode::<Claims>(token, &key.key, &signature_only(key.algorithm));
        verified.map(|token| token.claims).map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => {
                refused("the token's signature does not hold")
            }
            _ => refused("the token is malformed"),
        })
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<blake3::Hash, Arc<Claims>>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VerificationKey {
    fn of(jwk: &Jwk) -> Result<Self, &'static str> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::RSA(key) => {
                let modulus =
                    BASE64_URL_SAFE_NO_PAD.decode(&key.n).map_err(|_| "its modulus is not base64url")?;
                if modulus.iter().skip_while(|byte| **byte == 0).count() < RSA_LEAST_BYTES {
                    return Err("an RSA key of less than 2,048 bits");
                }
                Algorithm::RS256
            }
            _ => return Err("not an Ed25519, P-256 or RSA public key"),
        };
        if jwk.common.key_algorithm.is_some_and(|named| named != algorithm.into()) {
            return Err("its alg is not EdDSA, ES256 or RS256, as its key would need");
        }
        let key = DecodingKey::from_jwk(jwk).map_err(|_| "its key material is malformed")?;
        Ok(Self { algorithm, key })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

/// The library would take the time from the operating system: the claims are checked by
/// [`Expectation`](super::token::Expectation), at the injected time.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}
