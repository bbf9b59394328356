//! Resources: the JSON of a user as an account, and what is written into it.

use serde_json::{Map, Value as Json, json};
use xavyo_core::{
    account::Account,
    connector::TargetFailure,
    value::{Attributes, Value},
};

use super::{
    failure::refused,
    path::{Path, USER},
    profile::{Kind, Profile},
};
use crate::ALL_ATTRIBUTES;

/// Not told as attributes: they are the key, the version, or say nothing of the person.
const OF_THE_PROTOCOL: [&str; 3] = ["id", "meta", "schemas"];

/// Which attributes an account is to show.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    All,
    These(Vec<(String, Path)>),
}

impl Wanted {
    /// Fails with `Refused` for a name that is no path.
    pub fn of(names: &[String]) -> Result<Self, TargetFailure> {
        if names.iter().any(|name| name == ALL_ATTRIBUTES) {
            return Ok(Self::All);
        }
        let path = |name: &String| Ok((name.clone(), path(name)?));
        Ok(Self::These(names.iter().map(path).collect::<Result<_, TargetFailure>>()?))
    }

    /// The `attributes` of a query; None asks for all that the server shows unasked.
    pub fn query(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::These(paths) => {
                let mut tops: Vec<String> = ["userName", "active", "meta"].map(str::to_owned).into();
                tops.extend(paths.iter().map(|(_, path)| path.top()));
                tops.sort();
                tops.dedup();
                Some(tops.join(","))
            }
        }
    }
}

/// The path that an attribute's name is.
pub(super) fn path(name: &str) -> Result<Path, TargetFailure> {
    Path::parse(name).ok_or_else(|| refused("SCIM_ATTRIBUTE", format!("{name:?} is no attribute's path")))
}

/// The account of a resource; None without an id or a name.
pub(super) fn account(resource: &Json, wanted: &Wanted, profile: &Profile) -> Option<Account> {
    let text = |field: &str| field_of(resource, field).and_then(Json::as_str).map(str::to_owned);
    let attributes: Attributes = match wanted {
        Wanted::All => all(resource, profile),
        Wanted::These(paths) => {
            paths.iter().map(|(name, path)| (name.clone(), values(resource, path, profile))).collect()
        }
    };
    Some(Account {
        external_uid: text("userName")?,
        immutable_id: Some(text("id")?),
        version: field_of(resource, "meta").and_then(|meta| meta.get("version")?.as_str().map(str::to_owned)),
        enabled: Some(field_of(resource, "active").and_then(Json::as_bool).unwrap_or(true)),
        attributes: attributes.into_iter().filter(|(_, values)| !values.is_empty()).collect(),
    })
}

/// The values that a path names in a resource.
pub(super) fn values(resource: &Json, path: &Path, profile: &Profile) -> Vec<Value> {
    let root = match &path.schema {
        None => Some(resource),
        Some(urn) => field_of(resource, urn),
    };
    let Some(whole) = root.and_then(|root| field_of(root, &path.attribute)) else { return Vec::new() };
    let kind = profile.kind(path);
    let elements: Vec<&Json> = match whole {
        Json::Array(elements) => elements.iter().collect(),
        one => vec![one],
    };
    let chosen = elements.into_iter().filter(|element| match &path.element {
        None => true,
        Some((name, value)) => {
            field_of(element, name).and_then(Json::as_str).is_some_and(|it| it.eq_ignore_ascii_case(value))
        }
    });
    let part = |element: &Json| match element {
        Json::Object(_) => field_of(element, path.value()).and_then(|part| scalar(part, kind)),
        other => scalar(other, kind),
    };
    chosen.filter_map(part).collect()
}

/// Every attribute of a resource, by the paths under which each can be written.
fn all(resource: &Json, profile: &Profile) -> Attributes {
    let mut paths = Vec::new();
    for (name, value) in resource.as_object().into_iter().flatten() {
        if name.starts_with("urn:") {
            let fields = value.as_object().into_iter().flatten();
            fields.for_each(|(field, value)| named(&format!("{name}:{field}"), value, &mut paths));
        } else if !OF_THE_PROTOCOL.contains(&name.as_str()) {
            named(name, value, &mut paths);
        }
    }
    let shown = paths.into_iter().filter_map(|name| {
        let path = Path::parse(&name)?;
        Some((name, values(resource, &path, profile)))
    });
    shown.collect()
}

fn named(name: &str, value: &Json, paths: &mut Vec<String>) {
    match value {
        Json::Object(parts) => paths.extend(parts.keys().map(|part| format!("{name}.{part}"))),
        _ => paths.push(name.to_owned()),
    }
}

