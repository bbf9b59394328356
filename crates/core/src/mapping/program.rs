//! An object type with its expressions compiled.

use std::sync::Arc;

use cel::{
    Context,
    common::{types::CelInt, value::Val},
};

use super::{
    Evaluation, Expected, ExpectedValue, MAX_ITERATION, References, compile, context,
    expression::{Expression, Failure},
    record::Record,
    values::{self, Outcome},
};
use crate::{
    account::Account,
    comparison::{NormalSet, normalise},
    connector::{AttributeRule, ObjectType, Ownership},
    correlation::{self, CorrelationKey},
    error::{Error, Reason},
    identity::Identity,
    value::Value,
};

/// An object type, ready to be evaluated. Compiled once for each revision of a connector; cheap to clone and share.
#[derive(Clone, Debug)]
pub struct Program(Arc<Compiled>);

#[derive(Debug)]
pub(super) struct Compiled {
    pub object_type: ObjectType,
    pub scope: Option<Expression>,
    pub naming: Option<Expression>,
    pub protected: Option<Expression>,
    /// In the order of the object type's mapping.
    pub attributes: Vec<Attribute>,
    /// In the order of the object type's correlation rules.
    pub correlation: Vec<Expression>,
    pub target_attributes: Vec<String>,
    pub uses_links: bool,
}

#[derive(Debug)]
pub(super) struct Attribute {
    pub expression: Expression,
    pub inverse: Option<Expression>,
    pub owned: Option<Expression>,
}

impl Program {
    /// Compiles and checks everything about an object type. The violations name the field, and for an expression the
    /// line and column; all are found at once.
    pub fn compile(object_type: &ObjectType) -> Result<Self, Error> {
        compile::compile(object_type).map(|compiled| Self(Arc::new(compiled)))
    }

    pub fn object_type(&self) -> &ObjectType {
        &self.0.object_type
    }

    /// The attributes that a read must fetch: those compared, correlated, written back, or looked at by `protected`.
    /// Sorted. Without write-only attributes and without the uid, the immutable id and the enabled state.
    pub fn target_attributes(&self) -> &[String] {
        &self.0.target_attributes
    }

    /// Whether [`Program::expected`] looks at its references at all.
    pub fn uses_links(&self) -> bool {
        self.0.uses_links
    }

    /// Should this identity have an account?
    pub fn scope(&self, identity: &Identity) -> Evaluation {
        if !identity.active {
            return Evaluation::Out;
        }
        let in_scope = self.0.scope.as_ref().map_or(Ok(true), |scope| scope.is_true(&of_identity(identity)));
        match in_scope {
            Ok(true) => Evaluation::In,
            Ok(false) => Evaluation::Out,
            Err(failure) => Evaluation::Unknown(format!("scope: {failure}")),
        }
    }

    /// What the identity's account should look like, whether or not it should have one.
    pub fn expected(&self, identity: &Identity, references: &References) -> Expected {
        let links = Box::new(Record::Links(references)) as Box<dyn Val + '_>;
        let scope =
            context::scope([("identity", Box::new(Record::Identity(identity)) as _), ("links", links)]);
        let mut expected = Expected::default();
        for (rule, attribute) in self.rules() {
            match attribute.expression.evaluate(&scope).and_then(|outcome| fitting(rule, outcome)) {
                Ok(value) => {
                    expected.attributes.insert(rule.name.clone(), value);
                }
                Err(failure) => expected.failures.push((rule.name.clone(), failure.to_string())),
            }
        }
        expected
    }

    /// The name of a new account, where `iteration` earlier ones were taken.
    pub fn name(&self, identity: &Identity, iteration: u32) -> Result<String, String> {
        let naming = self.0.naming.as_ref().ok_or("the object type has no naming expression")?;
        if iteration > MAX_ITERATION {
            return Err(format!("all names up to iteration {MAX_ITERATION} are taken"));
        }
        let number = Box::new(CelInt::from(i64::from(iteration)));
        let scope = context::scope([
            ("identity", Box::new(Record::Identity(identity)) as _),
            ("iteration", number as _),
        ]);
        match naming.evaluate(&scope).map_err(|failure| format!("naming: {failure}"))? {
            Outcome::Values(values) => match values.as_slice() {
                [one] => Ok(one.to_text()),
                [] => Err("naming: yields no name".to_owned()),
                _ => Err("naming: yields several names".to_owned()),
            },
            Outcome::Unmanaged => Err("naming: yields no name".to_owned()),
        }
    }

    /// Is the account one that is never written?
    pub fn is_protected(&self, account: &Account) -> Result<bool, String> {
        let Some(protected) = &self.0.protected else { return Ok(false) };
        protected.is_true(&of_account(account)).map_err(|failure| format!("protected: {failure}"))
    }

