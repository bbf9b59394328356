-- Where a delta starts: both sides' marks, and what the run before it hands on.
alter table baseline
    -- The expected side's mark, like the watermark of its own, taken before the read.
    add column expected_watermark text,
    -- The run that took both marks and handed on what stands in revisit: the full run itself, or a completed delta since.
    -- A run from before this column has handed on nothing, and is no start.
    add column marked_by_run_id uuid,
    -- How much it handed on. Beyond a limit not all of it is kept: then the next delta is a full run.
    add column handed_on bigint not null default 0 check (handed_on >= 0);

-- What a run leaves to the next delta to look up, although nothing may have been written of it since: accounts without a
-- link, and linked identities that could not be judged. Written before the plan is weighed; once the run has completed, those
-- of its predecessors go. A dry run leaves none.
create table revisit (
    tenant_id uuid not null,
    run_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    object_class text not null,
    intent text not null,
    identity_id uuid,
    external_uid text,
    immutable_id text,
    primary key (tenant_id, run_id, id),
    foreign key (tenant_id, run_id) references run (tenant_id, id),
    constraint revisit_names_an_identity_or_an_account check ((identity_id is null) <> (external_uid is null)),
    constraint revisit_id_is_of_an_account check (immutable_id is null or external_uid is not null)
);
call protect('revisit');
grant select, insert, delete on revisit to xavyo_reconciliation;

-- Those that a connector's completed run no longer needs.
create index revisit_of_connector on revisit (tenant_id, connector_id, run_id);
