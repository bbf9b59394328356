//! The ids of everything, each a type of its own so that none is passed for another. All are UUIDv7, made by the
//! runtime's clock: their order is the order of creation.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

id! {
    /// A customer. Every row, query and call belongs to exactly one.
    TenantId,
    /// A person, service or fixed system actor that asked for something.
    SubjectId,
    ConnectorId,
    IdentityId,
    LinkId,
    /// An account's queue. Kept over link, unlink and rename, so it outlives every name of the account.
    LaneId,
    OperationId,
    ConflictId,
    RunId,
    DiscrepancyId,
    ScheduleId,
    /// One process of a service.
    WorkerId,
}

impl SubjectId {
    /// The fixed actor in whose name schedules start runs.
    pub const SCHEDULE: Self = Self(Uuid::from_u128(0x0000_0000_0000_8000_8000_0000_0000_0001));
    /// The fixed actor in whose name a connector's policies act: remediation by a run, automatic operations.
    pub const POLICY: Self = Self(Uuid::from_u128(0x0000_0000_0000_8000_8000_0000_0000_0002));
}
