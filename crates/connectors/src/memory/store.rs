//! Stores: accounts and ledger under one lock, shared by every connector that names the same store.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Instant,
};

use xavyo_core::connector::{FailureKind, TargetFailure};

use super::{
    accounts::Accounts,
    fault::Faults,
    generator::Generator,
    journal::Journal,
    ledger::{Call, Entry, Outcome},
    write::Write,
};

/// The most entries of a store that is kept in the process: older ones are forgotten. A journal forgets none.
const KEPT: usize = 1_000;

/// By directory and name.
type Stores = HashMap<(Option<PathBuf>, String), Arc<Store>>;

static STORES: LazyLock<Mutex<Stores>> = LazyLock::new(Mutex::default);

#[derive(Debug)]
pub(super) struct Store {
    state: Mutex<State>,
    journaled: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub accounts: Accounts,
    /// The sequence of the next entry.
    pub next: u64,
    met: HashMap<String, i32>,
    log: Log,
}

#[derive(Debug)]
enum Log {
    InProcess(VecDeque<Arc<Entry>>),
    Journal(Journal),
}

impl Store {
    /// The store of that name; made from the generator when nobody opened it before.
    pub fn named(name: &str, directory: Option<&Path>, generator: Generator) -> io::Result<Arc<Self>> {
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (directory.map(Path::to_owned), name.to_owned());
        if let Some(store) = stores.get(&key) {
            return Ok(store.clone());
        }
        let store = Arc::new(Self::open(name, directory, generator)?);
        stores.insert(key, store.clone());
        Ok(store)
    }

    fn open(name: &str, directory: Option<&Path>, generator: Generator) -> io::Result<Self> {
        let log = match directory {
            None => Log::InProcess(VecDeque::new()),
            Some(directory) => Log::Journal(Journal::open(directory, name)?),
        };
        let mut state = State::new(log);
        state.begin(generator)?;
        Ok(Self { state: Mutex::new(state), journaled: directory.is_some() })
    }

    /// Its calls read and lock files.
    pub fn blocks(&self) -> bool {
        self.journaled
    }

    /// Looks at the accounts, after the fault that the call may meet. A fault that lets the call go on (a read that is
    /// cut short) is handed to `look`.
    pub fn view<T>(
        &self,
        call: Call,
        faults: &Faults,
        look: impl FnOnce(&Accounts, Option<Outcome>) -> T,
    ) -> Result<T, TargetFailure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.is_empty() {
            state.catch_up().map_err(|error| lost(&error))?;
            return Ok(look(&state.accounts, None));
        }
        let met = state.record(|state| {
            let (fault, outcome) = faults.next(call, |name| state.times_met(name))?;
            Some(Entry { fault: Some(fault), ..Entry::new(call, outcome) })
        });
        let fault = met.map_err(|error| lost(&error))?.map(|entry| entry.outcome);
        match fault.and_then(Outcome::failure) {
            Some(failure) => Err(failure),
            None => Ok(look(&state.accounts, fault)),
        }
    }

    /// Decides and performs a write, and leaves its line in the ledger whatever came of it. Nothing is written whose turn
    /// comes after the deadline: a process that was stopped meanwhile may have lost what it had in hand.
    pub fn write(
        &self,
        write: Write,
        faults: &Faults,
        deadline: Instant,
    ) -> Result<Arc<Entry>, TargetFailure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = state
            .record(|state| {
                let fault = faults.next(write.call(), |name| state.times_met(name));
                let is_in_time = Instant::now() < deadline;
                is_in_time.then(|| write.decide(&state.accounts, state.next, fault))
            })
            .map_err(|error| lost(&error))?;
        let entry = entry.ok_or_else(too_late)?;
        entry.outcome.failure().map_or(Ok(entry), Err)
    }

    /// The last entries of a store that is kept in this process.
    pub fn entries(name: &str) -> Vec<Entry> {
        let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = stores.get(&(None, name.to_owned())) else { return Vec::new() };
        let state = store.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.log {
            Log::InProcess(entries) => entries.iter().map(|entry| Entry::clone(entry)).collect(),
            Log::Journal(_) => Vec::new(),
        }
    }
}

