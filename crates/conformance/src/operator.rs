//! A target that an operator wants to qualify, from a file.
//!
//! ```json
//! {
//!   "connector": {"kind": "ldap", "host": "ldap.example.org", "port": 636, "tls": "ldaps",
//!                 "bind_dn": "cn=xavyo,dc=example,dc=org", "create_object_classes": ["inetOrgPerson"]},
//!   "ca_certificates_file": "ca.pem",
//!   "secrets": {"bind_password": {"file": "/run/secrets/ldap"}},
//!   "base": "ou=conformance,dc=example,dc=org",
//!   "object_class": "inetOrgPerson",
//!   "text_attribute": "displayName",
//!   "many_attribute": "description",
//!   "required": {"cn": ["conformance"], "sn": ["conformance"]}
//! }
//! ```
//!
//! `connector` is a connector's settings as xavyo keeps them; what is left out is as a new connector has it. A secret is
//! named by a `file` or by an `env` variable and never stands in the file itself. For a directory, `base` is where
//! accounts are made and all that is read; a table is named by its settings. Accounts get names of their own
//! (`xv0123abcd-…`); nothing else is written, and everything that was made is removed.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use xavyo_connectors::{Options, Secrets, secret_fields, validate};
use xavyo_core::{connector::Settings, value::Attributes};

use crate::{Kind, Place, Words};

/// The place that a file describes.
#[derive(Debug)]
pub struct Operators(Place);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    connector: Map<String, Json>,
    ca_certificates_file: Option<PathBuf>,
    #[serde(default)]
    secrets: BTreeMap<String, Json>,
    base: Option<String>,
    object_class: String,
    text_attribute: String,
    many_attribute: Option<String>,
    #[serde(default)]
    required: Attributes,
    /// As the service's setting of that name.
    #[serde(default)]
    allow_clear_text: bool,
    #[serde(default)]
    allow_sockets: bool,
}

impl Operators {
    /// Reads the file and whatever it names; paths are relative to it. No contact yet.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file: Description =
            serde_json::from_str(&text).with_context(|| format!("cannot use {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let options = Options {
            allow_clear_text: file.allow_clear_text,
            allow_sockets: file.allow_sockets,
            ..Options::default()
        };
        let settings = file.settings(folder)?;
        let mut violations = validate(&settings, &options).into_iter();
        if let Some(violation) = violations.next() {
            bail!("{}: expected {}", violation.field, violation.expected);
        }
        let secrets = file.secrets(&settings, folder)?;
        let words = Words {
            object_class: file.object_class,
            text: file.text_attribute,
            many: file.many_attribute,
            required: file.required,
            refused: Vec::new(),
            decisive: None,
        };
        Ok(Self(Place { settings, secrets, options, words, is_private: false, network: None }))
    }
}

#[async_trait]
impl Kind for Operators {
    fn name(&self) -> &'static str {
        self.0.settings.kind()
    }

    async fn place(&self) -> Result<Place> {
        Ok(self.0.clone())
    }
}

impl Description {
    fn settings(&self, folder: &Path) -> Result<Settings> {
        let kind = self.connector.get("kind").and_then(Json::as_str).unwrap_or_default();
        let mut settings = defaults(kind)?;
        settings.extend(self.connector.clone());
        if let Some(path) = &self.ca_certificates_file {
            settings.insert("ca_certificates".into(), read(&folder.join(path))?.into());
        }
        match (kind, &self.base) {
            ("ldap", Some(base)) => {
                settings
                    .extend(["base_dn", "create_base_dn"].map(|field| (field.into(), base.as_str().into())));
            }
            ("ldap", None) => bail!("`base`: name the DN below which accounts may be made"),
            (_, Some(_)) => bail!("`base` is for directories; here the settings say where accounts are"),
            (_, None) => {}
        }
        serde_json::from_value(Json::Object(settings)).context("`connector`")
    }

