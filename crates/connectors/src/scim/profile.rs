//! What a server says of itself: its ServiceProviderConfig and its Schemas (RFC 7643 sections 5 and 7).

use serde::Deserialize;
use xavyo_core::connector::{AttributeSchema, AttributeType, MatchingRule, ObjectSchema};

use super::path::{ENTERPRISE, Path, USER};

/// What a connector needs to know of its server. A server that does not say is taken to offer nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Profile {
    pub patches: bool,
    /// It honours If-Match.
    pub etags: bool,
    /// It pages by cursors (RFC 9865).
    pub cursors: bool,
    /// The most resources of one answer.
    pub most: Option<i64>,
    pub schemas: Vec<Schema>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Schema {
    pub id: String,
    pub attributes: Vec<Definition>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Definition {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub multi_valued: bool,
    pub required: bool,
    pub case_exact: bool,
    pub mutability: String,
    pub description: String,
    pub sub_attributes: Vec<Definition>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kind {
    Boolean,
    Integer,
    Decimal,
    DateTime,
    Binary,
    Reference,
    Complex,
    /// Also what no RFC names.
    #[default]
    #[serde(other)]
    String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Configuration {
    patch: Supported,
    etag: Supported,
    filter: Supported,
    pagination: Option<Pagination>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Supported {
    supported: bool,
    max_results: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pagination {
    cursor: bool,
}

impl Profile {
    /// From the bodies of the two; those of the RFC where the server has no schemas.
    pub fn of(configuration: Option<serde_json::Value>, schemas: Option<serde_json::Value>) -> Self {
        let configuration: Configuration =
            configuration.and_then(|body| serde_json::from_value(body).ok()).unwrap_or_default();
        let listed = schemas.and_then(|mut body| body.get_mut("Resources").map(serde_json::Value::take));
        let schemas: Vec<Schema> =
            listed.and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default();
        let has_users = schemas.iter().any(|schema| schema.id == USER);
        Self {
            patches: configuration.patch.supported,
            etags: configuration.etag.supported,
            cursors: configuration.pagination.is_some_and(|pagination| pagination.cursor),
            most: configuration.filter.max_results.filter(|most| *most > 0),
            schemas: if has_users { schemas } else { of_the_rfc() },
        }
    }

    /// The attribute that a path names, as a whole.
    pub fn definition(&self, path: &Path) -> Option<&Definition> {
        let urn = path.schema.as_deref().unwrap_or(USER);
        let schema = self.schemas.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn))?;
        named(&schema.attributes, &path.attribute)
    }

    /// What a path's values are.
    pub fn kind(&self, path: &Path) -> Kind {
        match self.definition(path) {
            None => Kind::default(),
            Some(whole) if whole.kind == Kind::Complex => {
                named(&whole.sub_attributes, path.value()).map_or(Kind::default(), |part| part.kind)
            }
            Some(whole) => whole.kind,
        }
    }

    /// What a person wants to know before trusting it.
    pub fn summary(&self) -> String {
        let writes = if self.patches { "PATCH" } else { "PUT" };
        let versions = if self.etags { "If-Match" } else { "no preconditions" };
        let pages = if self.cursors { "cursors" } else { "indexes" };
        format!("writes by {writes}, {versions}, pages by {pages}")
    }

    pub fn describe(&self) -> ObjectSchema {
        let mut attributes = Vec::new();
        for schema in self.schemas.iter().filter(|schema| schema.id == USER || schema.id == ENTERPRISE) {
            let prefix = if schema.id == USER { String::new() } else { format!("{}:", schema.id) };
            for whole in &schema.attributes {
                let name = format!("{prefix}{}", whole.name);
                if whole.kind == Kind::Complex && !whole.multi_valued {
                    let parts = whole.sub_attributes.iter();
                    attributes
                        .extend(parts.map(|part| described(format!("{name}.{}", part.name), part, part)));
                } else {
                    let value = named(&whole.sub_attributes, "value").unwrap_or(whole);
                    attributes.push(described(name, whole, value));
                }
            }
        }
        ObjectSchema {
            object_class: "User".into(),
            display_name: "User".into(),
            uid_attribute: Some("userName".into()),
            attributes,
        }
    }
}

fn named<'a>(definitions: &'a [Definition], name: &str) -> Option<&'a Definition> {
    definitions.iter().find(|definition| definition.name.eq_ignore_ascii_case(name))
}

fn described(name: String, whole: &Definition, value: &Definition) -> AttributeSchema {
    let writable = whole.mutability != "readOnly";
    AttributeSchema {
        name,
        value_type: match value.kind {
            Kind::String | Kind::Complex => AttributeType::Text,
            Kind::Boolean => AttributeType::Boolean,
            Kind::Integer => AttributeType::Integer,
            Kind::Decimal => AttributeType::Double,
            Kind::DateTime => AttributeType::Timestamp,
            Kind::Binary => AttributeType::Binary,
            Kind::Reference => AttributeType::Reference,
        },
        required: whole.required,
        multi_valued: whole.multi_valued,
        readable: whole.mutability != "writeOnly",
        writable_on_create: writable,
        writable_on_update: writable && whole.mutability != "immutable",
        searchable: whole.mutability != "writeOnly",
        matching_rule: if value.case_exact { MatchingRule::Exact } else { MatchingRule::CaseInsensitive },
        description: whole.description.clone(),
    }
}

/// The shapes of RFC 7643 sections 4.1 and 4.3: which attributes have parts, and which have many values.
fn of_the_rfc() -> Vec<Schema> {
    let part = |name: &str, kind| Definition { name: name.into(), kind, ..Definition::default() };
    let texts = |names: &[&str]| names.iter().map(|name| part(name, Kind::String)).collect::<Vec<_>>();
    let complex = |name: &str, multi_valued, parts: &[&str]| Definition {
        multi_valued,
        sub_attributes: texts(parts),
        ..part(name, Kind::Complex)
    };
    let mut core = texts(&[
        "userName",
        "displayName",
        "nickName",
        "profileUrl",
        "title",
        "userType",
        "preferredLanguage",
        "locale",
        "timezone",
        "password",
        "externalId",
    ]);
    core.push(part("active", Kind::Boolean));
    let names = ["formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"];
    core.push(complex("name", false, &names));
    for name in
        ["emails", "phoneNumbers", "ims", "photos", "entitlements", "roles", "groups", "x509Certificates"]
    {
        core.push(complex(name, true, &["value", "display", "type"]));
    }
    let address = ["formatted", "streetAddress", "locality", "region", "postalCode", "country", "type"];
    core.push(complex("addresses", true, &address));
    let mut enterprise = texts(&["employeeNumber", "costCenter", "organization", "division", "department"]);
    enterprise.push(complex("manager", false, &["value", "$ref", "displayName"]));
    vec![
        Schema { id: USER.into(), attributes: core },
        Schema { id: ENTERPRISE.into(), attributes: enterprise },
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_server_does_not_say_it_does_not_offer() {
        let silent = Profile::of(None, None);
        assert!(!silent.patches && !silent.etags && !silent.cursors && silent.most.is_none());
        let emails = silent.definition(&Path::parse("emails").unwrap()).unwrap();
        assert!(emails.multi_valued && emails.kind == Kind::Complex);

        let told = Profile::of(
            Some(json!({
                "patch": {"supported": true}, "etag": {"supported": true}, "pagination": {"cursor": true},
                "filter": {"supported": true, "maxResults": 200}
            })),
            Some(json!({"Resources": [{"id": USER, "attributes": [
                {"name": "active", "type": "boolean"},
                {"name": "badge", "type": "complex", "subAttributes": [{"name": "issued", "type": "dateTime"}]},
                {"name": "odd", "type": "hologram", "multiValued": true}
            ]}]})),
        );
        assert!(told.patches && told.etags && told.cursors && told.most == Some(200));
        assert_eq!(told.kind(&Path::parse("badge.issued").unwrap()), Kind::DateTime);
        assert_eq!(told.kind(&Path::parse("odd").unwrap()), Kind::String);
        let names: Vec<String> = told.describe().attributes.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["active", "badge.issued", "odd"]);
    }
}
