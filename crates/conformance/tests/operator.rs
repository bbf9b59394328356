//! A target of an operator's: qualified among accounts of others, which stay as they are.

#![expect(clippy::unwrap_used, reason = "a check that meets what it does not expect fails")]

use std::{fs, sync::Arc};

use ldap3::{Scope, SearchEntry};
use serde_json::json;
use xavyo_conformance::{operator::Operators, run};
use xavyo_sandbox::slapd::{self, BASE, CONNECTOR_DN, HOST, PEOPLE, Slapd};

/// Every entry of the directory with its version.
async fn everything(slapd: &Slapd) -> Vec<(String, Vec<String>)> {
    let mut administrator = slapd.administrator().await.unwrap();
    let found = administrator.search(BASE, Scope::Subtree, "(objectClass=*)", ["entryCSN"]).await.unwrap();
    let entries = found.success().unwrap().0.into_iter().map(SearchEntry::construct);
    let mut entries: Vec<_> = entries.map(|mut it| (it.dn, it.attrs.remove("entryCSN").unwrap())).collect();
    entries.sort();
    entries
}

#[tokio::test]
async fn a_target_is_qualified_and_left_as_it_was() {
    let slapd = Slapd::start(&slapd::Options::default()).await.unwrap();
    let others = slapd::values_by_name(&[("objectClass", "inetOrgPerson"), ("cn", "x"), ("sn", "x")]);
    for name in ["ada", "bob", "p1"] {
        let dn = format!("uid={name},{PEOPLE}");
        slapd.administrator().await.unwrap().add(&dn, others.clone()).await.unwrap().success().unwrap();
    }
    let before = everything(&slapd).await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), slapd.ca_certificates()).unwrap();
    fs::write(folder.path().join("password"), slapd.password()).unwrap();
    let file = json!({
        "connector": {
            "kind": "ldap", "host": HOST.to_string(), "port": slapd.tls_port(), "bind_dn": CONNECTOR_DN,
            "create_object_classes": ["inetOrgPerson"],
        },
        "ca_certificates_file": "ca.pem",
        "secrets": { "bind_password": { "file": "password" } },
        "base": PEOPLE,
        "object_class": "inetOrgPerson",
        "text_attribute": "displayName",
        "many_attribute": "description",
        "required": { "cn": ["conformance"], "sn": ["conformance"] },
    });
    let path = folder.path().join("target.json");
    fs::write(&path, file.to_string()).unwrap();

    let report = run(Arc::new(Operators::read(&path).unwrap()), "").await;

    report.print();
    assert!(report.failed() == 0 && report.passed() > 20, "{} failed", report.failed());
    assert_eq!(everything(&slapd).await, before);
}
