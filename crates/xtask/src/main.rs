//! `cargo xtask …`: every command that a developer or CI gives.
//!
//! Never here: anything of the product. It starts cargo, the sandbox's programs and a few tools, and depends on next to
//! nothing, so that it is built in seconds.
//!
//! Begin with [`run`], the table of commands.

mod cargo;
mod ci;
mod contract;
mod lint;
mod program;
mod shared_postgres;
mod sqlx;
mod terminal;
mod test;
mod tools;
mod workspace;

use std::{env, process::ExitCode};

use anyhow::Result;

const HELP: &str = "\
Usage: cargo xtask <command>

To see it work
  demo [--ldap | --scim | --sql postgres|mariadb] [--people N] [--json]
                     people in, accounts provisioned, drift found, repaired, and nothing left to find
  dev [--json]       both services on this machine until Ctrl-C, with an admin's token

  bench queue|recon|lists [--json]
                     how fast the queue is, as ratios to bare SQL on the same Postgres

  conformance [filter] [--connector FILE]
                     every kind of target through one list of cases; or a target of yours (docs/conformance.md)

  soak [--minutes N] [--seed S] [--json]
                     three replicas under load, kills, stops, crashes and network faults; then a judgement

To work on it
  test [filter]      every test, or those whose name contains the filter
  test faults [fault]
                     everything that can go wrong, once each, and a judgement after each
  test targets       the list of cases, and whatever only one kind of target can show
  lint               format, clippy, the contract, the layers, the sizes
  sqlx [--check]     records the services' queries into crates/<service>/.sqlx (or compares only)
  contract accept    takes the contract in proto/ as the one that later changes must not break
  ci                 all that CI runs, each step with its time
";

/// The exit code of a command line that makes no sense.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}: {error:#}", terminal::red("error"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<ExitCode> {
    match arguments {
        ["demo", rest @ ..] => program::become_program("xavyo-demo", rest)?,
        ["dev", rest @ ..] => program::become_program("xavyo-dev", rest)?,
        ["bench", rest @ ..] => program::become_measured_program("xavyo-bench", rest)?,
        ["soak", rest @ ..] => {
            cargo::build_crash_points()?;
            program::become_program("xavyo-soak", rest)?;
        }
        ["conformance", rest @ ..] => {
            cargo::build_conformance()?;
            program::become_built("xavyo-conformance", rest)?;
        }
        ["test", "faults", rest @ ..] => test::faults(rest)?,
        ["test", "targets"] => test::targets()?,
        ["test"] => test::run(None)?,
        ["test", filter] => test::run(Some(filter))?,
        ["lint"] => lint::run()?,
        ["sqlx"] => sqlx::record()?,
        ["sqlx", "--check"] => sqlx::check()?,
        ["contract", "accept"] => contract::accept()?,
        ["ci"] => ci::run()?,
        [] | ["help" | "--help" | "-h"] => print!("{HELP}"),
        unknown => {
            eprintln!(
                "{}: there is no `cargo xtask {}`\n\n{HELP}",
                terminal::red("error"),
                unknown.join(" ")
            );
            return Ok(ExitCode::from(MISUSED));
        }
    }
    Ok(ExitCode::SUCCESS)
}