    fn secrets(&self, settings: &Settings, folder: &Path) -> Result<Secrets> {
        let known = secret_fields(settings);
        let mut secrets = Vec::new();
        for (field, source) in &self.secrets {
            if !known.contains(&field.as_str()) {
                bail!("`secrets.{field}`: this kind has {}", known.join(", "));
            }
            let secret = secret(source, folder).with_context(|| format!("`secrets.{field}`"))?;
            secrets.push((field.clone(), secret));
        }
        Ok(Secrets::from_iter(secrets))
    }
}

/// Reads `{"file": "…"}` or `{"env": "…"}`. Whoever writes the secret itself there does not see it in the error.
fn secret(source: &Json, folder: &Path) -> Result<String> {
    match (source["file"].as_str(), source["env"].as_str()) {
        (Some(path), None) => Ok(read(&folder.join(path))?.trim_end_matches(['\r', '\n']).to_owned()),
        (None, Some(name)) => env::var(name).with_context(|| format!("the environment has no {name}")),
        _ => bail!("name a `file` or an `env` variable that holds it"),
    }
}

/// What a new connector has unless it is told otherwise.
fn defaults(kind: &str) -> Result<Map<String, Json>> {
    let defaults = match kind {
        "ldap" => json!({
            "port": 636, "tls": "ldaps", "filter": "", "naming_attribute": "uid", "dialect": "detect",
            "page_size": 500, "sentinels": [],
        }),
        "sql" => json!({
            "dialect": "postgres", "port": 5432, "require_tls": true, "schema": "public", "sentinels": [],
        }),
        "scim" => json!({ "page_size": 100, "sentinels": [] }),
        "remote" => json!({ "sentinels": [] }),
        "memory" => bail!("`connector.kind`: a memory connector is no target of anybody's"),
        other => bail!("`connector.kind`: there is no kind {other:?}"),
    };
    match defaults {
        Json::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Json {
        json!({
            "connector": {
                "kind": "ldap", "host": "ldap.example.org", "bind_dn": "cn=x,dc=example",
                "create_object_classes": ["inetOrgPerson"],
                "ca_certificates": "-----BEGIN CERTIFICATE-----",
            },
            "secrets": { "bind_password": { "file": "secret" } },
            "base": "ou=conformance,dc=example",
            "object_class": "inetOrgPerson",
            "text_attribute": "displayName",
        })
    }

    fn read_back(change: impl FnOnce(&mut Json)) -> Result<Operators> {
        let folder = tempfile::tempdir().unwrap();
        let mut file = file();
        change(&mut file);
        fs::write(folder.path().join("secret"), "s3cret\n").unwrap();
        fs::write(folder.path().join("connector.json"), file.to_string()).unwrap();
        Operators::read(&folder.path().join("connector.json"))
    }

    #[test]
    fn what_is_left_out_is_as_a_new_connector_has_it() {
        let place = read_back(|_| {}).unwrap().0;
        let Settings::Ldap(settings) = &place.settings else { unreachable!("a directory") };
        assert_eq!((settings.port, settings.page_size), (636, 500));
        assert_eq!(settings.base_dn, "ou=conformance,dc=example");
        assert!(place.secrets.get("bind_password").is_some() && !place.is_private);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_by_what_is_wrong_in_it() {
        for (field, value, expected) in [
            ("base", json!(null), "`base`"),
            ("password", json!("x"), "password"),
            ("secrets", json!({"bind_password": "s3cret"}), "`secrets.bind_password`"),
            ("secrets", json!({"bind_password": {"value": "s3cret"}}), "`secrets.bind_password`"),
            ("secrets", json!({"password": {"file": "secret"}}), "`secrets.password`"),
            ("secrets", json!({"bind_password": {"env": "XAVYO_NO_SUCH"}}), "XAVYO_NO_SUCH"),
            ("connector", json!({"kind": "ldap"}), "`connector`"),
            ("connector", json!({"kind": "memory"}), "`connector.kind`"),
        ] {
            let error = format!("{:#}", read_back(|file| file[field] = value.clone()).unwrap_err());
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        }
    }
}
