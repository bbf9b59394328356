-- What a connector's last completed full run read, by kind of account: a read that now shows far fewer is not taken to be
-- complete, and a delta starts from the watermark. Written with the run's completion; a dry run leaves it alone.
create table baseline (
    tenant_id uuid not null,
    connector_id uuid not null,
    object_class text not null,
    intent text not null,
    run_id uuid not null,
    -- A later revision makes the next delta a full run.
    connector_revision integer not null,
    target_count bigint not null check (target_count >= 0),
    expected_count bigint not null check (expected_count >= 0),
    -- The target's own mark, taken before the read.
    watermark text,
    completed_at timestamptz not null,
    primary key (tenant_id, connector_id, object_class, intent)
);
call protect('baseline');
grant select, insert, update, delete on baseline to xavyo_reconciliation;
