-- A remediation: one action in one direction to resolve one discrepancy. Written before anything is done, so that
-- whoever takes over repeats it under the same derived request ids, and finished with its result, the audit row and the
-- discrepancy's status in one transaction (R10).
create table remediation (
    tenant_id uuid not null,
    id uuid not null,
    discrepancy_id uuid not null,
    connector_id uuid not null,
    action text not null
        check (action in ('create', 'update', 'delete', 'link', 'unlink', 'inactivate_identity')),
    direction text not null check (direction in ('xavyo_to_target', 'target_to_xavyo')),
    -- Which of several: the pair of a collision, the identity an orphan is linked to.
    identity_id uuid,
    external_uid text,
    reason text,
    -- A dry run is finished when written: it is kept for the record only.
    dry_run boolean not null,
    -- Why it exists: a caller, or the policy that a run applied.
    cause_kind text not null check (cause_kind in ('api', 'run')),
    run_id uuid,
    requested_by uuid not null,
    trace_id text,

    -- The number of the claim: a result with an older fence is not recorded.
    fence bigint not null default 0,
    -- The provisioning operation that does it, as soon as there is one.
    operation_id uuid,

    success boolean,
    error_reason text,
    error text,
    -- What was changed, by attribute.
    changes jsonb,
    created_at timestamptz not null,
    finished_at timestamptz,

    primary key (tenant_id, id),
    foreign key (tenant_id, discrepancy_id) references discrepancy (tenant_id, id),
    constraint remediation_finished_has_result check ((finished_at is null) = (success is null)),
    constraint remediation_failure_says_why
        check ((success is not distinct from false) = (error is not null)
            and (error is null) = (error_reason is null)),
    constraint remediation_of_a_run_names_it check ((cause_kind = 'run') = (run_id is not null))
);
call protect('remediation');
grant select, insert, update on remediation to xavyo_reconciliation;

-- One in flight per discrepancy (R10).
create unique index remediation_one_in_flight on remediation (tenant_id, discrepancy_id)
    where finished_at is null;
-- The history of a discrepancy, newest first.
create index remediation_of_discrepancy on remediation (tenant_id, discrepancy_id, id);
-- What a run's policy did: its report counts it.
create index remediation_of_run on remediation (tenant_id, run_id, id)
    where run_id is not null;
