//! Accepting operations: checked against their connector and identity, then appended to the queue; all or none.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason, Violation,
    account::AccountState,
    cause::{Cause, CauseKind},
    change::ACCOUNT_STATE,
    connector::{Connector, Mode},
    error::Result,
    ids::{ConnectorId, IdentityId, OperationId, TenantId},
    operation::{Operation, OperationType},
};
use xavyo_runtime::{auth::Caller, db};

use super::{CreateOperation, Operations, seal, whose};
use crate::{
    accounts::uid::uid_key,
    crash::{self, Point},
    queue::{self, Enqueued, NewOperation},
    store::{
        audit::{self, Entry},
        connector, identity, operation,
        request::{self, Key},
    },
    targets,
};

impl Operations {
    /// Accepts one operation; the answer comes after it is durable.
    pub async fn create(
        &self,
        caller: &Caller,
        command: CreateOperation,
        request_id: Option<Uuid>,
    ) -> Result<Operation> {
        if let Some(accepted) = self.create_together(caller, &command, request_id).await {
            return accepted;
        }
        self.create_alone(caller, command, request_id).await
    }

    pub(super) async fn create_alone(
        &self,
        caller: &Caller,
        command: CreateOperation,
        request_id: Option<Uuid>,
    ) -> Result<Operation> {
        let made = self.accept(caller, "CreateOperation", vec![command], request_id).await?;
        made.into_iter().next().ok_or_else(|| Error::not_found("operation"))
    }

    /// Accepts many, in this order; violations name the place: `operations[7].payload`.
    pub async fn create_batch(
        &self,
        caller: &Caller,
        commands: Vec<CreateOperation>,
        request_id: Option<Uuid>,
    ) -> Result<Vec<Operation>> {
        self.accept(caller, "BatchCreateOperations", commands, request_id).await
    }

    async fn accept(
        &self,
        caller: &Caller,
        method: &'static str,
        commands: Vec<CreateOperation>,
        request_id: Option<Uuid>,
    ) -> Result<Vec<Operation>> {
        let key = Key::keyed(&self.vault.body_key(), method, request_id, &commands)?;
        let made = db::retry(|| self.try_accept(caller, method, &commands, request_id, key.as_ref())).await?;
        self.nudge.now();
        Ok(made)
    }

    async fn try_accept(
        &self,
        caller: &Caller,
        method: &'static str,
        commands: &[CreateOperation],
        request_id: Option<Uuid>,
        key: Option<&Key>,
    ) -> Result<Vec<Operation>> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        if let Some(known) = request::recall(&mut tx, &self.clock, tenant, key).await? {
            let ids: Vec<OperationId> = known.into_iter().map(OperationId).collect();
            return in_order(&mut tx, tenant, &ids).await;
        }
        let asked = Asked { commands, who: &|_| (caller, request_id), is_batch: method == BATCH };
        let made = self.append(&mut tx, tenant, &asked).await?;
        let entry = entry(method, commands, &made);
        audit::insert_asked(&mut tx, &self.clock, caller, entry, request_id).await?;
        let uuids: Vec<Uuid> = made.iter().map(|operation| operation.id.0).collect();
        request::remember(&mut tx, tenant, key, &uuids).await?;
        crash::point(Point::EnqueueWritten);
        db::commit(tx).await?;
        crash::point(Point::EnqueueCommitted);
        Ok(made)
    }

    /// Checks what is asked for and appends it to the queue. The operations as their readers see them.
    pub(super) async fn append(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        asked: &Asked<'_>,
    ) -> Result<Vec<Operation>> {
        let (mut new, connectors) = check(tx, tenant, asked).await?;
        for (operation, secret) in &mut new {
            seal::seal(tx, &self.vault, tenant, operation, secret).await?;
        }
        let new: Vec<NewOperation> = new.into_iter().map(|(operation, _)| operation).collect();
        let Enqueued { mut operations, is_unsettled } = queue::enqueue(tx, &self.clock, tenant, new).await?;
        if is_unsettled {
            let ids: Vec<OperationId> = operations.iter().map(|operation| operation.id).collect();
            return in_order(tx, tenant, &ids).await;
        }
        seal::hide(&connectors, &mut operations);
        Ok(operations)
    }
}

const BATCH: &str = "BatchCreateOperations";

/// Commands of one tenant that are accepted in one transaction, all or none.
pub(super) struct Asked<'a> {
    pub commands: &'a [CreateOperation],
    /// Who asks for the command at a place, and under which request id.
    pub who: &'a (dyn Fn(usize) -> (&'a Caller, Option<Uuid>) + Sync),
    /// Whether violations name the place.
    pub is_batch: bool,
}

