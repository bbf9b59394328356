//! Links: which account of a connector belongs to which identity.

use chrono::{DateTime, Utc};

use crate::{
    account::AccountKey,
    ids::{ConnectorId, IdentityId, LaneId, LinkId},
};

/// Unique per (connector, object class, intent, identity) and per (connector, account).
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub id: LinkId,
    pub connector_id: ConnectorId,
    pub object_class: String,
    /// Which of several accounts of one identity this is; `default` unless said otherwise.
    pub intent: String,
    pub identity_id: IdentityId,
    pub lane_id: LaneId,
    pub account: AccountKey,
    /// We disabled the account: only then may policy enable it again.
    pub disabled_by_us: bool,
    /// When a staged deprovisioning deletes the account.
    pub deprovision_due_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}
