//! Debian packages, installed without starting or configuring any service.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::run;
use crate::workspace;

/// Asked by every maintainer script before it starts a service; 101 = no.
const SERVICE_POLICY: (&str, &str) = ("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
/// Keeps the `postgresql` package from making a cluster of its own.
const NO_MAIN_CLUSTER: (&str, &str) =
    ("/etc/postgresql-common/createcluster.d/xavyo-sandbox.conf", "create_main_cluster = false\n");

/// Only root on a machine with apt can install.
pub fn can_install() -> bool {
    rustix::process::geteuid().is_root() && workspace::program("apt-get").is_some()
}

/// Installs a package with what it depends on. The machine's services are as they were before.
pub fn install(package: &str) -> Result<()> {
    let _policy = Temporary::write(SERVICE_POLICY)?;
    let _no_cluster = Temporary::write(NO_MAIN_CLUSTER)?;
    eprintln!("installing the Debian package {package} …");
    run(apt_get().arg("update"))?;
    run(apt_get().args(["install", "--yes", "--no-install-recommends", package]))?;
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.args(["--quiet", "-o", "DPkg::Lock::Timeout=300"]).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// A file that exists while a package is installed; one that is there already stays as it is.
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn write((path, content): (&str, &str)) -> Result<Self> {
        let path = Path::new(path);
        if path.exists() {
            return Ok(Self(None));
        }
        let context = || format!("cannot write {}", path.display());
        fs::create_dir_all(path.parent().expect("the paths above have parents")).with_context(context)?;
        fs::write(path, content).with_context(context)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(context)?;
        Ok(Self(Some(path.to_owned())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}
