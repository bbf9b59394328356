-- What is older than what is kept goes, whole partitions at once.

-- The newest transaction of which moves were dropped: a resume token from before it may have missed some. One row, of no
-- tenant.
create table history_floor (
    single boolean primary key default true check (single),
    transaction_id xid8 not null
);
grant select on history_floor to xavyo_provisioning;

-- Drops the weeks that end before `before`, unless an operation that is not final (the oldest of all tenants is `oldest`) was
-- created in them or before. What is dropped is no longer counted. Runs as the owner, like ensure_partitions; a lock that
-- is not had at once is tried again later, so that nobody waits behind it.
create function drop_history(before timestamptz, oldest uuid) returns integer
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
        execute format('drop table operation_history_%1$s, execution_attempt_%1$s, operation_log_%1$s', week);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;
revoke execute on function drop_history(timestamptz, uuid) from public;
grant execute on function drop_history(timestamptz, uuid) to xavyo_provisioning;

-- Events of links that are gone are forgotten after many years.
grant delete on link_event to xavyo_provisioning;
create index link_event_of_time on link_event (tenant_id, at);

-- What followed from one cause: a run, an import, a change of an identity.
create index operation_by_cause on operation (tenant_id, cause_id, id) where cause_id is not null;
create index operation_history_by_cause on operation_history (tenant_id, cause_id, id) where cause_id is not null;
