-- A connector's calls over all processes, in one row: who may have how many under way, and when the next may begin. Each
-- process leases its share for a second. Written by whoever calls the target, beside its work; no foreign key, whose lock
-- would look like an enqueue to whoever calls the pair idle.
create table connector_pace (
    tenant_id uuid not null,
    connector_id uuid not null,
    shares jsonb not null,
    primary key (tenant_id, connector_id)
) with (fillfactor = 50);
call protect('connector_pace');
grant select, insert, update on connector_pace to xavyo_provisioning;

-- When the pause ends by itself; null = when somebody resumes the connector. Where workers look for pairs, and only there.
alter table connector_work add column paused_until timestamptz check (paused or paused_until is null);
create index connector_work_pause_ends on connector_work (paused_until) where paused_until is not null;

-- Calls that succeeded since the breaker is half open; a few of them close it.
alter table connector_work add column half_open_successes integer not null default 0;
