//! The people of the field: few, so that much happens to each.

use uuid::Uuid;
use xavyo_wire::pb::{
    common::{Attribute, Value, value},
    provisioning::ImportedIdentity,
};

/// The name of a tenant's person of that number; unlike any of another tenant's.
pub fn username(tenant: Uuid, number: usize) -> String {
    format!("p{number}-{:06x}", tenant.as_u128() & 0xff_ffff)
}

pub fn imported(tenant: Uuid, number: usize) -> ImportedIdentity {
    let username = username(tenant, number);
    let attribute = |(name, text): (&str, &str)| Attribute {
        name: name.to_owned(),
        values: vec![Value { kind: Some(value::Kind::StringValue(text.to_owned())) }],
    };
    ImportedIdentity {
        source_key: username.clone(),
        active: None,
        attributes: [("username", username.as_str())].into_iter().map(attribute).collect(),
    }
}
