//! Operations that never ran: written straight into the tables, as if they had.

use anyhow::Result;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::rig::Rig;

/// How many operations there are.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub history: i64,
    pub pending: i64,
    pub dead_letters: i64,
}

/// Operations of one account that are pending.
const LANE: i64 = 10;
/// The days over which the history is spread, evenly.
const DAYS: i32 = 30;

impl Extent {
    pub const THOUSAND: Self = Self { history: 700, pending: 200, dead_letters: 100 };

    /// What stands in the queue beside such a history.
    pub fn beside(history: i64) -> Self {
        Self { history, pending: history / 49, dead_letters: history / 4_900 }
    }

    pub fn total(self) -> i64 {
        self.history + self.pending + self.dead_letters
    }
}

/// UUIDv7 of a time: what ids of that time look like.
const ID_AT: &str = "
    create function pg_temp.id_at(at timestamptz, n bigint) returns uuid language sql immutable as $$
        select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0')
                || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid
    $$";

const PARTITIONS: &str = "select ensure_partitions(now() - make_interval(days => $1), now())";

const HISTORY: &str = r#"
    insert into operation_history (
           tenant_id, id, connector_id, connector_name, connector_revision, operation_type, object_class, intent,
           target_uid, status, priority, retry_count, max_retries, payload, lane_id, sequence, crash_count, attempts,
           cause_kind, requested_by, created_at, updated_at, completed_at, version)
    select $1, pg_temp.id_at(at, n), $2, 'bench', 1, 'update', 'account', 'default',
           'user' || n % 100000, 'completed', 50, 0, 10, '{"mail": "user@example.com"}',
           md5((n % 100000)::text)::uuid, n / 100000 + 1, 0, 1, 'api', $1, at, at, at, 1
      from (select n, now() - n * make_interval(days => $4) / ($3 + 1) as at from generate_series(1, $3) as n)
           as past"#;

/// Lanes of ten pending operations, and lanes that a dead letter holds.
const LANES: &str = "
    insert into lane (tenant_id, id, connector_id, object_class, intent, next_sequence, length, ready_rank,
                      blocked_by_operation_id)
    select $1, md5('lane' || n)::uuid, $2, 'account', 'default', $5 + 1, $5, now(), null
      from generate_series(1, $3 / $5) as n
    union all
    select $1, md5('dead' || n)::uuid, $2, 'account', 'default', 2, 1, null,
           pg_temp.id_at(now() - n * interval '1 minute', -n)
      from generate_series(1, $4) as n";

const PENDING: &str = r#"
    insert into operation (
           tenant_id, id, connector_id, connector_name, connector_revision, operation_type, object_class, intent,
           target_uid, status, priority, max_retries, payload, lane_id, sequence, cause_kind, requested_by,
           created_at, updated_at)
    select $1, pg_temp.id_at(now(), -1000000 - n), $2, 'bench', 1, 'update', 'account', 'default',
           'user' || n / $4, 'pending', 50, 10, '{"mail": "user@example.com"}',
           md5('lane' || n / $4 + 1)::uuid, n % $4 + 1, 'api', $1, now(), now()
      from generate_series(0, $3 / $4 * $4 - 1) as n"#;

const DEAD_LETTERS: &str = r#"
    insert into operation (
           tenant_id, id, connector_id, connector_name, connector_revision, operation_type, object_class, intent,
           target_uid, status, priority, max_retries, error_code, payload, lane_id, sequence, cause_kind, requested_by,
           created_at, updated_at)
    select $1, pg_temp.id_at(now() - n * interval '1 minute', -n), $2, 'bench', 1, 'update', 'account', 'default',
           'gone' || n, 'dead_letter', 50, 10, 'REFUSED', '{"mail": "user@example.com"}',
           md5('dead' || n)::uuid, 1, 'api', $1, now() - n * interval '1 minute', now()
      from generate_series(1, $3) as n"#;

/// As the folder of statistics and the retention would have left them: by the hour only what ended in the last two days.
const COUNTS: &str = "
    insert into operation_count (tenant_id, connector_id, status, period, n, seconds)
    select tenant_id, connector_id, status,
           case when completed_at > now() - interval '48 hours' then date_trunc('hour', completed_at) else 'epoch' end,
           count(*), count(*)
      from operation_history group by 1, 2, 3, 4
    union all
    select tenant_id, connector_id, status, 'epoch', count(*), 0 from operation group by 1, 2, 3";

/// Writes them into the rig's database.
pub async fn fill(rig: &Rig, connector: &str, extent: Extent) -> Result<()> {
    let mut judge = rig.judge().await?;
    let (tenant, connector): (Uuid, Uuid) = (rig.tenant(), connector.parse()?);
    let Extent { history, pending, dead_letters } = extent;
    sqlx::raw_sql(ID_AT).execute(&mut judge).await?;
    sqlx::query(PARTITIONS).bind(DAYS).execute(&mut judge).await?;
    let of_all = |statement: &'static str| sqlx::query(statement).bind(tenant).bind(connector);
    of_all(HISTORY).bind(history).bind(DAYS).execute(&mut judge).await?;
    of_all(LANES).bind(pending).bind(dead_letters).bind(LANE).execute(&mut judge).await?;
    of_all(PENDING).bind(pending).bind(LANE).execute(&mut judge).await?;
    of_all(DEAD_LETTERS).bind(dead_letters).execute(&mut judge).await?;
    sqlx::query(COUNTS).execute(&mut judge).await?;
    settle(judge).await
}

/// What autovacuum would have done by then.
async fn settle(mut judge: PgConnection) -> Result<()> {
    for statement in ["vacuum analyze operation_history", "vacuum analyze operation", "vacuum analyze lane"] {
        sqlx::query(statement).execute(&mut judge).await?;
    }
    sqlx::query("analyze operation_count").execute(&mut judge).await?;
    Ok(judge.close().await?)
}
