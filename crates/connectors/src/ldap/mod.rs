//! The LDAP kind (RFC 4511): accounts are the entries of one object class below a base.
//!
//! The connection is simple bind over LDAPS or StartTLS, verified; clear text only where the process allows it. An
//! account's `external_uid` is its DN in one form ([`dn`]), its immutable id the server's own (`entryUUID` and its
//! likes). Reads page always and prove themselves; referrals are counted and never followed. Passwords are set by RFC 3062
//! (Active Directory: `unicodePwd`, over TLS); `memberOf`, where mapped and a base of groups is set, is written to the
//! groups.
//!
//! A new account is named by the naming attribute's value, taken literally whatever it holds, or by exactly the DN that
//! would be made of one. Any other DN is refused: a person's own attributes must not choose the place of an account.
//!
//! Begin with [`Ldap`]; [`endpoint`] connects and [`connection`] speaks to the server, [`dialect`] knows servers apart,
//! [`read`] proves, [`write`](mod@write) asserts, [`changes`] tells what changed, [`schema`] what there can be.

mod changes;
mod connection;
mod dialect;
mod dn;
mod driver;
mod endpoint;
mod entry;
mod failure;
mod filter;
mod read;
mod schema;
mod session;
mod write;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::time::{self, Instant};
use xavyo_core::{
    Error,
    account::{Account, AccountKey},
    connector::{FailureKind, LdapSettings, ObjectSchema, TargetFailure},
    value::Value,
};

use self::{
    connection::Connection, dialect::Server, dn::Dn, endpoint::Endpoint, failure::Call, session::Session,
};
use crate::{
    AccountUpdate, Capabilities, ChangeItem, CheckStep, Connector, NewAccount, Options, ReadItem,
    ReadRequest, Secrets,
    pool::{Place, Pool},
};

/// A connection idle for longer is asked whether it is still there before something is written.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// A connector to one directory.
#[derive(Debug)]
pub struct Ldap {
    settings: LdapSettings,
    base: Dn,
    create_base: Dn,
    /// Where groups are whose members we may write.
    group_base: Option<Dn>,
    endpoint: Endpoint,
    timeout: Duration,
    pool: Pool<Connection>,
    server: Mutex<Option<Arc<Server>>>,
}

pub(crate) fn is_dn(text: &str) -> bool {
    Dn::parse(text).is_ok_and(|dn| !dn.is_root())
}

