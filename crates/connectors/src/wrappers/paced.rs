//! Keeps calls within a concurrency and a rate.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{ObjectSchema, TargetFailure},
    value::Value,
};

use super::{Pacer, pacer::Place};
use crate::{
    AccountUpdate, Capabilities, ChangeItem, CheckStep, Connector, NewAccount, ReadItem, ReadRequest,
};

#[derive(Debug)]
pub struct Paced {
    inner: Arc<dyn Connector>,
    pacer: Arc<Pacer>,
}

impl Paced {
    pub fn new(inner: Arc<dyn Connector>, pacer: Arc<Pacer>) -> Self {
        Self { inner, pacer }
    }

    /// Waits for a place, then for the moment.
    async fn turn(&self) -> Place {
        let place = self.pacer.place().await;
        self.pacer.moment().await;
        place
    }

    /// Holds one place from the first page to the last.
    fn pages<'a, T: Send + 'a>(
        &'a self,
        pages: BoxStream<'a, Result<T, TargetFailure>>,
    ) -> BoxStream<'a, Result<T, TargetFailure>> {
        stream::unfold((pages, None), async |(mut pages, place)| {
            let place = match place {
                Some(place) => {
                    self.pacer.moment().await;
                    place
                }
                None => self.turn().await,
            };
            let item = pages.next().await?;
            Some((item, (pages, Some(place))))
        })
        .boxed()
    }
}

#[async_trait]
impl Connector for Paced {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<Vec<CheckStep>, TargetFailure> {
        let _turn = self.turn().await;
        self.inner.check().await
    }

    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
        self.pages(self.inner.read(request))
    }

    fn changes(&self, request: ReadRequest, since: &str) -> BoxStream<'_, Result<ChangeItem, TargetFailure>> {
        self.pages(self.inner.changes(request, since))
    }

    async fn describe(&self) -> Result<Vec<ObjectSchema>, TargetFailure> {
        let _turn = self.turn().await;
        self.inner.describe().await
    }

    async fn find(
        &self,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure> {
        let _turn = self.turn().await;
        self.inner.find(object_class, attribute, value).await
    }

    async fn get(
        &self,
        object_class: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        let _turn = self.turn().await;
        self.inner.get(object_class, key, attributes).await
    }

    async fn get_many(
        &self,
        object_class: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        let _turn = self.turn().await;
        self.inner.get_many(object_class, keys, attributes).await
    }

    async fn create(&self, account: &NewAccount) -> Result<Account, TargetFailure> {
        let _turn = self.turn().await;
        self.inner.create(account).await
    }

    async fn update(
        &self,
        object_class: &str,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        let _turn = self.turn().await;
        self.inner.update(object_class, key, update).await
    }

    async fn delete(
        &self,
        object_class: &str,
        key: &AccountKey,
        if_version: Option<&str>,
        tag: &str,
    ) -> Result<(), TargetFailure> {
        let _turn = self.turn().await;
        self.inner.delete(object_class, key, if_version, tag).await
    }
}

#[cfg(test)]
mod tests {
    use futures::future;

    use std::time::Duration;

    use tokio::time::Instant;
    use xavyo_core::connector::{MemorySettings, Settings};

    use super::*;
    use crate::{Options, Secrets, open, wrappers::Pace};

    async fn time_of_ten_calls(pace: Pace, latency_ms: i64) -> Duration {
        let settings = MemorySettings { store: "paced".into(), latency_ms, ..Default::default() };
        let options = Options { allow_memory: true, ..Options::default() };
        let memory = open(&Settings::Memory(settings), &Secrets::default(), &options).unwrap();
        let connector = Paced::new(memory, Arc::new(Pacer::fixed(pace)));
        let key = AccountKey { external_uid: "nobody".into(), immutable_id: None };
        let begin = Instant::now();
        future::join_all((0..10).map(|_| connector.get("account", &key, &[]))).await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_spread_over_the_second_and_never_more_than_so_many_at_once() {
        let rated = time_of_ten_calls(Pace { at_once: 64, per_second: Some(10) }, 0).await;
        assert_eq!(rated.as_millis(), 900, "the first at once, nine more a tenth of a second apart");
        let narrow = time_of_ten_calls(Pace { at_once: 2, per_second: None }, 100).await;
        assert!((500..520).contains(&narrow.as_millis()), "five pairs: {narrow:?}");
    }
}
