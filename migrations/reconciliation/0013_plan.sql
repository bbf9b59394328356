-- The plan of a run, as the guard weighs it and an approval names it.

-- What the guard counts a planned row as; null where nothing is written to a target. Known only while the row is made: it
-- depends on the attribute's values, which may be sensitive.
alter table discrepancy
    add column planned_effect text check (planned_effect in ('destructive', 'constructive')),
    add constraint discrepancy_only_plans_have_an_effect check (planned_effect is null or planned_action is not null);

-- The plan of one run, in order: it is weighed, shown to its approver, and carried out row by row.
create index discrepancy_planned on discrepancy (tenant_id, run_id, id)
    where planned_action is not null;

-- A plan that waits says until when.
alter table run
    add constraint run_approval_has_its_limit
        check (pause_reason is distinct from 'guard' or (plan_digest is not null and approval_expires_at is not null));
