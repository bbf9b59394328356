-- Tenancy. Every tenant table has row-level security enabled AND forced, with the policy that current_tenant() names the
-- row's tenant. The owner runs migrations and owns everything; programs log in as members of xavyo_reconciliation,
-- which owns nothing, may not bypass row-level security, and is granted each table below, verb by verb.
do $$
begin
    if not exists (select from pg_roles where rolname = 'xavyo_reconciliation') then
        create role xavyo_reconciliation nologin nosuperuser nobypassrls;
    end if;
end
$$;

-- The tenant of the transaction. After `set local` the setting reads as '' in the next transaction, hence nullif:
-- no tenant matches no row.
create function current_tenant() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('xavyo.tenant', true), '')::uuid;

-- Called once for each tenant table by the migration that creates it.
create procedure protect(tenant_table regclass)
    language plpgsql
as $$
begin
    execute format('alter table %s enable row level security', tenant_table);
    execute format('alter table %s force row level security', tenant_table);
    execute format(
        'create policy tenant on %s using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())',
        tenant_table);
end
$$;

-- No program may call it: it is for migrations.
revoke execute on procedure protect(regclass) from public;
