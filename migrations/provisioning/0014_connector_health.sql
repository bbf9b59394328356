-- How a connector's target does, as workers saw it: each writes at most once a second, beside its work, what is newer.
-- No foreign key: its lock would look like an enqueue to whoever calls the pair idle.
create table connector_health (
    tenant_id uuid not null,
    connector_id uuid not null,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    -- Of the last failure; never a secret, never a written value.
    last_error_code text,
    last_error_message text,
    -- When the outage began that has not ended.
    down_since timestamptz,
    primary key (tenant_id, connector_id),
    check ((last_failure_at is null) = (last_error_code is null))
);
call protect('connector_health');
grant select, insert, update on connector_health to xavyo_provisioning;