    /// The identity attribute that a target attribute is written back to, and its values. None where the expression
    /// yields `unmanaged()`. Refused with `NO_INVERSE_MAPPING` or `EXPRESSION_FAILED`.
    pub fn inverse(&self, attribute: &str, account: &Account) -> Result<Option<(String, Vec<Value>)>, Error> {
        let found = self.rules().find(|(rule, _)| rule.name == attribute);
        let Some((Some(inverse), Some(expression))) =
            found.map(|(rule, compiled)| (rule.inverse.as_ref(), compiled.inverse.as_ref()))
        else {
            return Err(Error::new(
                Reason::NoInverseMapping,
                format!("the mapping of {attribute} has no inverse expression"),
            )
            .with("attribute", attribute));
        };
        match expression.evaluate(&of_account(account)) {
            Ok(Outcome::Values(values)) => Ok(Some((inverse.identity_attribute.clone(), values))),
            Ok(Outcome::Unmanaged) => Ok(None),
            Err(failure) => Err(Error::new(
                Reason::ExpressionFailed,
                format!("the inverse expression of {attribute} failed: {failure}"),
            )
            .with("attribute", attribute)),
        }
    }

    /// The keys by which the identity can be recognised in an account. An error means unknown: nothing may be
    /// concluded from the absence of a match.
    pub fn correlation_keys_of_identity(&self, identity: &Identity) -> Result<Vec<CorrelationKey>, String> {
        let scope = of_identity(identity);
        let mut keys = Vec::new();
        let rules = &self.object_type().correlation.rules;
        for (number, (rule, expression)) in (0..).zip(rules.iter().zip(&self.0.correlation)) {
            match expression.evaluate(&scope) {
                Ok(Outcome::Values(values)) => {
                    correlation::add_keys(&mut keys, number, rule.normaliser, &values);
                }
                Ok(Outcome::Unmanaged) => {}
                Err(failure) => return Err(format!("correlation.rules[{number}]: {failure}")),
            }
        }
        Ok(keys)
    }

    /// What each correlation rule makes of the identity, in their order: its normalised keys, or why they are unknown.
    pub fn readable_keys_of_identity(&self, identity: &Identity) -> Vec<Result<Vec<String>, String>> {
        let scope = of_identity(identity);
        let rules = self.object_type().correlation.rules.iter().zip(&self.0.correlation);
        let keys = rules.map(|(rule, expression)| match expression.evaluate(&scope) {
            Ok(Outcome::Values(values)) => Ok(correlation::readable_keys(rule.normaliser, &values)),
            Ok(Outcome::Unmanaged) => Ok(Vec::new()),
            Err(failure) => Err(failure.to_string()),
        });
        keys.collect()
    }

    /// The keys that the account shows.
    pub fn correlation_keys_of_account(&self, account: &Account) -> Vec<CorrelationKey> {
        correlation::keys_of_account(&self.object_type().correlation, account)
    }

    /// Which of the values that the target shows of a multi-valued attribute are ours to compare and to remove. One
    /// whose ownership cannot be evaluated is not.
    pub(crate) fn owned<'v>(
        &self,
        rule_number: usize,
        actual: &'v [Value],
        yielded: &[Value],
    ) -> Vec<&'v Value> {
        let rule = &self.object_type().mapping[rule_number];
        if rule.ownership == Ownership::All {
            return actual.iter().collect();
        }
        let yielded = NormalSet::of(rule.matching, yielded);
        let is_yielded = |value: &Value| yielded.contains(&normalise(rule.matching, value));
        actual
            .iter()
            .filter(|value| is_yielded(value) || self.is_owned_by_predicate(rule_number, value))
            .collect()
    }

    /// Whether a digest covers the value of that attribute: without an ownership predicate it covers all of them.
    pub(crate) fn is_own(&self, rule_number: usize, value: &Value) -> bool {
        self.0.attributes[rule_number].owned.is_none() || self.is_owned_by_predicate(rule_number, value)
    }

    fn is_owned_by_predicate(&self, rule_number: usize, value: &Value) -> bool {
        self.0.attributes[rule_number].owned.as_ref().is_some_and(|predicate| {
            let scope = context::scope([("value", values::to_cel(std::slice::from_ref(value)).into_owned())]);
            predicate.is_true(&scope).unwrap_or(false)
        })
    }

    fn rules(&self) -> impl Iterator<Item = (&AttributeRule, &Attribute)> {
        self.object_type().mapping.iter().zip(&self.0.attributes)
    }
}

fn of_identity(identity: &Identity) -> Context<'_, '_> {
    context::scope([("identity", Box::new(Record::Identity(identity)) as _)])
}

fn of_account(account: &Account) -> Context<'_, '_> {
    context::scope([("account", Box::new(Record::Account(account)) as _)])
}

fn fitting(rule: &AttributeRule, outcome: Outcome) -> Result<ExpectedValue, Failure> {
    match outcome {
        Outcome::Unmanaged => Ok(ExpectedValue::Unmanaged),
        Outcome::Values(values) if values.is_empty() => Ok(ExpectedValue::Absent),
        Outcome::Values(values) if values.len() > 1 && !rule.multi_valued => Err(Failure {
            message: "yields several values for a single-valued attribute".to_owned(),
            position: None,
        }),
        Outcome::Values(values) => Ok(ExpectedValue::Values(values)),
    }
}
