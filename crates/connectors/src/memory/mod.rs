//! Memory.
pub(crate) const MAX_GENERATED: i64 = 10_000_000;
pub(crate) const FAULTS: &str = "";
pub(crate) fn is_store_name(_: &str) -> bool { true }
pub(crate) fn is_fault(_: &str, _: &str) -> bool { true }
