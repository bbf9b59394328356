//! Accounts: as people read them, and as TargetService sends them.

use xavyo_core::account::{Account, AccountKey};

use crate::{
    fields::Fields,
    limits,
    pb::{connector, provisioning},
    value,
};

/// What a person sees. Sensitive attributes are the caller's to mask.
pub fn to_pb(account: &Account, is_protected: bool) -> provisioning::Account {
    provisioning::Account {
        external_uid: account.external_uid.clone(),
        immutable_id: account.immutable_id.clone(),
        version: account.version.clone(),
        enabled: account.enabled,
        attributes: Some(value::attributes_to_struct(&account.attributes)),
        is_protected,
    }
}

pub fn key_to_pb(key: &AccountKey) -> connector::AccountKey {
    connector::AccountKey { external_uid: key.external_uid.clone(), immutable_id: key.immutable_id.clone() }
}

pub fn key_of_pb(fields: &mut Fields, key: connector::AccountKey) -> AccountKey {
    AccountKey {
        external_uid: fields.text("external_uid", key.external_uid, limits::UID),
        immutable_id: fields.optional_text("immutable_id", key.immutable_id, limits::UID),
    }
}

/// An account as TargetService has it.
pub fn to_target(account: &Account) -> connector::Account {
    connector::Account {
        external_uid: account.external_uid.clone(),
        immutable_id: account.immutable_id.clone(),
        version: account.version.clone(),
        enabled: account.enabled,
        attributes: value::attributes_to_list(&account.attributes),
    }
}

/// An account that a connector of somebody's own sent: it is held to the same limits as everything from outside.
pub fn of_target(fields: &mut Fields, account: connector::Account) -> Account {
    Account {
        external_uid: fields.text("external_uid", account.external_uid, limits::UID),
        immutable_id: fields.optional_text("immutable_id", account.immutable_id, limits::UID),
        version: fields.optional_text("version", account.version, limits::UID),
        enabled: account.enabled,
        attributes: value::attributes_of_list(fields, "attributes", account.attributes),
    }
}
