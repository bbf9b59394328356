//! What an identity calls for, kept beside its link with the versions that it was computed from, so that a run need neither
//! read nor evaluate an identity that has not changed.

use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    correlation::CorrelationKey,
    digest::Digest,
    error::Result,
    ids::{LinkId, TenantId},
};
use xavyo_runtime::db;

/// Counts up with every change in how expressions are evaluated, or values normalised, hashed or written: then what was
/// kept before does not match what is computed now of the other side.
pub const FORMAT: i32 = 1;

/// A key in bytes: the rule's place, then its hash.
const KEY: usize = 18;

/// What is expected of the account of an identity: nothing of it unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub in_scope: bool,
    pub digest: Digest,
    pub keys: Vec<CorrelationKey>,
}

/// Computed for a link, from that version of its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    pub link_id: LinkId,
    pub identity_version: i64,
    pub kept: Kept,
}

/// Stores what was computed by that revision of the connector. Links that somebody else is just changing are passed over:
/// the next run computes theirs again.
pub async fn save(tx: &mut PgConnection, tenant: TenantId, revision: i32, fresh: &[Fresh]) -> Result<()> {
    let ids: Vec<Uuid> = fresh.iter().map(|fresh| fresh.link_id.0).collect();
    let versions: Vec<i64> = fresh.iter().map(|fresh| fresh.identity_version).collect();
    let in_scope: Vec<bool> = fresh.iter().map(|fresh| fresh.kept.in_scope).collect();
    let digests: Vec<Vec<u8>> = fresh.iter().map(|fresh| fresh.kept.digest.0.to_vec()).collect();
    let keys: Vec<Vec<u8>> = fresh.iter().map(|fresh| bytes_of_keys(&fresh.kept.keys)).collect();
    sqlx::query!(
        "with computed as materialized (
             select link.id, given.identity_version, given.in_scope, given.digest, given.keys
               from unnest($2::uuid[], $3::bigint[], $4::boolean[], $5::bytea[], $6::bytea[])
                    as given(id, identity_version, in_scope, digest, keys)
               join link on link.tenant_id = $1 and link.id = given.id
                for no key update of link skip locked)
         update link
            set kept_in_scope = computed.in_scope,
                kept_digest = computed.digest,
                kept_keys = computed.keys,
                kept_identity_version = computed.identity_version,
                kept_revision = $7,
                kept_format = $8
           from computed
          where link.tenant_id = $1 and link.id = computed.id",
        tenant.0,
        &ids,
        &versions,
        &in_scope,
        &digests,
        &keys,
        revision,
        FORMAT,
    )
    .execute(tx)
    .await
    .map_err(db::failed)?;
    Ok(())
}

impl Kept {
    /// From its columns. None where they hold something else.
    pub fn read(in_scope: Option<bool>, digest: Option<&[u8]>, keys: Option<&[u8]>) -> Option<Self> {
        let digest = Digest(digest?.try_into().ok()?);
        Some(Self { in_scope: in_scope?, digest, keys: keys_of_bytes(keys?)? })
    }
}

fn bytes_of_keys(keys: &[CorrelationKey]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.rule.to_be_bytes().into_iter().chain(key.key)).collect()
}

fn keys_of_bytes(bytes: &[u8]) -> Option<Vec<CorrelationKey>> {
    let (keys, rest) = bytes.as_chunks::<KEY>();
    let key = |bytes: &[u8; KEY]| {
        let (rule, key) = bytes.split_first_chunk::<2>()?;
        Some(CorrelationKey { rule: u16::from_be_bytes(*rule), key: key.try_into().ok()? })
    };
    keys.iter().map(key).collect::<Option<_>>().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_bytes() {
        let keys = vec![
            CorrelationKey { rule: 0, key: [7; 16] },
            CorrelationKey { rule: 15, key: std::array::from_fn(|at| u8::try_from(at).unwrap()) },
        ];
        let bytes = bytes_of_keys(&keys);
        assert_eq!(keys_of_bytes(&bytes), Some(keys));
        assert_eq!(keys_of_bytes(&bytes[1..]), None);
        assert_eq!(keys_of_bytes(&[]), Some(Vec::new()));
    }
}
