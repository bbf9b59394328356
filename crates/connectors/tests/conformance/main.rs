//! Every kind passes the one suite, and what one kind alone can show.
//!
//! The suite is `xavyo-conformance`'s; its cases are listed by `cargo xtask conformance`. `only_*` hold the rest: limits
//! and hidden subtrees of directories, column types of tables, faults on demand of the memory kind. [`fake`] is a
//! directory that answers as no real one can be made to.

#![expect(clippy::unwrap_used, reason = "a check that meets what it does not expect fails")]

mod fake;
mod only_ldap;
mod only_memory;
mod only_mysql;
mod only_scim;
mod only_sql;
mod overlays;
mod pages;
mod target;

use xavyo_conformance::{kinds, run};

/// Starts the kind's server and walks the list.
async fn conforms(name: &str) {
    let (_, start) = kinds::ALL.iter().find(|(known, _)| *known == name).expect("the kind is in the list");
    let report = run(start().await.unwrap(), "").await;
    report.print();
    assert_eq!(report.failed(), 0);
    assert!(report.passed() > 20);
}

#[tokio::test]
async fn memory_passes_the_suite() {
    conforms("memory").await;
}

#[tokio::test]
async fn postgres_passes_the_suite() {
    conforms("postgres").await;
}

#[tokio::test]
async fn mariadb_passes_the_suite() {
    conforms("mariadb").await;
}

#[tokio::test]
async fn statements_of_postgres_pass_the_suite() {
    conforms("postgres-statements").await;
}

#[tokio::test]
async fn statements_of_mariadb_pass_the_suite() {
    conforms("mariadb-statements").await;
}

#[tokio::test]
async fn scim_passes_the_suite() {
    conforms("scim").await;
}

#[tokio::test]
async fn scim_by_cursors_and_client_credentials_passes_the_suite() {
    conforms("scim-cursors").await;
}

#[tokio::test]
async fn scim_that_says_little_passes_the_suite() {
    conforms("scim-terse").await;
}

#[tokio::test]
async fn scim_without_patch_and_versions_passes_the_suite() {
    conforms("scim-put").await;
}

#[tokio::test]
async fn ldap_passes_the_suite() {
    conforms("ldap").await;
}

#[tokio::test]
async fn ldap_over_starttls_passes_the_suite() {
    conforms("ldap-starttls").await;
}

#[tokio::test]
async fn ldap_over_tls_passes_the_suite() {
    conforms("ldaps").await;
}
