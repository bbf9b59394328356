//! Identities.

use xavyo_core::identity::Identity;

use crate::{pb::provisioning as pb, time, value};

pub fn to_pb(identity: &Identity) -> pb::Identity {
    pb::Identity {
        id: identity.id.to_string(),
        source_key: identity.source_key.clone(),
        active: identity.active,
        attributes: Some(value::attributes_to_struct(&identity.attributes)),
        etag: identity.version.to_string(),
        created_at: Some(time::to_pb(identity.created_at)),
        updated_at: Some(time::to_pb(identity.updated_at)),
    }
}
