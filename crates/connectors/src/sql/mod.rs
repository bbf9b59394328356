//! SQL.
pub(crate) fn is_identifier(_: &str) -> bool {
    true
}
