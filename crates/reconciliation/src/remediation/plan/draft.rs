//! The operations that plans ask for, each with the premise under which it may write.

use xavyo_core::{
    account::{Account, AccountState},
    change::{ACCOUNT_STATE, Change, Changes},
    effect,
    ids::IdentityId,
    mapping::Program,
    operation::{OperationType, Precondition},
    value::Value,
};

use crate::provisioning::operation::Draft;

/// A new account, computed from the identity when the operation is claimed.
pub(super) fn create(identity: IdentityId, precondition: Precondition) -> Draft {
    Draft {
        operation_type: OperationType::Create,
        identity_id: Some(identity),
        target_uid: None,
        payload: Changes::new(),
        precondition,
    }
}

/// Changes of an identity's linked account, as long as it shows what was seen of the attributes that are written.
pub(super) fn update(program: &Program, identity: IdentityId, account: &Account, payload: Changes) -> Draft {
    Draft {
        operation_type: OperationType::Update,
        identity_id: Some(identity),
        target_uid: None,
        precondition: Precondition { linked: Some(true), ..as_seen(program, account, &payload) },
        payload,
    }
}

/// An account without owner is disabled, as long as it is what was seen.
pub(super) fn disable(program: &Program, account: &Account) -> Draft {
    let payload = to_state(AccountState::Disabled);
    Draft {
        operation_type: OperationType::Update,
        identity_id: None,
        target_uid: Some(account.external_uid.clone()),
        precondition: as_seen(program, account, &payload),
        payload,
    }
}

/// That very account goes: by its immutable id, and linked as it is.
pub(super) fn delete(identity: Option<IdentityId>, account: &Account) -> Draft {
    Draft {
        operation_type: OperationType::Delete,
        identity_id: identity,
        target_uid: Some(account.external_uid.clone()),
        payload: Changes::new(),
        precondition: Precondition {
            immutable_id: account.immutable_id.clone(),
            linked: identity.map(|_| true),
            ..Precondition::default()
        },
    }
}

pub(super) fn to_state(state: AccountState) -> Changes {
    Changes::from([(ACCOUNT_STATE.to_owned(), Change::Set(vec![Value::from(state.name())]))])
}

/// The identity is active.
pub(super) fn active() -> Precondition {
    Precondition { identity_active: Some(true), ..Precondition::default() }
}

fn as_seen(program: &Program, account: &Account, payload: &Changes) -> Precondition {
    let shown = effect::digest_of(program, payload.keys().map(String::as_str), account);
    Precondition {
        immutable_id: account.immutable_id.clone(),
        attributes_digest: Some(shown.to_string()),
        ..Precondition::default()
    }
}
