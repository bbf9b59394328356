//! The database: a pool, transactions that belong to one tenant, and the one table from its errors to ours.
//!
//! Never a query of the product: those are in the services' `store`. A transaction shows exactly one tenant's rows,
//! because row-level security reads `xavyo.tenant`, which [`Database::begin`] sets for that transaction alone.

use std::{path::Path, str::FromStr, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection, PgPool, Postgres,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use xavyo_core::{Error, Reason, error::Result, ids::TenantId};

use crate::{StartError, settings::DatabaseSettings};

/// `&mut *transaction` is the `&mut PgConnection` that store functions take. Dropped without commit = rolled back.
pub type Transaction = sqlx::Transaction<'static, Postgres>;

/// The pauses before a contended transaction is tried again: three more times.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(80)];

/// A pool that cannot give a connection within this time counts as a database that is away.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);

/// A connection that was idle for longer is asked for a sign of life before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(2);

/// Cheap to clone; clones share the pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
}

impl Database {
    pub fn over(pool: PgPool) -> Self {
        Self { pool }
    }

    /// No connection is made yet: a service starts, and says so in its health, while Postgres is away.
    pub fn open(settings: &DatabaseSettings, program: &str) -> Result<Self, StartError> {
        let password_file = settings.database_password_file.as_deref();
        let options = options("XAVYO_DATABASE_URL", &settings.database_url, password_file)?
            .application_name(program)
            .options([
                ("statement_timeout", format!("{}s", settings.database_statement_seconds)),
                // Statements here are short, and sent again and again: to compile one takes longer than to run it.
                ("jit", "off".to_owned()),
                // A process that stands still holds locks that all others wait for: no longer than it is taken for alive.
                ("idle_in_transaction_session_timeout", "5s".to_owned()),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(settings.database_pool_size)
            .acquire_timeout(ACQUIRE_WITHIN)
            .idle_timeout(Duration::from_mins(10))
            .max_lifetime(Duration::from_mins(30))
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// The same database over one connection of its own: for what may not wait behind everything else.
    #[must_use]
    pub fn apart(&self) -> Self {
        let options = PgConnectOptions::clone(&self.pool.connect_options());
        let one = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_WITHIN);
        Self { pool: one.test_before_acquire(false).connect_lazy_with(options) }
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A transaction that sees and writes the rows of `tenant`, and of nobody else. One round trip.
    pub async fn begin(&self, tenant: TenantId) -> Result<Transaction> {
        self.begin_as("begin", tenant).await
    }

    /// Like [`begin`](Self::begin), and everything that it reads is of one moment; it can write nothing, and may wait
    /// for a slow reader, since nobody waits for it.
    pub async fn begin_snapshot(&self, tenant: TenantId) -> Result<Transaction> {
        let begin = "begin isolation level repeatable read read only;
                     set local idle_in_transaction_session_timeout = '5min'";
        self.begin_as(begin, tenant).await
    }

    /// A transaction without a tenant: for the few payload-free tables that say where work waits. Row-level security
    /// shows it no row of any tenant table.
    pub async fn begin_system(&self) -> Result<Transaction> {
        self.begin_with("begin".to_owned()).await
    }

    async fn begin_as(&self, begin: &'static str, tenant: TenantId) -> Result<Transaction> {
        // A UUID prints as hexadecimal digits and hyphens: there is nothing in it to escape.
        let statement = format!("{begin}; set local xavyo.tenant = '{tenant}'");
        self.begin_with(statement).await
    }

    /// A task of its own begins, and is let end: a caller whose deadline passes meanwhile would otherwise give a
    /// connection back on which a transaction, of some tenant, is just being opened.
    async fn begin_with(&self, statement: String) -> Result<Transaction> {
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(AssertSqlSafe(statement)).await });
        begun.await.map_err(Error::internal)?.map_err(failed)
    }
}

pub async fn commit(transaction: Transaction) -> Result<()> {
    transaction.commit().await.map_err(failed)
}

/// Ends a transaction that has only read. Nobody waits for it: it is rolled back on the connection's way home.
pub fn leave(transaction: Transaction) {
    drop(transaction);
}

/// From so many rows on a statement is worth a plan of its own.
const MANY: usize = 16;

/// Says that the statements to come are about so many rows each. Many of them are planned for the tables as they are now: a
/// kept plan is for the tables as they were when it was made, and those of a queue are empty most of the time. What it took
/// for a page that is quickly read through is thousands of them in a burst, until they are analysed.
pub async fn plan_for(transaction: &mut Transaction, rows: usize) -> Result<()> {
    if rows >= MANY {
        let plan = sqlx::query("set local plan_cache_mode = force_custom_plan");
        plan.execute(&mut **transaction).await.map_err(failed)?;
    }
    Ok(())
}

/// Runs a whole transaction, and runs it again, up to three times, when others were in its way (deadlock,
/// serialization failure). `transaction` begins and commits it, and does nothing that cannot be repeated.
pub async fn retry<T, F>(mut transaction: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    for pause in PAUSES {
        match transaction().await {
            Err(error) if error.reason == Reason::Contended => tokio::time::sleep(pause).await,
            outcome => return outcome,
        }
    }
    transaction().await
}

/// The constraint that a statement violated, for the callers that know what it protects.
pub fn violated_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error()?.constraint()
}

