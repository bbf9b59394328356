//! Q11: never more calls at once, over all processes, than the connector allows.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Index, report::Findings, report::Harm};

pub(super) fn check(index: &Index<'_>, findings: &mut Findings<'_>) {
    let mut edges: BTreeMap<Uuid, Vec<_>> = BTreeMap::new();
    for operation in index.operations.values() {
        let of_connector = edges.entry(operation.connector).or_default();
        for attempt in index.attempts(operation.id) {
            if !attempt.lost_its_lease() {
                of_connector.push((attempt.started_at, 1_i64));
                of_connector.push((attempt.completed_at, -1));
            }
        }
    }
    for (id, mut edges) in edges {
        let Some(connector) = index.connectors.get(&id) else { continue };
        // An end and a beginning at the same instant do not overlap.
        edges.sort_unstable();
        let mut now = 0;
        let most = edges.iter().map(|(_, step)| {
            now += step;
            now
        });
        let most = usize::try_from(most.max().unwrap_or(0)).unwrap_or(0);
        if most > connector.max_concurrency {
            let message =
                format!("{} had {most} calls at once, of {}", connector.name, connector.max_concurrency);
            findings.add("Q11", Harm::Record, None, message);
        }
    }
}
