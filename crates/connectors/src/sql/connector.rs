//! The connector: one call, one connection; a table described once; what an error casts doubt on is asked again.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::time::{self, Instant};
use xavyo_core::{
    account::{Account, AccountKey},
    connector::{FailureKind, ObjectSchema, SqlDialect, SqlSettings, SqlStatements, TargetFailure},
    value::Value,
};

use super::{
    changes,
    connection::Connection,
    failure::{self, Stage, Trouble},
    mysql::Mysql,
    postgres::Postgres,
    read,
    server::{Driver, Server},
    session::Session,
    statements::{self, Statements},
    table::{Table, Version, schema},
    write::Write,
};
use crate::{
    ALL_ATTRIBUTES, AccountUpdate, Capabilities, ChangeItem, CheckStep, Connector, NewAccount, Options,
    ReadItem, ReadRequest, Secrets,
    pool::{Place, Pool},
    redaction::Redaction,
};

/// A connection idle for longer is asked whether it is still there.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How often a write that meets others is tried.
const RACES: usize = 5;

/// A connector to one table.
#[derive(Debug)]
pub struct Sql {
    pub(super) settings: SqlSettings,
    pub(super) server: Server,
    pool: Pool<Connection>,
    table: Mutex<Option<Arc<Table>>>,
}

impl Sql {
    /// Expects settings that `validate` accepts.
    pub(crate) fn open(settings: &SqlSettings, secrets: &Secrets, options: &Options) -> Self {
        let (password, timeout) = (super::password(secrets), options.call_timeout);
        let driver: Box<dyn Driver> = match settings.dialect {
            SqlDialect::Postgres => Box::new(Postgres::new(settings, password, timeout)),
            SqlDialect::Mysql => Box::new(Mysql::new(settings, password, timeout)),
        };
        Self {
            server: Server::new(settings, secrets, options, driver),
            settings: settings.clone(),
            pool: Pool::new(),
            table: Mutex::new(None),
        }
    }