/// What a database error means to a caller. The one table; the original stays as the source, for the log.
pub fn failed(error: sqlx::Error) -> Error {
    let meaning = match &error {
        sqlx::Error::Database(refused) => meaning_of(refused.code().as_deref().unwrap_or_default()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Some(AWAY),
        _ => None,
    };
    match meaning {
        Some((reason, message)) => Error::new(reason, message).caused_by(error),
        None => Error::internal(error),
    }
}

type Meaning = (Reason, &'static str);

const AWAY: Meaning = (Reason::DatabaseUnavailable, "the database cannot be reached");
const CONTENDED: Meaning = (Reason::Contended, "others changed the same rows at the same moment");
const SLOW: Meaning = (Reason::DeadlineExceeded, "a statement took too long");

/// By SQLSTATE (PostgreSQL documentation, appendix A). None: unforeseen, so a bug.
fn meaning_of(code: &str) -> Option<Meaning> {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Some(CONTENDED),
        // query_canceled: the statement's time-out
        "57014" => Some(SLOW),
        // idle_in_transaction_session_timeout: this process stood still, and lost its connection by that
        "25P03" => Some(AWAY),
        // connection exceptions; insufficient resources: connections, memory, disk; shutting down or starting up;
        // and a login or database that is not there (yet)
        _ if ["08", "53", "57", "58", "28", "3D"].iter().any(|class| code.starts_with(class)) => Some(AWAY),
        _ => None,
    }
}

/// `setting` is the variable that the URL came from. The password, if any, comes from its file, else from where
/// Postgres itself looks (`PGPASSFILE`).
pub(crate) fn options(
    setting: &'static str,
    url: &str,
    password_file: Option<&Path>,
) -> Result<PgConnectOptions, StartError> {
    let refused = |problem: &str| StartError::Setting { setting, problem: problem.to_owned() };
    if holds_password(url) {
        return Err(refused("holds a password: put it into a file and name that"));
    }
    // sqlx's message could quote the URL, and with it what was meant to be a secret.
    let options = PgConnectOptions::from_str(url).map_err(|_| refused("not a URL of a Postgres database"))?;
    let Some(path) = password_file else { return Ok(options) };
    let password = std::fs::read_to_string(path).map_err(|source| StartError::Unreadable {
        what: "password file",
        path: path.to_owned(),
        source,
    })?;
    Ok(options.password(password.trim_end_matches(['\r', '\n'])))
}

fn holds_password(url: &str) -> bool {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (before_query, query) = after_scheme.split_once('?').unwrap_or((after_scheme, ""));
    let authority = before_query.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || query.split('&').any(|pair| pair.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn tries_until(failures: u32, reason: Reason) -> (u32, Result<()>) {
        let tries = AtomicU32::new(0);
        let outcome = retry(async || {
            let before = tries.fetch_add(1, Ordering::Relaxed);
            if before < failures { Err(Error::new(reason, "in the way")) } else { Ok(()) }
        })
        .await;
        (tries.into_inner(), outcome)
    }

    #[tokio::test(start_paused = true)]
    async fn a_contended_transaction_is_run_again_three_times() {
        let (tries, outcome) = tries_until(3, Reason::Contended).await;
        assert_eq!(tries, 4);
        outcome.unwrap();

        let (tries, outcome) = tries_until(4, Reason::Contended).await;
        assert_eq!(tries, 4);
        assert_eq!(outcome.unwrap_err().reason, Reason::Contended);
    }

    #[tokio::test(start_paused = true)]
    async fn any_other_error_ends_a_transaction_at_once() {
        let (tries, outcome) = tries_until(1, Reason::DatabaseUnavailable).await;
        assert_eq!(tries, 1);
        assert!(outcome.is_err());
    }

    #[test]
    fn a_password_in_a_url_is_refused() {
        for url in ["postgres://u:p@h/d", "postgresql://u:@h:5432/d", "postgres:///d?user=u&password=p"] {
            assert!(options("XAVYO_DATABASE_URL", url, None).is_err(), "{url}");
        }
        for url in
            ["postgres://u@h:5432/d", "postgres:///d?host=/a:b@c/socket&user=u", "postgres://[::1]:5432/d"]
        {
            assert!(options("XAVYO_DATABASE_URL", url, None).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_database_that_is_away_is_told_from_a_bug() {
        let away = [sqlx::Error::PoolTimedOut, sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())];
        for error in away {
            assert_eq!(failed(error).reason, Reason::DatabaseUnavailable);
        }
        assert_eq!(failed(sqlx::Error::RowNotFound).reason, Reason::Internal);
    }

    #[test]
    fn each_class_of_sqlstate_has_its_meaning() {
        for (code, meaning) in [
            ("40001", Some(CONTENDED)),
            ("40P01", Some(CONTENDED)),
            ("57014", Some(SLOW)),
            ("57P01", Some(AWAY)),
            ("53100", Some(AWAY)),
            ("08006", Some(AWAY)),
            ("23505", None),
            ("42501", None),
            ("", None),
        ] {
            assert_eq!(meaning_of(code), meaning, "{code}");
        }
    }
}
