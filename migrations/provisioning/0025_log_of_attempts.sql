-- An attempt takes one row of the log, where it took three: one of execution_attempt, one for the claim (pending →
-- in_progress), one for the move that ended it. Readers show the claim as a move of its own, just before the other.
alter table operation_log
    -- From 1; the rest is there exactly where this is.
    add column attempt_number integer,
    add column worker_id uuid,
    add column claimed_at timestamptz,
    add column started_at timestamptz,
    add column outcome_unknown boolean,
    -- Of an attempt that failed.
    add column error_code text,
    add column error_message text;

-- What was written before. The tables are the owner's, whom row-level security binds too.
alter table operation_log no force row level security;
alter table execution_attempt no force row level security;
update operation_log ended
   set attempt_number = attempt.attempt_number,
       worker_id = attempt.worker_id,
       claimed_at = coalesce(begun."timestamp", attempt.started_at),
       started_at = attempt.started_at,
       outcome_unknown = attempt.outcome_unknown,
       error_code = attempt.error_code,
       error_message = attempt.error_message
  from execution_attempt attempt
  left join operation_log begun
    on begun.tenant_id = attempt.tenant_id and begun.operation_id = attempt.operation_id
   and begun.fence = attempt.fence and begun.event = 'claimed'
 where ended.tenant_id = attempt.tenant_id and ended.operation_id = attempt.operation_id
   and ended.fence = attempt.fence and ended.from_status = 'in_progress';
delete from operation_log where event = 'claimed';
alter table operation_log force row level security;
drop table execution_attempt;

alter table operation_log add check (
    case when attempt_number is null
         then (worker_id, claimed_at, started_at, outcome_unknown, error_code, error_message) is null
         else (worker_id, claimed_at, started_at, outcome_unknown, fence) is not null
              and attempt_number >= 1 and from_status = 'in_progress'
    end);

-- One try to execute an operation.
create view execution_attempt with (security_invoker = true) as
    select tenant_id, operation_id, attempt_number, fence, worker_id, started_at, "timestamp" as completed_at,
           error_code is null as success, error_code, error_message, outcome_unknown
      from operation_log
     where attempt_number is not null;
grant select on execution_attempt to xavyo_provisioning;

-- Every move by itself, for those who read the log with SQL; of the two with one id the claim is the first.
create view operation_move with (security_invoker = true) as
    select tenant_id, operation_id, id, connector_id, "timestamp", level, message, event, from_status, to_status,
           actor, fence, transaction_id, false as is_claim
      from operation_log
     union all
    select tenant_id, operation_id, id, connector_id, claimed_at, 'info', 'attempt ' || attempt_number, 'claimed',
           'pending', 'in_progress', null, fence, transaction_id, true
      from operation_log
     where attempt_number is not null;
grant select on operation_move to xavyo_provisioning;

-- Makes the weekly partitions (weeks since the epoch, UTC) from `since` to `through`. Programs own nothing, so they call
-- this, which runs as the owner. A week whose rows already lie in the default partition stays there.
create or replace function ensure_partitions(since timestamptz, through timestamptz) returns integer
    language plpgsql security definer set search_path = public, pg_temp
as $$
declare
    week constant bigint := 7 * 24 * 3600;
    starts bigint := floor(extract(epoch from since) / week) * week;
    parent text;
    child text;
    made integer := 0;
begin
    -- One at a time: replicas start together.
    perform pg_advisory_xact_lock(hashtext('ensure_partitions'));
    while starts <= extract(epoch from through) loop
        foreach parent in array array['operation_history', 'operation_log'] loop
            child := parent || '_' || to_char(to_timestamp(starts) at time zone 'utc', 'YYYYMMDD');
            if to_regclass(child) is null then
                begin
                    execute format('create table %I partition of %I for values from (%L) to (%L)', child, parent,
                        uuid_floor(to_timestamp(starts)), uuid_floor(to_timestamp(starts + week)));
                    call protect(child::regclass);
                    made := made + 1;
                exception when check_violation then
                    raise warning '% keeps its rows in the default partition', child;
                end;
            end if;
        end loop;
        starts := starts + week;
    end loop;
    return made;
end
$$;
-- Drops the weeks that end before `before`, unless an operation that is not final (the oldest of all tenants is `oldest`) was
-- created in them or before. What is dropped is no longer counted. Runs as the owner, like ensure_partitions; a lock that
-- is not had at once is tried again later, so that nobody waits behind it.
create or replace function drop_history(before timestamptz, oldest uuid) returns integer
    language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '2s'
as $$
declare
    week text;
    ends uuid;
    of_tenant uuid;
    newest xid8;
    dropped integer := 0;
begin
    -- No row of any other table may be seen: the tenant is set below, one after the other.
    perform pg_advisory_xact_lock(hashtext('ensure_partitions'));
    for week in
        select right(c.relname, 8)
          from pg_inherits i
          join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'operation_history'::regclass and c.relname ~ '^operation_history_[0-9]{8}$'
         order by 1
    loop
        ends := uuid_floor((to_date(week, 'YYYYMMDD')::timestamp at time zone 'utc') + interval '7 days');
        exit when ends > uuid_floor(before) or ends > oldest;
        execute format('alter table operation_history_%s no force row level security', week);
        for of_tenant in execute format('select distinct tenant_id from operation_history_%s', week) loop
            perform set_config('xavyo.tenant', of_tenant::text, true);
            execute format(
                'insert into operation_delta (tenant_id, id, connector_id, status, period, n)
                 select tenant_id, gen_random_uuid(), connector_id, status, ''epoch'', -count(*)
                   from operation_history_%s
                  where tenant_id = $1
                  group by tenant_id, connector_id, status', week) using of_tenant;
        end loop;
        perform set_config('xavyo.tenant', '', true);
        execute format('alter table operation_log_%s no force row level security', week);
        newest := null;
        execute format(
            'select transaction_id from operation_log_%s order by transaction_id desc limit 1', week) into newest;
        if newest is not null then
            insert into history_floor (transaction_id) values (newest)
            on conflict (single) do update
               set transaction_id = greatest(history_floor.transaction_id, excluded.transaction_id);
        end if;
        execute format('drop table operation_history_%1$s, operation_log_%1$s', week);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;
