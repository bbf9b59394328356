//! The demo's connector: who should have an account, what it looks like, how a stray one is recognised.

use anyhow::{Context, Result};
use xavyo_wire::pb::{
    common::MatchingRule,
    google::FieldMask,
    provisioning::{
        AllowedActions, AttributeRule, Connector, ConnectorMode, CorrelationPolicy, CorrelationRule,
        CreateConnectorRequest, GuardLimit, GuardPolicy, NoLimit, ObjectType, Policies,
        UpdateConnectorRequest, guard_limit::Limit,
    },
};

use crate::{
    api::Api,
    target::{Column, Target},
};

/// An account that shows an identity's employee number and mail is surely that person's.
const WEIGHTS: [(Column, &str, i32); 2] =
    [(Column::EmployeeNumber, "identity.employee_number", 60), (Column::Mail, "identity.mail", 40)];
/// The employee number alone is enough, the mail alone is not.
const THRESHOLD: i32 = 60;

/// Makes the connector, with accounts made by themselves from the first identity on.
pub async fn create(api: &Api, target: &Target) -> Result<String> {
    let (settings, secrets) = target.settings();
    let request = CreateConnectorRequest {
        name: target.name().to_owned(),
        mode: ConnectorMode::Enforce.into(),
        settings: Some(settings),
        secrets,
        object_types: vec![object_type(target)],
        policies: Some(policies()),
        request_id: None,
    };
    let created = api.connectors.clone().create_connector(request).await?.into_inner();
    Ok(created.connector.context("the answer has the connector")?.id)
}

/// Only explicit operations and remediation from now on.
pub async fn stop_enforcing(api: &Api, connector_id: &str) -> Result<()> {
    let connector =
        Connector { id: connector_id.to_owned(), mode: ConnectorMode::Manual.into(), ..Connector::default() };
    let update_mask = Some(FieldMask { paths: vec!["mode".to_owned()] });
    let request = UpdateConnectorRequest { connector: Some(connector), update_mask, secrets: None };
    api.connectors.clone().update_connector(request).await?;
    Ok(())
}

fn object_type(target: &Target) -> ObjectType {
    let rules = WEIGHTS.into_iter().map(|(column, expression, weight)| CorrelationRule {
        expression: expression.to_owned(),
        attribute: target.attribute(column).to_owned(),
        weight,
        ..CorrelationRule::default()
    });
    ObjectType {
        object_class: target.object_class().to_owned(),
        scope: "identity.employment == 'employee'".to_owned(),
        naming: "identity.username".to_owned(),
        mapping: Column::ALL.into_iter().map(|column| rule(target, column)).collect(),
        correlation: Some(CorrelationPolicy { rules: rules.collect(), threshold: THRESHOLD }),
        ..ObjectType::default()
    }
}

fn rule(target: &Target, column: Column) -> AttributeRule {
    let matching = match column {
        Column::Mail => MatchingRule::CaseInsensitive,
        Column::Phone => MatchingRule::Phone,
        Column::FullName
        | Column::GivenName
        | Column::FamilyName
        | Column::Title
        | Column::Department
        | Column::City
        | Column::Office
        | Column::EmployeeNumber => MatchingRule::Exact,
    };
    AttributeRule {
        name: target.attribute(column).to_owned(),
        expression: column.expression().to_owned(),
        matching: matching.into(),
        ..AttributeRule::default()
    }
}

/// The demo deletes orphans and duplicates, and does within a minute what the guard would spread over days.
fn policies() -> Policies {
    let unlimited = Some(GuardLimit { limit: Some(Limit::None(NoLimit {})) });
    Policies {
        allowed_actions: Some(AllowedActions { delete: Some(true), ..AllowedActions::default() }),
        guard: Some(GuardPolicy { destructive: unlimited, constructive: unlimited, four_eyes: false }),
        skip_first_run: true,
        ..Policies::default()
    }
}
