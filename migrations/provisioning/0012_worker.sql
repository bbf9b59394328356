-- Processes that claim lanes: one tiny row each, its lease renewed every second on the database's clock. Payload-free,
-- hence without row-level security. A lane claimed by a worker whose lease has ended, or that has no row, is taken over.
create table worker (
    id uuid primary key,
    started_at timestamptz not null,
    lease_until timestamptz not null
);
grant select, insert, update, delete on worker to xavyo_provisioning;
