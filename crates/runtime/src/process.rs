//! The life of a process, top to bottom: what the `main` of both binaries calls.

use std::process::ExitCode;

use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;

use crate::{
    Clock, Database, MasterKeys, Reloading, Service, Settings, StartError, Tasks,
    auth::Authenticator,
    lifecycle::{self, Signals},
    migrate, server,
    settings::MigrateSettings,
    telemetry, tls,
};

/// Mapping expressions nest deeply: their evaluation overflows the usual 2 MiB.
const THREAD_STACK_BYTES: usize = 8 << 20;

/// What a service is given to live on.
#[derive(Debug)]
pub struct Runtime {
    pub clock: Clock,
    pub database: Database,
    pub keys: MasterKeys,
    /// Background workers are spawned here, each under a name.
    pub tasks: Tasks,
}

impl Runtime {
    /// Cancelled when the process is to end: long streams end then, too.
    pub fn stop(&self) -> CancellationToken {
        self.tasks.stop()
    }

    /// Looks after a file that may change, until the process ends.
    pub fn watch<T: Send + Sync + 'static>(&mut self, name: &'static str, file: Reloading<T>) {
        self.tasks.spawn(name, |stop| async move {
            file.run(stop).await;
            Ok(())
        });
    }
}

/// Serves until SIGTERM or SIGINT, and then until what has begun is finished. `start` opens what the service needs,
/// spawns its workers and answers with its gRPC services.
pub fn serve(
    program: &'static str,
    settings: &Settings,
    start: impl AsyncFnOnce(&mut Runtime) -> Result<Service, StartError>,
) -> ExitCode {
    let outcome = telemetry::start(&settings.log).and_then(|()| {
        tls::install();
        block_on(live(program, settings, start))
    });
    exit_code(program, outcome)
}

/// Applies the migrations that the binary carries, as the database's owner.
pub fn migrate(program: &'static str, settings: &MigrateSettings, migrations: &Migrator) -> ExitCode {
    let outcome = telemetry::start(&settings.log).and_then(|()| {
        tls::install();
        block_on(migrate::embedded(settings, migrations))
    });
    exit_code(program, outcome)
}

async fn live(
    program: &'static str,
    settings: &Settings,
    start: impl AsyncFnOnce(&mut Runtime) -> Result<Service, StartError>,
) -> Result<(), StartError> {
    let tasks = Tasks::new(CancellationToken::new());
    tokio::spawn(Signals::catch()?.run(tasks.stop()));
    let clock = Clock::system();
    let authenticator = Authenticator::open(&settings.token, clock.clone())?;
    let mut runtime = Runtime {
        database: Database::open(&settings.database, program)?,
        keys: MasterKeys::read(&settings.master_keys_file)?,
        clock,
        tasks,
    };
    let service = start(&mut runtime).await?;
    server::start(settings, service, authenticator, &mut runtime).await?;
    runtime.tasks.run(settings.limits.drain()).await
}

/// Whatever is still busy when `life` is over, on whichever thread, is not waited for.
fn block_on(life: impl Future<Output = Result<(), StartError>>) -> Result<(), StartError> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(THREAD_STACK_BYTES)
        .build()
        .map_err(|source| StartError::System { what: "threads", source })?;
    let outcome = threads.block_on(life);
    threads.shutdown_background();
    outcome
}

/// The log may not be there yet, or be filtered away: why a process ended is always said.
fn exit_code(program: &str, outcome: Result<(), StartError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {}", lifecycle::with_sources(&error));
            ExitCode::FAILURE
        }
    }
}
