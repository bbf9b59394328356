//! The closed lists of the contract: each enum of `core` and its numbers on the wire.

use xavyo_core::{
    account::AccountState,
    cause::CauseKind,
    conflict::ConflictOutcome,
    connector::{
        Authority, InitialPassword, LdapDialect, LdapTls, MatchingRule, Mode, Normaliser, OnDeadLetter,
        SqlDialect,
    },
    discrepancy::{DiscrepancyType, ResolutionStatus},
    operation::{HoldReason, OperationStatus, OperationType},
    remediation::{RemediationAction, RemediationDirection},
    run::{PauseReason, Phase, ReconciliationMode, RunStatus},
    schedule::ScheduleFrequency,
};

use crate::pb::{common, provisioning, reconciliation};

/// An enum that the contract has too. 0, `_UNSPECIFIED`, is none of its values.
pub trait Numbered: Copy + Sized {
    /// Its number on the wire.
    fn number(self) -> i32;

    /// The value with that number, if there is one.
    fn numbered(number: i32) -> Option<Self>;

    /// The names that the contract gives to its values.
    fn choices() -> Vec<&'static str>;
}

macro_rules! numbered {
    ($($type:ident = $pb:path { $($variant:ident),+ $(,)? })+) => {$(
        impl Numbered for $type {
            fn number(self) -> i32 {
                use $pb as Pb;
                i32::from(match self { $(Self::$variant => Pb::$variant),+ })
            }

            fn numbered(number: i32) -> Option<Self> {
                use $pb as Pb;
                match Pb::try_from(number) {
                    $(Ok(Pb::$variant) => Some(Self::$variant),)+
                    Ok(Pb::Unspecified) | Err(_) => None,
                }
            }

            fn choices() -> Vec<&'static str> {
                use $pb as Pb;
                [$(Pb::$variant),+].iter().map(Pb::as_str_name).collect()
            }
        }
    )+};
}

numbered! {
    AccountState = common::AccountState { Enabled, Disabled, Absent }
    MatchingRule = common::MatchingRule { Exact, CaseInsensitive, Spaces, Phone, Dn, Boolean, Timestamp }
    DiscrepancyType = common::DiscrepancyType { Missing, Orphan, Mismatch, Collision, Unlinked, Deleted }
    RemediationAction = common::RemediationAction { Create, Update, Delete, Link, Unlink, InactivateIdentity }
    RemediationDirection = common::RemediationDirection { XavyoToTarget, TargetToXavyo }

    Mode = provisioning::ConnectorMode { Observe, Manual, Enforce }
    LdapTls = provisioning::LdapTls { Ldaps, StartTls, None }
    LdapDialect = provisioning::LdapDialect { Detect, OpenLdap, Dirsrv389, ActiveDirectory }
    SqlDialect = provisioning::SqlDialect { Postgres, Mysql }
    Authority = provisioning::Authority { Xavyo, Target, None }
    Normaliser = provisioning::Normaliser { Text, Exact, Phone }
    OnDeadLetter = provisioning::OnDeadLetter { Hold, Continue }
    InitialPassword = provisioning::InitialPassword { Generate, FromOperation, None }
    OperationType = provisioning::OperationType { Create, Update, Delete }
    OperationStatus = provisioning::OperationStatus {
        Pending, InProgress, Completed, Failed, DeadLetter, AwaitingSystem, Resolved, Cancelled,
    }
    HoldReason = provisioning::HoldReason { Guard, Conflict }
    CauseKind = provisioning::CauseKind {
        Api, IdentityChange, Import, ConnectorRevision, Run, Remediation, Revert,
    }
    ConflictOutcome = provisioning::ConflictOutcome { Applied, Superseded, Merged, Rejected }

    ReconciliationMode = reconciliation::ReconciliationMode { Full, Delta }
    RunStatus = reconciliation::ReconciliationRunStatus {
        Pending, Running, Completed, Failed, Cancelled, Paused,
    }
    Phase = reconciliation::RunPhase { Prepare, Read, Compare, Guard, Remediate, Report }
    PauseReason = reconciliation::PauseReason { User, Guard, Connector }
    ResolutionStatus = reconciliation::ResolutionStatus { Pending, Resolved, Ignored }
    ScheduleFrequency = reconciliation::ScheduleFrequency { Hourly, Daily, Weekly, Monthly, Cron }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_value_under_the_same_name() {
        for (index, status) in OperationStatus::ALL.into_iter().enumerate() {
            assert_eq!(OperationStatus::numbered(status.number()), Some(status));
            let named = OperationStatus::choices()[index].strip_prefix("OPERATION_STATUS_").unwrap();
            assert_eq!(named.to_lowercase(), status.name());
        }
        assert_eq!(OperationStatus::numbered(0), None);
        assert_eq!(OperationStatus::numbered(99), None);
    }
}
