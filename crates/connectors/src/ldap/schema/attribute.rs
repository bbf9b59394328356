//! One attribute type, in our terms.

use xavyo_core::connector::{AttributeSchema, AttributeType, MatchingRule};

use super::definition::Definition;

/// Where the syntaxes of RFC 4517 are registered.
const SYNTAXES: &str = "1.3.6.1.4.1.1466.115.121.1.";
/// Where Active Directory's own are.
const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.";

/// The attribute with what it inherits. `required` and `readable` are for the caller to say.
pub(super) fn described(definition: &Definition, ancestors: &[&Definition]) -> AttributeSchema {
    let inherited = |keyword: &str| {
        let own = definition.value(keyword);
        own.or_else(|| ancestors.iter().find_map(|ancestor| ancestor.value(keyword)))
    };
    let syntax = inherited("SYNTAX").unwrap_or_default();
    let value_type = type_of(syntax.split('{').next().unwrap_or_default());
    let equality = inherited("EQUALITY");
    let is_ours = !definition.has("NO-USER-MODIFICATION")
        && definition.value("USAGE").is_none_or(|usage| usage == "userApplications");
    AttributeSchema {
        name: definition.name().to_owned(),
        value_type,
        required: false,
        multi_valued: !definition.has("SINGLE-VALUE"),
        readable: true,
        writable_on_create: is_ours,
        writable_on_update: is_ours,
        searchable: equality.is_some() || syntax.starts_with(ACTIVE_DIRECTORY),
        matching_rule: rule_of(equality, value_type),
        description: definition.value("DESC").unwrap_or_default().to_owned(),
    }
}

fn type_of(syntax: &str) -> AttributeType {
    let standard = syntax.strip_prefix(SYNTAXES);
    let active_directory = syntax.strip_prefix(ACTIVE_DIRECTORY);
    match (standard, active_directory) {
        (Some("7"), _) => AttributeType::Boolean,
        (Some("27"), _) | (_, Some("906")) => AttributeType::Integer,
        (Some("24" | "53"), _) => AttributeType::Timestamp,
        (Some("12" | "34"), _) | (_, Some("903" | "904")) => AttributeType::Reference,
        (Some("4" | "5" | "8" | "9" | "10" | "28" | "40"), _) | (_, Some("907")) => AttributeType::Binary,
        (Some("11" | "15" | "22" | "26" | "36" | "38" | "39" | "41" | "44" | "50" | "51" | "52"), _)
        | (_, Some("905")) => AttributeType::Text,
        _ => AttributeType::Unknown,
    }
}

/// By the equality of the server; where it names none, as Active Directory compares the type.
fn rule_of(equality: Option<&str>, value_type: AttributeType) -> MatchingRule {
    match (equality, value_type) {
        (Some(rule), _) if rule.starts_with("caseIgnore") => MatchingRule::Spaces,
        (Some("telephoneNumberMatch"), _) => MatchingRule::Phone,
        (Some("distinguishedNameMatch" | "uniqueMemberMatch"), _) | (None, AttributeType::Reference) => {
            MatchingRule::Dn
        }
        (Some("booleanMatch"), _) | (None, AttributeType::Boolean) => MatchingRule::Boolean,
        (Some("generalizedTimeMatch"), _) | (None, AttributeType::Timestamp) => MatchingRule::Timestamp,
        (None, AttributeType::Text) => MatchingRule::CaseInsensitive,
        (Some(_), _)
        | (
            None,
            AttributeType::Unknown | AttributeType::Integer | AttributeType::Double | AttributeType::Binary,
        ) => MatchingRule::Exact,
    }
}
