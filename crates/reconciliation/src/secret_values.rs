//! What stands for the values of sensitive attributes where two findings are compared: a keyed hash, from which nobody
//! without the key can find out the value by trying.

use std::fmt;

use xavyo_core::{comparison::Difference, ids::TenantId, value::display};
use xavyo_runtime::MasterKeys;

/// Cheap to clone.
#[derive(Clone)]
pub struct SecretValues {
    key: [u8; 32],
}

impl SecretValues {
    pub fn new(keys: &MasterKeys) -> Self {
        Self { key: keys.derive("xavyo reconciliation sensitive values v1") }
    }

    /// Expected and actual value as a fingerprint takes them: as text, or hashed where they are sensitive.
    pub fn of(&self, tenant: TenantId, difference: &Difference) -> (Option<String>, Option<String>) {
        let (expected, actual) = (display(&difference.expected), display(&difference.actual));
        if !difference.is_sensitive {
            return (expected, actual);
        }
        let hashed = |text: String| {
            let mut hasher = blake3::Hasher::new_keyed(&self.key);
            hasher.update(tenant.0.as_bytes());
            hasher.update(difference.attribute.as_bytes());
            hasher.update(&[0]);
            hasher.update(text.as_bytes());
            hasher.finalize().to_hex().to_string()
        };
        (expected.map(hashed), actual.map(hashed))
    }
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValues(***)")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use xavyo_core::value::Value;

    use super::*;

    fn difference(is_sensitive: bool) -> Difference {
        Difference {
            attribute: "pin".to_owned(),
            expected: vec![Value::from("1234")],
            actual: Vec::new(),
            is_sensitive,
        }
    }

    #[test]
    fn a_sensitive_value_is_never_shown_and_differs_between_tenants() {
        let values = SecretValues { key: [7; 32] };
        let (one, other) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
        let (shown, absent) = values.of(one, &difference(true));
        assert!(shown.as_ref().is_some_and(|text| !text.contains("1234")));
        assert_eq!(absent, None);
        assert_ne!(values.of(other, &difference(true)).0, shown);
        assert_eq!(values.of(one, &difference(false)).0.as_deref(), Some("1234"));
    }
}
