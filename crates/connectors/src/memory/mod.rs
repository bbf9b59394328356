//! The memory kind: a target inside the process, for tests and benches only.
//!
//! Accounts are shared by all connectors that name the same store. A store can be generated from a seed (a million
//! accounts at no cost until they are written), fails on demand, and keeps a [`ledger`](mod@ledger) of the last writes
//! that it saw. With [`Options::memory_directory`] accounts and every write are kept in a journal, shared by all processes
//! that name the same directory; a journal survives `kill -9` of its writers. It is never served unless the process
//! allows it.
//!
//! Begin with [`Memory`]; [`write`] decides what a write does, [`store`] performs it, [`ledger`](mod@ledger) documents
//! the journal's lines.

mod accounts;
mod fault;
mod generator;
mod journal;
pub mod ledger;
mod read;
mod store;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use xavyo_core::{
    Error,
    account::{Account, AccountKey},
    connector::{FailureKind, MemorySettings, TargetFailure},
    value::{Attributes, Value},
};

pub(crate) use self::fault::{FAULTS, is_fault};
pub use self::generator::{GENERATED_ATTRIBUTES, generated};
use self::{
    accounts::Accounts,
    fault::Faults,
    generator::Generator,
    ledger::{Call, Entry, Outcome, Record},
    store::Store,
    write::Write,
};
use crate::{
    ALL_ATTRIBUTES, AccountUpdate, Capabilities, CheckStep, Connector, MAX_PAGE, NewAccount, Options,
    ReadItem, ReadRequest,
};

/// The most accounts that a store generates.
pub const MAX_GENERATED: i64 = 10_000_000;

/// A connector to a store.
#[derive(Debug)]
pub struct Memory {
    name: String,
    directory: Option<PathBuf>,
    generator: Generator,
    faults: Arc<Faults>,
    latency: Duration,
    /// Updates leave nothing behind.
    forgets: bool,
    /// How long a call may take: a write that waited longer for its turn is not made.
    limit: Duration,
    store: OnceLock<Arc<Store>>,
}

/// Everything that a store has seen, in order: from its journal when a directory is given, else from this process, which
/// knows the last 1,000 entries. A store that nobody used has seen nothing.
pub fn ledger(store: &str, directory: Option<&Path>) -> io::Result<Vec<Entry>> {
    match directory {
        Some(directory) => journal::read_all(directory, store),
        None => Ok(Store::entries(store)),
    }
}

/// A store's name is also its journal's file name.
pub(crate) fn is_store_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.len() <= 64
        && name.bytes().all(fits)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

impl Memory {
    /// Expects settings that `validate` accepts.
    pub(crate) fn open(settings: &MemorySettings, options: &Options) -> Result<Self, Error> {
        let number = |field: &str, number: i64| {
            u64::try_from(number).map_err(|_| Error::invalid(format!("settings.memory.{field}"), "0 or more"))
        };
        Ok(Self {
            name: settings.store.clone(),
            directory: options.memory_directory.clone(),
            generator: Generator { count: number("generate", settings.generate)?, seed: settings.seed },
            faults: Arc::new(Faults::new(&settings.faults)),
            latency: Duration::from_millis(number("latency_ms", settings.latency_ms)?),
            forgets: settings.forgets,
            limit: options.call_timeout,
            store: OnceLock::new(),
        })
    }

    /// Waits the latency out, then works on the store: on a thread that may block where the store has a journal.
    async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, &Faults) -> Result<T, TargetFailure> + Send + 'static,
    ) -> Result<T, TargetFailure> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let store = match self.store.get() {
            Some(store) => store.clone(),
            None => self.opened().await?,
        };
        if !store.blocks() {
            return work(&store, &self.faults);
        }
        let faults = self.faults.clone();
        tokio::task::spawn_blocking(move || work(&store, &faults)).await.map_err(|error| unusable(&error))?
    }

    async fn opened(&self) -> Result<Arc<Store>, TargetFailure> {
        let (name, directory, generator) = (self.name.clone(), self.directory.clone(), self.generator);
        let open = move || Store::named(&name, directory.as_deref(), generator);
        let store = if self.directory.is_some() {
            tokio::task::spawn_blocking(open).await.map_err(|error| unusable(&error))?
        } else {
            open()
        };
        let store = store.map_err(|error| unusable(&error))?;
        Ok(self.store.get_or_init(|| store).clone())
    }

    /// A generated account, as if it had just been updated.
    async fn forgotten(&self, key: &AccountKey, update: &AccountUpdate) -> Result<Account, TargetFailure> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let is_current = update.if_version.as_deref().is_none_or(|version| version == generator::VERSION);
        match self.generator.named(key) {
            Some(account) if is_current => {
                Ok(Account { enabled: update.enabled.or(account.enabled), ..account })
            }
            Some(_) => Err(refused(Outcome::PreconditionFailed)),
            None => Err(refused(Outcome::NotFound)),
        }
    }

    async fn write(&self, write: Write) -> Result<Arc<Entry>, TargetFailure> {
        let deadline = Instant::now() + self.limit;
        self.on_store(move |store, faults| store.write(write, faults, deadline)).await
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Accounts) -> T + Send + 'static,
    ) -> Result<T, TargetFailure> {
        self.on_store(move |store, faults| store.view(Call::Get, faults, |accounts, _| look(accounts))).await
    }
}

