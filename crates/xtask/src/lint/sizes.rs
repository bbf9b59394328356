//! How large a file and a folder may be, so that each can be read at one sitting.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::Findings;
use crate::{
    terminal,
    workspace::{files, root},
};

/// Worth a thought.
const LONG: usize = 400;
/// Never more.
const TOO_LONG: usize = 600;
const FULL: usize = 14;

/// Kept by other rules: applied once and never edited, recorded by a machine, or a text of others.
const APART: [&str; 6] =
    ["migrations/", "docs/decisions/", "Cargo.lock", "LICENSE", "/.sqlx/", "/snapshots/"];

pub fn check() -> Result<Findings> {
    let files: Vec<PathBuf> = files()?.into_iter().filter(|path| !is_apart(path)).collect();
    let mut findings = Findings::new();
    for path in &files {
        // What is no text has no lines.
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        let lines = lines_besides_tests(&text);
        if lines > TOO_LONG && !is_test(path) {
            findings.push(format!("{}: {lines} lines, more than {TOO_LONG}", path.display()));
        } else if lines > LONG {
            eprintln!("  {} {}: {lines} lines", terminal::yellow("long"), path.display());
        }
    }
    findings.extend(full_folders(&files));
    Ok(findings)
}

fn is_apart(path: &Path) -> bool {
    let path = format!("/{}", path.display());
    APART.iter().any(|apart| path.contains(apart))
}

fn is_test(path: &Path) -> bool {
    path.starts_with("tests")
        || path.ends_with("tests.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// A file's lines up to the tests that end it.
fn lines_besides_tests(text: &str) -> usize {
    text.find("\n#[cfg(test)]\nmod tests {").map_or(text, |end| &text[..end]).lines().count()
}

/// Folders of Rust with more files than one looks through. A protobuf package is one folder, whatever it holds.
fn full_folders(files: &[PathBuf]) -> Findings {
    let mut counts: BTreeMap<&Path, usize> = BTreeMap::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        *counts.entry(path.parent().unwrap_or(path)).or_default() += 1;
    }
    counts
        .into_iter()
        .filter(|(_, count)| *count > FULL)
        .map(|(folder, count)| format!("{}: {count} files, more than {FULL}", folder.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_at_the_end_of_a_file_do_not_count() {
        assert_eq!(lines_besides_tests("a\nb\n\n#[cfg(test)]\nmod tests {\n    c\n}\n"), 2);
        assert_eq!(lines_besides_tests("a\nb\n"), 2);
    }

    #[test]
    fn a_folder_may_hold_fourteen_files() {
        let folder =
            |count: usize| (0..count).map(|n| PathBuf::from(format!("src/{n}.rs"))).collect::<Vec<_>>();

        assert!(full_folders(&folder(14)).is_empty());
        assert_eq!(full_folders(&folder(15)).len(), 1);
    }

    #[test]
    fn migrations_and_recorded_queries_stand_apart() {
        assert!(is_apart(Path::new("migrations/provisioning/0001_tenancy.sql")));
        assert!(is_apart(Path::new("crates/provisioning/.sqlx/query-1.json")));
        assert!(!is_apart(Path::new("crates/provisioning/src/lib.rs")));
    }
}
