-- Connectors: a configured connection to one target system.
create table connector (
    tenant_id uuid not null,
    id uuid not null,
    name text not null check (length(name) between 1 and 200),
    -- Follows from the settings and never changes.
    kind text not null check (kind in ('ldap', 'scim', 'sql', 'remote', 'memory')),
    mode text not null default 'observe' check (mode in ('observe', 'manual', 'enforce')),
    -- How the target is reached; never a secret.
    settings jsonb not null,
    -- Scope, mapping, correlation and protection of each kind of account; as of `revision`.
    object_types jsonb not null,
    policies jsonb not null,
    -- Rises with every change of scope, mapping, correlation or policy; recorded on operations, runs, discrepancies.
    revision integer not null default 1 check (revision >= 1),
    paused boolean not null default false,
    pause_reason text,
    -- When the first complete full run ended: from then on `enforce` is allowed.
    first_full_run_at timestamptz,
    -- The etag.
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- Deleted softly: reads answer not found; purged when no live operation or link remains.
    deleted_at timestamptz,
    primary key (tenant_id, id),
    check (paused or pause_reason is null)
);
call protect('connector');
grant select, insert, update, delete on connector to xavyo_provisioning;

-- A name is free again once its connector is deleted.
create unique index connector_name_free on connector (tenant_id, name) where deleted_at is null;

-- Every revision as it was, so that what an operation was computed from can be shown years later.
create table connector_revision (
    tenant_id uuid not null,
    connector_id uuid not null,
    revision integer not null,
    object_types jsonb not null,
    policies jsonb not null,
    created_at timestamptz not null,
    created_by uuid not null,
    primary key (tenant_id, connector_id, revision),
    foreign key (tenant_id, connector_id) references connector (tenant_id, id) on delete cascade
);
call protect('connector_revision');
grant select, insert, delete on connector_revision to xavyo_provisioning;

-- One data key per connector, wrapped by a master key that lives in a file outside the database.
create table connector_key (
    tenant_id uuid not null,
    connector_id uuid not null,
    master_key_id text not null,
    -- nonce (12 bytes) and AES-256-GCM ciphertext of the data key; associated data: tenant, connector, 'data-key'.
    wrapped bytea not null,
    created_at timestamptz not null,
    primary key (tenant_id, connector_id),
    foreign key (tenant_id, connector_id) references connector (tenant_id, id) on delete cascade
);
call protect('connector_key');
grant select, insert, update, delete on connector_key to xavyo_provisioning;

-- One row per secret of a connector.
create table connector_secret (
    tenant_id uuid not null,
    connector_id uuid not null,
    field text not null,
    -- nonce (12 bytes) and AES-256-GCM ciphertext under the data key; associated data: tenant, connector, field.
    sealed bytea not null,
    updated_at timestamptz not null,
    primary key (tenant_id, connector_id, field),
    foreign key (tenant_id, connector_id) references connector_key (tenant_id, connector_id) on delete cascade
);
call protect('connector_secret');
grant select, insert, update, delete on connector_secret to xavyo_provisioning;

-- Where work is found. Payload-free, hence without row-level security: a worker picks a pair of tenant and connector
-- here, then begins a transaction of that tenant. Written only when a pair turns idle or busy, or its breaker moves.
create table connector_work (
    tenant_id uuid not null,
    connector_id uuid not null,
    -- When there is something to look for; null = idle.
    due_at timestamptz,
    -- Paused by a person: nothing is claimed.
    paused boolean not null default false,
    -- closed: claims run. open: the target is down; a probe is due at probe_at. half_open: a few calls try it out.
    breaker text not null default 'closed' check (breaker in ('closed', 'open', 'half_open')),
    probe_at timestamptz,
    -- Probes that failed in a row; decides the next probe's delay.
    failed_probes integer not null default 0,
    -- After an outage calls start at one a second and at most double every five seconds.
    ramp_started_at timestamptz,
    primary key (tenant_id, connector_id),
    check ((breaker = 'open') = (probe_at is not null))
);
grant select, insert, update, delete on connector_work to xavyo_provisioning;

-- The next pairs that are due.
create index connector_work_due on connector_work (due_at) where due_at is not null and not paused;
-- The next probes.
create index connector_work_probe on connector_work (probe_at) where probe_at is not null;