#[async_trait]
impl Connector for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            immutable_ids: true,
            versions: true,
            disables: true,
            repeatable_updates: true,
            changes: false,
        }
    }

    async fn check(&self) -> Result<Vec<CheckStep>, TargetFailure> {
        let step = |ok, detail: String| vec![CheckStep { name: "open".to_owned(), ok, detail }];
        match self.look(|_| ()).await {
            Ok(()) => Ok(step(true, format!("store {}", self.name))),
            Err(failure) => Ok(step(false, failure.to_string())),
        }
    }

    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
        read::pages(self, request)
    }

    async fn find(
        &self,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure> {
        let (object_class, attribute, value) = (object_class.to_owned(), attribute.to_owned(), value.clone());
        let found =
            self.look(move |accounts| accounts.find(&object_class, &attribute, &value, MAX_PAGE)).await?;
        let all = [ALL_ATTRIBUTES.to_owned()];
        Ok(found.iter().map(|record| shown(record, &all)).collect())
    }

    async fn get(
        &self,
        object_class: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        let found = self.get_many(object_class, std::slice::from_ref(key), attributes).await?;
        Ok(found.into_iter().next().flatten())
    }

    async fn get_many(
        &self,
        object_class: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        let (object_class, keys, attributes) = (object_class.to_owned(), keys.to_vec(), attributes.to_vec());
        self.look(move |accounts| {
            let found =
                |key| write::lookup(accounts, &object_class, key).map(|record| shown(&record, &attributes));
            keys.iter().map(found).collect()
        })
        .await
    }

    async fn create(&self, account: &NewAccount) -> Result<Account, TargetFailure> {
        let entry = self.write(Write::Create(account.clone())).await?;
        Ok(written(&entry))
    }

    async fn update(
        &self,
        object_class: &str,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        if self.forgets {
            return self.forgotten(key, update).await;
        }
        let (object_class, key, update) = (object_class.to_owned(), key.clone(), update.clone());
        let entry = self.write(Write::Update { object_class, key, update }).await?;
        Ok(written(&entry))
    }

    async fn delete(
        &self,
        object_class: &str,
        key: &AccountKey,
        if_version: Option<&str>,
        tag: &str,
    ) -> Result<(), TargetFailure> {
        let (object_class, key, tag) = (object_class.to_owned(), key.clone(), tag.to_owned());
        let if_version = if_version.map(str::to_owned);
        self.write(Write::Delete { object_class, key, if_version, tag }).await?;
        Ok(())
    }
}

fn written(entry: &Entry) -> Account {
    let record = entry.after.as_ref().expect("a create or update that took effect leaves an account");
    shown(record, &[])
}

fn shown(record: &Record, wanted: &[String]) -> Account {
    let all = wanted.iter().any(|name| name == ALL_ATTRIBUTES);
    let is_wanted = |name: &str| all || wanted.iter().any(|wanted| wanted == name);
    let attributes = record.attributes.iter().filter(|(name, _)| is_wanted(name));
    Account {
        external_uid: record.external_uid.clone(),
        immutable_id: Some(record.immutable_id.clone()),
        version: Some(record.version.to_string()),
        enabled: Some(record.enabled),
        attributes: shown_attributes(attributes),
    }
}

fn shown_attributes<'a>(held: impl IntoIterator<Item = (&'a Arc<str>, &'a Arc<[Value]>)>) -> Attributes {
    held.into_iter().map(|(name, values)| (name.to_string(), values.to_vec())).collect()
}

fn refused(outcome: Outcome) -> TargetFailure {
    outcome.failure().expect("not a success")
}

fn unusable(error: &(dyn std::error::Error + 'static)) -> TargetFailure {
    TargetFailure::new(FailureKind::Down, "MEMORY_JOURNAL", format!("the journal cannot be used: {error}"))
}
