//! Keeps calls within a concurrency and a rate.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{self, Instant},
};
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{ObjectSchema, TargetFailure},
    value::Value,
};

use crate::{
    AccountUpdate, Capabilities, ChangeItem, CheckStep, Connector, NewAccount, ReadItem, ReadRequest,
};

/// How fast a connector may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Calls under way at once; at least 1 is taken.
    pub at_once: usize,
    /// Calls begun a second, evenly spread; None = no limit. A page of a read is a call.
    pub per_second: Option<u32>,
}

#[derive(Debug)]
pub struct Paced {
    inner: Arc<dyn Connector>,
    places: Semaphore,
    interval: Duration,
    /// When the next call may begin.
    next: Mutex<Instant>,
}

impl Paced {
    pub fn new(inner: Arc<dyn Connector>, pace: Pace) -> Self {
        let interval = pace.per_second.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1));
        let places = Semaphore::new(pace.at_once.max(1));
        Self { inner, places, interval, next: Mutex::new(Instant::now()) }
    }

    /// Waits for a place, then for the moment. Calls wait in the order in which they came.
    async fn turn(&self) -> SemaphorePermit<'_> {
        let place = self.places.acquire().await.expect("the semaphore is never closed");
        self.moment().await;
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
                    self.moment().await;
                    place
                }
                None => self.turn().await,
            };
            let item = pages.next().await?;
            Some((item, (pages, Some(place))))
        })
        .boxed()
    }

    async fn moment(&self) {
        if self.interval.is_zero() {
            return;
        }
        let begin = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let begin = (*next).max(Instant::now());
            *next = begin + self.interval;
            begin
        };
        time::sleep_until(begin).await;
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

    use super::*;
    use crate::{Options, Secrets, open};
    use xavyo_core::connector::{MemorySettings, Settings};

    async fn time_of_ten_calls(pace: Pace, latency_ms: i64) -> Duration {
        let settings = MemorySettings { store: "paced".into(), latency_ms, ..Default::default() };
        let options = Options { allow_memory: true, ..Options::default() };
        let connector =
            Paced::new(open(&Settings::Memory(settings), &Secrets::default(), &options).unwrap(), pace);
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
