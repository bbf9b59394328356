//! A file that may change while the process runs: keys, tokens. Whoever needs it takes what is current; a task looks
//! for a new version every second. A file that vanished or went bad is reported once, and the last good version stays.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::StartError;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Cheap to clone; clones share what is current.
pub struct Reloading<T>(Arc<Inner<T>>);

struct Inner<T> {
    /// What the file is, as messages name it: `key set`.
    what: &'static str,
    path: PathBuf,
    parse: fn(&str) -> Result<T, String>,
    state: RwLock<State<T>>,
}

struct State<T> {
    current: Arc<T>,
    /// The content last looked at, good or bad. None: it could not be read.
    seen: Option<blake3::Hash>,
}

impl<T> Reloading<T> {
    /// Reads the file; it must be there and good. `parse` answers with what is wrong, never quoting the content.
    pub fn read(
        what: &'static str,
        path: &Path,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Self, StartError> {
        let text = std::fs::read_to_string(path).map_err(|source| unreadable(what, path, source))?;
        let current = parse(&text).map_err(|problem| unusable(what, path, problem))?;
        let state = State { current: Arc::new(current), seen: Some(blake3::hash(text.as_bytes())) };
        Ok(Self(Arc::new(Inner { what, path: path.to_owned(), parse, state: RwLock::new(state) })))
    }

    pub fn current(&self) -> Arc<T> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    /// Looks once; true: there is a new version. The same bad content is an error only the first time.
    pub async fn step(&self) -> Result<bool, StartError> {
        let Inner { what, path, parse, .. } = &*self.0;
        let text = match tokio::fs::read_to_string(path).await {
            Ok(text) => text,
            Err(source) if self.saw(None) => return Err(unreadable(what, path, source)),
            Err(_) => return Ok(false),
        };
        if !self.saw(Some(blake3::hash(text.as_bytes()))) {
            return Ok(false);
        }
        let current = parse(&text).map_err(|problem| unusable(what, path, problem))?;
        self.0.state.write().unwrap_or_else(PoisonError::into_inner).current = Arc::new(current);
        Ok(true)
    }

    /// Notes what was seen; true: it is not what was seen last.
    fn saw(&self, content: Option<blake3::Hash>) -> bool {
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut state.seen, content) != content
    }

    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            match self.step().await {
                Ok(false) => {}
                Ok(true) => tracing::info!(path = %self.0.path.display(), "{} reloaded", self.0.what),
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(source, "{error}; the last good version stays");
                }
            }
        }
    }
}

impl<T> Clone for Reloading<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reloading").field(&self.0.path).finish()
    }
}

fn unreadable(what: &'static str, path: &Path, source: std::io::Error) -> StartError {
    StartError::Unreadable { what, path: path.to_owned(), source }
}

fn unusable(what: &'static str, path: &Path, problem: String) -> StartError {
    StartError::Unusable { what, path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn number(text: &str) -> Result<u32, String> {
        text.trim().parse().map_err(|_| "not a number".to_owned())
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "1").unwrap();
        let reloading = Reloading::read("number", file.path(), number).unwrap();
        assert!(!reloading.step().await.unwrap());

        fs::write(&file, "2").unwrap();

        assert!(reloading.step().await.unwrap());
        assert_eq!(*reloading.current(), 2);
    }

    #[tokio::test]
    async fn a_file_that_goes_bad_is_reported_once_and_the_last_good_version_stays() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "1").unwrap();
        let reloading = Reloading::read("number", file.path(), number).unwrap();

        fs::write(&file, "one").unwrap();
        assert!(matches!(reloading.step().await, Err(StartError::Unusable { .. })));
        assert!(!reloading.step().await.unwrap());
        fs::remove_file(&file).unwrap();
        assert!(matches!(reloading.step().await, Err(StartError::Unreadable { .. })));
        assert!(!reloading.step().await.unwrap());
        assert_eq!(*reloading.current(), 1);

        fs::write(&file, "1").unwrap();
        assert!(reloading.step().await.unwrap());
    }

    #[test]
    fn a_file_that_is_missing_or_bad_at_the_start_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Reloading::read("number", file.path(), number), Err(StartError::Unusable { .. })));
        let missing = file.path().with_extension("missing");
        assert!(matches!(Reloading::read("number", &missing, number), Err(StartError::Unreadable { .. })));
    }
}
