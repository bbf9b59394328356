//! Walks the list of cases over a kind.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use futures::FutureExt;
use tokio::time;

use crate::{Case, Kind, NotOffered, Report, Target, cases::CASES, report::Outcome};

/// A case that takes longer hangs.
const LIMIT: Duration = Duration::from_mins(2);

/// Somebody pressed Ctrl-C: what the case at hand made is removed, and no other begins.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

/// Runs every case whose sentence contains the filter, one after the other, each at a place of its own; what a case
/// made is removed before the next begins.
pub async fn run(kind: Arc<dyn Kind>, filter: &str) -> Report {
    let mut results = Vec::new();
    for case in CASES.iter().filter(|case| case.sentence().contains(filter)) {
        let began = Instant::now();
        let judged = judged(kind.clone(), *case).await;
        let interrupted = judged.as_ref().is_err_and(anyhow::Error::is::<Interrupted>);
        let outcome = match judged {
            Ok(()) => Outcome::Passed,
            Err(error) => match error.downcast::<NotOffered>() {
                Ok(NotOffered(why)) => Outcome::NotOffered(why),
                Err(error) => Outcome::Failed(format!("{error:#}")),
            },
        };
        results.push((*case, outcome, began.elapsed()));
        if interrupted {
            break;
        }
    }
    Report { kind: kind.name().to_owned(), results }
}

/// A panic is the failure of one case. It is cleaned up after in any case.
async fn judged(kind: Arc<dyn Kind>, case: Case) -> Result<()> {
    let target = Target::at(kind.place().await.context("no place for the case")?)?;
    // What a connector can do is known after the first contact.
    target.connector.check().await?;
    let running = AssertUnwindSafe((case.run)(&target)).catch_unwind();
    let judged = tokio::select! {
        ended = running => ended.unwrap_or_else(|_| Err(anyhow!("it panicked"))),
        () = time::sleep(LIMIT) => Err(anyhow!("not done after {} s", LIMIT.as_secs())),
        _ = tokio::signal::ctrl_c() => Err(Interrupted.into()),
    };
    let cleaned = if target.place.is_private { Ok(()) } else { target.clean_up().await };
    judged.and(cleaned)
}
