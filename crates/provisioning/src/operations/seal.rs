//! What of an operation nobody may read. Values of write-only attributes are sealed when they are accepted; sensitive
//! values stay readable for the worker, and are hidden from whoever is answered.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use xavyo_core::{
    change::Change,
    connector::{Connector, InitialPassword},
    error::Result,
    ids::{ConnectorId, TenantId},
    operation::{Operation, OperationType},
    sealed::HIDDEN,
    value::Value,
};

use super::CreateOperation;
use crate::{queue::NewOperation, secrets::Vault, store::connector};

/// The write-only attributes that a command gives values to, as its object type's mapping spells them; and what is wrong
/// about them.
pub(super) fn write_only(
    connector: &Connector,
    command: &CreateOperation,
) -> (Vec<String>, Vec<(String, &'static str)>) {
    let rules = connector.object_type(&command.object_class, &command.intent).map(|kind| &kind.mapping);
    let mut names = Vec::new();
    let mut faults = Vec::new();
    for rule in rules.into_iter().flatten().filter(|rule| rule.write_only) {
        for given in command.payload.keys().filter(|given| given.eq_ignore_ascii_case(&rule.name)) {
            let field = format!("payload.{given}");
            if *given != rule.name {
                faults.push((
                    field,
                    "the attribute as the mapping spells it: what is secret must be known as such",
                ));
            } else if is_given_in_vain(connector, command) {
                faults.push((field, "absent: the connector's initial_password is not from_operation"));
            } else {
                names.push(given.clone());
            }
        }
    }
    (names, faults)
}

/// Only where the policy says so does a new account get what cannot be read back from its operation.
fn is_given_in_vain(connector: &Connector, command: &CreateOperation) -> bool {
    command.operation_type == OperationType::Create
        && connector.policies.initial_password != InitialPassword::FromOperation
}

/// Seals the named attributes of an operation that is about to be enqueued.
pub(super) async fn seal(
    tx: &mut PgConnection,
    vault: &Vault,
    tenant: TenantId,
    operation: &mut NewOperation,
    names: &[String],
) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let sealer = vault.sealer(tx, tenant, operation.connector_id).await?;
    let account = operation.identity_id.map(|id| id.to_string()).or_else(|| operation.target_uid.clone());
    let account = account.unwrap_or_default();
    for name in names {
        if let Some(change) = operation.payload.get_mut(name) {
            *change = change.try_map(|value| sealer.seal(name, &account, value))?;
        }
    }
    Ok(())
}

/// Hides what is sensitive in operations that were just accepted, under their connectors as they stand.
pub(super) fn hide(connectors: &HashMap<ConnectorId, Connector>, operations: &mut [Operation]) {
    for operation in operations {
        let Some(connector) = connectors.get(&operation.connector_id) else { continue };
        let kind = connector.object_type(&operation.object_class, &operation.intent);
        for rule in kind.iter().flat_map(|kind| &kind.mapping).filter(|rule| rule.sensitive) {
            for (name, change) in &mut operation.payload {
                if name.eq_ignore_ascii_case(&rule.name) {
                    *change = Change::Set(vec![Value::from(HIDDEN)]);
                }
            }
        }
    }
}

/// The operations as their readers see them: without the values of attributes that were sensitive when they were
/// accepted, or are now.
pub(crate) async fn hidden(
    tx: &mut PgConnection,
    tenant: TenantId,
    mut operations: Vec<Operation>,
) -> Result<Vec<Operation>> {
    let revisions: HashSet<(ConnectorId, i32)> = operations
        .iter()
        .filter(|operation| !operation.payload.is_empty())
        .map(|operation| (operation.connector_id, operation.connector_revision))
        .collect();
    if revisions.is_empty() {
        return Ok(operations);
    }
    let revisions = Vec::from_iter(revisions);
    let sensitive = connector::sensitive_attributes(tx, tenant, &revisions).await?;
    for operation in &mut operations {
        for (name, change) in &mut operation.payload {
            let is_sensitive = sensitive.iter().any(|of| {
                of.connector_id == operation.connector_id.0
                    && of.object_class == operation.object_class
                    && of.intent == operation.intent
                    && of.attribute.eq_ignore_ascii_case(name)
            });
            if is_sensitive {
                *change = Change::Set(vec![Value::from(HIDDEN)]);
            }
        }
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use xavyo_core::change::Changes;

    use super::*;
    use crate::testing::object_type;

    fn command(payload: Changes) -> CreateOperation {
        CreateOperation {
            connector_id: ConnectorId(uuid::Uuid::nil()),
            identity_id: None,
            operation_type: OperationType::Update,
            object_class: "account".to_owned(),
            intent: "default".to_owned(),
            target_uid: Some("ann".to_owned()),
            priority: 50,
            max_retries: None,
            payload,
            precondition: None,
            not_before: None,
            reason: None,
            cause: None,
        }
    }

    fn connector(initial_password: InitialPassword) -> Connector {
        let mut kind = object_type();
        kind.mapping[0].name = "password".to_owned();
        kind.mapping[0].write_only = true;
        let draft = crate::testing::connector("c", xavyo_core::connector::Mode::Manual, 0);
        let mut policies = draft.policies;
        policies.initial_password = initial_password;
        Connector {
            id: ConnectorId(uuid::Uuid::nil()),
            name: draft.name,
            mode: draft.mode,
            settings: draft.settings,
            object_types: vec![kind],
            policies,
            revision: 1,
            paused: false,
            pause_reason: None,
            first_full_run_at: None,
            version: 1,
            created_at: chrono::DateTime::UNIX_EPOCH,
            updated_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    fn set(name: &str) -> Changes {
        Changes::from([(name.to_owned(), Change::Set(vec![Value::from("x")]))])
    }

    #[test]
    fn a_new_account_takes_a_password_only_where_the_policy_says_so() {
        let create = CreateOperation { operation_type: OperationType::Create, ..command(set("password")) };
        for (policy, taken) in [
            (InitialPassword::FromOperation, true),
            (InitialPassword::Generate, false),
            (InitialPassword::None, false),
        ] {
            let (names, faults) = write_only(&connector(policy), &create);
            assert_eq!((names.len(), faults.len()), if taken { (1, 0) } else { (0, 1) }, "{policy:?}");
            let (names, _) = write_only(&connector(policy), &command(set("password")));
            assert_eq!(names, ["password"], "an update may always set one");
        }
    }

    #[test]
    fn another_spelling_is_no_way_around_the_seal() {
        let (names, faults) = write_only(&connector(InitialPassword::None), &command(set("PassWord")));
        assert!(names.is_empty());
        assert_eq!(faults[0].0, "payload.PassWord");
    }
}