/// Attribute names are the same in either case (RFC 7643 section 2.1).
pub(super) fn field_of<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    let object = object.as_object()?;
    object
        .get(name)
        .or_else(|| object.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, it)| it))
}

fn scalar(json: &Json, kind: Kind) -> Option<Value> {
    match json {
        Json::String(text) => Some(match kind {
            Kind::DateTime => {
                Value::from_json(json!({"timestamp": text})).unwrap_or(Value::from(text.as_str()))
            }
            Kind::Binary => Value::from_json(json!({"base64": text})).unwrap_or(Value::from(text.as_str())),
            Kind::String
            | Kind::Boolean
            | Kind::Integer
            | Kind::Decimal
            | Kind::Reference
            | Kind::Complex => Value::from(text.as_str()),
        }),
        Json::Bool(_) | Json::Number(_) => Value::from_json(json.clone()).ok(),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A value as the server's schema has it. What is none of its kind stays text, for the server to refuse.
pub(super) fn json(value: &Value, kind: Kind) -> Json {
    let text = value.to_text();
    match kind {
        Kind::Boolean => text.parse().map_or(Json::from(text.as_str()), Json::Bool),
        Kind::Integer => text.parse::<i64>().map_or(Json::from(text.as_str()), Json::from),
        Kind::Decimal => text.parse::<f64>().map_or(Json::from(text.as_str()), Json::from),
        Kind::String | Kind::DateTime | Kind::Binary | Kind::Reference | Kind::Complex => Json::from(text),
    }
}

/// One more element of a multi-valued attribute.
pub(super) fn element(value: &Value, path: &Path, profile: &Profile) -> Json {
    let (plain, is_complex) = (json(value, profile.kind(path)), is_complex(path, profile));
    match (&path.element, is_complex) {
        (Some((name, chosen)), _) => json!({name: chosen, path.value(): plain}),
        (None, true) => json!({path.value(): plain}),
        (None, false) => plain,
    }
}

fn is_complex(path: &Path, profile: &Profile) -> bool {
    profile.definition(path).is_some_and(|whole| whole.kind == Kind::Complex)
}

pub(super) fn is_multi_valued(path: &Path, profile: &Profile) -> bool {
    path.element.is_none() && profile.definition(path).is_some_and(|whole| whole.multi_valued)
}

/// Sets all values that a path names; none removes them. Elements that keep their value keep their other parts.
/// Fails with `Refused` where the path holds fewer values than it is given.
pub(super) fn set(
    resource: &mut Json,
    path: &Path,
    values: &[Value],
    profile: &Profile,
) -> Result<(), TargetFailure> {
    if values.len() > 1 && !is_multi_valued(path, profile) {
        return Err(refused("SCIM_SINGLE_VALUED", format!("{path} holds one value")));
    }
    let kind = profile.kind(path);
    let root = match &path.schema {
        None => fields(resource),
        Some(urn) => {
            extend(resource, urn);
            fields(fields(resource).entry(urn.as_str()).or_insert_with(|| json!({})))
        }
    };
    let whole = root.remove(&path.attribute);
    let now = if path.element.is_some() {
        with_element(whole, path, values.first().map(|value| (value, json(value, kind))), profile)
    } else if is_multi_valued(path, profile) {
        kept(whole, path, values, profile)
    } else if path.sub.is_some() || is_complex(path, profile) {
        let mut whole = whole.filter(Json::is_object).unwrap_or_else(|| json!({}));
        match values.first() {
            Some(value) => drop(fields(&mut whole).insert(path.value().to_owned(), json(value, kind))),
            None => drop(fields(&mut whole).remove(path.value())),
        }
        Some(whole).filter(|whole| whole.as_object().is_some_and(|parts| !parts.is_empty()))
    } else {
        values.first().map(|value| json(value, kind))
    };
    if let Some(now) = now {
        root.insert(path.attribute.clone(), now);
    }
    Ok(())
}

/// An extension whose attributes are there is named among the schemas.
fn extend(resource: &mut Json, urn: &str) {
    let schemas = fields(resource).entry("schemas").or_insert_with(|| json!([USER]));
    if let Json::Array(schemas) = schemas
        && !schemas.iter().any(|known| known.as_str() == Some(urn))
    {
        schemas.push(urn.into());
    }
}

/// The elements with these values: those that were there as they were.
pub(super) fn kept(whole: Option<Json>, path: &Path, values: &[Value], profile: &Profile) -> Option<Json> {
    let kind = profile.kind(path);
    let before = match whole {
        Some(Json::Array(elements)) => elements,
        Some(_) | None => Vec::new(),
    };
    let of = |element: &Json| match element {
        Json::Object(_) => field_of(element, path.value()).and_then(|part| scalar(part, kind)),
        other => scalar(other, kind),
    };
    let now = values.iter().map(|value| {
        let same = before.iter().find(|element| of(element).is_some_and(|held| held == *value));
        same.cloned().unwrap_or_else(|| element(value, path, profile))
    });
    let now: Vec<Json> = now.collect();
    (!now.is_empty()).then_some(Json::Array(now))
}

fn with_element(
    whole: Option<Json>,
    path: &Path,
    value: Option<(&Value, Json)>,
    profile: &Profile,
) -> Option<Json> {
    let mut elements = match whole {
        Some(Json::Array(elements)) => elements,
        Some(_) | None => Vec::new(),
    };
    let (name, chosen) = path.element.as_ref()?;
    let is_it = |element: &Json| {
        field_of(element, name).and_then(Json::as_str).is_some_and(|it| it.eq_ignore_ascii_case(chosen))
    };
    match (value, elements.iter_mut().find(|element| is_it(element))) {
        (Some((_, json)), Some(found)) => drop(fields(found).insert(path.value().to_owned(), json)),
        (Some((value, _)), None) => elements.push(element(value, path, profile)),
        (None, _) => elements.retain(|element| !is_it(element)),
    }
    (!elements.is_empty()).then_some(Json::Array(elements))
}

/// The fields of what is made an object, if it is none.
fn fields(json: &mut Json) -> &mut Map<String, Json> {
    if !json.is_object() {
        *json = json!({});
    }
    json.as_object_mut().expect("it is an object now")
}

/// The body of a user with nothing but a name.
pub(super) fn named_user(user_name: &str) -> Json {
    json!({"schemas": [USER], "userName": user_name})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::path::ENTERPRISE;

    fn set_texts(resource: &mut Json, name: &str, texts: &[&str]) -> Result<(), TargetFailure> {
        let values: Vec<Value> = texts.iter().map(|text| Value::from(*text)).collect();
        set(resource, &Path::parse(name).unwrap(), &values, &Profile::of(None, None))
    }

    fn texts(resource: &Json, name: &str) -> Vec<String> {
        let values = values(resource, &Path::parse(name).unwrap(), &Profile::of(None, None));
        values.iter().map(Value::to_text).collect()
    }

    #[test]
    fn what_is_set_by_a_path_is_shown_by_it_and_what_is_not_named_stays() {
        let department = format!("{ENTERPRISE}:department");
        let mut user = json!({
            "schemas": [USER], "userName": "ada",
            "emails": [{"type": "home", "value": "a@home", "primary": true}, {"type": "work", "value": "a@old"}],
        });
        for (name, values) in [
            ("displayName", &["Ada"][..]),
            ("name.givenName", &["Ada"]),
            ("emails[type eq \"work\"].value", &["a@work"]),
            ("roles", &["r1", "r2"]),
            (&department, &["Engines"]),
        ] {
            set_texts(&mut user, name, values).unwrap();
            assert_eq!(texts(&user, name), values, "{name}");
        }
        assert_eq!(texts(&user, "emails"), ["a@home", "a@work"]);
        assert_eq!(user["emails"][0]["primary"], true);
        assert_eq!(user["schemas"], json!([USER, ENTERPRISE]));

        set_texts(&mut user, "emails", &["a@home", "a@new"]).unwrap();
        assert_eq!(user["emails"][0]["primary"], true, "an element that stays keeps its parts");
        for name in ["emails", "name.givenName", "displayName", "roles"] {
            set_texts(&mut user, name, &[]).unwrap();
            assert_eq!(user.get(name.split('.').next().unwrap()), None, "{name}");
        }
        assert!(set_texts(&mut user, "displayName", &["a", "b"]).is_err());
    }

    #[test]
    fn an_account_shows_its_key_state_and_every_attribute() {
        let user = json!({
            "id": "7", "userName": "ada", "active": false, "meta": {"version": "W/\"1\""}, "schemas": [USER],
            "name": {"givenName": "Ada"}, "emails": [{"value": "a@x"}, {"value": "b@x"}],
            ENTERPRISE: {"department": "Engines", "manager": {"value": "8"}},
        });
        let account = account(&user, &Wanted::All, &Profile::of(None, None)).unwrap();
        assert_eq!((account.external_uid.as_str(), account.enabled), ("ada", Some(false)));
        assert_eq!(
            (account.immutable_id.as_deref(), account.version.as_deref()),
            (Some("7"), Some("W/\"1\""))
        );
        let names: Vec<&String> = account.attributes.keys().collect();
        let (department, manager) =
            (format!("{ENTERPRISE}:department"), format!("{ENTERPRISE}:manager.value"));
        assert_eq!(names, ["active", "emails", "name.givenName", &department, &manager, "userName"]);
    }
}
