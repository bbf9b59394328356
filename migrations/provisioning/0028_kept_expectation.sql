-- All that a run asks of an identity is kept beside its link, not only the digest: most identities are then neither read
-- nor evaluated again. What was kept before is without a format, and computed once more. The names are new, so that a process
-- of the release before, still running, cannot renew a part of it: its runs fail instead.
alter table link rename column expected_digest to kept_digest;
alter table link rename column expected_identity_version to kept_identity_version;
alter table link rename column expected_revision to kept_revision;
alter table link
    -- How what is kept was computed and written; another format is not read.
    add column kept_format integer,
    add column kept_in_scope boolean,
    -- The identity's correlation keys, one after the other: the rule's place in two bytes, the key in sixteen.
    add column kept_keys bytea check (length(kept_keys) % 18 = 0);
