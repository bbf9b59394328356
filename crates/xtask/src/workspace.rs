//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

/// The services, as their crates, databases and folders of migrations are named.
pub const SERVICES: [&str; 2] = ["provisioning", "reconciliation"];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is two folders below the workspace")
}

/// `target/<profile>`, where this program itself was built.
pub fn binaries() -> Result<PathBuf> {
    let me = env::current_exe().context("cannot tell which program this is")?;
    Ok(me.parent().context("a program has a folder")?.to_owned())
}

/// The target folder, wherever this build has it.
pub fn target() -> Result<PathBuf> {
    Ok(binaries()?.parent().context("target/<profile> has a parent")?.to_owned())
}

/// Every file that is, or would be, part of the repository, as paths below the root.
pub fn files() -> Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .context("cannot run git")?;
    let names = String::from_utf8(listed.stdout).context("a file's name is not UTF-8")?;
    // A file that is deleted and not yet committed is still listed.
    let exists = |path: &PathBuf| root().join(path).is_file();
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).filter(exists).collect())
}
