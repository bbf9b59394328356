//! Tools from npm, pinned and kept in the target folder.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{terminal, workspace};

const BUF: &str = "@bufbuild/buf@1.75.0";

/// The buf CLI; installed at its first use.
pub fn buf() -> Result<Command> {
    let home = workspace::target()?.join("tools").join(BUF.replace('/', "-"));
    let binary = home.join("node_modules/.bin/buf");
    if !binary.is_file() {
        install(BUF, &home)?;
    }
    let mut command = Command::new(binary);
    command.current_dir(workspace::root());
    Ok(command)
}

fn install(package: &str, home: &PathBuf) -> Result<()> {
    terminal::heading(&format!("install {package}"));
    fs::create_dir_all(home)?;
    let status = Command::new("npm")
        .args(["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(home)
        .arg(package)
        .status()
        .context("npm is needed to install buf (Debian's package `npm`)")?;
    if !status.success() {
        bail!("npm could not install {package}");
    }
    Ok(())
}
