//! A target as the cases see it: a connector to it, and the words in which it speaks.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use xavyo_connectors::{
    ALL_ATTRIBUTES, AccountUpdate, Completeness, Connector, NewAccount, Options, ReadItem, ReadRequest,
    Secrets, open,
};
use xavyo_core::{
    account::{Account, AccountKey},
    change::{Change, Changes},
    connector::{FailureKind, Settings, TargetFailure},
    value::{Attributes, Value},
};
use xavyo_sandbox::proxy::{Proxy, Server};

use crate::{
    case::not_offered,
    guard::{Made, OnlyOurs},
};

/// More accounts than two pages hold, once those that can be shortened are.
const PAGES_OF_SHORT: usize = 30;
const PAGES_OF_ANY: usize = 1_203;
const SHORT_PAGE: i32 = 7;
const ACCOUNTS_AT_ONCE: usize = 8;

/// What a target's accounts are made of, in its own words.
#[derive(Clone, Debug, Default)]
pub struct Words {
    pub object_class: String,
    /// An attribute of one text value that accounts may lack.
    pub text: String,
    /// An attribute of many text values, likewise; None = the target has none.
    pub many: Option<String>,
    /// What every account must have.
    pub required: Attributes,
    /// Attributes that refuse so many text values, for what is said in a refusal.
    pub refused: Vec<(String, usize)>,
    /// A piece of the request whose answer decides over a write. None: a write is one request.
    pub decisive: Option<&'static [u8]>,
}

/// Where a case may make accounts.
#[derive(Clone, Debug)]
pub struct Place {
    pub settings: Settings,
    pub secrets: Secrets,
    pub options: Options,
    pub words: Words,
    /// Nobody else has accounts here: counts are exact, and names need no mark.
    pub is_private: bool,
    /// Where the server listens, if a proxy can be put before it. None = no network lies between, or it must not be
    /// tampered with.
    pub network: Option<Server>,
}

/// A place with a connector to it.
#[derive(Debug)]
pub struct Target {
    pub place: Place,
    pub connector: Arc<dyn Connector>,
    made: Arc<Made>,
    /// Begins the names of all accounts at a place that is not private.
    mark: String,
}

impl Target {
    pub fn at(place: Place) -> Result<Self> {
        let made = Arc::new(Made::default());
        let connector = guarded(&place.settings, &place.secrets, &place.options, &made)?;
        let mark = if place.is_private { String::new() } else { format!("xv{:08x}-", rand::random::<u32>()) };
        Ok(Self { place, connector, made, mark })
    }

    pub fn words(&self) -> &Words {
        &self.place.words
    }

    pub fn class(&self) -> &str {
        &self.place.words.object_class
    }

    pub fn text(&self) -> &str {
        &self.place.words.text
    }

    pub fn many(&self) -> Result<&str> {
        match &self.place.words.many {
            Some(many) => Ok(many),
            None => not_offered("no attribute of many values"),
        }
    }

