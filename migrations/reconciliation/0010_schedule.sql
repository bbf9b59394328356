-- When a connector is reconciled by itself: one schedule per connector.
create table schedule (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    connector_name text,
    mode text not null check (mode in ('full', 'delta')),
    frequency text not null check (frequency in ('hourly', 'daily', 'weekly', 'monthly', 'cron')),
    minute_of_hour integer not null check (minute_of_hour between 0 and 59),
    hour_of_day integer not null check (hour_of_day between 0 and 23),
    -- 0 = Sunday.
    day_of_week integer check (day_of_week between 0 and 6),
    -- 29 to 31 mean the last day of a shorter month.
    day_of_month integer check (day_of_month between 1 and 31),
    cron_expression text,
    -- IANA name; slots are local times of it.
    time_zone text not null,
    -- A delta schedule runs full when the last full run is older than this.
    full_every_days integer not null check (full_every_days between 1 and 365),
    enabled boolean not null,
    last_run_at timestamptz,
    last_run_id uuid,
    -- The next slot; its copy without payload stands in schedule_due.
    next_run_at timestamptz,
    created_by uuid not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- Rises with every change; the etag.
    version bigint not null default 1,
    primary key (tenant_id, id),
    constraint schedule_weekly_names_its_day check (frequency <> 'weekly' or day_of_week is not null),
    constraint schedule_monthly_names_its_day check (frequency <> 'monthly' or day_of_month is not null),
    constraint schedule_cron_has_its_expression check ((frequency = 'cron') = (cron_expression is not null)),
    constraint schedule_disabled_has_no_slot check (enabled or next_run_at is null)
);
call protect('schedule');
grant select, insert, update, delete on schedule to xavyo_reconciliation;

-- One schedule per connector.
create unique index schedule_one_per_connector on schedule (tenant_id, connector_id);

-- The next slot of every enabled schedule, of all tenants. Like run_work it carries no payload and needs no row-level
-- security: it says only where to look.
create table schedule_due (
    tenant_id uuid not null,
    schedule_id uuid not null,
    due_at timestamptz not null,
    primary key (tenant_id, schedule_id)
);

-- Finding what is due, for all tenants at once.
create index schedule_due_at on schedule_due (due_at);

grant select, insert, update, delete on schedule_due to xavyo_reconciliation;
