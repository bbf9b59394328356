//! Every test of the workspace, on one private Postgres.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::{
    cargo::{build, build_conformance, build_crash_points, cargo},
    program,
    shared_postgres::SharedPostgres,
    terminal, workspace,
};

/// Where the sandbox's tests look for a Postgres that runs already.
const SHARED: &str = "XAVYO_SANDBOX_POSTGRES";

/// Builds everything once, tests and the services that they start, then runs what matches.
pub fn run(filter: Option<&str>) -> Result<()> {
    terminal::heading("build everything");
    program::run(cargo().args(["build", "--workspace", "--all-targets"]))?;
    terminal::heading("start Postgres");
    let postgres = SharedPostgres::start()?;
    terminal::heading("test");
    program::run(runner().args(filter).env(SHARED, postgres.sockets()?))
}

/// Everything that can go wrong, once each; or those faults whose number or name matches.
pub fn faults(arguments: &[&str]) -> Result<()> {
    build_crash_points()?;
    program::run_program("xavyo-faults", arguments)
}

/// Every kind of target: the suite of cases, what only one kind can show, and the services on a real table and a real
/// directory.
pub fn targets() -> Result<()> {
    build_conformance()?;
    terminal::heading("conformance");
    program::run(&mut Command::new(workspace::binaries()?.join("xavyo-conformance")))?;
    let postgres = SharedPostgres::start()?;
    terminal::heading("what one kind alone can show");
    // Their runs of the suite are done.
    let only = ["--", "--skip", "passes_the_suite"];
    program::run(
        cargo()
            .args(["test", "--package", "xavyo-connectors", "--package", "xavyo-conformance"])
            .args(only)
            .env(SHARED, postgres.sockets()?),
    )?;
    build()?;
    terminal::heading("the services on real targets");
    let scenarios = ["test", "--package", "xavyo-tests", "--", "provisioning::target"];
    program::run(cargo().args(scenarios).env(SHARED, postgres.sockets()?))
}

/// cargo-nextest where it is installed: it runs the tests of all crates side by side.
fn runner() -> Command {
    let mut command = cargo();
    if has_nextest() {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    command
}

fn has_nextest() -> bool {
    let asked = cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}
