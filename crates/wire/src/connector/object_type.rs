//! Object types. Expressions are only measured here; `core` compiles them.

use xavyo_core::{
    connector::{
        AttributeRule, Authority, CorrelationPolicy, CorrelationRule, DEFAULT_INTENT, Inverse, MatchingRule,
        Normaliser, ObjectType, Ownership,
    },
    mapping::{MAX_CORRELATION_RULES, MAX_RULES},
};

use crate::{fields::Fields, limits, numbers::Numbered, pb::provisioning as pb};

/// Object types of one connector.
const MAX_OBJECT_TYPES: usize = 16;
const MAX_WEIGHT: i32 = 100;

pub fn to_pb(kind: &ObjectType) -> pb::ObjectType {
    pb::ObjectType {
        object_class: kind.object_class.clone(),
        intent: kind.intent.clone(),
        scope: kind.scope.clone(),
        naming: kind.naming.clone(),
        mapping: kind.mapping.iter().map(rule_to_pb).collect(),
        correlation: Some(correlation_to_pb(&kind.correlation)),
        protected: kind.protected.clone(),
    }
}

/// All object types of a connector, at the path `object_types`: at least one, each (object class, intent) once.
pub fn all_of_pb(fields: &mut Fields, kinds: Vec<pb::ObjectType>) -> Vec<ObjectType> {
    if kinds.is_empty() {
        fields.refuse("object_types", "at least one");
    }
    let kinds = fields.each("object_types", kinds, MAX_OBJECT_TYPES, of_pb);
    for (index, kind) in kinds.iter().enumerate() {
        let is_same =
            |other: &ObjectType| other.object_class == kind.object_class && other.intent == kind.intent;
        if kinds[..index].iter().any(is_same) {
            fields.refuse(&format!("object_types[{index}]"), "an object class and intent that no other has");
        }
    }
    kinds
}

pub fn of_pb(fields: &mut Fields, kind: pb::ObjectType) -> ObjectType {
    ObjectType {
        object_class: fields.text("object_class", kind.object_class, limits::ATTRIBUTE_NAME),
        intent: intent_of_pb(fields, kind.intent),
        scope: expression(fields, "scope", kind.scope),
        naming: expression(fields, "naming", kind.naming),
        mapping: mapping_of_pb(fields, kind.mapping),
        correlation: fields
            .within("correlation", |fields| correlation_of_pb(fields, kind.correlation.unwrap_or_default())),
        protected: expression(fields, "protected", kind.protected),
    }
}

/// The field `intent` of any request; empty = the default one.
pub fn intent_of_pb(fields: &mut Fields, intent: String) -> String {
    match fields.any_text("intent", intent, limits::ATTRIBUTE_NAME) {
        empty if empty.is_empty() => DEFAULT_INTENT.to_owned(),
        intent => intent,
    }
}

fn mapping_of_pb(fields: &mut Fields, mapping: Vec<pb::AttributeRule>) -> Vec<AttributeRule> {
    let rules = fields.each("mapping", mapping, MAX_RULES, rule_of_pb);
    for (index, rule) in rules.iter().enumerate() {
        if rules[..index].iter().any(|other| other.name == rule.name) {
            fields.refuse(&format!("mapping[{index}].name"), "an attribute that no other rule names");
        }
    }
    rules
}

fn rule_to_pb(rule: &AttributeRule) -> pb::AttributeRule {
    let (ownership, owned_values) = match &rule.ownership {
        Ownership::Yielded => (pb::Ownership::Yielded, String::new()),
        Ownership::All => (pb::Ownership::All, String::new()),
        Ownership::Matching(predicate) => (pb::Ownership::Matching, predicate.clone()),
    };
    pb::AttributeRule {
        name: rule.name.clone(),
        expression: rule.expression.clone(),
        inverse: rule.inverse.as_ref().map(|inverse| pb::Inverse {
            identity_attribute: inverse.identity_attribute.clone(),
            expression: inverse.expression.clone(),
        }),
        matching: rule.matching.number(),
        multi_valued: rule.multi_valued,
        ownership: ownership.into(),
        owned_values,
        on_create_only: rule.on_create_only,
        write_only: rule.write_only,
        sensitive: rule.sensitive,
        authority: rule.authority.number(),
    }
}

fn rule_of_pb(fields: &mut Fields, rule: pb::AttributeRule) -> AttributeRule {
    AttributeRule {
        name: fields.text("name", rule.name, limits::ATTRIBUTE_NAME),
        expression: fields.text("expression", rule.expression, limits::EXPRESSION),
        inverse: rule
            .inverse
            .map(|inverse| fields.within("inverse", |fields| inverse_of_pb(fields, inverse))),
        matching: fields.choice_or("matching", rule.matching, MatchingRule::default()),
        multi_valued: rule.multi_valued,
        ownership: ownership_of_pb(fields, rule.ownership, rule.owned_values),
        on_create_only: rule.on_create_only,
        write_only: rule.write_only,
        sensitive: rule.sensitive,
        authority: fields.choice_or("authority", rule.authority, Authority::default()),
    }
}

