//! What happens to reconciliation: it dies in the middle of runs and remediations.

use anyhow::Result;
use xavyo_sandbox::{
    faults::{Drifted, Wrong, crash},
    ledger::Write,
    service,
};

use crate::finding::Finding;

/// The kinds of discrepancies that there are, each of which is there once.
const KINDS: usize = 6;

/// A run dies at each point of its life: it goes on, and comes to just what an undisturbed one finds (R6, R7).
pub async fn killed(_: u64) -> Result<Finding> {
    let mut drifted = Drifted::lay().await?;
    let undisturbed = drifted.run().await?;
    let (_, wanted) = drifted.found(&undisturbed).await?;
    let mut finding = Finding::default()
        .demand(wanted.len() == KINDS, format!("an undisturbed run found {}: {wanted:#?}", wanted.len()));
    let points = points(|point| !point.starts_with("remediation."))?;
    let mut reached = 0;
    for point in &points {
        let Some(run) = drifted.run_killed_at(point).await? else {
            finding = finding.demand(false, format!("{point} was not reached"));
            continue;
        };
        reached += 1;
        drifted.until_nothing_is_under_way().await?;
        let (said, found) = drifted.found(&run).await?;
        finding = finding
            .demand(
                found == wanted,
                format!("after a death at {point}: {found:#?}\n    instead of {wanted:#?}"),
            )
            .demand(
                usize::try_from(said) == Ok(found.len()),
                format!("{point}: it says that it found {said}"),
            );
    }
    Ok(finding.remark(format!("{reached} of {} crash points reached", points.len())))
}

/// A remediation dies at each point of its life: what it does is done once, and told so (R10).
pub async fn killed_while_remediating(seed: u64) -> Result<Finding> {
    let mut drifted = Drifted::lay().await?;
    let mut finding = Finding::default();
    let points = points(|point| point.starts_with("remediation."))?;
    let mut reached = 0;
    for (number, point) in points.iter().enumerate() {
        let wrong =
            if seed.is_multiple_of(2) == number.is_multiple_of(2) { Wrong::Value } else { Wrong::NoAccount };
        let (discrepancy, login) = drifted.go_wrong(wrong, number).await?;
        let before = drifted.writes(&login).await?.len();
        if !drifted.remediation_killed_at(point, &discrepancy, wrong).await? {
            finding = finding.demand(false, format!("{point} was not reached"));
            continue;
        }
        reached += 1;
        drifted.until_nothing_is_under_way().await?;
        let writes = drifted.writes(&login).await?.split_off(before);
        let (is_settled, successes) = drifted.remedy(&discrepancy).await?;
        finding = finding
            .demand(is_right(&writes, &login), format!("after a death at {point}, {wrong:?}: {writes:#?}"))
            .demand(is_settled && successes == 1, format!("{point}: settled {is_settled}, {successes} told"));
    }
    Ok(finding.remark(format!("{reached} of {} crash points reached", points.len())))
}

/// Written once, and rightly.
fn is_right(writes: &[Write], login: &str) -> bool {
    let [write] = writes else { return false };
    let mail = write.attributes.as_ref().and_then(|attributes| attributes.get("mail"));
    mail.is_some_and(|values| values == &[format!("{login}@example.org")])
}

fn points(wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let declared = crash::declared(service::Kind::Reconciliation)?.into_iter();
    Ok(declared.filter(|point| wanted(point)).collect())
}
