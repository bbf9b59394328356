//! Secrets of connectors at rest: AES-256-GCM under one data key a connector, which is itself wrapped by a master key
//! from a file outside the database.
//!
//! The associated data names tenant, connector and field, so that a ciphertext opens nowhere but where it was sealed.
//! Everything fails closed: without the master key, or with one bit changed, there is no secret and no connection.
//! Secrets leave this module as [`SecretString`]s only, towards a target; no read of the API ever reaches them.
//!
//! Under the same data key a [`Sealer`] seals the values of operations that cannot be read back.

mod cipher;
mod sealer;

use std::fmt;

use aes_gcm::{Aes256Gcm, Key};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use xavyo_connectors::Secrets;
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::{Clock, keys::MasterKeys};

pub use sealer::{LazySealer, Sealer};

use self::cipher::{DataKey, Place, open, seal, unreadable};
use crate::store::connector::secret::{self, SealedSecret, WrappedKey};

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
        let key = self.data_key(tx, place).await?;
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

    /// What seals the values of a connector's operations; its data key is made if it has none yet.
    pub async fn sealer(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        connector: ConnectorId,
    ) -> Result<Sealer> {
        let place = Place { tenant, connector };
        Ok(Sealer::new(place, self.data_key(tx, place).await?))
    }

    /// The id of the master key that wraps from now on.
    pub fn active_key_id(&self) -> &str {
        self.keys.active().0
    }

    /// Wraps a connector's data key anew, if another master key than the active one wraps it. False: nothing to do.
    /// KEY_LOST where that one is not in the file any more: nothing is changed then.
    pub async fn rewrap(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        connector: ConnectorId,
    ) -> Result<bool> {
        let place = Place { tenant, connector };
        let Some(wrapped) = secret::lock_key(tx, tenant, connector).await? else { return Ok(false) };
        if wrapped.master_key_id == self.active_key_id() {
            return Ok(false);
        }
        let key = self.unwrap(place, &wrapped)?;
        secret::save_key(tx, tenant, connector, &self.wrap(place, &key)?).await?;
        Ok(true)
    }

    /// Under which request bodies are hashed: they hold values that nobody may guess from their hashes.
    pub fn body_key(&self) -> [u8; 32] {
        self.keys.derive("xavyo request body v1")
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

    /// Of several that make the first key at once, one wins.
    async fn data_key(&self, tx: &mut PgConnection, place: Place) -> Result<DataKey> {
        let Place { tenant, connector } = place;
        if let Some(wrapped) = secret::find_key(tx, tenant, connector).await? {
            return self.unwrap(place, &wrapped);
        }
        let fresh = self.wrap(place, &DataKey::generate())?;
        secret::insert_key(tx, tenant, connector, &fresh, self.clock.now()).await?;
        let wrapped = secret::find_key(tx, tenant, connector).await?;
        self.unwrap(place, &wrapped.ok_or_else(|| unreadable(place, DATA_KEY))?)
    }

    fn wrap(&self, place: Place, key: &DataKey) -> Result<WrappedKey> {
        let (id, master) = self.keys.active();
        let wrapped = seal(&Key::<Aes256Gcm>::from(*master), place, DATA_KEY, &key.0)?;
        Ok(WrappedKey { master_key_id: id.to_owned(), wrapped })
    }

    fn unwrap(&self, place: Place, wrapped: &WrappedKey) -> Result<DataKey> {
        let id = &wrapped.master_key_id;
        let lost = || {
            let message =
                format!("the master key {id}, which wraps the connector's secrets, is not in the file");
            Error::new(Reason::KeyLost, message)
                .with("key_id", id.clone())
                .with("connector_id", place.connector.to_string())
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn vault(keys: &str) -> Vault {
        Vault::new(MasterKeys::parse(keys).unwrap(), Clock::system())
    }

    const ONE: &str = r#"{"k1": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#;
    const OTHER: &str = r#"{"k2": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#;

    #[test]
    fn a_data_key_whose_master_key_is_lost_stays_shut() {
        let place =
            Place { tenant: TenantId(Uuid::from_u128(1)), connector: ConnectorId(Uuid::from_u128(2)) };
        let key = DataKey::generate();
        let wrapped = vault(ONE).wrap(place, &key).unwrap();

        assert!(vault(ONE).unwrap(place, &wrapped).is_ok_and(|opened| opened.0 == key.0));
        assert!(vault(OTHER).unwrap(place, &wrapped).is_err(), "fails closed");
    }
}