    /// The name under which a case knows an account, as it is at this place.
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.mark)
    }

    pub fn new_account(&self, name: &str) -> NewAccount {
        NewAccount {
            object_class: self.class().to_owned(),
            external_uid: self.name(name),
            attributes: self.words().required.clone(),
            enabled: self.connector.capabilities().disables.then_some(true),
            tag: "conformance".to_owned(),
        }
    }

    pub fn new_account_with(&self, name: &str, attribute: &str, values: &[&str]) -> NewAccount {
        let mut account = self.new_account(name);
        account.attributes.insert(attribute.to_owned(), texts_as_values(values));
        account
    }

    pub async fn create(&self, name: &str) -> Result<Account> {
        self.connector.create(&self.new_account(name)).await.with_context(|| format!("create {name}"))
    }

    pub async fn create_with(&self, name: &str, attribute: &str, values: &[&str]) -> Result<Account> {
        let account = self.new_account_with(name, attribute, values);
        self.connector.create(&account).await.with_context(|| format!("create {name}"))
    }

    /// Makes accounts enough for several pages of a connector with [`shorten_pages`]. Returns how many.
    pub async fn fill_pages(&self) -> Result<usize> {
        let count = match &self.place.settings {
            Settings::Ldap(_) | Settings::Scim(_) => PAGES_OF_SHORT,
            Settings::Sql(_) | Settings::Remote(_) | Settings::Memory(_) if !self.place.is_private => {
                return not_offered("its pages are too long to fill a place that others use");
            }
            Settings::Sql(_) | Settings::Remote(_) | Settings::Memory(_) => PAGES_OF_ANY,
        };
        let made = stream::iter(0..count).map(|n| async move { self.create(&format!("p{n}")).await });
        let made = made.buffer_unordered(ACCOUNTS_AT_ONCE);
        Ok(made.try_collect::<Vec<Account>>().await?.len())
    }

    pub async fn update(&self, key: &AccountKey, changes: Changes) -> Result<Account, TargetFailure> {
        let update = AccountUpdate { changes, ..AccountUpdate::default() };
        self.connector.update(self.class(), key, &update).await
    }

    pub async fn delete(&self, key: &AccountKey) -> Result<(), TargetFailure> {
        self.connector.delete(self.class(), key, None, "conformance").await
    }

    pub async fn get(&self, key: &AccountKey) -> Result<Option<Account>> {
        let all = [ALL_ATTRIBUTES.to_owned()];
        Ok(self.connector.get(self.class(), key, &all).await?)
    }

    /// The account as it is now; it must be there.
    pub async fn shown(&self, key: &AccountKey) -> Result<Account> {
        self.get(key).await?.with_context(|| format!("{} is not there", key.external_uid))
    }

    /// The values of an attribute of an account as it is now.
    pub async fn values(&self, key: &AccountKey, attribute: &str) -> Result<Vec<String>> {
        Ok(texts(&self.shown(key).await?.attributes, attribute))
    }

    /// Those accounts of a whole read that this suite made, and the proof.
    pub async fn read(&self) -> Result<(Vec<Account>, Completeness)> {
        self.read_by(self.connector.as_ref(), &[ALL_ATTRIBUTES]).await
    }

    pub async fn read_by(
        &self,
        connector: &dyn Connector,
        wanted: &[&str],
    ) -> Result<(Vec<Account>, Completeness)> {
        let (mut accounts, proof) = whole(connector, self.class(), wanted).await?;
        let read = i64::try_from(accounts.len())?;
        ensure!(proof.count == read, "the proof counts {}, the pages hold {read}", proof.count);
        if !self.place.is_private {
            accounts.retain(|account| account.external_uid.contains(&self.mark));
        }
        Ok((accounts, proof))
    }

    /// The same target through other settings or options.
    pub fn reopened(&self, change: impl FnOnce(&mut Settings, &mut Options)) -> Result<Arc<dyn Connector>> {
        let (mut settings, mut options) = (self.place.settings.clone(), self.place.options.clone());
        change(&mut settings, &mut options);
        guarded(&settings, &self.place.secrets, &options, &self.made)
    }

    /// The same target with other secrets.
    pub fn with_secrets(&self, secrets: &Secrets, settings: &Settings) -> Result<Arc<dyn Connector>> {
        guarded(settings, secrets, &self.place.options, &self.made)
    }

    /// The same target behind a proxy, whose calls end within the limit.
    pub async fn behind_proxy(&self, limit: Duration) -> Result<(Proxy, Arc<dyn Connector>)> {
        let Some(server) = &self.place.network else {
            return not_offered("no network lies between that could be tampered with");
        };
        let proxy = Proxy::start(server.clone()).await?;
        let connector = self.reopened(|settings, options| {
            move_to(settings, proxy.port());
            options.call_timeout = limit;
        })?;
        Ok((proxy, connector))
    }

    /// The same target where nobody listens.
    pub fn unreachable(&self) -> Result<Arc<dyn Connector>> {
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        self.reopened(|settings, _| move_to(settings, closed))
    }

    /// Removes everything that was made here. Says what could not be removed.
    pub async fn clean_up(&self) -> Result<()> {
        let clean = self.reopened(|_, _| {})?;
        let mut left = Vec::new();
        for key in self.made.keys() {
            match clean.delete(self.class(), &key, None, "conformance").await {
                Ok(()) => {}
                Err(failure) if failure.kind == FailureKind::NotFound => {}
                Err(failure) => left.push(format!("{key:?} ({failure})")),
            }
        }
        match left.first() {
            None => Ok(()),
            Some(first) => bail!("{} left behind, the first is {first}", left.len()),
        }
    }
}

