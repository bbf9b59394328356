//! Child processes that never outlive this one.
//!
//! A child starts through `setpriv --pdeathsig`: the kernel interrupts it when its parent dies, however that happens. The
//! kernel means the parent *thread*; so every child is started by one thread, the nursery, that lives as long as the
//! process. What slips through (a parent killed between fork and that call) is swept by [`crate::directory`].

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, kill_process};

pub use rustix::process::Signal;

use crate::user::User;

/// How often a wait looks again.
pub const GLANCE: Duration = Duration::from_millis(5);
/// How long a dropped child may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a log an error shows.
const TAIL: usize = 30;

/// What to start, and how.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    user: User,
    directory: PathBuf,
    log: PathBuf,
    /// What the kernel sends it when this process dies.
    last_word: &'static str,
}

/// A running child. Dropped, it is interrupted and waited for.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    farewell: Signal,
}

impl Program {
    /// A program that works in `directory` and writes its output to `log`. It gets nothing of this process's
    /// environment but PATH.
    pub fn new(path: impl Into<PathBuf>, directory: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: vec![
                ("PATH".into(), env::var_os("PATH").unwrap_or_default()),
                ("LC_ALL".into(), "C.UTF-8".into()),
            ],
            user: User::Myself,
            directory: directory.into(),
            log: log.into(),
            last_word: "INT",
        }
    }

    /// For a program that does not heed INT: the name of the signal that ends it when this process dies.
    #[must_use]
    pub fn dies_by(mut self, signal: &'static str) -> Self {
        self.last_word = signal;
        self
    }

    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn environment<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    #[must_use]
    pub fn run_as(mut self, user: &User) -> Self {
        self.user = user.clone();
        self
    }

    /// Starts it as a child that stops with this process.
    pub fn start(self) -> Result<Process> {
        let child = nursery_spawn(self.command(true)?).with_context(|| self.failure("start"))?;
        Ok(Process { child, log: self.log, farewell: Signal::INT })
    }

    /// Runs it to its end; a failing exit code is an error that shows the end of its log.
    pub fn run(self) -> Result<()> {
        let status = self.command(false)?.status().with_context(|| self.failure("run"))?;
        if !status.success() {
            bail!("{}: {status}\n{}", self.failure("run"), tail(&self.log));
        }
        Ok(())
    }

    fn failure(&self, verb: &str) -> String {
        format!("cannot {verb} {}", self.path.display())
    }

    /// The command line. `setpriv` comes first where the child must die with us or be somebody else.
    fn command(&self, dies_with_us: bool) -> Result<Command> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = Command::new("setpriv");
        if dies_with_us {
            command.args(["--pdeathsig", self.last_word]);
        }
        if let User::Other { uid, gid, .. } = &self.user {
            command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
        }
        command
            .arg("--")
            .arg(&self.path)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            // Ctrl-C reaches the terminal's foreground group; children are stopped by us, in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }
}

impl Process {
    /// The same id that the program sees: `setpriv` replaces itself.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The signal that stops it when dropped; the default is INT.
    pub fn say_farewell_by(&mut self, farewell: Signal) {
        self.farewell = farewell;
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process has an id")?;
        match kill_process(id, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).context("cannot signal a child"),
        }
    }

    /// Signals it and waits until it has ended; killed when it takes longer than `limit`.
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            thread::sleep(GLANCE);
        }
        self.kill()
    }

    /// `kill -9`, as a power cut would.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.child.wait().context("cannot wait for a child")
    }

    /// Waits until `is_ready` says so. An end before that, or `limit`, is an error that shows the end of the log.
    pub async fn ready<T>(
        &mut self,
        limit: Duration,
        mut is_ready: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(answer) = is_ready().await {
                return Ok(answer);
            }
            if let Some(status) = self.ended() {
                bail!("ended before it was ready: {status}\n{}", tail(&self.log));
            }
            if Instant::now() > deadline {
                bail!("not ready after {limit:?}\n{}", tail(&self.log));
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines that it wrote.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // Nobody is left to tell; the sweep finds what survives even this.
            let _ = self.stop(self.farewell, PATIENCE);
        }
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// A command for the nursery, and where the child goes.
struct Birth {
    command: Command,
    reply: mpsc::SyncSender<io::Result<Child>>,
}

/// Spawns on the thread that lives as long as the process.
fn nursery_spawn(command: Command) -> io::Result<Child> {
    static NURSERY: OnceLock<mpsc::Sender<Birth>> = OnceLock::new();
    let gone = || io::Error::other("the nursery thread is gone");

    let nursery = NURSERY.get_or_init(|| {
        let (births, waiting) = mpsc::channel::<Birth>();
        thread::Builder::new()
            .name("nursery".to_owned())
            .spawn(move || {
                for Birth { mut command, reply } in waiting {
                    // A caller that no longer waits drops the child, which then ends with this process.
                    let _ = reply.send(command.spawn());
                }
            })
            .expect("a process can start a thread");
        births
    });
    let (reply, answer) = mpsc::sync_channel(1);
    nursery.send(Birth { command, reply }).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}
