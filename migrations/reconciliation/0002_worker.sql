-- The processes of this service that are alive: one row each, renewed every second. What a process has claimed is free
-- for others once its lease has run out, on this database's clock. Belongs to no tenant, holds nothing of theirs.
create table worker (
    id uuid primary key,
    started_at timestamptz not null,
    lease_until timestamptz not null
);

-- Rows of processes long gone are swept by whoever starts.
grant select, insert, update, delete on worker to xavyo_reconciliation;
