//! Which role may call which method: one row for every RPC of both services, and nobody may call what has no row.
//!
//! A test compares the rows with the contract, so an RPC cannot be added without deciding who may call it. Where the
//! role alone does not decide (ResumeRun: resuming is the operator's, approving the approver's), the row names all who
//! may come in, and the use case asks further.

use xavyo_core::{Error, Reason, error::Result, role::Role};

/// One RPC.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// With its package: `xavyo.provisioning.v1.ConflictService`.
    pub service: &'static str,
    pub method: &'static str,
    pub shape: Shape,
    pub access: Access,
}

/// Unary calls have a deadline; streams last as long as both sides want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Unary,
    Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Without a token. For health, because load balancers and supervisors have none; and for reflection, because the
    /// contract that it shows is public, and tools ask for it before they send a token. Neither touches a tenant.
    Open,
    /// Callers with at least one of these.
    Roles(&'static [Role]),
}

impl Rule {
    /// The path of the HTTP/2 request: `/package.Service/Method`.
    pub fn path(&self) -> String {
        format!("/{}/{}", self.service, self.method)
    }

    /// PERMISSION_DENIED unless one of `roles` is in the row.
    pub fn admit(&self, roles: &[Role]) -> Result<()> {
        match self.access {
            Access::Open => Ok(()),
            Access::Roles(allowed) if allowed.iter().any(|role| roles.contains(role)) => Ok(()),
            Access::Roles(allowed) => {
                let names: Vec<_> = allowed.iter().map(|role| role.name()).collect();
                Err(forbidden().with("roles", names.join(",")))
            }
        }
    }
}

/// The row of a path. None: nobody may call it.
pub fn rule(path: &str) -> Option<&'static Rule> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    RULES.iter().find(|rule| rule.service == service && rule.method == method)
}

/// What a caller gets whose roles do not suffice, or who calls what has no row.
pub(crate) fn forbidden() -> Error {
    Error::new(Reason::RoleForbids, "the caller's roles do not allow this method")
}

const fn unary(service: &'static str, method: &'static str, roles: &'static [Role]) -> Rule {
    Rule { service, method, shape: Shape::Unary, access: Access::Roles(roles) }
}

const fn stream(service: &'static str, method: &'static str, roles: &'static [Role]) -> Rule {
    Rule { service, method, shape: Shape::Stream, access: Access::Roles(roles) }
}

const fn open(service: &'static str, method: &'static str, shape: Shape) -> Rule {
    Rule { service, method, shape, access: Access::Open }
}

/// Reads.
const READ: &[Role] = &[Role::Admin, Role::Operator, Role::Approver, Role::Auditor, Role::Service];
/// What shapes the system: connectors, identities.
const SHAPE: &[Role] = &[Role::Admin];
/// Day-to-day work: runs, remediation, retry, cancel, resolve.
const OPERATE: &[Role] = &[Role::Admin, Role::Operator];
/// Letting pass what the guard holds.
const APPROVE: &[Role] = &[Role::Admin, Role::Approver];
/// Either of the two before, decided by the use case or harmless for both.
const DECIDE: &[Role] = &[Role::Admin, Role::Operator, Role::Approver];
/// What a remediation, acting for an operator, does to an identity.
const SHAPE_OR_SERVICE: &[Role] = &[Role::Admin, Role::Service];
/// What an operator does by hand and reconciliation does for one.
const OPERATE_OR_SERVICE: &[Role] = &[Role::Admin, Role::Operator, Role::Service];

const CONNECTOR: &str = "xavyo.provisioning.v1.ConnectorService";
const IDENTITY: &str = "xavyo.provisioning.v1.IdentityService";
const ACCOUNT: &str = "xavyo.provisioning.v1.AccountService";
const OPERATION: &str = "xavyo.provisioning.v1.OperationService";
const CONFLICT: &str = "xavyo.provisioning.v1.ConflictService";
const AUDIT: &str = "xavyo.provisioning.v1.AuditService";
const RUN: &str = "xavyo.reconciliation.v1.RunService";
const DISCREPANCY: &str = "xavyo.reconciliation.v1.DiscrepancyService";
const SCHEDULE: &str = "xavyo.reconciliation.v1.ScheduleService";
const ACTION: &str = "xavyo.reconciliation.v1.ActionService";
const HEALTH: &str = "grpc.health.v1.Health";