impl State {
    fn new(log: Log) -> Self {
        Self { accounts: Accounts::default(), next: 0, met: HashMap::new(), log }
    }

    /// Writes the `open` entry, unless another process was first.
    fn begin(&mut self, generator: Generator) -> io::Result<()> {
        self.record(|state| {
            (state.next == 0).then(|| Entry {
                generate: Some(generator.count),
                seed: Some(generator.seed),
                ..Entry::new(Call::Open, Outcome::Applied)
            })
        })?;
        Ok(())
    }

    fn times_met(&self, fault: &str) -> i32 {
        self.met.get(fault).copied().unwrap_or(0)
    }

    /// Sees what other processes wrote.
    fn catch_up(&mut self) -> io::Result<()> {
        while let Log::Journal(journal) = &mut self.log {
            let news = journal.news()?;
            if news.is_empty() {
                break;
            }
            for entry in news {
                self.apply(&entry);
            }
        }
        Ok(())
    }

    /// Under the exclusive lock: catches up, decides, writes the entry down, makes it so.
    fn record(&mut self, decide: impl FnOnce(&Self) -> Option<Entry>) -> io::Result<Option<Arc<Entry>>> {
        let lock = match &self.log {
            Log::InProcess(_) => None,
            Log::Journal(journal) => Some(journal.lock()?),
        };
        self.catch_up()?;
        let Some(mut entry) = decide(self) else { return Ok(None) };
        entry.sequence = self.next;
        let entry = Arc::new(entry);
        match &mut self.log {
            Log::InProcess(entries) => {
                entries.push_back(entry.clone());
                if entries.len() > KEPT {
                    entries.pop_front();
                }
            }
            Log::Journal(journal) => journal.append(&entry)?,
        }
        self.apply(&entry);
        drop(lock);
        Ok(Some(entry))
    }

    fn apply(&mut self, entry: &Entry) {
        if let (Some(count), Some(seed)) = (entry.generate, entry.seed) {
            self.accounts = Accounts::generated_by(Generator { count, seed });
        }
        if let Some(fault) = &entry.fault {
            *self.met.entry(fault.clone()).or_default() += 1;
        }
        self.accounts.apply(entry);
        self.next = entry.sequence + 1;
    }
}

/// A journal that cannot be read or written: the store is gone, as far as callers can tell. The entry that could not
/// be written down did not happen.
fn lost(error: &io::Error) -> TargetFailure {
    TargetFailure::new(FailureKind::Down, "MEMORY_JOURNAL", format!("the journal cannot be used: {error}"))
}

