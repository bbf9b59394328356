//! Operations that follow from a change of an identity: as they are enqueued, and as callers are shown them.

use chrono::{DateTime, Utc};
use xavyo_core::{
    Reason,
    account::AccountKey,
    cause::Cause,
    change::{Change, Changes},
    connector::Connector,
    ids::{ConnectorId, IdentityId, OperationId},
    link::Link,
    mapping::Program,
    operation::{DEFAULT_PRIORITY, OperationType},
    value::Value,
};

use super::consequences::Write;
use crate::{accounts::uid::uid_key, queue::NewOperation, store::account::in_flight::Slot};

/// What sensitive values are shown as.
const HIDDEN: &str = "***";

/// One operation that is called for.
#[derive(Clone, Debug)]
pub struct Plan {
    slot: Slot,
    connector_name: String,
    connector_revision: i32,
    max_retries: i32,
    account: Option<AccountKey>,
    uid_key: Option<String>,
    write: Write,
    /// Of the second stage of a deprovisioning: it is not enqueued before.
    due_at: Option<DateTime<Utc>>,
    /// Attributes whose values nobody is shown.
    hidden: Vec<String>,
}

/// The same for callers: without sensitive values.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Of one that is enqueued.
    pub operation_id: Option<OperationId>,
    pub connector_id: ConnectorId,
    pub connector_name: String,
    pub operation_type: OperationType,
    pub object_class: String,
    pub intent: String,
    pub identity_id: IdentityId,
    pub target_uid: Option<String>,
    pub payload: Changes,
    pub not_before: Option<DateTime<Utc>>,
    pub is_destructive: bool,
    /// Why nothing is enqueued although it follows.
    pub refused: Option<Reason>,
}

impl Plan {
    pub(super) fn new(
        connector: &Connector,
        program: &Program,
        slot: &Slot,
        link: Option<&Link>,
        write: Write,
        due_at: Option<DateTime<Utc>>,
    ) -> Self {
        let hidden = program.object_type().mapping.iter().filter(|rule| rule.sensitive || rule.write_only);
        Self {
            slot: slot.clone(),
            connector_name: connector.name.clone(),
            connector_revision: connector.revision,
            max_retries: connector.policies.retry.max_retries,
            account: link.map(|link| link.account.clone()),
            uid_key: link.map(|link| uid_key(&connector.settings, &link.account.external_uid)),
            write,
            due_at,
            hidden: hidden.map(|rule| rule.name.clone()).collect(),
        }
    }

    /// What to enqueue now; None for what is refused, or not yet due.
    pub(super) fn operation(&self, cause: &Cause) -> Option<NewOperation> {
        self.is_for_now().then(|| NewOperation {
            connector_id: self.slot.connector_id,
            connector_name: self.connector_name.clone(),
            connector_revision: self.connector_revision,
            identity_id: Some(self.slot.identity_id),
            operation_type: self.write.operation_type,
            object_class: self.slot.object_class.clone(),
            intent: self.slot.intent.clone(),
            target_uid: self.account.as_ref().map(|account| account.external_uid.clone()),
            uid_key: self.uid_key.clone(),
            immutable_id: self.account.as_ref().and_then(|account| account.immutable_id.clone()),
            payload: self.write.payload.clone(),
            precondition: None,
            priority: DEFAULT_PRIORITY,
            max_retries: self.max_retries,
            not_before: None,
            cause: cause.clone(),
            request_id: None,
        })
    }

    fn is_for_now(&self) -> bool {
        self.write.refused.is_none() && self.due_at.is_none()
    }

    fn into_planned(self, operation_id: Option<OperationId>) -> Planned {
        let is_destructive = self.write.is_destructive();
        let mut payload = self.write.payload;
        for name in &self.hidden {
            if let Some(change) = payload.get_mut(name) {
                *change = Change::Set(vec![Value::from(HIDDEN)]);
            }
        }
        Planned {
            operation_id,
            connector_id: self.slot.connector_id,
            connector_name: self.connector_name,
            operation_type: self.write.operation_type,
            object_class: self.slot.object_class,
            intent: self.slot.intent,
            identity_id: self.slot.identity_id,
            target_uid: self.account.map(|account| account.external_uid),
            payload,
            not_before: self.due_at,
            is_destructive,
            refused: self.write.refused,
        }
    }
}

/// Plans with the ids of those that were enqueued, in their order.
pub(super) fn shown(plans: Vec<Plan>, ids: &mut impl Iterator<Item = OperationId>) -> Vec<Planned> {
    plans
        .into_iter()
        .map(|plan| {
            let id = if plan.is_for_now() { ids.next() } else { None };
            plan.into_planned(id)
        })
        .collect()
}

/// Plans that are only looked at.
pub(super) fn foreseen(plans: Vec<Plan>) -> Vec<Planned> {
    plans.into_iter().map(|plan| plan.into_planned(None)).collect()
}
