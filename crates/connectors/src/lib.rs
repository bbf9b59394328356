//! Connectors: how target systems are read and written, one protocol per folder.
//!
//! A connector parses what a target answers into the values of core, maps every error of the protocol to one of
//! core's kinds of failure, and proves that a read was complete. It knows nothing of operations, identities,
//! tenants, our own services or databases; it never retries, never follows a referral, and never logs a value or a secret.
//!
//! Begin with [`Connector`], then [`open`]. The kinds are [`ldap`], [`scim`], [`sql`], [`remote`] and [`memory`]; [`wrappers`] compose
//! around any of them; [`egress`] says which addresses may be connected to at all.

mod changed;
mod connector;
pub mod egress;
pub mod ldap;
pub mod memory;
mod network;
mod options;
mod pool;
mod redaction;
pub mod remote;
pub mod scim;
pub mod sql;
mod validation;
pub mod wrappers;

use std::sync::Arc;

pub use connector::{
    ALL_ATTRIBUTES, AccountChange, AccountUpdate, Capabilities, ChangeItem, CheckStep, Completeness,
    Connector, MAX_PAGE, NOT_OFFERED, NewAccount, ReadItem, ReadRequest, WATERMARK_EXPIRED,
};
pub use options::{Options, Secrets};
pub use validation::{secret_fields, validate};
use xavyo_core::{Error, connector::Settings};

/// Opens a connector. Lazy: no I/O happens before its first call, so that a target that is down refuses nothing here.
///
/// Fails with the violations of [`validate`], and with a violation of `secrets.*` where a secret is missing.
pub fn open(settings: &Settings, secrets: &Secrets, options: &Options) -> Result<Arc<dyn Connector>, Error> {
    let violations = validate(settings, options);
    if !violations.is_empty() {
        return Err(Error::all_invalid(violations));
    }
    match settings {
        Settings::Ldap(settings) => Ok(Arc::new(ldap::Ldap::open(settings, secrets, options)?)),
        Settings::Sql(settings) => Ok(Arc::new(sql::Sql::open(settings, secrets, options))),
        Settings::Memory(settings) => Ok(Arc::new(memory::Memory::open(settings, options)?)),
        Settings::Scim(settings) => Ok(Arc::new(scim::Scim::open(settings, secrets, options)?)),
        Settings::Remote(settings) => Ok(Arc::new(remote::Remote::open(settings, secrets, options)?)),
    }
}
