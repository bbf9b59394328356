-- The tenant is asked for once in a statement, not once in a row: a policy that compares with a sub-query has it computed
-- ahead. What it lets pass is the same.
create or replace procedure protect(tenant_table regclass)
    language plpgsql
as $$
begin
    execute format('alter table %s enable row level security', tenant_table);
    execute format('alter table %s force row level security', tenant_table);
    execute format(
        'create policy tenant on %s using (tenant_id = (select current_tenant()))
                                    with check (tenant_id = (select current_tenant()))',
        tenant_table);
end
$$;

do $$
declare
    tenant_table regclass;
begin
    for tenant_table in
        select polrelid from pg_policy where polname = 'tenant' order by polrelid
    loop
        execute format(
            'alter policy tenant on %s using (tenant_id = (select current_tenant()))
                                       with check (tenant_id = (select current_tenant()))',
            tenant_table);
    end loop;
end
$$;
