//! The recorded queries in `crates/<service>/.sqlx`: they let the services build without a database.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo::cargo,
    program::run,
    shared_postgres::SharedPostgres,
    terminal,
    workspace::{SERVICES, root, target},
};

/// Recorded queries by file name.
type Queries = BTreeMap<String, Vec<u8>>;

/// Records the queries of both services.
pub fn record() -> Result<()> {
    let postgres = SharedPostgres::start()?;
    for service in SERVICES {
        let fresh = record_service(&postgres, service)?;
        let folder = recorded_folder(service);
        let changed = differences(&read(&folder)?, &fresh);
        replace(&folder, &fresh)?;
        eprintln!("{service}: {} queries, {} changed", fresh.len(), changed.len());
    }
    Ok(())
}

/// Fails where a fresh recording would change the tree.
pub fn check() -> Result<()> {
    let postgres = SharedPostgres::start()?;
    let mut stale = Vec::new();
    for service in SERVICES {
        let fresh = record_service(&postgres, service)?;
        let changed = differences(&read(&recorded_folder(service))?, &fresh);
        stale.extend(changed.into_iter().map(|name| format!("crates/{service}/.sqlx/{name}")));
    }
    if !stale.is_empty() {
        bail!(
            "run `cargo xtask sqlx`; these recorded queries are not what the code says:\n{}",
            stale.join("\n")
        );
    }
    Ok(())
}

/// Lets the macros look at the real database and write what they saw into an empty folder.
fn record_service(postgres: &SharedPostgres, service: &str) -> Result<Queries> {
    terminal::heading(&format!("record the queries of {service}"));
    let folder = target()?.join("sqlx").join(service);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    expand_again(service)?;
    run(cargo()
        .args(["check", "--all-targets", "--package", &format!("xavyo-{service}")])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &folder)
        .env("DATABASE_URL", postgres.database(service)?))?;
    read(&folder)
}

/// Cargo does not know that the macros depend on the database: a touched file makes it compile the crate again.
#[expect(clippy::disallowed_methods, reason = "a file's time is the file system's, not the product's")]
fn expand_again(service: &str) -> Result<()> {
    let source = root().join("crates").join(service).join("src/lib.rs");
    let file =
        fs::File::options().append(true).open(&source).with_context(|| source.display().to_string())?;
    Ok(file.set_modified(SystemTime::now())?)
}

fn recorded_folder(service: &str) -> PathBuf {
    root().join("crates").join(service).join(".sqlx")
}

fn read(folder: &Path) -> Result<Queries> {
    if !folder.exists() {
        return Ok(Queries::new());
    }
    fs::read_dir(folder)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?))
        })
        .collect()
}

/// The names that only one side has, or whose content differs.
fn differences(old: &Queries, new: &Queries) -> Vec<String> {
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    names.filter(|name| old.get(*name) != new.get(*name)).cloned().collect()
}

fn replace(folder: &Path, queries: &Queries) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for (name, content) in queries {
        fs::write(folder.join(name), content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_added_removed_or_changed_is_a_difference() {
        let recorded = |queries: &[(&str, &str)]| -> Queries {
            queries.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
        };
        let old = recorded(&[("gone", "1"), ("kept", "2"), ("changed", "3")]);
        let new = recorded(&[("kept", "2"), ("changed", "4"), ("added", "5")]);

        assert_eq!(differences(&old, &new), ["changed", "gone", "added"]);
    }
}
