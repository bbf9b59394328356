//! The crash matrix.

use std::time::Duration;

use anyhow::{Context, Result};
use xavyo_sandbox::{
    faults::{Field, Kind, Layout, crash},
    load::Patience,
};

use crate::finding::Finding;

/// Each declared point in turn, with the load on one kind of target, another one each time.
pub async fn everywhere(seed: u64) -> Result<Finding> {
    let declared = crash::declared()?;
    let mut field = Field::lay(&Layout {
        targets: Kind::ALL.to_vec(),
        crash_points: true,
        patience: Patience { call: Duration::from_secs(2), tries: 2 },
        ..Layout::default()
    })
    .await?;
    let mut finding = Finding::default();
    let mut reached = 0;
    for (number, point) in (0..).zip(&declared) {
        let turn = usize::try_from((seed % 3 + number) % 3).unwrap_or_default();
        // A memory target has no network that could be cut.
        let needs_network = point.starts_with("probe.") || point.starts_with("release.");
        let kind = if needs_network && Kind::ALL[turn] == Kind::Memory { Kind::Sql } else { Kind::ALL[turn] };
        let target =
            field.targets.iter().find(|target| target.kind == kind).context("all kinds are there")?;
        let mut plan = field.plan_of(target.connector, seed.wrapping_add(number));
        plan.number_values(usize::try_from(number).unwrap_or_default() + 1);

        let stood = crash::strike(&mut field, &mut plan, point).await?;
        reached += usize::from(stood);
        let (judged, _) = Finding::of(&mut field).await?;
        finding = finding.and(judged).demand(stood, format!("{point} was not reached"));
    }
    Ok(finding.remark(format!("{reached} of {} crash points reached", declared.len())))
}
