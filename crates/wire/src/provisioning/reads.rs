//! What the records of the read streams are made of: digests, correlation keys, the end of a read.
//!
//! The two services exchange a million of these, so they are parsed without paths: a record that is not well formed is a
//! bug of the other side, not of a caller.

use xavyo_core::{Error, correlation::CorrelationKey, digest::Digest, error::Result};

use crate::pb::provisioning as pb;

pub fn digest_to_pb(digest: Digest) -> Vec<u8> {
    digest.0.to_vec()
}

pub fn digest_of_pb(bytes: &[u8]) -> Result<Digest> {
    bytes.try_into().map(Digest).map_err(|_| malformed("a digest is not 16 bytes"))
}

pub fn keys_to_pb(keys: &[CorrelationKey]) -> Vec<pb::CorrelationKey> {
    keys.iter().map(|key| pb::CorrelationKey { rule: key.rule.into(), key: key.key.to_vec() }).collect()
}

pub fn keys_of_pb(keys: &[pb::CorrelationKey]) -> Result<Vec<CorrelationKey>> {
    keys.iter().map(key_of_pb).collect()
}

fn key_of_pb(key: &pb::CorrelationKey) -> Result<CorrelationKey> {
    let rule =
        u16::try_from(key.rule).map_err(|_| malformed("a correlation rule is not a place in a policy"))?;
    let key = key.key.as_slice().try_into().map_err(|_| malformed("a correlation key is not 16 bytes"))?;
    Ok(CorrelationKey { rule, key })
}

fn malformed(what: &'static str) -> Error {
    Error::internal(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_digests_survive_the_wire() {
        let keys = [CorrelationKey { rule: 3, key: [9; 16] }];
        assert_eq!(keys_of_pb(&keys_to_pb(&keys)).unwrap(), keys);
        assert_eq!(digest_of_pb(&digest_to_pb(Digest([1; 16]))).unwrap(), Digest([1; 16]));
    }

    #[test]
    fn malformed_ones_are_refused() {
        assert!(digest_of_pb(&[0; 15]).is_err());
        assert!(keys_of_pb(&[pb::CorrelationKey { rule: -1, key: vec![0; 16] }]).is_err());
        assert!(keys_of_pb(&[pb::CorrelationKey { rule: 0, key: vec![0; 17] }]).is_err());
    }
}
