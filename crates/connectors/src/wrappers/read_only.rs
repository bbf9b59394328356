//! Refuses every write before it reaches the target.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{FailureKind, ObjectSchema, TargetFailure},
    value::Value,
};

use crate::{
    AccountUpdate, Capabilities, ChangeItem, CheckStep, Connector, NewAccount, ReadItem, ReadRequest,
};

#[derive(Debug)]
pub struct ReadOnly(Arc<dyn Connector>);

impl ReadOnly {
    pub fn new(inner: Arc<dyn Connector>) -> Self {
        Self(inner)
    }
}

fn refused() -> TargetFailure {
    TargetFailure::new(FailureKind::Refused, "READ_ONLY", "the connector only reads; nothing was sent")
}

#[async_trait]
impl Connector for ReadOnly {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn check(&self) -> Result<Vec<CheckStep>, TargetFailure> {
        self.0.check().await
    }

    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
        self.0.read(request)
    }

    fn changes(&self, request: ReadRequest, since: &str) -> BoxStream<'_, Result<ChangeItem, TargetFailure>> {
        self.0.changes(request, since)
    }

    async fn describe(&self) -> Result<Vec<ObjectSchema>, TargetFailure> {
        self.0.describe().await
    }

    async fn find(
        &self,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure> {
        self.0.find(object_class, attribute, value).await
    }

    async fn get(
        &self,
        object_class: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        self.0.get(object_class, key, attributes).await
    }

    async fn get_many(
        &self,
        object_class: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        self.0.get_many(object_class, keys, attributes).await
    }

    async fn create(&self, _: &NewAccount) -> Result<Account, TargetFailure> {
        Err(refused())
    }

    async fn update(&self, _: &str, _: &AccountKey, _: &AccountUpdate) -> Result<Account, TargetFailure> {
        Err(refused())
    }

    async fn delete(&self, _: &str, _: &AccountKey, _: Option<&str>, _: &str) -> Result<(), TargetFailure> {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Secrets, memory, open};
    use xavyo_core::connector::{MemorySettings, Settings};

    #[tokio::test]
    async fn nothing_is_written_through_a_read_only_connector() {
        let store = "read-only".to_owned();
        let settings = Settings::Memory(MemorySettings { store, generate: 3, ..MemorySettings::default() });
        let options = Options { allow_memory: true, ..Options::default() };
        let connector = ReadOnly::new(open(&settings, &Secrets::default(), &options).unwrap());
        let key = AccountKey { external_uid: "user000001".into(), immutable_id: None };

        let deleted = connector.delete("account", &key, None, "").await;
        let updated = connector.update("account", &key, &AccountUpdate::default()).await;

        assert_eq!(deleted.unwrap_err().code, "READ_ONLY");
        assert_eq!(updated.unwrap_err().code, "READ_ONLY");
        assert!(connector.get("account", &key, &[]).await.unwrap().is_some());
        assert!(memory::ledger("read-only", None).unwrap().iter().all(|entry| !entry.took_effect()));
    }
}
