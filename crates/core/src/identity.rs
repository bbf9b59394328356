//! Identities: the authoritative records of persons and services.

use chrono::{DateTime, Utc};

use crate::{ids::IdentityId, value::Attributes};

/// The longest `source_key`, in bytes.
pub const MAX_SOURCE_KEY: usize = 512;

#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    pub id: IdentityId,
    /// The record's key in the source that imports it; unique in the tenant.
    pub source_key: Option<String>,
    pub active: bool,
    pub attributes: Attributes,
    /// Rises by one with every change; the etag.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}
