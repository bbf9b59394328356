-- The request_id that a change was asked for with, so that a caller finds what its call has done.
alter table audit_event add column request_id uuid;

-- The story of one person.
create index audit_event_by_subject on audit_event (tenant_id, subject, id);