    async fn session(&self) -> Result<Session<'_>, TargetFailure> {
        let deadline = Instant::now() + self.server.timeout;
        let opened = time::timeout_at(deadline, async {
            let place = self.pool.place(deadline).await?;
            let mut connection = match self.idle_connection(&place).await {
                Some(connection) => connection,
                None => self.server.connect().await?,
            };
            let table = self.table(&mut connection).await?;
            Ok(Session { place, connection, table, deadline })
        });
        opened.await.unwrap_or_else(|_| Err(failure::timed_out(Stage::Connecting)))
    }

    async fn idle_connection(&self, place: &Place<'_, Connection>) -> Option<Connection> {
        loop {
            let (mut connection, idle) = place.take_idle()?;
            if idle < TRUSTED_IDLE || connection.ping().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// The table as described, once; again after a failure that casts doubt on it.
    pub(super) async fn table(&self, connection: &mut Connection) -> Result<Arc<Table>, TargetFailure> {
        if let Some(table) = self.described().clone() {
            return Ok(table);
        }
        let described = match &self.settings.statements {
            Some(statements) => self.describe_list(connection, statements).await,
            None => self.describe_table(connection).await,
        };
        let dialect = self.server.dialect();
        let table =
            described.map_err(|trouble| trouble.at(Stage::Working, dialect, &Redaction::default()))?;
        let table = Arc::new(table);
        *self.described() = Some(table.clone());
        Ok(table)
    }

    async fn describe_table(&self, connection: &mut Connection) -> Result<Table, Trouble> {
        let SqlSettings { schema, table, .. } = &self.settings;
        let dialect = self.server.dialect();
        let catalogue = self.server.driver.describe(connection, schema, table).await?;
        let source = format!("{}.{}", dialect.quoted(schema), dialect.quoted(table));
        Ok(Table::new(&self.settings, dialect, source, catalogue)?)
    }

    /// The list's columns are the account; which of them are attributes the settings say, and all must be there.
    async fn describe_list(
        &self,
        connection: &mut Connection,
        statements: &SqlStatements,
    ) -> Result<Table, Trouble> {
        let dialect = self.server.dialect();
        let source = statements::source(&statements.list);
        let catalogue = self.server.driver.describe_list(connection, &source).await?;
        let mut table = Table::new(&self.settings, dialect, source, catalogue)?;
        for name in &statements.attributes {
            table.column(name)?;
        }
        let driver = self.server.driver.as_ref();
        table.statements = Some(Statements::prepare(connection, driver, &self.settings, statements).await?);
        Ok(table)
    }

    fn described(&self) -> std::sync::MutexGuard<'_, Option<Arc<Table>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doubting(&self, failure: TargetFailure) -> TargetFailure {
        if self.server.dialect().doubts(&failure.code) {
            *self.described() = None;
        }
        failure
    }

    /// Who loses a race has written nothing, and finds the other's work when he looks again.
    async fn write(&self, write: Write<'_>) -> Result<Option<Account>, TargetFailure> {
        let (began, mut tries) = (Instant::now(), 1);
        loop {
            match self.try_to_write(write).await {
                Err(failure) if self.server.dialect().lost_a_race(&failure.code) => {
                    let has_time = tries < RACES && began.elapsed() < self.server.timeout / 2;
                    if !has_time {
                        return Err(failure);
                    }
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    async fn try_to_write(&self, write: Write<'_>) -> Result<Option<Account>, TargetFailure> {
        let Session { place, mut connection, table, deadline } = self.session().await?;
        let committing = AtomicBool::new(false);
        let stage = || if committing.load(Ordering::Relaxed) { Stage::Committing } else { Stage::Working };
        let Ok(done) = time::timeout_at(deadline, write.perform(&mut connection, &table, &committing)).await
        else {
            return Err(failure::timed_out(stage()));
        };
        let failure = match done {
            Ok(account) => {
                place.put_back(connection);
                return Ok(account);
            }
            Err(trouble) => trouble.at(stage(), table.dialect, &write.redaction()),
        };
        if let Ok(Ok(())) = time::timeout_at(deadline, connection.command("rollback")).await {
            place.put_back(connection);
        }
        Err(self.doubting(self.about_uid(failure, write).await))
    }

    /// A uniqueness that a write ran into is a taken uid only if there is a row of that uid.
    async fn about_uid(&self, failure: TargetFailure, write: Write<'_>) -> TargetFailure {
        let uid = write.claimed_uid().filter(|_| self.server.dialect().is_taken(&failure.code));
        let Some(uid) = uid else { return failure };
        let key = AccountKey { external_uid: uid.to_owned(), immutable_id: None };
        match self.rows(&[key], &[]).await {
            Ok(found) if found.iter().any(Option::is_some) => {
                TargetFailure { kind: FailureKind::AlreadyExists, ..failure }
            }
            Ok(_) | Err(_) => failure,
        }
    }

    /// Rows by keys, in the order of the keys.
    async fn rows(
        &self,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        let mut session = self.session().await?;
        let found = time::timeout_at(session.deadline, session.rows(keys, attributes)).await;
        self.answered(session, found)
    }

    /// Puts the connection back after a good answer, and says what a bad one means.
    fn answered<T>(
        &self,
        session: Session<'_>,
        answer: Result<Result<T, Trouble>, time::error::Elapsed>,
    ) -> Result<T, TargetFailure> {
        match answer {
            Ok(Ok(found)) => {
                session.place.put_back(session.connection);
                Ok(found)
            }
            Ok(Err(trouble)) => {
                let dialect = self.server.dialect();
                Err(self.doubting(trouble.at(Stage::Working, dialect, &Redaction::default())))
            }
            Err(_) => Err(failure::timed_out(Stage::Working)),
        }
    }
}

#[async_trait]
impl Connector for Sql {
    fn capabilities(&self) -> Capabilities {
        let versions = match self.described().as_deref() {
            Some(table) => !matches!(table.version, Version::None),
            None => self.settings.version_column.is_some(),
        };
        Capabilities {
            immutable_ids: self.settings.id_column.is_some(),
            versions,
            disables: match &self.settings.statements {
                Some(statements) => statements.disable.is_some(),
                None => self.settings.disabled_column.is_some() || self.settings.enabled_column.is_some(),
            },
            repeatable_updates: true,
            changes: self.settings.updated_at_column.is_some(),
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
        };
        *self.described() = None;
        match self.session().await {
            Ok(session) => {
                step("connect", Ok(self.settings.host.clone()));
                step("authenticate", Ok(format!("as {}", self.settings.username)));
                step("table", Ok(session.table.summary()));
                session.place.put_back(session.connection);
            }
            Err(failure) => {
                let name = match failure.kind {
                    FailureKind::BadCredentials => "authenticate",
                    _ if failure.code.starts_with("SQL_TABLE") || failure.code.starts_with("SQL_COLUMN") => {
                        "table"
                    }
                    _ => "connect",
                };
                step(name, Err(failure.to_string()));
                return Ok(steps);
            }
        }
        let key = |uid: &String| AccountKey { external_uid: uid.clone(), immutable_id: None };
        let keys: Vec<AccountKey> = self.settings.sentinels.iter().map(key).collect();
        let found = self.rows(&keys, &[ALL_ATTRIBUTES.to_owned()]).await;
        step(
            "read",
            found.map_err(|failure| failure.to_string()).and_then(|found| {
                let unseen = keys.iter().zip(&found).find(|(_, account)| account.is_none());
                let unseen = unseen.map(|(key, _)| format!("sentinel {} was not found", key.external_uid));
                unseen.map_or_else(|| Ok(format!("{} sentinels seen", keys.len())), Err)
            }),
        );
        Ok(steps)
    }

    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
        read::pages(self, request)
    }

    fn changes(&self, request: ReadRequest, since: &str) -> BoxStream<'_, Result<ChangeItem, TargetFailure>> {
        changes::pages(self, request, since)
    }

    /// The catalogue is asked anew, and calls from then on go by what it says.
    async fn describe(&self) -> Result<Vec<ObjectSchema>, TargetFailure> {
        *self.described() = None;
        let session = self.session().await?;
        let schema = schema::of(&session.table, &self.settings);
        session.place.put_back(session.connection);
        Ok(vec![schema])
    }

    async fn find(&self, _: &str, attribute: &str, value: &Value) -> Result<Vec<Account>, TargetFailure> {
        let mut session = self.session().await?;
        let found = time::timeout_at(session.deadline, session.find(attribute, value)).await;
        self.answered(session, found)
    }

    async fn get(
        &self,
        _: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        Ok(self.rows(std::slice::from_ref(key), attributes).await?.into_iter().next().flatten())
    }

    async fn get_many(
        &self,
        _: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        self.rows(keys, attributes).await
    }

    async fn create(&self, account: &NewAccount) -> Result<Account, TargetFailure> {
        Ok(self.write(Write::Create(account)).await?.expect("a create shows its row"))
    }

    async fn update(
        &self,
        _: &str,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        Ok(self.write(Write::Update { key, update }).await?.expect("an update shows its row"))
    }

    async fn delete(
        &self,
        _: &str,
        key: &AccountKey,
        if_version: Option<&str>,
        tag: &str,
    ) -> Result<(), TargetFailure> {
        self.write(Write::Delete { key, if_version, tag }).await?;
        Ok(())
    }
}
