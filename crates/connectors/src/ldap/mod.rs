//! LDAP.
pub(crate) fn is_dn(_: &str) -> bool {
    true
}
pub(crate) fn is_within(_: &str, _: &str) -> bool {
    true
}
pub(crate) fn is_filter(_: &str) -> bool {
    true
}
pub(crate) fn is_attribute(_: &str) -> bool {
    true
}
