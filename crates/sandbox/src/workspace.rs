//! Where things are: the workspace's folders, its tools and its built binaries.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The workspace's top folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is two folders below the workspace")
}

/// The folder that holds the binaries built beside the one that runs: `target/<profile>`.
pub fn binaries() -> Result<PathBuf> {
    let me = env::current_exe().context("cannot tell which program this is")?;
    let folder = me.parent().context("a program has a folder")?;
    // A test's own binary lies in `target/<profile>/deps`.
    let profile =
        if folder.ends_with("deps") { folder.parent().context("deps has a parent")? } else { folder };
    Ok(profile.to_owned())
}

/// A built binary of the workspace, by name.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = binaries()?.join(name);
    if !path.is_file() {
        bail!("{} is not built: run `cargo build -p {name}` first", path.display());
    }
    Ok(path)
}

/// A service's binary with crash points: built apart, so that nothing else meets it by mistake.
pub fn crash_points_binary(name: &str) -> Result<PathBuf> {
    let target = binaries()?.parent().map(Path::to_owned).context("target/<profile> has a parent")?;
    let path = target.join("crash-points").join(name);
    if !path.is_file() {
        bail!("{} is not built: `cargo xtask soak` and `cargo xtask test faults` do that", path.display());
    }
    Ok(path)
}

/// The program of that name in PATH, or in the folders where servers live.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Where tools are unpacked that the machine lacks. Root's children run as another user, who cannot look into
/// root's home; so root's tools lie where everybody can read.
pub fn tools() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/cache/xavyo/tools"));
    }
    let target = binaries()?.parent().map(Path::to_owned);
    Ok(target.unwrap_or_else(|| root().join("target")).join("tools"))
}
