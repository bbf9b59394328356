//! Who may depend on whom, as `cargo metadata` tells it: dependencies point down only.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Findings;
use crate::cargo::cargo;

/// A crate of the workspace, the crates of the workspace below it, and those it may use in its tests besides.
struct Layer {
    name: &'static str,
    below: &'static [&'static str],
    in_tests: &'static [&'static str],
}

const LAYERS: [Layer; 10] = [
    Layer { name: "xavyo-core", below: &[], in_tests: &[] },
    Layer { name: "xavyo-wire", below: &["xavyo-core"], in_tests: &[] },
    Layer { name: "xavyo-runtime", below: &["xavyo-core"], in_tests: &["xavyo-sandbox", "xavyo-wire"] },
    Layer {
        name: "xavyo-connectors",
        below: &["xavyo-core", "xavyo-wire"],
        in_tests: &["xavyo-conformance", "xavyo-sandbox"],
    },
    Layer {
        name: "xavyo-provisioning",
        below: &["xavyo-core", "xavyo-wire", "xavyo-runtime", "xavyo-connectors"],
        in_tests: &["xavyo-sandbox"],
    },
    // Not the connectors: it reaches targets through provisioning alone.
    Layer {
        name: "xavyo-reconciliation",
        below: &["xavyo-core", "xavyo-wire", "xavyo-runtime"],
        in_tests: &["xavyo-sandbox"],
    },
    // Never a service: it starts them as child processes.
    Layer { name: "xavyo-sandbox", below: &["xavyo-wire", "xavyo-runtime"], in_tests: &[] },
    // Judges connectors alone, on the sandbox's servers.
    Layer {
        name: "xavyo-conformance",
        below: &["xavyo-core", "xavyo-connectors", "xavyo-sandbox"],
        in_tests: &[],
    },
    Layer {
        name: "xavyo-tests",
        below: &["xavyo-core", "xavyo-wire", "xavyo-runtime", "xavyo-connectors", "xavyo-sandbox"],
        in_tests: &[],
    },
    Layer { name: "xavyo-xtask", below: &[], in_tests: &[] },
];

/// Crates that decisions must not know: `core` does no I/O.
const NOT_IN_CORE: [&str; 5] = ["tokio", "tonic", "sqlx", "prost", "reqwest"];
/// Crates that nothing may bring in: TLS and cryptography are ring's and RustCrypto's, nothing links OpenSSL.
const NOWHERE: [&str; 5] = ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];

pub fn check() -> Result<Findings> {
    let output = cargo().args(["metadata", "--format-version=1", "--locked"]).output()?;
    if !output.status.success() {
        bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is JSON")?;
    let mut findings = Findings::new();
    for package in workspace_packages(&metadata) {
        findings.extend(check_package(package));
    }
    findings.extend(check_graph(&metadata));
    Ok(findings)
}

fn workspace_packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    let members: BTreeSet<&str> = list(&metadata["workspace_members"]).filter_map(Value::as_str).collect();
    list(&metadata["packages"]).filter(move |package| members.contains(text(&package["id"])))
}

fn check_package(package: &Value) -> Findings {
    let name = text(&package["name"]);
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        return vec![format!("{name} is in no layer: give it a row in xtask's table")];
    };
    list(&package["dependencies"])
        .filter_map(|dependency| {
            let (used, kind) = (text(&dependency["name"]), dependency["kind"].as_str());
            let allowed = if used.starts_with("xavyo-") {
                layer.below.contains(&used) || (kind == Some("dev") && layer.in_tests.contains(&used))
            } else {
                name != "xavyo-core" || !NOT_IN_CORE.contains(&used)
            };
            (!allowed).then(|| {
                format!("{name} must not depend on {used} ({} dependency)", kind.unwrap_or("normal"))
            })
        })
        .collect()
}

/// The banned crates, with who brings them in.
fn check_graph(metadata: &Value) -> Findings {
    let names: std::collections::BTreeMap<&str, &str> =
        list(&metadata["packages"]).map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let name_of = |id: &Value| names.get(text(id)).copied().unwrap_or_default();
    list(&metadata["resolve"]["nodes"])
        .flat_map(|node| list(&node["deps"]).map(move |dependency| (&node["id"], &dependency["pkg"])))
        .filter(|(_, used)| NOWHERE.contains(&name_of(used)))
        .map(|(user, used)| format!("{} brings in {}, which is banned", name_of(user), name_of(used)))
        .collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dependency_that_points_up_is_found() {
        let package = |name: &str, used: &str, kind: Option<&str>| {
            check_package(&json!({ "name": name, "dependencies": [{ "name": used, "kind": kind }] })).len()
        };

        assert_eq!(package("xavyo-core", "xavyo-wire", None), 1);
        assert_eq!(package("xavyo-core", "tokio", Some("dev")), 1);
        assert_eq!(package("xavyo-sandbox", "xavyo-provisioning", Some("dev")), 1);
        assert_eq!(package("xavyo-reconciliation", "xavyo-connectors", None), 1);
        assert_eq!(package("xavyo-provisioning", "xavyo-sandbox", None), 1);
        assert_eq!(package("xavyo-unheard-of", "serde", None), 1);

        assert_eq!(package("xavyo-provisioning", "xavyo-sandbox", Some("dev")), 0);
        assert_eq!(package("xavyo-wire", "xavyo-core", None), 0);
    }
}
