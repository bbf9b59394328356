//! The expected side of the digest comparison, kept beside the link with the versions that it was made from, so that a
//! run need not evaluate the mapping of an identity that has not changed.

use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    digest::Digest,
    error::Result,
    ids::{LinkId, TenantId},
};
use xavyo_runtime::db;

/// A digest and what it was computed from: it holds while both versions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedDigest {
    pub digest: Digest,
    pub identity_version: i64,
    pub revision: i32,
}

/// Stores digests; links that somebody else is just changing are passed over: the next run computes theirs again.
pub async fn save(
    tx: &mut PgConnection,
    tenant: TenantId,
    digests: &[(LinkId, ExpectedDigest)],
) -> Result<()> {
    let ids: Vec<Uuid> = digests.iter().map(|(link, _)| link.0).collect();
    let bytes: Vec<Vec<u8>> = digests.iter().map(|(_, expected)| expected.digest.0.to_vec()).collect();
    let versions: Vec<i64> = digests.iter().map(|(_, expected)| expected.identity_version).collect();
    let revisions: Vec<i32> = digests.iter().map(|(_, expected)| expected.revision).collect();
    sqlx::query!(
        "with computed as materialized (
             select link.id, given.digest, given.identity_version, given.revision
               from unnest($2::uuid[], $3::bytea[], $4::bigint[], $5::int[])
                    as given(id, digest, identity_version, revision)
               join link on link.tenant_id = $1 and link.id = given.id
                for no key update of link skip locked)
         update link
            set expected_digest = computed.digest,
                expected_identity_version = computed.identity_version,
                expected_revision = computed.revision
           from computed
          where link.tenant_id = $1 and link.id = computed.id",
        tenant.0,
        &ids,
        &bytes,
        &versions,
        &revisions,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}
