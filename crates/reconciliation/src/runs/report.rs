//! The report of a run, counted from its rows (R7): once, in the transaction that completes it, or so far.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::TenantId,
    report::{
        ActionSummary, DiscrepancySummary, Evidence, PerformanceMetrics, ReconciliationReport, top_mismatched,
    },
    run::{Phase, ReconciliationMode},
};

use super::record::{ReadProof, RunRecord, Side};
use crate::store::{finding, report::StoredReport, run};

pub async fn compile(
    tx: &mut PgConnection,
    tenant: TenantId,
    record: &RunRecord,
    now: DateTime<Utc>,
) -> Result<StoredReport> {
    let run = &record.run;
    let found: DiscrepancySummary = finding::count_by_type(tx, tenant, run.id).await?.into_iter().collect();
    let acted = if is_still_planning(record) {
        finding::count_planned(tx, tenant, run.id).await?
    } else {
        finding::count_done(tx, tenant, run.id).await?
    };
    let acted: ActionSummary = acted.into_iter().collect();
    let mismatched = finding::count_by_attribute(tx, tenant, run.id).await?;
    // What a delta did not look at is neither new nor gone.
    let earlier = match run.mode {
        ReconciliationMode::Full => run::last_completed_full(tx, tenant, run.connector_id, run.id).await?,
        ReconciliationMode::Delta => None,
    };
    let trend = match earlier {
        Some(earlier) => Some(finding::compare(tx, tenant, run.id, earlier).await?),
        None => None,
    };
    let report = ReconciliationReport {
        run_id: run.id,
        discrepancy_summary: found,
        action_summary: acted,
        top_mismatched_attributes: top_mismatched(mismatched),
        performance_metrics: PerformanceMetrics::of(
            duration(record, now),
            run.accounts_processed,
            record.progress.calls_made,
        ),
        set_apart: record.progress.set_apart,
        trend,
        evidence: Evidence {
            target: in_words(&record.proofs, Side::Target),
            expected: in_words(&record.proofs, Side::Expected),
        },
    };
    Ok(StoredReport { report, compared_run_id: earlier, created_at: now })
}

/// Nothing is done: by a dry run ever, by another one before the guard has let it pass.
fn is_still_planning(record: &RunRecord) -> bool {
    record.run.dry_run || (record.run.status.is_active() && record.run.phase <= Phase::Guard)
}

/// From the start to the end, or until now.
fn duration(record: &RunRecord, now: DateTime<Utc>) -> TimeDelta {
    let run = &record.run;
    run.started_at.map_or_else(TimeDelta::zero, |started| run.completed_at.unwrap_or(now) - started)
}

/// One sentence a read; which kind of account it was of, where there are several.
fn in_words(proofs: &[ReadProof], side: Side) -> String {
    let of_side: Vec<&ReadProof> = proofs.iter().filter(|proof| proof.side == side).collect();
    let sentence = |proof: &&ReadProof| {
        let verdict = if proof.complete { "" } else { "INCOMPLETE: " };
        let kind = if of_side.len() > 1 {
            format!("{}/{}: ", proof.object_class, proof.intent)
        } else {
            String::new()
        };
        format!("{kind}{verdict}{}", proof.evidence)
    };
    of_side.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(object_class: &str, complete: bool) -> ReadProof {
        ReadProof {
            side: Side::Target,
            object_class: object_class.to_owned(),
            intent: "default".to_owned(),
            complete,
            evidence: "one snapshot".to_owned(),
            count: 1,
            links: 0,
            watermark: None,
        }
    }

    #[test]
    fn evidence_names_the_kind_of_account_only_where_there_are_several() {
        assert_eq!(in_words(&[proof("account", true)], Side::Target), "one snapshot");
        assert_eq!(in_words(&[proof("account", true)], Side::Expected), "");
        assert_eq!(
            in_words(&[proof("account", true), proof("group", false)], Side::Target),
            "account/default: one snapshot; group/default: INCOMPLETE: one snapshot"
        );
    }
}
