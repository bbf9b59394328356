//! Secrets of connectors at rest: AES-256-GCM under one data key a connector, which is itself wrapped by a master key
//! from a file outside the database.
//!
//! The associated data names tenant, connector and field, so that a ciphertext opens nowhere but where it was sealed.
//! Everything fails closed: without the master key, or with one bit changed, there is no secret and no connection.
//! Secrets leave this module as [`SecretString`]s only, towards a target; no read of the API ever reaches them.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, Key,
    aead::{Aead, Generate, KeyInit, Nonce, Payload},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sqlx::PgConnection;
use xavyo_connectors::Secrets;
use xavyo_core::{
    Error,
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::{Clock, keys::MasterKeys};

use crate::store::connector::secret::{self, SealedSecret, WrappedKey};

const NONCE_BYTES: usize = 12;

/// The field under which a data key is wrapped: no secret has this name.
const DATA_KEY: &str = "data-key";

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    keys: MasterKeys,
    clock: Clock,
}

impl Vault {
    pub fn new(keys: MasterKeys, clock: Clock) -> Self {
        Self { keys, clock }
    }

    /// Stores secrets in the place of those of the same fields; others stay. The caller has made or locked the
    /// connector.
    pub async fn put(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        connector: ConnectorId,
        secrets: &Secrets,
    ) -> Result<()> {
        if secrets.0.is_empty() {
            return Ok(());
        }
        let place = Place { tenant, connector };
        let now = self.clock.now();
        let key = if let Some(wrapped) = secret::find_key(tx, tenant, connector).await? {
            self.unwrap(place, &wrapped)?
        } else {
            let key = DataKey::generate();
            secret::insert_key(tx, tenant, connector, &self.wrap(place, &key)?, now).await?;
            key
        };
        let sealed = secrets.0.iter().map(|(field, text)| {
            let sealed = seal(&key.0, place, field, text.expose_secret().as_bytes())?;
            Ok(SealedSecret { field: field.clone(), sealed })
        });
        secret::put(tx, tenant, connector, &sealed.collect::<Result<Vec<_>>>()?, now).await
    }

    /// All secrets of a connector.
    pub async fn open(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        connector: ConnectorId,
    ) -> Result<Secrets> {
        let Some(wrapped) = secret::find_key(tx, tenant, connector).await? else {
            return Ok(Secrets::default());
        };
        let sealed = secret::all(tx, tenant, connector).await?;
        let place = Place { tenant, connector };
        let key = self.unwrap(place, &wrapped)?;
        let opened = sealed.into_iter().map(|SealedSecret { field, sealed }| {
            let bytes = open(&key.0, place, &field, &sealed)?;
            let text = std::str::from_utf8(bytes.expose_secret()).map_err(|_| unreadable(place, &field))?;
            Ok((field, SecretString::from(text)))
        });
        Ok(Secrets(opened.collect::<Result<_>>()?))
    }

    /// Says whether two sets of secrets are the same, and nothing else of them: keyed, so that nobody can guess.
    pub fn fingerprint(&self, secrets: &Secrets) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.keys.derive("xavyo secret fingerprint v1"));
        for (field, secret) in &secrets.0 {
            let secret = secret.expose_secret();
            for part in [field.as_str(), secret] {
                hasher.update(&part.len().to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        hasher.finalize().to_string()
    }

    fn wrap(&self, place: Place, key: &DataKey) -> Result<WrappedKey> {
        let (id, master) = self.keys.active();
        let wrapped = seal(&Key::<Aes256Gcm>::from(*master), place, DATA_KEY, &key.0)?;
        Ok(WrappedKey { master_key_id: id.to_owned(), wrapped })
    }

    fn unwrap(&self, place: Place, wrapped: &WrappedKey) -> Result<DataKey> {
        let id = &wrapped.master_key_id;
        let lost = || {
            Error::internal(format!(
                "master key {id}, which wraps the secrets of {place}, is not in the file"
            ))
        };
        let master = self.keys.get(id).ok_or_else(lost)?;
        let bytes = open(&Key::<Aes256Gcm>::from(*master), place, DATA_KEY, &wrapped.wrapped)?;
        let key = <[u8; 32]>::try_from(bytes.expose_secret()).map_err(|_| unreadable(place, DATA_KEY))?;
        Ok(DataKey(key.into()))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

/// The key of one connector's secrets.
struct DataKey(Key<Aes256Gcm>);

impl DataKey {
    fn generate() -> Self {
        Self(Key::<Aes256Gcm>::generate())
    }
}

/// Whose secret it is.
#[derive(Clone, Copy)]
struct Place {
    tenant: TenantId,
    connector: ConnectorId,
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
fn seal(key: &Key<Aes256Gcm>, place: Place, field: &str, secret: &[u8]) -> Result<Vec<u8>> {
    let nonce = Nonce::<Aes256Gcm>::generate();
    let payload = Payload { msg: secret, aad: &place.associated_data(field) };
    let ciphertext = Aes256Gcm::new(key)
        .encrypt(&nonce, payload)
        .map_err(|_| Error::internal(format!("{field} of {place} cannot be sealed")))?;
    Ok([nonce.as_slice(), &ciphertext].concat())
}

fn open(key: &Key<Aes256Gcm>, place: Place, field: &str, sealed: &[u8]) -> Result<SecretSlice<u8>> {
    let opened = sealed.split_at_checked(NONCE_BYTES).and_then(|(nonce, ciphertext)| {
        let nonce = Nonce::<Aes256Gcm>::try_from(nonce).ok()?;
        let payload = Payload { msg: ciphertext, aad: &place.associated_data(field) };
        Aes256Gcm::new(key).decrypt(&nonce, payload).ok()
    });
    opened.map(SecretSlice::from).ok_or_else(|| unreadable(place, field))
}

fn unreadable(place: Place, field: &str) -> Error {
    Error::internal(format!(
        "{field} of {place} does not open: it was changed, moved or sealed by another key"
    ))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn place(connector: u128) -> Place {
        Place { tenant: TenantId(Uuid::from_u128(1)), connector: ConnectorId(Uuid::from_u128(connector)) }
    }

    fn vault(keys: &str) -> Vault {
        Vault::new(MasterKeys::parse(keys).unwrap(), Clock::system())
    }

    const ONE: &str = r#"{"k1": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#;
    const OTHER: &str = r#"{"k2": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#;

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

    #[test]
    fn a_data_key_whose_master_key_is_lost_stays_shut() {
        let key = DataKey::generate();
        let wrapped = vault(ONE).wrap(place(2), &key).unwrap();

        assert!(vault(ONE).unwrap(place(2), &wrapped).is_ok_and(|opened| opened.0 == key.0));
        assert!(vault(OTHER).unwrap(place(2), &wrapped).is_err(), "fails closed");
    }
}
