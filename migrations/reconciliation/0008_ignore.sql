-- A finding that somebody decided to live with. It binds to the fingerprint, not to a row: the same finding of a later
-- run is counted apart and gets no row.
create table ignore (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    fingerprint bytea not null check (length(fingerprint) = 16),
    -- The row it was decided on.
    discrepancy_id uuid not null,
    reason text not null,
    -- None = until it is deleted.
    until timestamptz,
    created_by uuid not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, discrepancy_id) references discrepancy (tenant_id, id),
    constraint ignore_ends_after_it_began check (until is null or until > created_at)
);
call protect('ignore');
-- Deleting one undoes it.
grant select, insert, update, delete on ignore to xavyo_reconciliation;

-- A finding is ignored once.
create unique index ignore_one_per_finding on ignore (tenant_id, connector_id, fingerprint);
-- The row that an ignore was decided on.
create index ignore_of_discrepancy on ignore (tenant_id, discrepancy_id);