pub(crate) fn is_within(dn: &str, base: &str) -> bool {
    match (Dn::parse(dn), Dn::parse(base)) {
        (Ok(dn), Ok(base)) => dn.is_within(&base),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

pub(crate) use self::{dn::is_attribute, filter::is_filter};

impl Ldap {
    /// Expects settings that `validate` accepts. Fails where the password or the certificates cannot be used.
    pub(crate) fn open(settings: &LdapSettings, secrets: &Secrets, options: &Options) -> Result<Self, Error> {
        let name = |text: &str, field: &str| {
            Dn::parse(text).map_err(|_| Error::invalid(field, "a distinguished name"))
        };
        Ok(Self {
            base: name(&settings.base_dn, "settings.ldap.base_dn")?,
            create_base: name(&settings.create_base_dn, "settings.ldap.create_base_dn")?,
            group_base: settings
                .group_base_dn
                .as_deref()
                .map(|base| name(base, "settings.ldap.group_base_dn"))
                .transpose()?,
            endpoint: Endpoint::new(settings, secrets.get("bind_password"), options)?,
            settings: settings.clone(),
            timeout: options.call_timeout,
            pool: Pool::new(),
            server: Mutex::new(None),
        })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// The server as recognised, once.
    async fn server(&self, connection: &Connection, deadline: Instant) -> Result<Arc<Server>, TargetFailure> {
        if let Some(server) = self.recognised().clone() {
            return Ok(server);
        }
        let server = Arc::new(connection.server(&self.settings, deadline).await?);
        *self.recognised() = Some(server.clone());
        Ok(server)
    }

    fn recognised(&self) -> std::sync::MutexGuard<'_, Option<Arc<Server>>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn session(&self) -> Result<Session<'_>, TargetFailure> {
        let deadline = self.deadline();
        let opened = time::timeout_at(deadline, async {
            let place = self.pool.place(deadline).await?;
            let connection = match self.idle_connection(&place, deadline).await {
                Some(connection) => connection,
                None => self.endpoint.connect(deadline).await?,
            };
            let server = self.server(&connection, deadline).await?;
            Ok(Session { place, connection, server, deadline })
        });
        opened.await.unwrap_or_else(|_| Err(failure::timed_out(Call::Connect)))
    }

    async fn idle_connection(&self, place: &Place<'_, Connection>, deadline: Instant) -> Option<Connection> {
        loop {
            let (mut connection, idle) = place.take_idle()?;
            if connection.is_closed() {
                continue;
            }
            if idle < TRUSTED_IDLE || connection.server(&self.settings, deadline).await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// Puts the connection back after an answer, of whatever content, that shows it to be good.
    fn answered<T>(session: Session<'_>, answer: Result<T, TargetFailure>) -> Result<T, TargetFailure> {
        let in_doubt = answer.as_ref().err().is_some_and(|failure| match failure.kind {
            FailureKind::Down | FailureKind::Unknown => true,
            // Operations error: Active Directory says so to a connection whose bind it has forgotten.
            FailureKind::Busy => failure.code == "LDAP_TIMEOUT" || failure.code == "LDAP_1",
            FailureKind::Refused
            | FailureKind::BadCredentials
            | FailureKind::AlreadyExists
            | FailureKind::NotFound
            | FailureKind::PreconditionFailed => false,
        });
        if !in_doubt {
            session.place.put_back(session.connection);
        }
        answer
    }

    /// The entries that a read shows, and-ed with one more condition.
    fn filter(&self, object_class: &str, condition: Option<String>) -> Result<String, TargetFailure> {
        if !object_class.is_empty() && !is_attribute(object_class) {
            return Err(failure::refused("LDAP_OBJECT_CLASS", "the object class is no name of one"));
        }
        let class =
            (!object_class.is_empty()).then(|| filter::equals("objectClass", object_class.as_bytes()));
        let own = (!self.settings.filter.is_empty()).then(|| filter::enclosed(&self.settings.filter));
        Ok(filter::all([class, own, condition].into_iter().flatten()))
    }
}

#[async_trait]
impl Connector for Ldap {
    fn capabilities(&self) -> Capabilities {
        let server = self.recognised().clone();
        Capabilities {
            immutable_ids: true,
            versions: server.as_ref().is_some_and(|server| server.asserts),
            disables: match &server {
                Some(server) => server.state_attribute().is_some(),
                None => self.settings.disabled_attribute.is_some(),
            },
            repeatable_updates: true,
            changes: server.is_some(),
        }
    }

    async fn check(&self) -> Result<Vec<CheckStep>, TargetFailure> {
        let mut steps = Vec::new();
        let mut step = |name: &str, found: Result<String, String>| {
            let ok = found.is_ok();
            steps.push(CheckStep {
                name: name.to_owned(),
                ok,
                detail: found.unwrap_or_else(|detail| detail),
            });
            ok
        };
        *self.recognised() = None;
        let session = match self.session().await {
            Ok(session) => session,
            Err(failure) => {
                let bad = failure.kind == FailureKind::BadCredentials;
                step(if bad { "authenticate" } else { "connect" }, Err(failure.to_string()));
                return Ok(steps);
            }
        };
        step("connect", Ok(session.server.summary()));
        step("authenticate", Ok(format!("as {}", self.settings.bind_dn)));
        for (name, dn) in [("base", &self.base), ("create base", &self.create_base)] {
            let found = session.entry_at(dn, &[]).await.map_err(|failure| failure.to_string());
            let found =
                found.and_then(|entry| entry.map(|_| dn.to_string()).ok_or(format!("{dn} is not there")));
            if !step(name, found) {
                return Ok(steps);
            }
        }
        for sentinel in self.sentinels() {
            let found = session.entry_at(&sentinel, &[]).await.map_err(|failure| failure.to_string());
            let found = found.and_then(|entry| {
                entry.map(|_| sentinel.to_string()).ok_or(format!("{sentinel} is not there"))
            });
            step("sentinel", found);
        }
        session.place.put_back(session.connection);
        Ok(steps)
    }

    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
        read::pages(self, request, None)
    }

    fn changes(&self, request: ReadRequest, since: &str) -> BoxStream<'_, Result<ChangeItem, TargetFailure>> {
        changes::since(self, request, since)
    }

    async fn describe(&self) -> Result<Vec<ObjectSchema>, TargetFailure> {
        let session = self.session().await?;
        let described = session.describe(self).await;
        Self::answered(session, described)
    }

    async fn find(
        &self,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure> {
        let session = self.session().await?;
        let found = session.find(self, object_class, attribute, value).await;
        Self::answered(session, found)
    }

    async fn get(
        &self,
        _: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        let session = self.session().await?;
        let found = session.get(self, key, attributes).await;
        Self::answered(session, found)
    }

    async fn get_many(
        &self,
        _: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        let session = self.session().await?;
        let found = session.get_many(self, keys, attributes).await;
        Self::answered(session, found)
    }

    async fn create(&self, account: &NewAccount) -> Result<Account, TargetFailure> {
        let session = self.session().await?;
        let created = session.create(self, account).await;
        Self::answered(session, created)
    }

    async fn update(
        &self,
        _: &str,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        let session = self.session().await?;
        let updated = session.update(self, key, update).await;
        Self::answered(session, updated)
    }

    async fn delete(
        &self,
        _: &str,
        key: &AccountKey,
        if_version: Option<&str>,
        _: &str,
    ) -> Result<(), TargetFailure> {
        let session = self.session().await?;
        let deleted = session.delete(self, key, if_version).await;
        Self::answered(session, deleted)
    }
}
