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
