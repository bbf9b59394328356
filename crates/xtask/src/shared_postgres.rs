//! One private Postgres for the time of a command, run by the sandbox's `xavyo-postgres`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{cargo::cargo, program::run, workspace};

/// It ends when this does, in whatever way: it reads our pipe until that closes.
pub struct SharedPostgres {
    child: Child,
    pipe: Option<ChildStdin>,
    addresses: serde_json::Value,
}

impl SharedPostgres {
    /// Builds the program if need be, and starts it. Both services' databases are migrated.
    pub fn start() -> Result<Self> {
        run(cargo().args(["build", "--package", "xavyo-sandbox", "--bin", "xavyo-postgres"]))?;
        let mut child = Command::new(workspace::binaries()?.join("xavyo-postgres"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run xavyo-postgres")?;
        let pipe = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output is a pipe")?).read_line(&mut line)?;
        let addresses = serde_json::from_str(&line).context("Postgres did not start")?;
        Ok(Self { child, pipe, addresses })
    }

    /// The folder of its socket.
    pub fn sockets(&self) -> Result<&str> {
        self.address("sockets")
    }

    /// The URL of a service's migrated database, as its program.
    pub fn database(&self, service: &str) -> Result<&str> {
        self.address(service)
    }

    fn address(&self, name: &str) -> Result<&str> {
        self.addresses[name].as_str().with_context(|| format!("xavyo-postgres names no {name}"))
    }
}

impl Drop for SharedPostgres {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}
