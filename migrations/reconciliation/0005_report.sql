-- What a completed run found and did, written in the transaction that completes it and never changed afterwards. Its
-- counts are those of the run's rows (R7); until the end they are counted anew for each reader.
create table report (
    tenant_id uuid not null,
    run_id uuid not null,
    -- core's ReconciliationReport.
    body jsonb not null,
    -- The completed full run whose findings these were compared with.
    compared_run_id uuid,
    created_at timestamptz not null,
    primary key (tenant_id, run_id),
    foreign key (tenant_id, run_id) references run (tenant_id, id)
);
call protect('report');
grant select, insert on report to xavyo_reconciliation;
