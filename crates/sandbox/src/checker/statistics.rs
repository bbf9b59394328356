//! Q13: the statistics are the counts of the rows.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Index, report::Findings, report::Harm};

pub(super) fn check(index: &Index<'_>, findings: &mut Findings<'_>) {
    let mut difference: BTreeMap<(Uuid, Uuid, &str), (i64, i64)> = BTreeMap::new();
    for count in &index.evidence.snapshot.counts {
        difference.entry((count.tenant, count.connector, &count.status)).or_default().0 += count.n;
    }
    for operation in index.operations.values() {
        difference.entry((operation.tenant, operation.connector, &operation.status)).or_default().1 += 1;
    }
    for ((tenant, connector, status), (said, counted)) in difference {
        if said != counted {
            let message =
                format!("tenant {tenant}, connector {connector}: {said} {status} are said, {counted} there");
            findings.add("Q13", Harm::Record, None, message);
        }
    }
}
