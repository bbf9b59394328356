//! Cargo, as every command here calls it.

use std::{env, fs, process::Command};

use anyhow::Result;

use crate::{
    program::run,
    terminal,
    workspace::{SERVICES, binaries, root, target},
};

pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // What cargo told this program about itself is not about what it builds now.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Builds what the sandbox's programs need: themselves and both services.
pub fn build() -> Result<()> {
    terminal::heading("build");
    build_programs(&[])
}

/// The same with optimisations, for programs that measure.
pub fn build_release() -> Result<()> {
    terminal::heading("build, optimised");
    build_programs(&["--release"])
}

/// The services with crash points go to `target/crash-points`; where all others look, the usual ones lie again afterwards.
pub fn build_crash_points() -> Result<()> {
    terminal::heading("build, with crash points");
    let features = SERVICES.map(|service| format!("xavyo-{service}/crash-points")).join(",");
    build_programs(&["--features", &features])?;
    let folder = target()?.join("crash-points");
    fs::create_dir_all(&folder)?;
    for service in SERVICES {
        let name = format!("xavyo-{service}");
        // A new file: an earlier one may still run.
        let _ = fs::remove_file(folder.join(&name));
        fs::copy(binaries()?.join(&name), folder.join(&name))?;
    }
    Ok(())
}

/// Builds the suite that judges connectors. It needs neither service.
pub fn build_conformance() -> Result<()> {
    terminal::heading("build");
    run(cargo().args(["build", "--package", "xavyo-conformance"]))
}

fn build_programs(flags: &[&str]) -> Result<()> {
    let packages = SERVICES.iter().flat_map(|service| ["--package".to_owned(), format!("xavyo-{service}")]);
    run(cargo().args(["build", "--bins", "--package", "xavyo-sandbox"]).args(flags).args(packages))
}
