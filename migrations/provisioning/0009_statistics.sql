-- Statistics: each transaction that moves operations inserts its net changes; a folder merges them. No counter row is
-- shared by hot transactions, and a reading costs the same at ten rows and at ten million.
create table operation_delta (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    -- A status as stored: in_progress is counted from the claimed lanes.
    status text not null,
    -- The hour in which final operations ended; the epoch for all others.
    period timestamptz not null,
    n bigint not null,
    -- Sum of the seconds from first claim to completion, of completed ones.
    seconds double precision not null default 0,
    primary key (tenant_id, id)
);
call protect('operation_delta');
-- update: the folder locks the rows it takes.
grant select, insert, update, delete on operation_delta to xavyo_provisioning;

create table operation_count (
    tenant_id uuid not null,
    connector_id uuid not null,
    status text not null,
    period timestamptz not null,
    n bigint not null,
    seconds double precision not null default 0,
    primary key (tenant_id, connector_id, status, period)
);
call protect('operation_count');
grant select, insert, update, delete on operation_count to xavyo_provisioning;
