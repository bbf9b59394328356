//! What the rules of a connector say of one identity, evaluated dry: nothing is stored, no target is asked.

use xavyo_core::{
    Error,
    connector::ObjectType,
    error::Result,
    identity::Identity,
    ids::{ConnectorId, IdentityId, TenantId},
    mapping::{Evaluation, Expected, ExpectedValue, Program, References},
    sealed::HIDDEN,
    value::{Attributes, Value},
};
use xavyo_runtime::Caller;

use super::Connectors;
use crate::store::{connector, identity, link};

/// Whom to evaluate, by which rules.
#[derive(Clone, Debug)]
pub struct PreviewMapping {
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub intent: String,
    pub subject: Subject,
    /// In place of the stored rules.
    pub object_type: Option<ObjectType>,
}

#[derive(Clone, Debug)]
pub enum Subject {
    Stored(IdentityId),
    /// An active identity that need not exist, and has no other accounts.
    Given(Attributes),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    pub scope: Evaluation,
    /// Of a new account; the error is the naming expression's.
    pub name: Result<String, String>,
    pub attributes: Vec<AttributePreview>,
    pub correlation: Vec<CorrelationPreview>,
    pub threshold: i32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AttributePreview {
    pub name: String,
    pub expression: String,
    /// Sensitive values hidden. The error says where the expression failed.
    pub value: Result<ExpectedValue, String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CorrelationPreview {
    pub attribute: String,
    pub expression: String,
    pub weight: i32,
    pub keys: Result<Vec<String>, String>,
}

impl Connectors {
    pub async fn preview_mapping(&self, caller: &Caller, command: PreviewMapping) -> Result<Preview> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let connector = connector::get(&mut tx, tenant, command.connector_id).await?;
        let (identity, references) = match &command.subject {
            Subject::Stored(id) => {
                let identity = identity::get(&mut tx, tenant, *id).await?;
                let references = references(&mut tx, tenant, *id).await?;
                (identity, references)
            }
            Subject::Given(attributes) => (self.imagined(attributes.clone()), References::default()),
        };
        drop(tx);
        let programs = self.targets.programs();
        let program = if let Some(object_type) = command.object_type {
            let compiled = programs.run(move || Program::compile(&object_type)).await?;
            compiled.map_err(|error| error.under("object_type"))?
        } else {
            let rules = programs.of(tenant, &connector).await?;
            let program = rules.program(&command.object_class, &command.intent);
            let expected = "one of the connector's object types, with its intent";
            Program::clone(program.ok_or_else(|| Error::invalid("object_class", expected))?)
        };
        programs.run(move || preview(&program, &identity, &references)).await
    }

    fn imagined(&self, attributes: Attributes) -> Identity {
        let now = self.clock.now();
        Identity {
            id: IdentityId(self.clock.new_id()),
            source_key: None,
            active: true,
            attributes,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }
}

async fn references(
    tx: &mut sqlx::PgConnection,
    tenant: TenantId,
    identity: IdentityId,
) -> Result<References> {
    let mut references = References::default();
    for (_, connector, account) in link::references(tx, tenant, &[identity]).await? {
        references.0.entry(connector).or_insert(account);
    }
    Ok(references)
}

fn preview(program: &Program, identity: &Identity, references: &References) -> Preview {
    let object_type = program.object_type();
    let expected = program.expected(identity, references);
    let keys = program.readable_keys_of_identity(identity);
    Preview {
        scope: program.scope(identity),
        name: program.name(identity, 0),
        attributes: attributes(object_type, &expected),
        correlation: correlation(object_type, keys),
        threshold: object_type.correlation.threshold,
    }
}

fn attributes(object_type: &ObjectType, expected: &Expected) -> Vec<AttributePreview> {
    let value = |name: &str, is_hidden: bool| match expected.attributes.get(name) {
        Some(ExpectedValue::Values(_)) if is_hidden => Ok(ExpectedValue::Values(vec![Value::from(HIDDEN)])),
        Some(value) => Ok(value.clone()),
        None => {
            let failure = expected.failures.iter().find(|(attribute, _)| attribute == name);
            Err(failure.map_or_else(|| "it was not evaluated".to_owned(), |(_, message)| message.clone()))
        }
    };
    let preview = object_type.mapping.iter().map(|rule| AttributePreview {
        value: value(&rule.name, rule.sensitive || rule.write_only),
        name: rule.name.clone(),
        expression: rule.expression.clone(),
    });
    preview.collect()
}

fn correlation(object_type: &ObjectType, keys: Vec<Result<Vec<String>, String>>) -> Vec<CorrelationPreview> {
    let is_hidden = |attribute: &str| {
        let rule = object_type.mapping.iter().find(|rule| rule.name.eq_ignore_ascii_case(attribute));
        rule.is_some_and(|rule| rule.sensitive || rule.write_only)
    };
    let hidden = |keys: Vec<String>| keys.iter().map(|_| HIDDEN.to_owned()).collect();
    let rules = object_type.correlation.rules.iter().zip(keys);
    let preview = rules.map(|(rule, keys)| CorrelationPreview {
        keys: if is_hidden(&rule.attribute) { keys.map(hidden) } else { keys },
        attribute: rule.attribute.clone(),
        expression: rule.expression.clone(),
        weight: rule.weight,
    });
    preview.collect()
}
