//! Private directories for servers, in the temporary folder (TMPDIR): 0700, owned by the user that the server runs as,
//! gone when dropped; and the sweep of those that a killed process left behind.
//!
//! Each directory has a lock file beside it that its maker holds as long as it lives. Whoever gets that lock later knows
//! that the maker is dead, ends what still works in the directory, and removes it.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Once,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::user::User;

/// The longest path of a Unix socket that the kernel takes, less the name that Postgres adds.
const LONGEST_PATH: usize = 107 - "/.s.PGSQL.5432".len();

/// A directory that only one user can look into, removed with everything in it when dropped.
#[derive(Debug)]
pub struct PrivateDirectory {
    path: PathBuf,
    /// Held until this process ends: the proof that the directory is in use.
    _lock: File,
}

impl PrivateDirectory {
    /// A fresh directory `<purpose>-<random>` for `user`. The first one of a process sweeps first.
    pub fn new(purpose: &str, user: &User) -> Result<Self> {
        static SWEPT: Once = Once::new();
        let base = base()?;
        SWEPT.call_once(|| sweep(&base));

        loop {
            let name = format!("{purpose}-{:08x}", rand::random::<u32>());
            let path = base.join(&name);
            let lock = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(lock_of(&path))
                .with_context(|| format!("cannot create a directory in {}", base.display()))?;
            lock.lock()?;
            // Another process's sweep may have come between the two steps and removed the file.
            if lock.metadata()?.nlink() == 0 {
                continue;
            }
            DirBuilder::new().mode(0o700).create(&path)?;
            user.own(&path)?;
            return Ok(Self { path, _lock: lock });
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The folder that holds this user's private directories. Others may pass through it, since root's servers run as
/// other users, but not look around.
fn base() -> Result<PathBuf> {
    let me = rustix::process::geteuid().as_raw();
    let temporary = env::temp_dir();
    let name = format!("xavyo-sandbox-{me}");
    let is_short = |folder: &Path| folder.join(&name).as_os_str().len() + 40 < LONGEST_PATH;
    let base = if is_short(&temporary) { temporary.join(&name) } else { Path::new("/tmp").join(&name) };

    if let Err(error) = DirBuilder::new().mode(0o711).create(&base)
        && !base.is_dir()
    {
        return Err(error).with_context(|| format!("cannot create {}", base.display()));
    }
    // Somebody else may have made it first, in a folder that all can write.
    let found = fs::symlink_metadata(&base)?;
    if !found.is_dir() || found.uid() != me {
        bail!("{} belongs to somebody else", base.display());
    }
    fs::set_permissions(&base, Permissions::from_mode(0o711))?;
    Ok(base)
}

/// Removes the directories whose makers are dead.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for lock in entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "lock"))
    {
        let Ok(file) = File::open(&lock) else { continue };
        if file.try_lock().is_ok() {
            let directory = lock.with_extension("");
            end_processes_in(&directory);
            remove(&directory);
        }
    }
}

/// Every child works inside its directory, so that survivors of a killed parent can be told from anybody else's.
fn end_processes_in(directory: &Path) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    for entry in processes.flatten() {
        let works_here = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        if let (true, Some(id)) = (works_here, id) {
            let _ = kill_process(id, Signal::KILL);
        }
    }
}

/// The lock file goes last: until then nobody else touches the directory.
fn remove(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
    let _ = fs::remove_file(lock_of(directory));
}

fn lock_of(directory: &Path) -> PathBuf {
    directory.with_extension("lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_private_and_gone_when_dropped() {
        let directory = PrivateDirectory::new("test", &User::Myself).unwrap();
        let path = directory.path().to_owned();

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(directory);
        assert!(!path.exists() && !lock_of(&path).exists());
    }

    #[test]
    fn the_sweep_spares_the_living_and_removes_what_the_dead_left() {
        let base = tempfile::tempdir().unwrap();
        let [living, dead] = ["living", "dead"].map(|name| base.path().join(name));
        let held = File::create(lock_of(&living)).unwrap();
        held.lock().unwrap();
        File::create(lock_of(&dead)).unwrap();
        fs::create_dir(&living).unwrap();
        fs::create_dir(&dead).unwrap();

        sweep(base.path());

        assert!(living.exists());
        assert!(!dead.exists() && !lock_of(&dead).exists());
    }
}
