//! Writes to nobody but those that the suite made.
//!
//! Every connector that a case gets is wrapped so. What a case makes is written down before it is sent; an update or a
//! delete of anything else is refused before it leaves, and fails the case. At the end the list says what to remove.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use xavyo_connectors::{
    AccountUpdate, Capabilities, ChangeItem, CheckStep, Connector, NewAccount, ReadItem, ReadRequest,
};
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{FailureKind, ObjectSchema, TargetFailure},
    value::Value,
};

/// What the suite made at a target.
#[derive(Debug, Default)]
pub struct Made(Mutex<Accounts>);

#[derive(Debug, Default)]
struct Accounts {
    /// Names that were asked for or answered, whether or not the answer came.
    names: BTreeSet<String>,
    ids: BTreeSet<String>,
}

/// A connector that writes only to what was made through it or its siblings.
#[derive(Debug)]
pub struct OnlyOurs {
    inner: Arc<dyn Connector>,
    made: Arc<Made>,
}

impl Made {
    /// Keys under which everything that was made can be removed: ids first, which follow renamed accounts.
    pub fn keys(&self) -> Vec<AccountKey> {
        let made = self.accounts();
        let by_id = made
            .ids
            .iter()
            .map(|id| AccountKey { external_uid: String::new(), immutable_id: Some(id.clone()) });
        let by_name =
            made.names.iter().map(|name| AccountKey { external_uid: name.clone(), immutable_id: None });
        by_id.chain(by_name).collect()
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self, key: &AccountKey) -> bool {
        let made = self.accounts();
        match &key.immutable_id {
            Some(id) => made.ids.contains(id),
            None => made.names.contains(&key.external_uid),
        }
    }

    fn add(&self, account: &Account) {
        let mut made = self.accounts();
        made.names.insert(account.external_uid.clone());
        made.ids.extend(account.immutable_id.clone());
    }
}

impl OnlyOurs {
    pub fn new(inner: Arc<dyn Connector>, made: Arc<Made>) -> Self {
        Self { inner, made }
    }

    fn check(&self, key: &AccountKey) -> Result<(), TargetFailure> {
        if self.made.holds(key) {
            return Ok(());
        }
        let message = format!("{} was not made by this suite: nothing was sent", key.external_uid);
        Err(TargetFailure::new(FailureKind::Refused, "NOT_OURS", message))
    }

    /// Writes a name down that may be ours from now on. True: it was not so before.
    fn claim(&self, name: &str) -> bool {
        self.made.accounts().names.insert(name.to_owned())
    }

    /// A name that was claimed and that the target certainly did not give us.
    fn disclaim(&self, name: &str, failure: &TargetFailure) {
        if failure.kind != FailureKind::Unknown {
            self.made.accounts().names.remove(name);
        }
    }
}

#[async_trait]
impl Connector for OnlyOurs {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<Vec<CheckStep>, TargetFailure> {
        self.inner.check().await
    }

    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
        self.inner.read(request)
    }

    fn changes(&self, request: ReadRequest, since: &str) -> BoxStream<'_, Result<ChangeItem, TargetFailure>> {
        self.inner.changes(request, since)
    }

    async fn describe(&self) -> Result<Vec<ObjectSchema>, TargetFailure> {
        self.inner.describe().await
    }

    async fn find(
        &self,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure> {
        self.inner.find(object_class, attribute, value).await
    }

    async fn get(
        &self,
        object_class: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        self.inner.get(object_class, key, attributes).await
    }

    async fn get_many(
        &self,
        object_class: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        self.inner.get_many(object_class, keys, attributes).await
    }

    async fn create(&self, account: &NewAccount) -> Result<Account, TargetFailure> {
        let is_new = self.claim(&account.external_uid);
        let created = self.inner.create(account).await;
        match &created {
            Ok(created) => self.made.add(created),
            Err(failure) if is_new => self.disclaim(&account.external_uid, failure),
            Err(_) => {}
        }
        created
    }

    async fn update(
        &self,
        object_class: &str,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        self.check(key)?;
        let named = update.rename_to.as_deref().filter(|name| self.claim(name));
        let updated = self.inner.update(object_class, key, update).await;
        match (&updated, named) {
            (Ok(updated), _) => self.made.add(updated),
            (Err(failure), Some(name)) => self.disclaim(name, failure),
            (Err(_), None) => {}
        }
        updated
    }

    async fn delete(
        &self,
        object_class: &str,
        key: &AccountKey,
        if_version: Option<&str>,
        tag: &str,
    ) -> Result<(), TargetFailure> {
        self.check(key)?;
        self.inner.delete(object_class, key, if_version, tag).await
    }
}

#[cfg(test)]
mod tests {
    use xavyo_connectors::{Options, Secrets, open};
    use xavyo_core::connector::{MemorySettings, Settings};

    use super::*;

    fn key(uid: &str) -> AccountKey {
        AccountKey { external_uid: uid.into(), immutable_id: None }
    }

    #[tokio::test]
    async fn an_account_of_others_is_neither_updated_nor_deleted_nor_claimed_by_its_name() {
        let settings = MemorySettings { store: "guarded".into(), generate: 3, ..MemorySettings::default() };
        let options = Options { allow_memory: true, ..Options::default() };
        let inner = open(&Settings::Memory(settings), &Secrets::default(), &options).unwrap();
        let made = Arc::new(Made::default());
        let guarded = OnlyOurs::new(inner, made.clone());
        let theirs = NewAccount {
            object_class: "account".into(),
            external_uid: "user000001".into(),
            attributes: xavyo_core::value::Attributes::new(),
            enabled: None,
            tag: String::new(),
        };

        let taken = guarded.create(&theirs).await.unwrap_err();
        assert_eq!(taken.kind, FailureKind::AlreadyExists);
        for key in [key("user000001"), key("user000002")] {
            let deleted = guarded.delete("account", &key, None, "").await;
            let updated = guarded.update("account", &key, &AccountUpdate::default()).await;
            assert_eq!(deleted.unwrap_err().code, "NOT_OURS");
            assert_eq!(updated.unwrap_err().code, "NOT_OURS");
        }
        assert_eq!(made.keys(), []);

        guarded.create(&NewAccount { external_uid: "ours".into(), ..theirs }).await.unwrap();
        guarded.delete("account", &key("ours"), None, "").await.unwrap();
        assert_eq!(made.keys().len(), 2, "an id and a name");
    }
}
