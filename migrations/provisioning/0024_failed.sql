-- Lists of what waits for its next try: few among many that are pending.
create index operation_failed on operation (tenant_id, connector_id, id) where status = 'failed';
