-- A reason is asked for, not demanded.
alter table ignore alter column reason drop not null;

-- Lists of one connector's ignores, newest first.
create index ignore_of_connector on ignore (tenant_id, connector_id, id);
