//! Who is in the table, what it should show of them, and how it drifts.

use xavyo_wire::pb::provisioning::{
    AllowedActions, AttributeRule, ConnectorMode, CorrelationPolicy, CorrelationRule, CreateConnectorRequest,
    GuardLimit, GuardPolicy, NoLimit, ObjectType, Policies, guard_limit::Limit,
};

use super::Target;

/// They get accounts by themselves.
pub const STAFF: &[&str] = &["fine", "changed", "vanished", "doubled"];

/// They should have accounts, and nobody makes them.
pub const NEWCOMERS: &[&str] = &["missing", "unlinked"];

/// Each of the six kinds of drift once; that somebody is missing needs no doing.
pub const DRIFT: &[&str] = &[
    "update people set mail = 'other@example.org' where login = 'changed'",
    "delete from people where login = 'vanished'",
    "insert into people (login, owner, mail) values ('doubled.old', 'doubled', 'doubled@example.org')",
    "insert into people (login, owner, mail) values ('unlinked', 'unlinked', 'unlinked@example.org')",
    "insert into people (login, owner, mail) values ('stray', 'nobody', 'stray@example.org')",
];

/// Enforcing, and careful about nothing.
pub fn connector(target: &Target) -> CreateConnectorRequest {
    let unlimited = Some(GuardLimit { limit: Some(Limit::None(NoLimit {})) });
    let rule = |name: &str, expression: &str| AttributeRule {
        name: name.to_owned(),
        expression: expression.to_owned(),
        ..AttributeRule::default()
    };
    CreateConnectorRequest {
        name: "people".to_owned(),
        mode: ConnectorMode::Enforce.into(),
        settings: Some(target.settings()),
        object_types: vec![ObjectType {
            object_class: target.kind.object_class().to_owned(),
            naming: "identity.username".to_owned(),
            mapping: vec![
                rule("owner", "identity.username"),
                rule("mail", "identity.username + '@example.org'"),
            ],
            correlation: Some(CorrelationPolicy {
                rules: vec![CorrelationRule {
                    expression: "identity.username".to_owned(),
                    attribute: "owner".to_owned(),
                    weight: 100,
                    ..CorrelationRule::default()
                }],
                threshold: 100,
            }),
            ..ObjectType::default()
        }],
        policies: Some(Policies {
            allowed_actions: Some(AllowedActions { delete: Some(true), ..AllowedActions::default() }),
            guard: Some(GuardPolicy { destructive: unlimited, constructive: unlimited, four_eyes: false }),
            skip_first_run: true,
            ..Policies::default()
        }),
        ..CreateConnectorRequest::default()
    }
}
