//! Items of a run's plan that a person has approved: the guard lets exactly these pass, each once.

use crate::{
    cause::CauseKind,
    ids::{DiscrepancyId, IdentityId, RunId},
    operation::{Operation, OperationType},
};

/// One effect on one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedItem {
    pub run_id: RunId,
    pub discrepancy_id: DiscrepancyId,
    pub operation_type: OperationType,
    pub object_class: String,
    pub intent: String,
    /// At least one of identity and uid.
    pub identity_id: Option<IdentityId>,
    pub external_uid: Option<String>,
    pub immutable_id: Option<String>,
}

impl ApprovedItem {
    /// Whether the operation is this item: asked for by its run or as a remediation, of the same kind, and the same in all
    /// that the item names. With an immutable id, an operation that does not insist on it is another.
    pub fn covers(&self, operation: &Operation) -> bool {
        let is_asked_for = match operation.cause.kind {
            CauseKind::Run => operation.cause.id == Some(self.run_id.0),
            CauseKind::Remediation => true,
            CauseKind::Api
            | CauseKind::IdentityChange
            | CauseKind::Import
            | CauseKind::ConnectorRevision
            | CauseKind::Revert => false,
        };
        let immutable_id = operation.precondition.as_ref().and_then(|premise| premise.immutable_id.as_ref());
        is_asked_for
            && self.operation_type == operation.operation_type
            && self.object_class == operation.object_class
            && self.intent == operation.intent
            && agrees(self.identity_id.as_ref(), operation.identity_id.as_ref())
            && agrees(self.external_uid.as_ref(), operation.target_uid.as_ref())
            && agrees(self.immutable_id.as_ref(), immutable_id)
    }
}

fn agrees<T: PartialEq>(named: Option<&T>, actual: Option<&T>) -> bool {
    named.is_none() || named == actual
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        cause::Cause,
        ids::SubjectId,
        operation::{Precondition, samples},
    };

    fn item() -> ApprovedItem {
        ApprovedItem {
            run_id: RunId(Uuid::from_u128(7)),
            discrepancy_id: DiscrepancyId(Uuid::from_u128(8)),
            operation_type: OperationType::Delete,
            object_class: "account".to_owned(),
            intent: "default".to_owned(),
            identity_id: None,
            external_uid: Some("ann".to_owned()),
            immutable_id: Some("i1".to_owned()),
        }
    }

    fn delete(kind: CauseKind, id: u128) -> Operation {
        Operation {
            operation_type: OperationType::Delete,
            precondition: Some(Precondition {
                immutable_id: Some("i1".to_owned()),
                ..Precondition::default()
            }),
            cause: Cause {
                kind,
                id: Some(Uuid::from_u128(id)),
                requested_by: SubjectId::POLICY,
                reason: None,
                trace_id: None,
            },
            ..samples::update()
        }
    }

    #[test]
    fn an_item_covers_its_own_operation_and_no_other() {
        let own = delete(CauseKind::Run, 7);
        assert!(item().covers(&own));
        assert!(item().covers(&delete(CauseKind::Remediation, 99)));
        for (why, other) in [
            ("another run's", delete(CauseKind::Run, 9)),
            ("a call's", delete(CauseKind::Api, 7)),
            ("another effect", Operation { operation_type: OperationType::Update, ..own.clone() }),
            ("another account", Operation { target_uid: Some("bob".to_owned()), ..own.clone() }),
            ("an account that only has the name", Operation { precondition: None, ..own.clone() }),
        ] {
            assert!(!item().covers(&other), "{why}");
        }
    }
}
