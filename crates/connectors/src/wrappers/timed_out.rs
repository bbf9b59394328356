//! Gives up calls that take too long. What a write that was given up did is unknown.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::time;
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{FailureKind, ObjectSchema, TargetFailure},
    value::Value,
};

use crate::{
    AccountUpdate, Capabilities, ChangeItem, CheckStep, Connector, NewAccount, ReadItem, ReadRequest,
};

#[derive(Debug)]
pub struct TimedOut {
    inner: Arc<dyn Connector>,
    limit: Duration,
}

impl TimedOut {
    /// Each call, and each page of a read, ends within the limit.
    pub fn new(inner: Arc<dyn Connector>, limit: Duration) -> Self {
        Self { inner, limit }
    }

    async fn reading<T>(
        &self,
        call: impl Future<Output = Result<T, TargetFailure>>,
    ) -> Result<T, TargetFailure> {
        self.within(FailureKind::Busy, call).await
    }

    /// Each page in time, or the end.
    fn pages<'a, T: Send + 'a>(
        &'a self,
        pages: BoxStream<'a, Result<T, TargetFailure>>,
    ) -> BoxStream<'a, Result<T, TargetFailure>> {
        stream::unfold(Some(pages), async |pages| {
            let mut pages = pages?;
            if let Ok(item) = time::timeout(self.limit, pages.next()).await {
                return Some((item?, Some(pages)));
            }
            let failure = TargetFailure::new(FailureKind::Busy, "CALL_TIMEOUT", "no page in time");
            Some((Err(failure), None))
        })
        .boxed()
    }

    async fn writing<T>(
        &self,
        call: impl Future<Output = Result<T, TargetFailure>>,
    ) -> Result<T, TargetFailure> {
        self.within(FailureKind::Unknown, call).await
    }

    async fn within<T>(
        &self,
        given_up: FailureKind,
        call: impl Future<Output = Result<T, TargetFailure>>,
    ) -> Result<T, TargetFailure> {
        let message = || format!("no answer in {} ms", self.limit.as_millis());
        let answer = time::timeout(self.limit, call).await;
        answer.unwrap_or_else(|_| Err(TargetFailure::new(given_up, "CALL_TIMEOUT", message())))
    }
}

#[async_trait]
impl Connector for TimedOut {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<Vec<CheckStep>, TargetFailure> {
        self.reading(self.inner.check()).await
    }

    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
        self.pages(self.inner.read(request))
    }

    fn changes(&self, request: ReadRequest, since: &str) -> BoxStream<'_, Result<ChangeItem, TargetFailure>> {
        self.pages(self.inner.changes(request, since))
    }

    async fn describe(&self) -> Result<Vec<ObjectSchema>, TargetFailure> {
        self.reading(self.inner.describe()).await
    }

    async fn find(
        &self,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure> {
        self.reading(self.inner.find(object_class, attribute, value)).await
    }

    async fn get(
        &self,
        object_class: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        self.reading(self.inner.get(object_class, key, attributes)).await
    }

    async fn get_many(
        &self,
        object_class: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        self.reading(self.inner.get_many(object_class, keys, attributes)).await
    }

    async fn create(&self, account: &NewAccount) -> Result<Account, TargetFailure> {
        self.writing(self.inner.create(account)).await
    }

    async fn update(
        &self,
        object_class: &str,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        self.writing(self.inner.update(object_class, key, update)).await
    }

    async fn delete(
        &self,
        object_class: &str,
        key: &AccountKey,
        if_version: Option<&str>,
        tag: &str,
    ) -> Result<(), TargetFailure> {
        self.writing(self.inner.delete(object_class, key, if_version, tag)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Secrets, open};
    use xavyo_core::connector::{MemorySettings, Settings};

    #[tokio::test(start_paused = true)]
    async fn a_read_that_takes_too_long_is_busy_and_a_write_is_unknown() {
        let settings =
            MemorySettings { store: "slow".into(), generate: 3, latency_ms: 5_000, ..Default::default() };
        let options = Options { allow_memory: true, ..Options::default() };
        let inner = open(&Settings::Memory(settings), &Secrets::default(), &options).unwrap();
        let connector = TimedOut::new(inner, Duration::from_secs(1));
        let key = AccountKey { external_uid: "user000001".into(), immutable_id: None };

        assert_eq!(connector.get("account", &key, &[]).await.unwrap_err().kind, FailureKind::Busy);
        assert_eq!(connector.delete("account", &key, None, "").await.unwrap_err().kind, FailureKind::Unknown);
        let request = ReadRequest { object_class: "account".into(), attributes: Vec::new() };
        let items: Vec<_> = connector.read(request).collect().await;
        assert!(matches!(items.as_slice(), [Err(failure)] if failure.code == "CALL_TIMEOUT"));
    }
}
