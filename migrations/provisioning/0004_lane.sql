-- Lanes: an account's queue, strictly in order, one claim at a time. A lane outlives every name of its account, and its
-- row is never deleted while the tenant exists: a fence must never come back.
create table lane (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    object_class text not null,
    intent text not null,
    -- Rises with every claim; a write or a finish under an older fence is refused.
    fence bigint not null default 0,
    -- The sequence that the next operation gets.
    next_sequence bigint not null default 1,
    -- Operations in the hot table; at most 1,000.
    length integer not null default 0 check (length >= 0),
    -- After an unknown outcome operations are claimed one by one until one succeeds.
    runs_singly boolean not null default false,

    -- The claim: set by a worker, cleared by finish or take-over. Operations from..through are in progress.
    worker_id uuid,
    claimed_from bigint,
    claimed_through bigint,
    claimed_at timestamptz,

    -- What may be claimed next; recomputed by whoever changes the lane's operations, null while claimed.
    -- The head can run now: min over live operations of (created_at − priority × 6 s); the least runs first.
    ready_rank timestamptz,
    -- The head can run from then on (retry delay, not_before).
    wake_at timestamptz,
    -- The dead letter that holds the lane.
    blocked_by_operation_id uuid,

    primary key (tenant_id, id),
    foreign key (tenant_id, connector_id) references connector (tenant_id, id),
    check ((worker_id is null) = (claimed_from is null)),
    check ((worker_id is null) = (claimed_through is null)),
    check ((worker_id is null) = (claimed_at is null)),
    check (claimed_from <= claimed_through),
    check (worker_id is null or (ready_rank is null and wake_at is null)),
    check (ready_rank is null or wake_at is null)
) with (fillfactor = 80);
call protect('lane');
grant select, insert, update on lane to xavyo_provisioning;

-- The claim: the most urgent lanes of a pair.
create index lane_ready on lane (tenant_id, connector_id, ready_rank) where ready_rank is not null;
-- Lanes whose retry or not_before has come.
create index lane_wake on lane (tenant_id, connector_id, wake_at) where wake_at is not null;
-- Lanes that a dead letter holds: counted, and freed when the connector's policy changes.
create index lane_blocked on lane (tenant_id, connector_id) where blocked_by_operation_id is not null;
-- Take-over of a dead worker's lanes; the count in progress.
create index lane_claimed on lane (tenant_id, connector_id, worker_id) where worker_id is not null;

-- The names by which a lane is found.
create table lane_alias (
    tenant_id uuid not null,
    connector_id uuid not null,
    -- identity: object class, intent and identity id. immutable: the immutable id. uid: object class and the uid as the
    -- connector normalises it.
    kind text not null check (kind in ('identity', 'immutable', 'uid')),
    key text not null,
    lane_id uuid not null,
    primary key (tenant_id, connector_id, kind, key),
    foreign key (tenant_id, lane_id) references lane (tenant_id, id)
);
call protect('lane_alias');
grant select, insert, update, delete on lane_alias to xavyo_provisioning;

-- All names of a lane, when it is merged or renamed.
create index lane_alias_by_lane on lane_alias (tenant_id, lane_id);
