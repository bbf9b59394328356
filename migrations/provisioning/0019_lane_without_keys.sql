-- No foreign keys from lanes and their names. Each costs every enqueue a trigger and a row lock per row, and protects
-- nothing: whoever inserts a lane holds its connector's lock, a name is inserted beside its lane, and neither a lane nor
-- a connector with lanes is ever deleted while the tenant exists.
alter table lane drop constraint lane_tenant_id_connector_id_fkey;
alter table lane_alias drop constraint lane_alias_tenant_id_lane_id_fkey;
