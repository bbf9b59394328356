//! Everything about the tree that a machine can judge. All checks run; the failures are told together at the end.

mod layers;
mod sizes;
mod words;

use std::{process::Command, time::Instant};

use anyhow::{Result, bail};

use crate::{cargo::cargo, contract, program, terminal, tools::buf};

/// What a check found: each line is one thing to mend.
type Findings = Vec<String>;

struct Check {
    name: &'static str,
    run: fn() -> Result<Findings>,
}

/// The quick ones first.
const CHECKS: [Check; 8] = [
    Check { name: "layers", run: layers::check },
    Check { name: "sizes", run: sizes::check },
    Check { name: "words", run: words::check },
    Check { name: "rustfmt", run: || Ok(tool(cargo().args(["fmt", "--all", "--", "--check"]))) },
    Check { name: "contract: lint", run: || Ok(tool(buf()?.arg("lint"))) },
    Check { name: "contract: format", run: || Ok(tool(buf()?.args(["format", "--diff", "--exit-code"]))) },
    Check {
        name: "contract: unbroken",
        run: || Ok(tool(buf()?.args(["breaking", "--against", contract::IMAGE]))),
    },
    Check {
        name: "clippy",
        run: || {
            Ok(tool(cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])))
        },
    },
];

pub fn run() -> Result<()> {
    let mut failed = Vec::new();
    for Check { name, run } in CHECKS {
        terminal::heading(name);
        let began = Instant::now();
        let findings = run()?;
        for finding in &findings {
            eprintln!("  {finding}");
        }
        if findings.is_empty() {
            eprintln!("  {} {:.1} s", terminal::green("good"), began.elapsed().as_secs_f64());
        } else {
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("lint: {}", failed.join(", "));
    }
    Ok(())
}

/// A tool that tells its findings itself.
fn tool(command: &mut Command) -> Findings {
    program::run(command).err().map(|error| error.to_string()).into_iter().collect()
}
