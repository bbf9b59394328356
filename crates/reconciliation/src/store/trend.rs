//! The trend's one question of the runs.

use chrono::{Days, NaiveDate, NaiveTime};
use sqlx::PgConnection;
use xavyo_core::{
    discrepancy::DiscrepancyType,
    error::Result,
    ids::{ConnectorId, TenantId},
};
use xavyo_runtime::db;

use crate::trend::TrendPoint;

/// The days of the range, both ends included, on which a full run completed.
pub async fn find_all(
    tx: &mut PgConnection,
    tenant: TenantId,
    connector: Option<ConnectorId>,
    (start, end): (NaiveDate, NaiveDate),
) -> Result<Vec<TrendPoint>> {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    let rows = sqlx::query!(
        r#"with completed as (
               -- The runs of the range; the last of its connector and day is the one that counts.
               select (completed_at at time zone 'UTC')::date as day,
                      row_number() over (partition by (completed_at at time zone 'UTC')::date, connector_id
                                             order by completed_at desc, id desc) = 1 as is_last,
                      missing_found, orphan_found, mismatch_found, collision_found, unlinked_found, deleted_found
                 from run
                where tenant_id = $1 and status = 'completed' and mode = 'full'
                  and completed_at >= $2 and completed_at < $3
                  and ($4::uuid is null or connector_id = $4)
           )
           select day as "day!", count(*) as "runs!",
                  sum(missing_found) filter (where is_last)::bigint as "missing!",
                  sum(orphan_found) filter (where is_last)::bigint as "orphan!",
                  sum(mismatch_found) filter (where is_last)::bigint as "mismatch!",
                  sum(collision_found) filter (where is_last)::bigint as "collision!",
                  sum(unlinked_found) filter (where is_last)::bigint as "unlinked!",
                  sum(deleted_found) filter (where is_last)::bigint as "deleted!"
             from completed
            group by day"#,
        tenant.0,
        midnight(start),
        midnight(end.checked_add_days(Days::new(1)).unwrap_or(end)),
        connector.map(|connector| connector.0),
    );
    let rows = rows.fetch_all(tx).await.map_err(db::failed)?;
    let points = rows.into_iter().map(|row| TrendPoint {
        date: row.day,
        found: [
            (DiscrepancyType::Missing, row.missing),
            (DiscrepancyType::Orphan, row.orphan),
            (DiscrepancyType::Mismatch, row.mismatch),
            (DiscrepancyType::Collision, row.collision),
            (DiscrepancyType::Unlinked, row.unlinked),
            (DiscrepancyType::Deleted, row.deleted),
        ]
        .into_iter()
        .collect(),
        runs: row.runs,
    });
    Ok(points.collect())
}
