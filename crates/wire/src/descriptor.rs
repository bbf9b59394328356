//! Descriptor sets for reflection: each holds the files of one package and all that they import, comments included.
//! Serve [`ERROR_DETAILS`] beside them, so that tools can print the details of errors.

/// The services of `xavyo.provisioning.v1`.
pub const PROVISIONING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/provisioning.binpb"));

/// The services of `xavyo.reconciliation.v1`.
pub const RECONCILIATION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/reconciliation.binpb"));

/// `xavyo.connector.v1.TargetService`.
pub const CONNECTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/connector.binpb"));

/// `google.rpc`: Status and its details.
pub use tonic_types::pb::FILE_DESCRIPTOR_SET as ERROR_DETAILS;

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn services(set: &[u8]) -> Vec<String> {
        let set = FileDescriptorSet::decode(set).unwrap();
        let all = set.file.iter().flat_map(|file| &file.service);
        all.map(|service| service.name().to_owned()).collect()
    }

    #[test]
    fn each_set_has_its_own_services_and_no_other() {
        let provisioning = ["Account", "Audit", "Conflict", "Connector", "Identity", "Operation"];
        let reconciliation = ["Action", "Discrepancy", "Run", "Schedule"];
        let named = |nouns: &[&str]| nouns.iter().map(|noun| format!("{noun}Service")).collect::<Vec<_>>();
        assert_eq!(services(PROVISIONING), named(&provisioning));
        assert_eq!(services(RECONCILIATION), named(&reconciliation));
        assert_eq!(services(CONNECTOR), ["TargetService"]);
    }

    #[test]
    fn each_set_brings_what_it_imports() {
        for set in [PROVISIONING, RECONCILIATION, CONNECTOR] {
            let set = FileDescriptorSet::decode(set).unwrap();
            let has = |name: &String| set.file.iter().any(|file| file.name() == name);
            assert!(set.file.iter().flat_map(|file| &file.dependency).all(has));
        }
    }
}
