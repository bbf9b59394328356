//! The connectors of the field: careful about nothing but retries, so that everything is tried soon and again.

use xavyo_wire::pb::provisioning::{
    AllowedActions, AttributeRule, ConflictOutcome, ConflictPolicy, ConnectorMode, CorrelationPolicy,
    CorrelationRule, CreateConnectorRequest, GuardLimit, GuardPolicy, NoLimit, ObjectType, Policies,
    RetryPolicy, conflict_policy::Decision, guard_limit::Limit,
};

use super::{Kind, Target};

/// A target that says nothing for so long has lost the call.
const CALL_SECONDS: i32 = 2;

pub fn request(target: &Target, max_concurrency: i32) -> CreateConnectorRequest {
    let unlimited = Some(GuardLimit { limit: Some(Limit::None(NoLimit {})) });
    CreateConnectorRequest {
        name: target.kind.name().to_owned(),
        mode: ConnectorMode::Manual.into(),
        settings: Some(target.settings()),
        secrets: target.secrets(),
        object_types: vec![object_type(target.kind)],
        policies: Some(Policies {
            retry: Some(RetryPolicy { base_ms: Some(100), cap_ms: Some(1_000), max_retries: Some(12) }),
            allowed_actions: Some(AllowedActions { delete: Some(true), ..AllowedActions::default() }),
            guard: Some(GuardPolicy { destructive: unlimited, constructive: unlimited, four_eyes: false }),
            max_concurrency,
            call_timeout_seconds: CALL_SECONDS,
            skip_first_run: true,
            // Every update is written, in its order: merged ones would leave little to check.
            conflict_policies: [("concurrent_update".to_owned(), followed())].into(),
            ..Policies::default()
        }),
        request_id: None,
    }
}

fn followed() -> ConflictPolicy {
    ConflictPolicy { decision: Some(Decision::Outcome(ConflictOutcome::Applied.into())) }
}

fn object_type(kind: Kind) -> ObjectType {
    let rule = |name: &str, expression: &str| AttributeRule {
        name: name.to_owned(),
        expression: expression.to_owned(),
        multi_valued: name == kind.list_attribute(),
        ..AttributeRule::default()
    };
    let owner = kind.owner_attribute();
    let mut mapping = vec![rule(owner, "identity.username")];
    // What operations write explicitly: read back, and otherwise left alone.
    mapping.extend(["mail", "title", kind.list_attribute()].map(|name| rule(name, "unmanaged()")));
    if kind == Kind::Ldap {
        mapping.extend(["cn", "sn"].map(|name| rule(name, "identity.username")));
    }
    ObjectType {
        object_class: kind.object_class().to_owned(),
        naming: "identity.username".to_owned(),
        mapping,
        correlation: Some(CorrelationPolicy {
            rules: vec![CorrelationRule {
                expression: "identity.username".to_owned(),
                attribute: owner.to_owned(),
                weight: 100,
                ..CorrelationRule::default()
            }],
            threshold: 100,
        }),
        ..ObjectType::default()
    }
}