/// The whole table.
pub const RULES: &[Rule] = &[
    unary(CONNECTOR, "CreateConnector", SHAPE),
    unary(CONNECTOR, "GetConnector", READ),
    unary(CONNECTOR, "ListConnectors", READ),
    unary(CONNECTOR, "UpdateConnector", SHAPE),
    unary(CONNECTOR, "DeleteConnector", SHAPE),
    unary(CONNECTOR, "CheckConnection", OPERATE_OR_SERVICE),
    unary(CONNECTOR, "DiscoverSchema", OPERATE),
    unary(CONNECTOR, "PreviewMapping", READ),
    unary(CONNECTOR, "GetConnectorHealth", READ),
    unary(CONNECTOR, "PauseConnector", OPERATE),
    unary(CONNECTOR, "ResumeConnector", OPERATE),
    unary(CONNECTOR, "RotateSecrets", SHAPE),
    unary(IDENTITY, "CreateIdentity", SHAPE_OR_SERVICE),
    unary(IDENTITY, "GetIdentity", READ),
    unary(IDENTITY, "ListIdentities", READ),
    unary(IDENTITY, "UpdateIdentity", SHAPE_OR_SERVICE),
    unary(IDENTITY, "InactivateIdentity", SHAPE_OR_SERVICE),
    unary(IDENTITY, "ReactivateIdentity", SHAPE),
    unary(IDENTITY, "DeleteIdentity", SHAPE),
    stream(IDENTITY, "ImportIdentities", SHAPE),
    unary(ACCOUNT, "ListLinks", READ),
    unary(ACCOUNT, "GetAccount", READ),
    unary(ACCOUNT, "ExplainAccount", READ),
    unary(ACCOUNT, "ListAccountEvents", READ),
    unary(ACCOUNT, "LinkAccount", OPERATE_OR_SERVICE),
    unary(ACCOUNT, "UnlinkAccount", OPERATE_OR_SERVICE),
    unary(ACCOUNT, "BatchGetAccounts", OPERATE_OR_SERVICE),
    unary(ACCOUNT, "RefreshLinks", SHAPE_OR_SERVICE),
    unary(ACCOUNT, "RecordCompletedRun", SHAPE_OR_SERVICE),
    stream(ACCOUNT, "ReadTargetAccounts", OPERATE_OR_SERVICE),
    stream(ACCOUNT, "ReadExpectedAccounts", OPERATE_OR_SERVICE),
    unary(OPERATION, "CreateOperation", OPERATE_OR_SERVICE),
    unary(OPERATION, "BatchCreateOperations", OPERATE_OR_SERVICE),
    unary(OPERATION, "GetOperation", READ),
    unary(OPERATION, "ListOperations", READ),
    unary(OPERATION, "ListDeadLetterGroups", READ),
    unary(OPERATION, "RetryOperation", OPERATE),
    unary(OPERATION, "CancelOperation", OPERATE_OR_SERVICE),
    unary(OPERATION, "ResolveOperation", OPERATE),
    unary(OPERATION, "BatchRetryOperations", OPERATE),
    unary(OPERATION, "ListHeldOperations", READ),
    unary(OPERATION, "ReleaseHeldOperations", APPROVE),
    unary(OPERATION, "CancelHeldOperations", DECIDE),
    unary(OPERATION, "RegisterApprovedPlan", SHAPE_OR_SERVICE),
    unary(OPERATION, "RevertOperations", OPERATE),
    unary(OPERATION, "ListOperationLogs", READ),
    unary(OPERATION, "ListExecutionAttempts", READ),
    unary(OPERATION, "GetQueueStatistics", READ),
    stream(OPERATION, "WatchOperations", READ),
    unary(CONFLICT, "ListConflicts", READ),
    unary(CONFLICT, "GetConflict", READ),
    unary(CONFLICT, "ResolveConflict", OPERATE),
    unary(AUDIT, "ListAuditEvents", READ),
    unary(AUDIT, "VerifyAudit", READ),
    unary(RUN, "StartRun", OPERATE),
    unary(RUN, "GetRun", READ),
    unary(RUN, "ListRuns", READ),
    unary(RUN, "PauseRun", OPERATE),
    unary(RUN, "ResumeRun", DECIDE),
    unary(RUN, "CancelRun", DECIDE),
    unary(RUN, "GetReport", READ),
    stream(RUN, "WatchRun", READ),
    unary(DISCREPANCY, "ListDiscrepancies", READ),
    unary(DISCREPANCY, "GetDiscrepancy", READ),
    unary(DISCREPANCY, "PreviewRemediation", READ),
    unary(DISCREPANCY, "RemediateDiscrepancy", OPERATE),
    unary(DISCREPANCY, "BulkRemediateDiscrepancies", OPERATE),
    unary(DISCREPANCY, "IgnoreDiscrepancy", OPERATE),
    unary(DISCREPANCY, "ListIgnores", READ),
    unary(DISCREPANCY, "DeleteIgnore", OPERATE),
    unary(DISCREPANCY, "GetDiscrepancyTrend", READ),
    unary(SCHEDULE, "GetSchedule", READ),
    unary(SCHEDULE, "PutSchedule", OPERATE),
    unary(SCHEDULE, "DeleteSchedule", OPERATE),
    unary(SCHEDULE, "EnableSchedule", OPERATE),
    unary(SCHEDULE, "DisableSchedule", OPERATE),
    unary(SCHEDULE, "ListSchedules", READ),
    unary(ACTION, "ListActions", READ),
    unary(ACTION, "VerifyActions", READ),
    open(HEALTH, "Check", Shape::Unary),
    open(HEALTH, "Watch", Shape::Stream),
    open("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo", Shape::Stream),
    open("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo", Shape::Stream),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_has_no_row_is_denied_to_everybody() {
        for path in
            ["", "/", "x", "/xavyo.provisioning.v1.ConnectorService/DropConnector", "//CreateConnector"]
        {
            assert!(rule(path).is_none(), "{path}");
        }
    }

    #[test]
    fn each_method_has_one_row() {
        let paths: BTreeSet<_> = RULES.iter().map(Rule::path).collect();

        assert_eq!(paths.len(), RULES.len());
        assert!(paths.iter().all(|path| rule(path).is_some()));
    }

    #[test]
    fn only_health_and_reflection_are_open() {
        let open: BTreeSet<_> =
            RULES.iter().filter(|rule| rule.access == Access::Open).map(|rule| rule.service).collect();

        assert!(open.iter().all(|service| service.starts_with("grpc.")), "{open:?}");
        assert!(RULES.iter().all(|rule| rule.service.starts_with("grpc.") == (rule.access == Access::Open)));
    }

    /// S2, the rows by what they say: an admin may do everything, an auditor reads and nothing else.
    #[test]
    fn an_admin_may_call_everything_and_an_auditor_only_reads() {
        const READS: [&str; 9] =
            ["Get", "List", "Preview", "Explain", "Watch", "Verify", "Check", "Server", "BatchGet"];
        for rule in RULES {
            assert!(rule.admit(&[Role::Admin]).is_ok(), "{}", rule.path());
            let is_read = READS.iter().any(|verb| rule.method.starts_with(verb));
            assert!(is_read || rule.admit(&[Role::Auditor]).is_err(), "{}", rule.path());
        }
    }

    #[test]
    fn no_role_and_the_wrong_role_are_refused_with_the_roles_that_would_do() {
        let release = rule("/xavyo.provisioning.v1.OperationService/ReleaseHeldOperations").unwrap();

        for roles in [&[][..], &[Role::Operator], &[Role::Service, Role::Auditor]] {
            let refusal = release.admit(roles).unwrap_err();
            assert_eq!(refusal.reason, Reason::RoleForbids);
            assert_eq!(refusal.facts, [("roles", "admin,approver".to_owned())]);
        }
        assert!(release.admit(&[Role::Auditor, Role::Approver]).is_ok());
    }
}
