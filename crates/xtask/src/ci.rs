//! All that CI runs, in order, each step with its time and its budget.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{lint, program::run_program, sqlx, terminal, test};

struct Step {
    name: &'static str,
    /// A step that takes longer is named at the end: on a warm target folder it should not.
    budget: Duration,
    run: fn() -> Result<()>,
}

/// The same faults at the same places each time: what a run shows, the next one shows again.
const FAULTS_SEED: &str = "1";

const STEPS: [Step; 9] = [
    Step { name: "lint", budget: minutes(5), run: lint::run },
    Step { name: "sqlx --check", budget: minutes(3), run: sqlx::check },
    Step { name: "test", budget: minutes(5), run: || test::run(None) },
    Step { name: "test faults", budget: minutes(8), run: || test::faults(&["--seed", FAULTS_SEED]) },
    Step { name: "test targets", budget: minutes(5), run: test::targets },
    Step { name: "demo", budget: minutes(1), run: || run_program("xavyo-demo", &["--json"]) },
    Step {
        name: "demo --ldap",
        budget: minutes(1),
        run: || run_program("xavyo-demo", &["--ldap", "--json"]),
    },
    Step {
        name: "demo --sql mariadb",
        budget: minutes(1),
        run: || run_program("xavyo-demo", &["--sql", "mariadb", "--json"]),
    },
    Step {
        name: "demo --scim",
        budget: minutes(4),
        run: || run_program("xavyo-demo", &["--scim", "--json"]),
    },
];

pub fn run() -> Result<()> {
    let mut times = Vec::new();
    for step in STEPS {
        terminal::heading(&format!("cargo xtask {}", step.name));
        let began = Instant::now();
        (step.run)().with_context(|| format!("cargo xtask {}", step.name))?;
        times.push((step, began.elapsed()));
    }
    terminal::heading("times");
    for (step, taken) in times {
        let over = if taken > step.budget { terminal::yellow("  OVER ITS BUDGET") } else { String::new() };
        eprintln!("  {:<18} {:>4} s of {:>4} s{over}", step.name, taken.as_secs(), step.budget.as_secs());
    }
    Ok(())
}

const fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}
