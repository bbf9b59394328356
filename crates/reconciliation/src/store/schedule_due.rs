//! When to look at which schedule, of all tenants. No payload, no row-level security: it says only where a slot may be
//! due; the schedule's own row decides.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    error::Result,
    ids::{ScheduleId, TenantId},
};
use xavyo_runtime::db;

/// A schedule whose slot may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Due {
    pub tenant: TenantId,
    pub schedule: ScheduleId,
}

/// Says when to look at it next; none = never.
pub async fn put(tx: &mut PgConnection, due: Due, at: Option<DateTime<Utc>>) -> Result<()> {
    let (tenant, schedule) = (due.tenant.0, due.schedule.0);
    let Some(at) = at else {
        let never = sqlx::query!(
            "delete from schedule_due where tenant_id = $1 and schedule_id = $2",
            tenant,
            schedule,
        );
        never.execute(tx).await.map_err(db::failed)?;
        return Ok(());
    };
    let put = sqlx::query!(
        "insert into schedule_due (tenant_id, schedule_id, due_at)
         values ($1, $2, $3)
         on conflict (tenant_id, schedule_id) do update
            set due_at = excluded.due_at",
        tenant,
        schedule,
        at,
    );
    put.execute(tx).await.map_err(db::failed)?;
    Ok(())
}

/// Takes at most `limit` that are due, the longest due first: until `again_at` no other replica looks at them. Whoever
/// takes them and dies leaves them to be taken then.
pub async fn claim(
    tx: &mut PgConnection,
    now: DateTime<Utc>,
    again_at: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Due>> {
    let claimed = sqlx::query!(
        "with ripe as (
             select tenant_id, schedule_id
               from schedule_due
              where due_at <= $1
              order by due_at
              limit $3
                for update skip locked
         )
         update schedule_due
            set due_at = $2
           from ripe
          where schedule_due.tenant_id = ripe.tenant_id and schedule_due.schedule_id = ripe.schedule_id
         returning schedule_due.tenant_id, schedule_due.schedule_id",
        now,
        again_at,
        limit,
    );
    let claimed = claimed.fetch_all(tx).await.map_err(db::failed)?;
    let due =
        claimed.into_iter().map(|row| Due { tenant: row.tenant_id.into(), schedule: row.schedule_id.into() });
    Ok(due.collect())
}
