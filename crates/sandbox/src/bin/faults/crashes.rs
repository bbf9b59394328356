//! The crash matrix of provisioning.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::future;
use xavyo_sandbox::{
    faults::{Field, Kind, Layout, crash},
    load::Patience,
    service,
};

use crate::finding::Finding;

/// Each declared point once, on a field of each kind of target in turn; the fields stand side by side.
pub async fn everywhere(seed: u64) -> Result<Finding> {
    let declared = crash::declared(service::Kind::Provisioning)?;
    let turns = (0..).zip(&declared).map(|(number, point)| {
        let turn = usize::try_from((seed % 3 + number) % 3).unwrap_or_default();
        // A memory target has no network that could be cut.
        let needs_network = point.starts_with("probe.") || point.starts_with("release.");
        let kind = if needs_network && Kind::ALL[turn] == Kind::Memory { Kind::Sql } else { Kind::ALL[turn] };
        (kind, number, point.as_str())
    });
    let turns: Vec<_> = turns.collect();
    let on = |wanted| turns.iter().filter(move |(kind, ..)| *kind == wanted).copied();
    let fields = Kind::ALL.map(|kind| at_points(kind, on(kind).collect(), seed));
    let mut finding = Finding::default();
    let mut reached = 0;
    for outcome in future::join_all(fields).await {
        let (found, stood) = outcome?;
        finding = finding.and(found);
        reached += stood;
    }
    Ok(finding.remark(format!("{reached} of {} crash points reached", declared.len())))
}

/// Dies at some points over one kind of target. Returns how many were reached.
async fn at_points(kind: Kind, points: Vec<(Kind, u64, &str)>, seed: u64) -> Result<(Finding, usize)> {
    let mut field = Field::lay(&Layout {
        targets: vec![kind],
        crash_points: true,
        patience: Patience { call: Duration::from_secs(2), tries: 2 },
        ..Layout::default()
    })
    .await?;
    let mut finding = Finding::default();
    let mut reached = 0;
    for (_, number, point) in points {
        let mut plan = field.plan(seed.wrapping_add(number));
        plan.number_values(usize::try_from(number).context("there are few points")? + 1);
        let stood = crash::strike(&mut field, &mut plan, point).await?;
        reached += usize::from(stood);
        let (judged, _) = Finding::of(&mut field).await?;
        finding = finding.then(judged).demand(stood, format!("{point} was not reached"));
    }
    Ok((finding, reached))
}
