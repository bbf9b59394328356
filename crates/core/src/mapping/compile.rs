//! Compiling an object type: every expression, and everything else about it that can be wrong.

use std::collections::BTreeSet;

use super::{
    MAX_CORRELATION_RULES, MAX_RULES,
    check::Facts,
    expression::Expression,
    program::{Attribute, Compiled},
};
use crate::{
    change::ACCOUNT_STATE,
    connector::{AttributeRule, CorrelationRule, ObjectType, Ownership},
    correlation::EXTERNAL_UID,
    error::{Error, Violation},
};

/// The longest name of an object class, intent or attribute, in bytes.
const MAX_NAME: usize = 256;

#[derive(Default)]
struct Compiler {
    violations: Vec<Violation>,
    target_attributes: BTreeSet<String>,
    uses_links: bool,
}

pub fn compile(object_type: &ObjectType) -> Result<Compiled, Error> {
    let mut compiler = Compiler::default();
    compiler.name("object_class", &object_type.object_class);
    compiler.name("intent", &object_type.intent);
    let scope = compiler.optional("scope", &object_type.scope, &["identity"]);
    let naming = compiler.optional("naming", &object_type.naming, &["identity", "iteration"]);
    let protected = compiler.optional("protected", &object_type.protected, &["account"]);
    let attributes = compiler.mapping(&object_type.mapping);
    let correlation = compiler.correlation(object_type);
    let Compiler { violations, mut target_attributes, uses_links } = compiler;
    if !violations.is_empty() {
        return Err(Error::all_invalid(violations));
    }
    for rule in object_type.mapping.iter().filter(|rule| rule.write_only) {
        target_attributes.remove(&rule.name);
    }
    // What every account has beside its attributes needs no fetching.
    for fixed in [EXTERNAL_UID, "immutable_id", "enabled"] {
        target_attributes.remove(fixed);
    }
    Ok(Compiled {
        object_type: object_type.clone(),
        scope,
        naming,
        protected,
        attributes: attributes.into_iter().flatten().collect(),
        correlation: correlation.into_iter().flatten().collect(),
        target_attributes: target_attributes.into_iter().collect(),
        uses_links,
    })
}

impl Compiler {
    fn refuse(&mut self, field: impl Into<String>, expected: impl Into<String>) {
        self.violations.push(Violation { field: field.into(), expected: expected.into() });
    }

    fn name(&mut self, field: &str, name: &str) {
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            self.refuse(field, format!("a name of 1 to {MAX_NAME} bytes without control characters"));
        }
    }

    fn optional(&mut self, field: &str, source: &str, variables: &[&str]) -> Option<Expression> {
        if source.trim().is_empty() { None } else { self.expression(field, source, variables) }
    }

    fn expression(&mut self, field: &str, source: &str, variables: &[&str]) -> Option<Expression> {
        match Expression::compile(source, variables) {
            Ok((expression, Facts { account_attributes, uses_links, .. })) => {
                self.target_attributes.extend(account_attributes);
                self.uses_links |= uses_links;
                Some(expression)
            }
            Err(failure) => {
                self.refuse(field, failure.to_string());
                None
            }
        }
    }

    fn mapping(&mut self, rules: &[AttributeRule]) -> Vec<Option<Attribute>> {
        if rules.len() > MAX_RULES {
            self.refuse("mapping", format!("at most {MAX_RULES} rules"));
            return Vec::new();
        }
        let mut names = BTreeSet::new();
        let mut compiled = Vec::with_capacity(rules.len());
        for (number, rule) in rules.iter().enumerate() {
            let field = |name: &str| format!("mapping[{number}].{name}");
            self.name(&field("name"), &rule.name);
            if rule.name == ACCOUNT_STATE {
                self.refuse(field("name"), format!("{ACCOUNT_STATE} is reserved"));
            }
            if !names.insert(&rule.name) {
                self.refuse(field("name"), "each target attribute once");
            }
            if !rule.on_create_only {
                self.target_attributes.insert(rule.name.clone());
            }
            compiled.push(self.rule(number, rule));
        }
        compiled
    }

    fn rule(&mut self, number: usize, rule: &AttributeRule) -> Option<Attribute> {
        let field = |name: &str| format!("mapping[{number}].{name}");
        let expression = self.expression(&field("expression"), &rule.expression, &["identity", "links"]);
        let inverse = rule.inverse.as_ref().and_then(|inverse| {
            self.name(&field("inverse.identity_attribute"), &inverse.identity_attribute);
            self.expression(&field("inverse.expression"), &inverse.expression, &["account"])
        });
        let owned = match &rule.ownership {
            Ownership::Matching(predicate) => {
                self.expression(&field("ownership.matching"), predicate, &["value"])
            }
            Ownership::Yielded | Ownership::All => None,
        };
        if rule.write_only && rule.inverse.is_some() {
            self.refuse(field("inverse"), "nothing: a write-only attribute cannot be read back");
        }
        Some(Attribute { expression: expression?, inverse, owned })
    }

    fn correlation(&mut self, object_type: &ObjectType) -> Vec<Option<Expression>> {
        let policy = &object_type.correlation;
        if policy.rules.len() > MAX_CORRELATION_RULES {
            self.refuse("correlation.rules", format!("at most {MAX_CORRELATION_RULES} rules"));
            return Vec::new();
        }
        let sum: i32 = policy.rules.iter().map(|rule| rule.weight.clamp(0, 100)).sum();
        if !policy.rules.is_empty() && !(1..=sum).contains(&policy.threshold) {
            self.refuse("correlation.threshold", format!("from 1 to the sum of the weights, {sum}"));
        }
        policy.rules.iter().enumerate().map(|(number, rule)| self.correlation_rule(number, rule)).collect()
    }

    fn correlation_rule(&mut self, number: usize, rule: &CorrelationRule) -> Option<Expression> {
        let field = |name: &str| format!("correlation.rules[{number}].{name}");
        if !(1..=100).contains(&rule.weight) {
            self.refuse(field("weight"), "from 1 to 100");
        }
        self.name(&field("attribute"), &rule.attribute);
        self.target_attributes.insert(rule.attribute.clone());
        self.expression(&field("expression"), &rule.expression, &["identity"])
    }
}