fn inverse_of_pb(fields: &mut Fields, inverse: pb::Inverse) -> Inverse {
    Inverse {
        identity_attribute: fields.text(
            "identity_attribute",
            inverse.identity_attribute,
            limits::ATTRIBUTE_NAME,
        ),
        expression: fields.text("expression", inverse.expression, limits::EXPRESSION),
    }
}

fn ownership_of_pb(fields: &mut Fields, ownership: i32, owned_values: String) -> Ownership {
    match pb::Ownership::try_from(ownership) {
        Ok(pb::Ownership::Matching) => {
            Ownership::Matching(fields.text("owned_values", owned_values, limits::EXPRESSION))
        }
        Ok(kind) => {
            if !owned_values.is_empty() {
                fields.refuse("owned_values", "only with OWNERSHIP_MATCHING");
            }
            if kind == pb::Ownership::All { Ownership::All } else { Ownership::Yielded }
        }
        Err(_) => {
            fields.refuse("ownership", "one of OWNERSHIP_YIELDED, OWNERSHIP_ALL, OWNERSHIP_MATCHING");
            Ownership::default()
        }
    }
}

fn correlation_to_pb(policy: &CorrelationPolicy) -> pb::CorrelationPolicy {
    let rule = |rule: &CorrelationRule| pb::CorrelationRule {
        expression: rule.expression.clone(),
        attribute: rule.attribute.clone(),
        normaliser: rule.normaliser.number(),
        weight: rule.weight,
    };
    pb::CorrelationPolicy { rules: policy.rules.iter().map(rule).collect(), threshold: policy.threshold }
}

fn correlation_of_pb(fields: &mut Fields, policy: pb::CorrelationPolicy) -> CorrelationPolicy {
    if policy.threshold < i32::from(!policy.rules.is_empty()) {
        fields.refuse("threshold", "at least 1 where there are rules");
    }
    let rules = fields.each("rules", policy.rules, MAX_CORRELATION_RULES, |fields, rule| CorrelationRule {
        expression: fields.text("expression", rule.expression, limits::EXPRESSION),
        attribute: fields.text("attribute", rule.attribute, limits::ATTRIBUTE_NAME),
        normaliser: fields.choice_or("normaliser", rule.normaliser, Normaliser::default()),
        weight: fields.number("weight", Some(rule.weight), 1..=MAX_WEIGHT, 1),
    });
    CorrelationPolicy { rules, threshold: policy.threshold }
}

fn expression(fields: &mut Fields, field: &str, source: String) -> String {
    fields.any_text(field, source, limits::EXPRESSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> pb::ObjectType {
        let rule = pb::AttributeRule {
            name: "mail".into(),
            expression: "identity.mail".into(),
            inverse: Some(pb::Inverse {
                identity_attribute: "mail".into(),
                expression: "account.mail".into(),
            }),
            ownership: pb::Ownership::Matching.into(),
            owned_values: "value != ''".into(),
            ..Default::default()
        };
        let correlation = pb::CorrelationPolicy {
            rules: vec![pb::CorrelationRule {
                expression: "identity.mail".into(),
                attribute: "mail".into(),
                weight: 60,
                ..Default::default()
            }],
            threshold: 60,
        };
        pb::ObjectType {
            object_class: "account".into(),
            mapping: vec![rule],
            correlation: Some(correlation),
            ..Default::default()
        }
    }

    fn refused(kinds: Vec<pb::ObjectType>) -> Vec<String> {
        let mut fields = Fields::default();
        let parsed = all_of_pb(&mut fields, kinds);
        let error = fields.finish(parsed).unwrap_err();
        error.violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn an_object_type_survives_the_wire() {
        let mut fields = Fields::default();
        let parsed = of_pb(&mut fields, kind());
        let again = of_pb(&mut fields, to_pb(&parsed));
        assert_eq!(fields.finish(again).unwrap(), parsed);
        assert_eq!((parsed.intent.as_str(), parsed.mapping[0].matching), ("default", MatchingRule::Exact));
    }

    #[test]
    fn names_are_used_once_and_every_violation_has_its_path() {
        let twice = pb::ObjectType { mapping: [kind().mapping, kind().mapping].concat(), ..kind() };
        assert_eq!(refused(vec![kind(), twice]), ["object_types[1].mapping[1].name", "object_types[1]"]);
        assert_eq!(refused(vec![]), ["object_types"]);

        let mut bad = kind();
        bad.mapping[0].ownership = pb::Ownership::All.into();
        bad.correlation = Some(pb::CorrelationPolicy { threshold: 0, ..kind().correlation.unwrap() });
        let paths = ["object_types[0].mapping[0].owned_values", "object_types[0].correlation.threshold"];
        assert_eq!(refused(vec![bad]), paths);
    }
}
