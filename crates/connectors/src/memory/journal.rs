//! A store's journal: JSON lines that several processes append to, each write under an exclusive lock of the file.
//!
//! A writer that is killed leaves at most a line without its end. Readers never look past the last whole line, and the
//! next writer, who holds the lock and so knows that the author is gone, cuts it off.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::ledger::Entry;

/// The most lines of one look: a long journal is never in memory as a whole.
const LINES_AT_ONCE: usize = 1_000;

#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// The end of the last whole line that was read.
    read_to: u64,
}

/// The exclusive lock, until dropped.
pub(super) struct Lock(File);

/// Where a store's journal lies.
pub(super) fn path(directory: &Path, store: &str) -> PathBuf {
    directory.join(format!("{store}.jsonl"))
}

/// All whole lines of a journal. A journal that does not exist has none.
pub(super) fn read_all(directory: &Path, store: &str) -> io::Result<Vec<Entry>> {
    let mut journal = match File::open(path(directory, store)) {
        Ok(file) => Journal { file, read_to: 0 },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    loop {
        let news = journal.news()?;
        if news.is_empty() {
            return Ok(entries);
        }
        entries.extend(news);
    }
}

impl Journal {
    pub fn open(directory: &Path, store: &str) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let file = OpenOptions::new().read(true).append(true).create(true).open(path(directory, store))?;
        Ok(Self { file, read_to: 0 })
    }

    /// Waits until nobody else writes.
    pub fn lock(&self) -> io::Result<Lock> {
        let file = self.file.try_clone()?;
        file.lock()?;
        Ok(Lock(file))
    }

    /// The next whole lines, oldest first; none when there are no more.
    pub fn news(&mut self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if self.file.metadata()?.len() <= self.read_to {
            return Ok(entries);
        }
        (&self.file).seek(SeekFrom::Start(self.read_to))?;
        let mut lines = BufReader::new(&self.file);
        let mut line = Vec::new();
        while entries.len() < LINES_AT_ONCE {
            line.clear();
            let size = lines.read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                break;
            }
            entries.push(serde_json::from_slice(&line)?);
            self.read_to += u64::try_from(size).map_err(io::Error::other)?;
        }
        Ok(entries)
    }

    /// Appends a line, in place of one that its writer did not live to end. Only under the lock, and when there are no
    /// more news.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        if self.file.metadata()?.len() > self.read_to {
            self.file.set_len(self.read_to)?;
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.read_to += u64::try_from(line.len()).map_err(io::Error::other)?;
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "a journal could not be unlocked");
        }
    }
}
