//! Running commands, and the sandbox's programs.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result, bail};

use crate::{cargo, workspace};

/// Runs a command to its end in the workspace's top folder; a failing one is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status =
        command.current_dir(workspace::root()).status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        let name = command.get_program().to_string_lossy().into_owned();
        let first = command.get_args().next().unwrap_or_default().to_string_lossy().into_owned();
        bail!("`{name} {first}` failed: {status}");
    }
    Ok(())
}

/// Builds the services and the sandbox, and turns into the sandbox's program: signals and the terminal are its own.
pub fn become_program(name: &str, arguments: &[&str]) -> Result<()> {
    let mut command = built(name)?;
    let failure = command.args(arguments).exec();
    Err(failure).with_context(|| format!("cannot run {name}"))
}

/// Turns into a program that is built already.
pub fn become_built(name: &str, arguments: &[&str]) -> Result<()> {
    let failure = Command::new(workspace::binaries()?.join(name)).args(arguments).exec();
    Err(failure).with_context(|| format!("cannot run {name}"))
}

/// Builds them, and runs the sandbox's program to its end.
pub fn run_program(name: &str, arguments: &[&str]) -> Result<()> {
    run(built(name)?.args(arguments))
}

/// The same, built to be measured: with optimisations.
pub fn become_measured_program(name: &str, arguments: &[&str]) -> Result<()> {
    cargo::build_release()?;
    let path = workspace::target()?.join("release").join(name);
    let failure = Command::new(&path).args(arguments).exec();
    Err(failure).with_context(|| format!("cannot run {}", path.display()))
}

fn built(name: &str) -> Result<Command> {
    cargo::build()?;
    Ok(Command::new(workspace::binaries()?.join(name)))
}
