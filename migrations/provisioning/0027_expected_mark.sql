-- Where a read of the expected side stood, so that a later one can tell what was written since.

-- A mark is the id that the read's proof names. It holds in this database's own history alone: a database that was set back
-- to an earlier moment has lost the row, and one that was filled anew has given it another xmin than made_by.
create table expected_mark (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    -- The oldest transaction that the read's snapshot may have missed: what an older one wrote, the read has seen.
    snapshot_xmin xid8 not null,
    -- The transaction that wrote this row.
    made_by xid8 not null,
    made_at timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, connector_id) references connector (tenant_id, id)
);
call protect('expected_mark');
grant select, insert, delete on expected_mark to xavyo_provisioning;

-- Marks that are too old to be used go.
create index expected_mark_made_at on expected_mark (tenant_id, made_at);

-- The accounts that lost their links since a mark: few among the events of a connector.
create index link_event_unlinked on link_event (tenant_id, connector_id, id) where event = 'unlinked';