fn guarded(
    settings: &Settings,
    secrets: &Secrets,
    options: &Options,
    made: &Arc<Made>,
) -> Result<Arc<dyn Connector>> {
    Ok(Arc::new(OnlyOurs::new(open(settings, secrets, options)?, made.clone())))
}

/// Makes pages so short that a few accounts fill several, where the settings know of pages.
pub fn shorten_pages(settings: &mut Settings) {
    match settings {
        Settings::Ldap(settings) => settings.page_size = SHORT_PAGE,
        Settings::Scim(settings) => settings.page_size = SHORT_PAGE,
        Settings::Sql(_) | Settings::Remote(_) | Settings::Memory(_) => {}
    }
}

/// Leads settings to a port of this machine.
pub fn move_to(settings: &mut Settings, port: u16) {
    match settings {
        Settings::Ldap(settings) => (settings.host, settings.port) = (Ipv4Addr::LOCALHOST.to_string(), port),
        Settings::Sql(settings) => (settings.host, settings.port) = (Ipv4Addr::LOCALHOST.to_string(), port),
        Settings::Scim(settings) => settings.base_url = moved_url(&settings.base_url, port),
        Settings::Remote(settings) => settings.url = moved_url(&settings.url, port),
        Settings::Memory(settings) => fail_always(settings, "down"),
    }
}

/// The URL with another authority: scheme and path stay.
fn moved_url(url: &str, port: u16) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let path = rest.find('/').map_or("", |start| &rest[start..]);
    format!("{scheme}://{}:{port}{path}", Ipv4Addr::LOCALHOST)
}

/// A fault that every call meets.
pub fn fail_always(settings: &mut xavyo_core::connector::MemorySettings, kind: &str) {
    let fault =
        xavyo_core::connector::MemoryFault { call: "any".into(), kind: kind.into(), times: 1_000_000 };
    settings.faults = vec![fault];
}

/// The whole of a read. It must end with its proof, once, last.
pub async fn whole(
    connector: &dyn Connector,
    object_class: &str,
    wanted: &[&str],
) -> Result<(Vec<Account>, Completeness)> {
    let attributes = wanted.iter().map(|name| (*name).to_owned()).collect();
    let mut items = connector.read(ReadRequest { object_class: object_class.to_owned(), attributes });
    let (mut accounts, mut proof) = (Vec::new(), None);
    while let Some(item) = items.next().await {
        ensure!(proof.is_none(), "something follows the proof");
        match item? {
            ReadItem::Page(page) => accounts.extend(page),
            ReadItem::Proof(found) => proof = Some(found),
        }
    }
    match proof {
        Some(proof) => Ok((accounts, proof)),
        None => bail!("a read that does not fail ended without its proof"),
    }
}

pub fn set(attribute: &str, values: &[&str]) -> Changes {
    BTreeMap::from([(attribute.to_owned(), Change::Set(texts_as_values(values)))])
}

pub fn modify(attribute: &str, add: &[&str], remove: &[&str]) -> Changes {
    let change = Change::Modify { add: texts_as_values(add), remove: texts_as_values(remove) };
    BTreeMap::from([(attribute.to_owned(), change)])
}

/// An attribute's values as sorted text.
pub fn texts(attributes: &Attributes, name: &str) -> Vec<String> {
    let mut texts: Vec<String> = attributes.get(name).into_iter().flatten().map(Value::to_text).collect();
    texts.sort();
    texts
}

/// The key of an account by its name alone.
pub fn by_name(account: &Account) -> AccountKey {
    AccountKey { immutable_id: None, ..account.key() }
}

fn texts_as_values(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| Value::from(*text)).collect()
}
