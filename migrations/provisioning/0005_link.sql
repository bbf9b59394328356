-- Links: which account of a connector belongs to which identity.
create table link (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    object_class text not null,
    intent text not null,
    identity_id uuid not null,
    lane_id uuid not null,
    external_uid text not null,
    -- The uid as the connector compares it (a DN without case and spaces).
    uid_key text not null,
    immutable_id text,
    -- The expected side of the digest comparison, and the versions that it was made from.
    expected_digest bytea check (length(expected_digest) = 16),
    expected_identity_version bigint,
    expected_revision integer,
    -- Only an account that we disabled may be enabled again by policy.
    disabled_by_us boolean not null default false,
    -- Staged deprovisioning: the account is deleted then, unless its identity returns.
    deprovision_due_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, connector_id) references connector (tenant_id, id),
    foreign key (tenant_id, identity_id) references identity (tenant_id, id),
    foreign key (tenant_id, lane_id) references lane (tenant_id, id)
);
call protect('link');
grant select, insert, update, delete on link to xavyo_provisioning;

create unique index link_one_per_identity on link (tenant_id, connector_id, object_class, intent, identity_id);
create unique index link_one_per_immutable_id on link (tenant_id, connector_id, immutable_id)
    where immutable_id is not null;
-- A uid may be given to another account once the first is gone; the immutable id tells them apart.
create unique index link_one_per_uid on link (tenant_id, connector_id, object_class, uid_key)
    where immutable_id is null;
-- By uid, whatever else is known.
create index link_by_uid on link (tenant_id, connector_id, object_class, uid_key);
-- Lists by connector, newest first.
create index link_by_connector on link (tenant_id, connector_id, id);
-- Lists by the account's present uid.
create index link_by_external_uid on link (tenant_id, external_uid);
-- All accounts of an identity.
create index link_by_identity on link (tenant_id, identity_id);
-- The account of an operation.
create index link_by_lane on link (tenant_id, lane_id);
-- Staged deletions that have come due.
create index link_deprovision_due on link (tenant_id, connector_id, deprovision_due_at)
    where deprovision_due_at is not null;

-- The history of links: what explains an account long after.
create table link_event (
    tenant_id uuid not null,
    id uuid not null,
    link_id uuid not null,
    connector_id uuid not null,
    object_class text not null,
    intent text not null,
    identity_id uuid not null,
    lane_id uuid not null,
    event text not null check (event in ('linked', 'unlinked', 'renamed', 'disabled', 'enabled')),
    external_uid text not null,
    immutable_id text,
    at timestamptz not null,
    operation_id uuid,
    cause_kind text not null,
    cause_id uuid,
    requested_by uuid not null,
    reason text,
    primary key (tenant_id, id)
);
call protect('link_event');
grant select, insert on link_event to xavyo_provisioning;

-- The story of one account.
create index link_event_by_lane on link_event (tenant_id, lane_id, id);

-- Pairs that a person has rejected: never correlated, adopted or suggested again.
create table rejected_pair (
    tenant_id uuid not null,
    connector_id uuid not null,
    object_class text not null,
    identity_id uuid not null,
    -- The immutable id where the target has one, else the normalised uid.
    account_key text not null,
    external_uid text not null,
    immutable_id text,
    rejected_by uuid not null,
    rejected_at timestamptz not null,
    reason text,
    primary key (tenant_id, connector_id, object_class, identity_id, account_key),
    foreign key (tenant_id, connector_id) references connector (tenant_id, id),
    foreign key (tenant_id, identity_id) references identity (tenant_id, id)
);
call protect('rejected_pair');
grant select, insert, delete on rejected_pair to xavyo_provisioning;
