//! How large the parts of a request may be. All are bytes of UTF-8 unless they say otherwise; docs/api.md lists them.

/// Names of connectors.
pub const NAME: usize = 128;
/// Reasons that people give.
pub const REASON: usize = 1_024;
/// Notes on resolutions.
pub const NOTES: usize = 4_096;
/// `external_uid`, immutable ids and versions of accounts.
pub const UID: usize = 1_024;
/// Names of attributes, object classes and intents.
pub const ATTRIBUTE_NAME: usize = 256;
/// CEL expressions; `core` measures them again when it compiles.
pub const EXPRESSION: usize = xavyo_core::mapping::MAX_SOURCE;
/// Settings: hosts, DNs, filters, URLs.
pub const SETTING: usize = 4_096;
/// Statements of SQL connectors.
pub const STATEMENT: usize = 16_384;
/// PEM certificates.
pub const CERTIFICATES: usize = 65_536;
/// One secret.
pub const SECRET: usize = 16_384;
/// One value of an attribute.
pub const VALUE: usize = 65_536;
/// Attributes of one identity, account or operation, counted.
pub const ATTRIBUTES: usize = 1_000;
/// Values of one attribute, counted.
pub const VALUES: usize = 100_000;
/// All attributes of one identity or operation together.
pub const ATTRIBUTES_TOTAL: usize = 1_048_576;
/// Items of a batch, counted.
pub const BATCH: usize = 1_000;
/// Items of a bulk remediation, counted.
pub const BULK: usize = 100;
/// Items of a page, counted.
pub const PAGE: usize = 1_000;
/// A page where the request names no size, counted.
pub const DEFAULT_PAGE: usize = 50;
/// Lists inside settings and object types, counted.
pub const LISTED: usize = 1_000;
