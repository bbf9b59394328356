-- All that a run asks of an identity is kept beside its link, not only the digest: most identities are then neither read
-- nor evaluated again. What was kept before is without a format, and computed once more.
alter table link
    -- How what is kept was computed and written; another format is not read.
    add column expected_format integer,
    add column expected_in_scope boolean,
    -- The identity's correlation keys, one after the other: the rule's place in two bytes, the key in sixteen.
    add column expected_keys bytea check (length(expected_keys) % 18 = 0);
