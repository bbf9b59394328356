//! Programs that the machine lacks: installed as Debian packages where this process is root, else unpacked from PyPI
//! into the workspace's own tools.
//!
//! Nothing installed here ever starts by itself: Debian's maintainer scripts are told not to.

pub mod apt;
pub mod pypi;

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Runs a command to its end; a failing one is an error with what it said.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {}\n{}", output.status, said.trim());
    }
    Ok(output)
}
