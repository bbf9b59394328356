//! What a run does with discrepancies: writes them in batches, counts them, and at its end supersedes older ones.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;
use xavyo_core::{
    discrepancy::{Candidate, Discrepancy, DiscrepancyType},
    error::Result,
    fingerprint::Fingerprint,
    guard::Effect,
    ids::{ConnectorId, DiscrepancyId, RunId, SubjectId, TenantId},
    remediation::RemediationAction,
    report::Trend,
};
use xavyo_runtime::db;

use super::parse;

/// Inserts findings in one statement. One that the run has written already, before it was interrupted, stays as it is.
pub async fn insert_all(tx: &mut PgConnection, tenant: TenantId, findings: &[Discrepancy]) -> Result<()> {
    let Some(first) = findings.first() else { return Ok(()) };
    let rows = || findings.iter();
    let candidates: Vec<Json<&[Candidate]>> = rows().map(|row| Json(row.candidates.as_slice())).collect();
    let inserted = sqlx::query!(
        "insert into discrepancy (tenant_id, id, connector_id, connector_revision, run_id, discrepancy_type, object_class,
                                  intent, identity_id, external_uid, immutable_id, attribute_name,
                                  expected_value, actual_value, candidates, fingerprint, first_seen_at, suggested_action, suggested_direction,
                                  planned_action, planned_direction, planned_effect, created_at)
         select $1, id, $2, $3, $4, discrepancy_type, object_class, intent, identity_id, external_uid,
                immutable_id, attribute_name, expected_value, actual_value, candidates, fingerprint, first_seen_at, suggested_action, suggested_direction,
                planned_action, planned_direction, planned_effect, created_at
           from unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::uuid[], $10::text[], $11::text[],
                       $12::text[], $13::text[], $14::text[], $15::jsonb[], $16::bytea[], $17::timestamptz[],
                       $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::timestamptz[])
                as found (id, discrepancy_type, object_class, intent, identity_id, external_uid, immutable_id,
                          attribute_name, expected_value, actual_value, candidates, fingerprint, first_seen_at, suggested_action, suggested_direction,
                          planned_action, planned_direction, planned_effect, created_at)
             on conflict (tenant_id, run_id, fingerprint) do nothing",
        tenant.0,
        first.connector_id.0,
        first.connector_revision,
        first.run_id.0,
        &rows().map(|row| row.id.0).collect::<Vec<_>>(),
        &rows().map(|row| row.discrepancy_type.name()).collect::<Vec<_>>() as _,
        &rows().map(|row| row.object_class.as_str()).collect::<Vec<_>>() as _,
        &rows().map(|row| row.intent.as_str()).collect::<Vec<_>>() as _,
        &rows().map(|row| row.identity_id.map(|id| id.0)).collect::<Vec<_>>() as _,
        &rows().map(|row| row.external_uid.as_deref()).collect::<Vec<_>>() as _,
        &rows().map(|row| row.immutable_id.as_deref()).collect::<Vec<_>>() as _,
        &rows().map(|row| row.attribute_name.as_deref()).collect::<Vec<_>>() as _,
        &rows().map(|row| row.expected_value.as_deref()).collect::<Vec<_>>() as _,
        &rows().map(|row| row.actual_value.as_deref()).collect::<Vec<_>>() as _,
        &candidates as _,
        &rows().map(|row| row.fingerprint.0.0.to_vec()).collect::<Vec<_>>(),
        &rows().map(|row| row.first_seen_at).collect::<Vec<_>>(),
        &rows().map(|row| row.suggested.map(|remedy| remedy.action.name())).collect::<Vec<_>>() as _,
        &rows().map(|row| row.suggested.map(|remedy| remedy.direction.name())).collect::<Vec<_>>() as _,
        &rows().map(|row| row.planned.map(|remedy| remedy.action.name())).collect::<Vec<_>>() as _,
        &rows().map(|row| row.planned.map(|remedy| remedy.direction.name())).collect::<Vec<_>>() as _,
        &rows().map(|row| row.planned_effect.map(Effect::name)).collect::<Vec<_>>() as _,
        &rows().map(|row| row.created_at).collect::<Vec<_>>(),
    );
    inserted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Clears what the run wrote before it was interrupted, except what somebody has acted on meanwhile.
