//! Links.

use xavyo_core::link::Link;

use crate::{pb::provisioning as pb, time};

pub fn to_pb(link: &Link) -> pb::Link {
    pb::Link {
        id: link.id.to_string(),
        connector_id: link.connector_id.to_string(),
        object_class: link.object_class.clone(),
        intent: link.intent.clone(),
        identity_id: link.identity_id.to_string(),
        external_uid: link.account.external_uid.clone(),
        immutable_id: link.account.immutable_id.clone(),
        lane_id: link.lane_id.to_string(),
        disabled_by_us: link.disabled_by_us,
        deprovision_due_at: link.deprovision_due_at.map(time::to_pb),
        etag: etag(link).to_string(),
        created_at: Some(time::to_pb(link.created_at)),
        updated_at: Some(time::to_pb(link.updated_at)),
    }
}

/// A link's version is the microsecond of its last change: what [`crate::fields::Fields::etag`] is compared with.
pub fn etag(link: &Link) -> i64 {
    link.updated_at.timestamp_micros()
}
