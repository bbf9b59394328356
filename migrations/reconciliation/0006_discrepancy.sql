-- A discrepancy: one difference that a run found. Rows of unchanged accounts do not exist.
create table discrepancy (
    tenant_id uuid not null,
    id uuid not null,
    connector_id uuid not null,
    -- The revision of the connector that it was judged by.
    connector_revision integer not null,
    run_id uuid not null,
    discrepancy_type text not null
        check (discrepancy_type in ('missing', 'orphan', 'mismatch', 'collision', 'unlinked', 'deleted')),
    object_class text not null,
    intent text not null,

    identity_id uuid,
    external_uid text,
    immutable_id text,
    -- Of a mismatch; `account_state` is reserved for the state.
    attribute_name text,
    -- As shown: one value as text, several as a sorted JSON array, absent = null, sensitive = '***'.
    expected_value text,
    actual_value text,
    -- A collision's edges, an orphan's near matches, an unlinked account's one: identity, account, score, reasons.
    candidates jsonb not null default '[]',

    -- What is the same finding in another run: connector, type, identity, immutable id else uid, attribute and, for a
    -- mismatch, both values. Ignores and supersession go by it.
    fingerprint bytea not null check (length(fingerprint) = 16),
    first_seen_at timestamptz not null,

    suggested_action text,
    suggested_direction text,
    -- What the connector's policy would do, kept for the guard's approval.
    planned_action text,
    planned_direction text,

    resolution_status text not null default 'pending'
        check (resolution_status in ('pending', 'resolved', 'ignored')),
    -- How it was settled, in words: what remediated it, `superseded`, `no longer present`; why it is ignored.
    resolution_note text,
    -- The later finding, if that is what superseded it.
    superseded_by_id uuid,
    resolved_at timestamptz,
    -- A person, or the fixed actor of runs.
    resolved_by uuid,
    created_at timestamptz not null,
    version bigint not null default 1,

    primary key (tenant_id, id),
    foreign key (tenant_id, run_id) references run (tenant_id, id),
    constraint discrepancy_type_has_its_parts check (
        case discrepancy_type
            when 'missing' then identity_id is not null
            when 'orphan' then external_uid is not null
            when 'collision' then jsonb_array_length(candidates) > 0
            else identity_id is not null and external_uid is not null
        end),
    constraint discrepancy_mismatch_names_attribute
        check ((discrepancy_type = 'mismatch') = (attribute_name is not null)),
    constraint discrepancy_final_has_end
        check ((resolution_status = 'pending') = (resolved_at is null)),
    constraint discrepancy_resolved_says_how
        check (resolution_status <> 'resolved' or resolution_note is not null),
    constraint discrepancy_superseded_is_resolved
        check (superseded_by_id is null or resolution_status = 'resolved'),
    constraint discrepancy_suggestion_is_whole check ((suggested_action is null) = (suggested_direction is null)),
    constraint discrepancy_plan_is_whole check ((planned_action is null) = (planned_direction is null))
);
call protect('discrepancy');
-- Findings of a run that starts over are deleted while they are open; what anybody acted on stays.
grant select, insert, update, delete on discrepancy to xavyo_reconciliation;

-- A run that starts over after a crash writes no finding twice (R6). Also the lists of one run.
create unique index discrepancy_once_per_run on discrepancy (tenant_id, run_id, fingerprint);
create index discrepancy_of_run on discrepancy (tenant_id, run_id, id);
-- Lists of one connector, of one type, of one status: newest first.
create index discrepancy_of_connector on discrepancy (tenant_id, connector_id, id);
create index discrepancy_of_type on discrepancy (tenant_id, discrepancy_type, id);
create index discrepancy_of_status on discrepancy (tenant_id, resolution_status, id);
-- All findings about a person, or about an account.
create index discrepancy_of_identity on discrepancy (tenant_id, identity_id, id)
    where identity_id is not null;
create index discrepancy_of_account on discrepancy (tenant_id, external_uid, id)
    where external_uid is not null;
-- What a completed run supersedes or finds gone.
create index discrepancy_open on discrepancy (tenant_id, connector_id, fingerprint)
    where resolution_status = 'pending';