pub async fn delete_untouched(tx: &mut PgConnection, tenant: TenantId, run: RunId) -> Result<()> {
    let deleted = sqlx::query!(
        "delete from discrepancy
          where tenant_id = $1 and run_id = $2 and resolution_status = 'pending'
            and not exists (select from remediation
                             where remediation.tenant_id = discrepancy.tenant_id
                               and discrepancy_id = discrepancy.id)",
        tenant.0,
        run.0,
    );
    deleted.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// The run's findings by type.
pub async fn count_by_type(
    tx: &mut PgConnection,
    tenant: TenantId,
    run: RunId,
) -> Result<BTreeMap<DiscrepancyType, i64>> {
    let rows = sqlx::query!(
        r#"select discrepancy_type, count(*) as "count!"
             from discrepancy
            where tenant_id = $1 and run_id = $2
            group by discrepancy_type"#,
        tenant.0,
        run.0,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    let counts = rows.into_iter().map(|row| {
        parse("discrepancy.discrepancy_type", &row.discrepancy_type, DiscrepancyType::named)
            .map(|kind| (kind, row.count))
    });
    counts.collect()
}

/// The run's mismatches by attribute.
pub async fn count_by_attribute(
    tx: &mut PgConnection,
    tenant: TenantId,
    run: RunId,
) -> Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select attribute_name as "attribute_name!", count(*) as "count!"
             from discrepancy
            where tenant_id = $1 and run_id = $2 and discrepancy_type = 'mismatch'
            group by attribute_name"#,
        tenant.0,
        run.0,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    Ok(rows.into_iter().map(|row| (row.attribute_name, row.count)).collect())
}

/// What the run plans, by action.
pub async fn count_planned(
    tx: &mut PgConnection,
    tenant: TenantId,
    run: RunId,
) -> Result<Vec<(RemediationAction, i64)>> {
    let rows = sqlx::query!(
        r#"select planned_action as "planned_action!", count(*) as "count!"
             from discrepancy
            where tenant_id = $1 and run_id = $2 and planned_action is not null
            group by planned_action"#,
        tenant.0,
        run.0,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    let counts = rows.into_iter().map(|row| {
        parse("discrepancy.planned_action", &row.planned_action, RemediationAction::named)
            .map(|action| (action, row.count))
    });
    counts.collect()
}

/// What the run did or has under way, by action.
pub async fn count_done(
    tx: &mut PgConnection,
    tenant: TenantId,
    run: RunId,
) -> Result<Vec<(RemediationAction, i64)>> {
    let rows = sqlx::query!(
        r#"select action, count(*) as "count!"
             from remediation
            where tenant_id = $1 and run_id = $2 and success is distinct from false
            group by action"#,
        tenant.0,
        run.0,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    let counts = rows.into_iter().map(|row| {
        parse("remediation.action", &row.action, RemediationAction::named).map(|action| (action, row.count))
    });
    counts.collect()
}

/// The findings of this run against those of another, by fingerprint. What was ignored since is neither gone nor new.
pub async fn compare(tx: &mut PgConnection, tenant: TenantId, run: RunId, earlier: RunId) -> Result<Trend> {
    let counts = sqlx::query!(
        r#"select count(*) filter (where earlier.fingerprint is null) as "new!",
                  count(*) filter (where earlier.fingerprint = now.fingerprint) as "persisting!",
                  count(*) filter (where now.fingerprint is null) as "gone!"
             from (select fingerprint from discrepancy where tenant_id = $1 and run_id = $2) as now
             full join (select fingerprint from discrepancy
                         where tenant_id = $1 and run_id = $3 and resolution_status <> 'ignored') as earlier
                       using (fingerprint)"#,
        tenant.0,
        run.0,
        earlier.0,
    );
    let counts = counts.fetch_one(tx).await.map_err(db::failed)?;
    Ok(Trend { new: counts.new, persisting: counts.persisting, gone: counts.gone })
}

/// The run in whose name older findings are settled.
#[derive(Clone, Copy, Debug)]
pub struct Successor {
    pub connector_id: ConnectorId,
    pub run_id: RunId,
    pub by: SubjectId,
    pub at: DateTime<Utc>,
}

/// An open finding of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    pub id: DiscrepancyId,
    pub fingerprint: Fingerprint,
}

/// Open findings of the connector's earlier runs, in order of id after `after`.
pub async fn find_open(
    tx: &mut PgConnection,
    tenant: TenantId,
    (connector, run): (ConnectorId, RunId),
    after: Uuid,
    limit: i64,
) -> Result<Vec<Open>> {
    let rows = sqlx::query!(
        "select id, fingerprint
           from discrepancy
          where tenant_id = $1 and connector_id = $2 and resolution_status = 'pending' and run_id <> $3 and id > $4
          order by id
          limit $5",
        tenant.0,
        connector.0,
        run.0,
        after,
        limit,
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    let open = rows.into_iter().map(|row| {
        Ok(Open { id: row.id.into(), fingerprint: super::discrepancy::fingerprint(row.fingerprint)? })
    });
    open.collect()
}

/// Says that the statements to come join many rows, and may take their time. Those that the run has just written are not
/// in the planner's statistics yet: it would take them for a handful, and walk through all of one side for each of the
/// other.
pub async fn expect_many(tx: &mut PgConnection) -> Result<()> {
    sqlx::query!("set local enable_nestloop = off").execute(&mut *tx).await.map_err(db::failed)?;
    sqlx::query!("set local statement_timeout = '10min'").execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Findings that were open before keep the time at which they were first seen.
pub async fn keep_first_seen(tx: &mut PgConnection, tenant: TenantId, successor: Successor) -> Result<()> {
    let kept = sqlx::query!(
        "update discrepancy as again
            set first_seen_at = older.first_seen_at
           from (select fingerprint, min(first_seen_at) as first_seen_at
                   from discrepancy
                  where tenant_id = $1 and connector_id = $2 and resolution_status = 'pending' and run_id <> $3
                  group by fingerprint) as older
          where again.tenant_id = $1 and again.run_id = $3 and again.fingerprint = older.fingerprint
            and again.first_seen_at > older.first_seen_at",
        tenant.0,
        successor.connector_id.0,
        successor.run_id.0,
    );
    kept.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Open findings of earlier runs that this one found again are superseded by it.
pub async fn supersede(tx: &mut PgConnection, tenant: TenantId, successor: Successor) -> Result<()> {
    let superseded = sqlx::query!(
        "update discrepancy as older
            set resolution_status = 'resolved',
                resolution_note = 'superseded',
                superseded_by_id = again.id,
                resolved_at = $4,
                resolved_by = $5,
                version = older.version + 1
           from discrepancy as again
          where older.tenant_id = $1 and older.connector_id = $2 and older.resolution_status = 'pending'
            and older.run_id <> $3
            and again.tenant_id = $1 and again.run_id = $3 and again.fingerprint = older.fingerprint
            and not exists (select from remediation
                             where remediation.tenant_id = $1 and discrepancy_id = older.id
                               and finished_at is null)",
        tenant.0,
        successor.connector_id.0,
        successor.run_id.0,
        successor.at,
        successor.by.0,
    );
    superseded.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Open findings of earlier runs that this one did not find again are no longer present, but for the spared ones and
/// those whose remediation is under way. Comes after [`supersede`].
pub async fn settle_gone(
    tx: &mut PgConnection,
    tenant: TenantId,
    successor: Successor,
    spared: &[DiscrepancyId],
) -> Result<()> {
    let spared: Vec<Uuid> = spared.iter().map(|id| id.0).collect();
    let gone = sqlx::query!(
        "update discrepancy as older
            set resolution_status = 'resolved',
                resolution_note = 'no longer present',
                resolved_at = $4,
                resolved_by = $5,
                version = older.version + 1
          where tenant_id = $1 and connector_id = $2 and resolution_status = 'pending' and run_id <> $3
            and not id = any($6)
            and not exists (select from remediation
                             where remediation.tenant_id = $1 and discrepancy_id = older.id
                               and finished_at is null)",
        tenant.0,
        successor.connector_id.0,
        successor.run_id.0,
        successor.at,
        successor.by.0,
        &spared,
    );
    gone.execute(tx).await.map_err(db::failed)?;
    Ok(())
}