/// Nothing was written: it can simply be repeated.
fn too_late() -> TargetFailure {
    TargetFailure::new(
        FailureKind::Busy,
        "MEMORY_TIMEOUT",
        "its turn came after its time-out; nothing was written",
    )
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write as _, thread, time::Duration};

    use xavyo_core::{
        change::{Change, Changes},
        value::Value,
    };

    use super::*;
    use crate::{AccountUpdate, NewAccount, memory::journal};

    const NONE: Generator = Generator { count: 0, seed: 0 };

    fn in_time() -> Instant {
        Instant::now() + Duration::from_hours(1)
    }

    fn create(uid: &str) -> Write {
        Write::Create(NewAccount {
            object_class: "account".into(),
            external_uid: uid.into(),
            attributes: [("n".to_owned(), vec![Value::from(1)])].into(),
            enabled: None,
            tag: format!("create {uid}"),
        })
    }

    fn set(entry: &Entry, number: i64) -> Write {
        let record = entry.after.as_ref().unwrap();
        let key = xavyo_core::account::AccountKey {
            external_uid: record.external_uid.clone(),
            immutable_id: Some(record.immutable_id.clone()),
        };
        let changes: Changes = [("n".to_owned(), Change::Set(vec![Value::from(number)]))].into();
        Write::Update {
            object_class: "account".into(),
            key,
            update: AccountUpdate { changes, ..Default::default() },
        }
    }

    #[test]
    fn processes_that_share_a_journal_see_each_others_writes_and_number_them_without_gaps() {
        let directory = tempfile::tempdir().unwrap();
        let store = || Store::open("shared", Some(directory.path()), NONE).unwrap();
        let none = Faults::default();
        thread::scope(|scope| {
            for writer in 0..4 {
                let (store, none) = (store(), &none);
                scope.spawn(move || {
                    for n in 0..50 {
                        let made = store.write(create(&format!("u{writer}-{n}")), none, in_time()).unwrap();
                        store.write(set(&made, n), none, in_time()).unwrap();
                    }
                });
            }
        });
        let entries = journal::read_all(directory.path(), "shared").unwrap();
        let sequences: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
        assert_eq!(sequences, (0..=400).collect::<Vec<_>>());
        let record = store().view(Call::Get, &none, |accounts, _| accounts.by_uid("u3-49")).unwrap().unwrap();
        assert_eq!(*record.attributes["n"], [Value::from(49)]);
    }

    #[test]
    fn a_line_that_its_writer_did_not_live_to_end_did_not_happen_and_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let store = || Store::open("torn", Some(directory.path()), NONE).unwrap();
        store().write(create("whole"), &Faults::default(), in_time()).unwrap();
        let path = journal::path(directory.path(), "torn");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"sequence":2,"call":"create","external_uid":"to"#).unwrap();

        let survivor = store();
        assert!(survivor.view(Call::Get, &Faults::default(), |all, _| all.by_uid("to")).unwrap().is_none());
        survivor.write(create("next"), &Faults::default(), in_time()).unwrap();

        let entries = journal::read_all(directory.path(), "torn").unwrap();
        let uids: Vec<&str> = entries.iter().map(|entry| entry.external_uid.as_str()).collect();
        assert_eq!(uids, ["", "whole", "next"]);
    }

    #[test]
    fn a_fault_is_met_so_often_over_all_processes_and_leaves_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let faults = Faults::new(&[xavyo_core::connector::MemoryFault {
            call: "create".into(),
            kind: "unknown_after".into(),
            times: 1,
        }]);
        let store = || Store::open("faulty", Some(directory.path()), NONE).unwrap();
        assert_eq!(store().write(create("a"), &faults, in_time()).unwrap_err().code, "MEMORY_UNKNOWN");
        assert_eq!(store().write(create("a"), &faults, in_time()).unwrap_err().code, "MEMORY_EXISTS");
        let entries = journal::read_all(directory.path(), "faulty").unwrap();
        let outcomes: Vec<Outcome> = entries.iter().map(|entry| entry.outcome).collect();
        assert_eq!(outcomes, [Outcome::Applied, Outcome::UnknownAfter, Outcome::AlreadyExists]);
        assert!(entries[1].took_effect() && !entries[2].took_effect());
    }

    #[test]
    fn the_first_to_open_a_store_says_what_it_is_generated_from() {
        let directory = tempfile::tempdir().unwrap();
        let store =
            |count| Store::open("made", Some(directory.path()), Generator { count, seed: 7 }).unwrap();
        store(3);
        let second = store(5);
        let look =
            |uid: &'static str| second.view(Call::Get, &Faults::default(), move |all, _| all.by_uid(uid));
        assert!(look("user000002").unwrap().is_some());
        assert!(look("user000003").unwrap().is_none());
    }

    #[test]
    fn a_write_whose_turn_comes_too_late_is_not_made_fault_15() {
        let store = Store::open("late", None, NONE).unwrap();
        let failure = store.write(create("a"), &Faults::default(), Instant::now()).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Busy, "MEMORY_TIMEOUT"));
        store.write(create("a"), &Faults::default(), in_time()).unwrap();
    }
}
