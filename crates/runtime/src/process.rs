//! The life of a process, top to bottom. The `main` of both binaries calls [`main`], and nothing else.

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;

use crate::{
    Clock, Database, MasterKeys, Reloading, Service, Settings, StartError, Tasks,
    auth::Authenticator,
    lifecycle::{self, Signals},
    migrate, server,
    settings::{LogSettings, MigrateSettings},
    telemetry, tls,
};

/// Mapping expressions nest deeply: their evaluation overflows the usual 2 MiB.
const THREAD_STACK_BYTES: usize = 8 << 20;

/// One of the two binaries.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    /// What it does, in one line of `--help`.
    pub about: &'static str,
    pub migrations: &'static Migrator,
}

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

/// `serve` (also without a command) or `migrate`, as the command line says. `S` holds the settings that the service has
/// beside the shared ones; `start` opens what it needs, spawns its workers and answers with its gRPC services.
pub fn main<S: Args>(
    program: &Program,
    start: impl AsyncFnOnce(S, &mut Runtime) -> Result<Service, StartError>,
) -> ExitCode {
    let matches = command::<S>(program).get_matches();
    let outcome = match matches.subcommand() {
        Some((MIGRATE, matches)) => {
            let settings: MigrateSettings = taken(matches);
            live(&settings.log, migrate::embedded(&settings, program.migrations))
        }
        serving => {
            let matches = serving.map_or(&matches, |(_, matches)| matches);
            let settings: Settings = taken(matches);
            live(&settings.log, serve(program, &settings, taken(matches), start))
        }
    };
    exit_code(program, outcome)
}

const SERVE: &str = "serve";
const MIGRATE: &str = "migrate";

fn command<S: Args>(program: &Program) -> Command {
    let with_settings = |command| S::augment_args(Settings::augment_args(command));
    let serve =
        Command::new(SERVE).about("Serves until it is asked to stop; also what happens without a command");
    let migrate = Command::new(MIGRATE).about("Brings the database to this version's schema, as its owner");
    with_settings(Command::new(program.name))
        .version(env!("CARGO_PKG_VERSION"))
        .about(program.about)
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true)
        .subcommand(with_settings(serve))
        .subcommand(MigrateSettings::augment_args(migrate))
}

/// Clap has checked already that everything needed is there, and has ended the process if not.
fn taken<S: FromArgMatches>(matches: &ArgMatches) -> S {
    S::from_arg_matches(matches).unwrap_or_else(|error| error.exit())
}

/// Serves until SIGTERM or SIGINT, and then until what has begun is finished.
async fn serve<S>(
    program: &Program,
    settings: &Settings,
    service_settings: S,
    start: impl AsyncFnOnce(S, &mut Runtime) -> Result<Service, StartError>,
) -> Result<(), StartError> {
    let tasks = Tasks::new(CancellationToken::new());
    tokio::spawn(Signals::catch()?.run(tasks.stop()));
    let clock = Clock::system();
    let authenticator = Authenticator::open(&settings.token, clock.clone())?;
    let mut runtime = Runtime {
        database: Database::open(&settings.database, program.name)?,
        keys: MasterKeys::read(&settings.master_keys_file)?,
        clock,
        tasks,
    };
    let service = start(service_settings, &mut runtime).await?;
    server::start(settings, service, authenticator, &mut runtime).await?;
    runtime.tasks.run(settings.limits.drain()).await
}

/// On threads of its own. Whatever is still busy there when `life` is over is not waited for.
fn live(log: &LogSettings, life: impl Future<Output = Result<(), StartError>>) -> Result<(), StartError> {
    telemetry::start(log)?;
    tls::install();
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
fn exit_code(program: &Program, outcome: Result<(), StartError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {}", program.name, lifecycle::with_sources(&error));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Args)]
    struct Extra {
        #[arg(long)]
        extra: bool,
    }

    fn parse(line: &str) -> Result<ArgMatches, clap::Error> {
        static MIGRATIONS: Migrator = Migrator::DEFAULT;
        let program = Program { name: "program", about: "a test", migrations: &MIGRATIONS };
        command::<Extra>(&program).try_get_matches_from(line.split(' '))
    }

    const NEEDED: &str = "--database-url postgres:///x --jwks-file k --token-issuer i --master-keys-file m";

    #[test]
    fn serving_is_what_happens_without_a_command() {
        let named = parse(&format!("program serve {NEEDED} --extra")).unwrap();
        let bare = parse(&format!("program {NEEDED} --extra")).unwrap();

        let (_, named) = named.subcommand().unwrap();
        for matches in [named, &bare] {
            assert_eq!(taken::<Settings>(matches).token.token_issuer, "i");
            assert!(taken::<Extra>(matches).extra);
        }
    }

    #[test]
    fn migrating_needs_no_setting_of_serving() {
        let matches = parse("program migrate --owner-database-url postgres:///x").unwrap();

        let (name, matches) = matches.subcommand().unwrap();
        assert_eq!(name, MIGRATE);
        assert_eq!(taken::<MigrateSettings>(matches).owner_database_url, "postgres:///x");
    }
}
