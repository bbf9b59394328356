-- A run: one reconciliation of one connector. The run's own row is the only place that says what it is doing; whoever
-- holds the fence writes it, everybody else only asks (stop_request).
create table run (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    -- The revision of scope, mapping, correlation and policies that it judges by; known once prepared.
    connector_revision integer,

    -- What runs; what was asked for; and why the two differ, in words.
    mode text not null check (mode in ('full', 'delta')),
    requested_mode text not null check (requested_mode in ('full', 'delta')),
    mode_note text,
    dry_run boolean not null,

    status text not null
        check (status in ('pending', 'running', 'completed', 'failed', 'cancelled', 'paused')),
    -- Where it is, or was when it ended: a take-over goes on from here.
    phase text not null default 'prepare'
        check (phase in ('prepare', 'read', 'compare', 'guard', 'remediate', 'report')),
    pause_reason text check (pause_reason in ('user', 'guard', 'connector')),
    -- Why it failed: a reason of the closed list, and a sentence.
    failure_reason text,
    failure_message text,

    -- What a caller wants of a run that a worker holds; the worker obeys within one batch.
    stop_request text check (stop_request in ('pause', 'cancel')),
    stop_requested_by uuid,
    stop_requested_at timestamptz,

    -- The process at work, and the number of the claim: a write with an older fence changes no row.
    worker_id uuid,
    fence bigint not null default 0,

    -- A smaller target than the baseline is accepted down to this count, for the reason given.
    accept_count_at_least bigint check (accept_count_at_least >= 0),

    -- Progress. The sequence rises with every save: watchers resume by it.
    progress_sequence bigint not null default 0,
    accounts_processed bigint not null default 0,
    -- The expected number of accounts: the baseline's, once known.
    accounts_expected bigint,
    -- When the stream of accounts began to flow: rates and the ETA count from here.
    reading_started_at timestamptz,
    missing_found bigint not null default 0,
    orphan_found bigint not null default 0,
    mismatch_found bigint not null default 0,
    collision_found bigint not null default 0,
    unlinked_found bigint not null default 0,
    deleted_found bigint not null default 0,
    -- Counted apart, never discrepancies.
    in_flight bigint not null default 0,
    protected bigint not null default 0,
    unevaluable bigint not null default 0,
    -- Absences that were not concluded for want of proof.
    suppressed bigint not null default 0,
    -- Findings that somebody ignores.
    ignored bigint not null default 0,
    -- Links that now carry the account's new uid: no finding.
    renamed bigint not null default 0,
    calls_made bigint not null default 0,

    -- The proof of each read: side, object class, intent, complete, evidence, count, watermark (the target's own, taken
    -- before the read). Without all of them complete, absence is never reported.
    proofs jsonb not null default '[]',
    -- Older open discrepancies whose accounts this run could not judge (in flight, unevaluable): it leaves them as they are.
    spared_discrepancy_ids uuid[] not null default '{}',

    -- The plan that the guard weighed, its size, who let it pass, what was left out, and until when it may be approved.
    plan_digest bytea check (length(plan_digest) = 16),
    planned_actions bigint,
    approved_by uuid,
    approved_at timestamptz,
    excluded_discrepancy_ids uuid[] not null default '{}',
    approval_expires_at timestamptz,

    -- Why the run exists: the slot of a schedule, or else a caller; who asked, and the trace it belongs to.
    schedule_id uuid,
    slot_at timestamptz,
    reason text,
    trace_id text,
    created_by uuid not null,
    created_at timestamptz not null,
    started_at timestamptz,
    completed_at timestamptz,
    updated_at timestamptz not null,
    -- Rises with every change; the etag.
    version bigint not null default 1,

    primary key (tenant_id, id),
    constraint run_ended_has_end check ((status in ('completed', 'failed', 'cancelled')) = (completed_at is not null)),
    constraint run_begun_has_start check (status in ('pending', 'cancelled') or started_at is not null),
    constraint run_pending_has_not_begun check (status <> 'pending' or started_at is null),
    constraint run_paused_says_why check ((status = 'paused') = (pause_reason is not null)),
    constraint run_failed_says_why
        check ((status = 'failed') = (failure_reason is not null and failure_message is not null)),
    constraint run_ended_is_held_by_nobody
        check (status not in ('completed', 'failed', 'cancelled') or worker_id is null),
    constraint run_stop_says_who
        check ((stop_request is null) = (stop_requested_by is null)
            and (stop_request is null) = (stop_requested_at is null)),
    constraint run_acceptance_says_why check (accept_count_at_least is null or reason is not null),
    constraint run_approval_says_who
        check ((approved_by is null) = (approved_at is null) and (approved_by is null or plan_digest is not null)),
    constraint run_of_a_schedule_has_its_slot check ((schedule_id is null) = (slot_at is null)),
    constraint run_plan_has_its_size check ((plan_digest is null) = (planned_actions is null))
);
call protect('run');
grant select, insert, update on run to xavyo_reconciliation;

-- One active run per connector (R5).
create unique index run_one_active_per_connector on run (tenant_id, connector_id)
    where status in ('pending', 'running', 'paused');
-- A slot fires once, whichever replica sees it first (R9).
create unique index run_once_per_slot on run (tenant_id, schedule_id, slot_at)
    where schedule_id is not null;
-- Lists of one connector, newest first.
create index run_of_connector on run (tenant_id, connector_id, id);
-- Lists by status, newest first.
create index run_of_status on run (tenant_id, status, id);
-- The trend: each connector's last completed full run of a day.
create index run_completed_full on run (tenant_id, completed_at, connector_id)
    where status = 'completed' and mode = 'full';
