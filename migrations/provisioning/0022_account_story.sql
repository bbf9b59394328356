-- The story of one account: what was done to it, and what is listed by its lane.
create index operation_history_by_lane on operation_history (tenant_id, lane_id, id);
-- All accounts that an identity ever had.
create index link_event_by_identity on link_event (tenant_id, identity_id);
