//! Sealing the values of operations that cannot be read back (passwords), from their acceptance to their write.
//!
//! A value is bound to its tenant, connector and attribute. It is not bound to its operation: what an operation writes may
//! be merged into a later one of the same account. The nonce is a keyed hash of the value and of the account that it is
//! for: the same value of one account seals equally, so that operations can be compared and repeated calls recognised,
//! and nothing is told of equal values of two accounts.

use std::fmt;

use aes_gcm::{Aes256Gcm, aead::Nonce};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use xavyo_core::{
    Error,
    error::Result,
    ids::{ConnectorId, TenantId},
    sealed,
    value::Value,
};
use xavyo_runtime::{Database, db};

use super::{
    Vault,
    cipher::{self, DataKey, NONCE_BYTES, Place},
};

/// Seals and opens the values of one connector's operations.
pub struct Sealer {
    place: Place,
    key: DataKey,
    nonces: [u8; 32],
}

impl Sealer {
    pub(super) fn new(place: Place, key: DataKey) -> Self {
        let nonces = blake3::derive_key("xavyo sealed value nonce v1", &key.0);
        Self { place, key, nonces }
    }

    /// What stands for a value of an attribute. `account` is how the operation names its account.
    pub fn seal(&self, attribute: &str, account: &str, value: &Value) -> Result<Value> {
        let plain = serde_json::to_vec(value).map_err(Error::internal)?;
        let nonce = self.nonce(attribute, account, &plain);
        let sealed = cipher::seal_under(nonce, &self.key.0, self.place, &field(attribute), &plain)?;
        Ok(sealed::of(&sealed))
    }

    /// The value that [`Self::seal`] was given. One that is not sealed stays as it is.
    pub fn open(&self, attribute: &str, value: &Value) -> Result<Value> {
        if !sealed::is_sealed(value) {
            return Ok(value.clone());
        }
        let field = field(attribute);
        let sealed = sealed::bytes(value).ok_or_else(|| cipher::unreadable(self.place, &field))?;
        let plain = cipher::open(&self.key.0, self.place, &field, &sealed)?;
        serde_json::from_slice(plain.expose_secret()).map_err(|_| cipher::unreadable(self.place, &field))
    }

    fn nonce(&self, attribute: &str, account: &str, plain: &[u8]) -> Nonce<Aes256Gcm> {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        for part in [field(attribute).as_bytes(), account.as_bytes(), plain] {
            hasher.update(&part.len().to_le_bytes());
            hasher.update(part);
        }
        let hash = hasher.finalize();
        Nonce::<Aes256Gcm>::try_from(&hash.as_bytes()[..NONCE_BYTES]).expect("a hash is longer than a nonce")
    }
}

/// Targets do not tell attributes apart by case; no secret of a connector has such a name.
fn field(attribute: &str) -> String {
    format!("operation/{}", attribute.to_lowercase())
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

/// The sealer of a connector, fetched when it is first needed: most connectors never seal a value.
#[derive(Debug)]
pub struct LazySealer {
    database: Database,
    vault: Vault,
    tenant: TenantId,
    connector: ConnectorId,
    found: OnceCell<Sealer>,
}

impl LazySealer {
    pub fn new(database: Database, vault: Vault, tenant: TenantId, connector: ConnectorId) -> Self {
        Self { database, vault, tenant, connector, found: OnceCell::new() }
    }

    /// A data key is never replaced, only wrapped anew: what was found stays right.
    pub async fn get(&self) -> Result<&Sealer> {
        self.found
            .get_or_try_init(|| async {
                let mut tx = self.database.begin(self.tenant).await?;
                let sealer = self.vault.sealer(&mut tx, self.tenant, self.connector).await?;
                db::commit(tx).await?;
                Ok(sealer)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn sealer(connector: u128) -> Sealer {
        let place = Place {
            tenant: TenantId(Uuid::from_u128(1)),
            connector: ConnectorId(Uuid::from_u128(connector)),
        };
        Sealer::new(place, DataKey([7; 32].into()))
    }

    #[test]
    fn a_sealed_value_opens_for_its_own_attribute_and_connector_only() {
        for value in [Value::from("canary"), Value::from(7), Value::Binary(vec![0, 255])] {
            let sealed = sealer(2).seal("Password", "ann", &value).unwrap();
            assert!(sealed::is_sealed(&sealed));
            assert_eq!(sealer(2).open("password", &sealed).unwrap(), value);
            assert!(sealer(3).open("password", &sealed).is_err(), "another connector");
            assert!(sealer(2).open("pin", &sealed).is_err(), "another attribute");
        }
        let damaged = Value::from("\u{fdd0}bm90IHNlYWxlZA==");
        assert!(sealer(2).open("password", &damaged).is_err());
    }

    #[test]
    fn equal_values_of_one_account_seal_equally_and_of_two_accounts_do_not() {
        let seal =
            |account: &str, text: &str| sealer(2).seal("password", account, &Value::from(text)).unwrap();
        assert_eq!(seal("ann", "canary"), seal("ann", "canary"));
        assert_ne!(seal("ann", "canary"), seal("ann", "other"));
        assert_ne!(seal("ann", "canary"), seal("bob", "canary"));
    }

    #[test]
    fn what_is_not_sealed_stays_as_it_is() {
        assert_eq!(sealer(2).open("mail", &Value::from("a@x")).unwrap(), Value::from("a@x"));
    }
}
