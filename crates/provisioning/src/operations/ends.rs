//! Where the feed of each tenant ends, for all watchers of the process at once: one look every 100 ms at each tenant that
//! is watched, however many watch it. Watchers read the feed itself only when there is something for them to read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;
use xavyo_core::{error::Result, ids::TenantId};
use xavyo_runtime::{Database, db, lifecycle::with_sources};

use crate::store::operation::feed::{self, Place};

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

type Followed = HashMap<TenantId, watch::Sender<Option<Place>>>;

/// Cheap to clone; clones share the looking.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    database: Database,
    stop: CancellationToken,
    followed: Arc<Mutex<Followed>>,
}

impl Ends {
    pub fn new(database: Database, stop: CancellationToken) -> Self {
        Self { database, stop, followed: Arc::default() }
    }

    /// The newest place of the tenant's feed, from the first look on; none before, and where nothing was ever moved.
    pub fn follow(&self, tenant: TenantId) -> watch::Receiver<Option<Place>> {
        let mut followed = self.lock();
        if let Some(sender) = followed.get(&tenant) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        followed.insert(tenant, sender);
        tokio::spawn(self.clone().look(tenant));
        receiver
    }

    /// Looks until nobody follows any more.
    async fn look(self, tenant: TenantId) {
        while !self.is_left(tenant) {
            match self.newest(tenant).await {
                Ok(newest) => self.tell(tenant, newest),
                Err(error) => tracing::debug!(error = with_sources(&error), "the feed was not looked at"),
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    async fn newest(&self, tenant: TenantId) -> Result<Option<Place>> {
        let mut tx = self.database.begin(tenant).await?;
        let newest = feed::newest(&mut tx, tenant).await?;
        db::commit(tx).await?;
        Ok(newest)
    }

    fn tell(&self, tenant: TenantId, newest: Option<Place>) {
        if let Some(sender) = self.lock().get(&tenant) {
            sender.send_if_modified(|known| {
                let is_new = *known != newest;
                *known = newest;
                is_new
            });
        }
    }

    /// Under the lock, so that nobody begins to follow what is just being left.
    fn is_left(&self, tenant: TenantId) -> bool {
        let mut followed = self.lock();
        let is_left = self.stop.is_cancelled()
            || followed.get(&tenant).is_none_or(|sender| sender.receiver_count() == 0);
        if is_left {
            followed.remove(&tenant);
        }
        is_left
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