/// The operations as they are now, in the order of the ids. One that retention has dropped is left out.
async fn in_order(tx: &mut PgConnection, tenant: TenantId, ids: &[OperationId]) -> Result<Vec<Operation>> {
    let found = operation::find_all(tx, tenant, ids).await?;
    let found = seal::hidden(tx, tenant, found).await?;
    let mut found: HashMap<OperationId, Operation> =
        found.into_iter().map(|operation| (operation.id, operation)).collect();
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// The audit row of what was accepted together for one caller.
pub(super) fn entry(method: &'static str, commands: &[CreateOperation], made: &[Operation]) -> Entry {
    let operations: Vec<_> = commands
        .iter()
        .zip(made)
        .map(|(command, operation)| {
            json!({
                "id": operation.id, "type": command.operation_type, "user_id": command.identity_id,
                "target_uid": command.target_uid, "attributes": command.payload.keys().collect::<Vec<_>>(),
            })
        })
        .collect();
    let connectors: BTreeSet<ConnectorId> = commands.iter().map(|command| command.connector_id).collect();
    Entry {
        method,
        resource_type: "operation",
        resource_id: match made {
            [one] => Some(one.id.0),
            _ => None,
        },
        connector_id: connectors.first().copied().filter(|_| connectors.len() == 1),
        details: json!({ "operations": operations }),
        reason: commands.first().and_then(|command| command.reason.clone()),
    }
}

/// The operations to enqueue, each with the attributes of it that are to be sealed; and their connectors.
async fn check(
    tx: &mut PgConnection,
    tenant: TenantId,
    asked: &Asked<'_>,
) -> Result<(Vec<(NewOperation, Vec<String>)>, HashMap<ConnectorId, Connector>)> {
    let commands = asked.commands;
    let people: BTreeSet<IdentityId> = commands.iter().filter_map(|command| command.identity_id).collect();
    let people: Vec<IdentityId> = people.into_iter().collect();
    let known: HashSet<IdentityId> =
        identity::find_all(tx, tenant, &people).await?.into_iter().map(|one| one.id).collect();
    // Mode and policies as they stay until the operations are in the queue.
    let wanted: BTreeSet<ConnectorId> = commands.iter().map(|command| command.connector_id).collect();
    let connectors = connector::share(tx, tenant, &Vec::from_iter(wanted)).await?;
    let foreign = whose::anothers(tx, tenant, &connectors, commands).await?;
    let mut violations = Vec::new();
    let mut new = Vec::with_capacity(commands.len());
    for (index, command) in commands.iter().enumerate() {
        let Some(connector) = connectors.get(&command.connector_id) else {
            return Err(Error::not_found("connector"));
        };
        if command.identity_id.is_some_and(|id| !known.contains(&id)) {
            return Err(Error::not_found("identity"));
        }
        permit(connector, command)?;
        let prefix = if asked.is_batch { format!("operations[{index}].") } else { String::new() };
        let faults =
            faults(connector, command).into_iter().map(|(field, expected)| (field.to_owned(), expected));
        let (secret, secret_faults) = seal::write_only(connector, command);
        let anothers = foreign.contains(&index).then(|| {
            ("target_uid".to_owned(), "the identity's own account: this one is linked to another identity")
        });
        let all = faults.chain(secret_faults).chain(anothers);
        violations.extend(all.map(|(field, expected)| Violation {
            field: format!("{prefix}{field}"),
            expected: expected.to_owned(),
        }));
        let (caller, request_id) = (asked.who)(index);
        new.push((named(caller, connector, command, request_id), secret));
    }
    if violations.is_empty() { Ok((new, connectors)) } else { Err(Error::all_invalid(violations)) }
}

/// What the connector's mode and policy say.
fn permit(connector: &Connector, command: &CreateOperation) -> Result<()> {
    if connector.mode == Mode::Observe {
        return Err(Error::new(Reason::ModeForbids, "the connector only observes; nothing is written")
            .with("mode", connector.mode.name()));
    }
    let is_own_login = |uid: &String| targets::is_own_login(&connector.settings, uid);
    if command.target_uid.as_ref().is_some_and(is_own_login) {
        return Err(Error::new(Reason::ProtectedAccount, "it is the login that the connector itself uses"));
    }
    match command.action(connector.policies.allowed_actions) {
        (_, true) => Ok(()),
        (action, false) => {
            Err(Error::new(Reason::ActionNotAllowed, format!("the connector does not allow {action}"))
                .with("action", action))
        }
    }
}

/// Fields that contradict the connector or one another.
fn faults(connector: &Connector, command: &CreateOperation) -> Vec<(&'static str, &'static str)> {
    let mut faults = Vec::new();
    if connector.object_type(&command.object_class, &command.intent).is_none() {
        faults.push(("object_class", "one of the connector's object types, with its intent"));
    }
    if command.identity_id.is_none() && command.target_uid.is_none() {
        faults.push(("user_id", "a user_id, a target_uid, or both"));
    }
    if command.payload.contains_key(ACCOUNT_STATE)
        && !matches!(command.wanted_state(), Some(AccountState::Enabled | AccountState::Disabled))
    {
        faults.push(("payload.account_state", "enabled or disabled"));
    }
    match command.operation_type {
        OperationType::Delete if !command.payload.is_empty() => {
            faults.push(("payload", "empty: a delete writes nothing"));
        }
        OperationType::Update if command.payload.is_empty() && command.identity_id.is_none() => {
            faults.push(("payload", "something to write: without a user_id it cannot be computed"));
        }
        OperationType::Create | OperationType::Update | OperationType::Delete => {}
    }
    faults
}

fn named(
    caller: &Caller,
    connector: &Connector,
    command: &CreateOperation,
    request_id: Option<Uuid>,
) -> NewOperation {
    let (kind, id) = command.cause.unwrap_or((CauseKind::Api, None));
    NewOperation {
        connector_id: connector.id,
        connector_name: connector.name.clone(),
        connector_revision: connector.revision,
        identity_id: command.identity_id,
        operation_type: command.operation_type,
        object_class: command.object_class.clone(),
        intent: command.intent.clone(),
        uid_key: command.target_uid.as_deref().map(|uid| uid_key(&connector.settings, uid)),
        target_uid: command.target_uid.clone(),
        immutable_id: command.precondition.as_ref().and_then(|one| one.immutable_id.clone()),
        payload: command.payload.clone(),
        precondition: command.precondition.clone(),
        priority: command.priority,
        max_retries: command.max_retries.unwrap_or(connector.policies.retry.max_retries),
        not_before: command.not_before,
        cause: Cause {
            kind,
            id,
            requested_by: caller.subject,
            reason: command.reason.clone(),
            trace_id: Some(caller.trace_id.clone()),
        },
        request_id,
    }
}
