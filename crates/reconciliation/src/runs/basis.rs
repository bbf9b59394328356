//! What a delta would start from.

use xavyo_core::run::{Basis, Hindrance, MAX_REVISITED};

use crate::{
    provisioning::{account::Kind, connector::ConnectorView},
    store::baseline::{Baseline, Origin},
};

/// Each kind of account has marks of its own: all of them are needed.
pub(crate) fn basis(
    connector: &ConnectorView,
    baselines: &[Baseline],
    origin: Option<Origin>,
    full_every_days: Option<i32>,
) -> Basis {
    let kinds = connector.programs.iter().map(|program| Kind::of(connector.id, program.object_type()));
    let hindrances = kinds.filter_map(|kind| hindrance(baselines.iter().find(|it| it.is_of(&kind))));
    Basis {
        last_full: origin.map(|origin| (origin.completed_at, origin.connector_revision)),
        hindrance: hindrances.into_iter().next(),
        revision: connector.revision,
        full_every_days,
    }
}

fn hindrance(baseline: Option<&Baseline>) -> Option<Hindrance> {
    match baseline {
        Some(Baseline { watermark: None, .. }) | None => Some(Hindrance::NoWatermark),
        Some(Baseline { expected_watermark: None, .. } | Baseline { marked_by_run_id: None, .. }) => {
            Some(Hindrance::NoExpectedMark)
        }
        Some(baseline) => {
            (baseline.handed_on > MAX_REVISITED).then_some(Hindrance::Revisits(baseline.handed_on))
        }
    }
}

impl Baseline {
    pub fn is_of(&self, kind: &Kind) -> bool {
        self.object_class == kind.object_class && self.intent == kind.intent
    }
}
