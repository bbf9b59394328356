//! AES-256-GCM, and what a ciphertext is bound to: tenant, connector and field, so that it opens nowhere but where it was
//! sealed. With one bit changed it opens nowhere at all.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, Key,
    aead::{Aead, Generate, KeyInit, Nonce, Payload},
};
use secrecy::SecretSlice;
use xavyo_core::{
    Error,
    error::Result,
    ids::{ConnectorId, TenantId},
};

pub(super) const NONCE_BYTES: usize = 12;

/// The key of one connector's secrets.
pub(super) struct DataKey(pub Key<Aes256Gcm>);

impl DataKey {
    pub fn generate() -> Self {
        Self(Key::<Aes256Gcm>::generate())
    }
}

/// Whose secret it is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub tenant: TenantId,
    pub connector: ConnectorId,
}

impl Place {
    fn associated_data(self, field: &str) -> Vec<u8> {
        [self.tenant.0.as_bytes(), self.connector.0.as_bytes(), field.as_bytes()].concat()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connector {} of tenant {}", self.connector, self.tenant)
    }
}

/// Nonce and ciphertext. The nonce is random: a key seals far fewer than the 2³² messages that this allows.
pub(super) fn seal(key: &Key<Aes256Gcm>, place: Place, field: &str, secret: &[u8]) -> Result<Vec<u8>> {
    seal_under(Nonce::<Aes256Gcm>::generate(), key, place, field, secret)
}

/// The same under a nonce that must never be used for another message.
pub(super) fn seal_under(
    nonce: Nonce<Aes256Gcm>,
    key: &Key<Aes256Gcm>,
    place: Place,
    field: &str,
    secret: &[u8],
) -> Result<Vec<u8>> {
    let payload = Payload { msg: secret, aad: &place.associated_data(field) };
    let ciphertext = Aes256Gcm::new(key)
        .encrypt(&nonce, payload)
        .map_err(|_| Error::internal(format!("{field} of {place} cannot be sealed")))?;
    Ok([nonce.as_slice(), &ciphertext].concat())
}

pub(super) fn open(
    key: &Key<Aes256Gcm>,
    place: Place,
    field: &str,
    sealed: &[u8],
) -> Result<SecretSlice<u8>> {
    let opened = sealed.split_at_checked(NONCE_BYTES).and_then(|(nonce, ciphertext)| {
        let nonce = Nonce::<Aes256Gcm>::try_from(nonce).ok()?;
        let payload = Payload { msg: ciphertext, aad: &place.associated_data(field) };
        Aes256Gcm::new(key).decrypt(&nonce, payload).ok()
    });
    opened.map(SecretSlice::from).ok_or_else(|| unreadable(place, field))
}

pub(super) fn unreadable(place: Place, field: &str) -> Error {
    Error::internal(format!(
        "{field} of {place} does not open: it was changed, moved or sealed by another key"
    ))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use uuid::Uuid;

    use super::*;

    fn place(connector: u128) -> Place {
        Place { tenant: TenantId(Uuid::from_u128(1)), connector: ConnectorId(Uuid::from_u128(connector)) }
    }

    #[test]
    fn a_sealed_secret_opens_where_it_was_sealed_and_nowhere_else() {
        let key = DataKey::generate().0;

        let sealed = seal(&key, place(2), "password", b"canary").unwrap();

        assert_eq!(open(&key, place(2), "password", &sealed).unwrap().expose_secret(), b"canary");
        assert!(open(&key, place(3), "password", &sealed).is_err(), "another connector");
        assert!(open(&key, place(2), "bearer_token", &sealed).is_err(), "another field");
        assert!(open(&DataKey::generate().0, place(2), "password", &sealed).is_err(), "another key");
        assert!(!sealed.windows(6).any(|window| window == b"canary"), "S3: the secret is readable at rest");
    }

    #[test]
    fn a_changed_or_cut_ciphertext_does_not_open() {
        let key = DataKey::generate().0;
        let sealed = seal(&key, place(2), "password", b"canary").unwrap();

        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(open(&key, place(2), "password", &changed).is_err(), "bit of byte {position}");
            assert!(open(&key, place(2), "password", &sealed[..position]).is_err(), "cut at {position}");
        }
    }
}
