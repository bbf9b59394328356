//! A store's journal: JSON lines that several processes append to, each write under an exclusive lock of the file.
//!
//! A writer that is killed leaves at most a line without its end. Readers never look past the last whole line, and the
//! next writer, who holds the lock and so knows that the author is gone, cuts it off.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::ledger::Entry;

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
    match File::open(path(directory, store)) {
        Ok(file) => Journal { file, read_to: 0 }.news(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

impl Journal {
    pub fn open(directory: &Path, store: &str) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let file = OpenOptions::new().read(true).append(true).create(true).open(path(directory, store))?;
        Ok(Self { file, read_to: 0 })
    }

    /// Waits for the lock, then cuts off a line that its writer did not live to end.
    pub fn lock(&mut self) -> io::Result<Lock> {
        let lock = self.file.try_clone()?;
        lock.lock()?;
        let lock = Lock(lock);
        let whole = self.read_to + self.whole_part(&self.unread()?);
        if self.file.metadata()?.len() > whole {
            self.file.set_len(whole)?;
        }
        Ok(lock)
    }

    /// The whole lines written since the last look.
    pub fn news(&mut self) -> io::Result<Vec<Entry>> {
        let unread = self.unread()?;
        let whole = self.whole_part(&unread);
        let mut entries = Vec::new();
        for line in unread.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            entries.push(serde_json::from_slice(line)?);
        }
        self.read_to += whole;
        Ok(entries)
    }

    /// Appends a line. Only under the lock, and after catching up.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.read_to += u64::try_from(line.len()).map_err(io::Error::other)?;
        Ok(())
    }

    fn unread(&self) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        let mut unread = Vec::new();
        if file.metadata()?.len() > self.read_to {
            file.seek(SeekFrom::Start(self.read_to))?;
            file.read_to_end(&mut unread)?;
        }
        Ok(unread)
    }

    fn whole_part(&self, unread: &[u8]) -> u64 {
        let whole = unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        u64::try_from(whole).unwrap_or(u64::MAX - self.read_to)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "a journal could not be unlocked");
        }
    }
}
