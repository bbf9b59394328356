-- Identities that were deleted: forgotten once no link and no operation needs them. Few among many.
create index identity_departed on identity (tenant_id, deleted_at) where deleted_at is not null;
