//! Differences of an account's attributes, and the changes that undo them.

use super::{NormalSet, normalise};
use crate::{
    change::{Change, Changes},
    connector::AttributeRule,
    mapping::{Expected, Program},
    value::{Attributes, Value, display},
};

/// One attribute that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub attribute: String,
    /// None = it should be absent.
    pub expected: Vec<Value>,
    /// Of a multi-valued attribute, only the values that are ours.
    pub actual: Vec<Value>,
    /// Its values are shown as `***`.
    pub is_sensitive: bool,
}

/// Every attribute whose values differ from the expected ones, in the order of the mapping.
pub fn differences(program: &Program, expected: &Expected, actual: &Attributes) -> Vec<Difference> {
    let differing = compared(program, expected, actual).filter(Compared::differs);
    differing
        .map(|compared| Difference {
            attribute: compared.rule.name.clone(),
            expected: compared.expected.to_vec(),
            actual: compared.owned.into_iter().cloned().collect(),
            is_sensitive: compared.rule.sensitive,
        })
        .collect()
}

/// The changes that bring the attributes to what is expected; empty where they are there already. Values of a
/// multi-valued attribute are added and removed, never replaced: those of others stay.
pub fn changes_towards(program: &Program, expected: &Expected, actual: &Attributes) -> Changes {
    let differing = compared(program, expected, actual).filter(Compared::differs);
    differing.map(|compared| (compared.rule.name.clone(), compared.change())).collect()
}

/// What a new account is created with: every attribute that should have values, on-create and write-only ones too.
pub fn initial_attributes(program: &Program, expected: &Expected) -> Attributes {
    let rules = program.object_type().mapping.iter();
    rules
        .filter_map(|rule| {
            let values = expected.attributes.get(&rule.name)?.values().filter(|values| !values.is_empty())?;
            Some((rule.name.clone(), values.to_vec()))
        })
        .collect()
}

impl Difference {
    /// The expected values as a discrepancy shows them.
    pub fn expected_text(&self) -> Option<String> {
        self.shown(&self.expected)
    }

    /// The actual values as a discrepancy shows them.
    pub fn actual_text(&self) -> Option<String> {
        self.shown(&self.actual)
    }

    fn shown(&self, values: &[Value]) -> Option<String> {
        display(values).map(|text| if self.is_sensitive { "***".to_owned() } else { text })
    }
}

/// An attribute that is compared, both sides.
struct Compared<'a> {
    rule: &'a AttributeRule,
    expected: &'a [Value],
    owned: Vec<&'a Value>,
}

impl Compared<'_> {
    fn differs(&self) -> bool {
        let matching = self.rule.matching;
        NormalSet::of(matching, self.expected) != NormalSet::of(matching, self.owned.iter().copied())
    }

    fn change(&self) -> Change {
        if self.rule.multi_valued {
            let add =
                self.without(self.expected, &NormalSet::of(self.rule.matching, self.owned.iter().copied()));
            let owned = self.owned.iter().copied();
            let remove = self.without(owned, &NormalSet::of(self.rule.matching, self.expected));
            return Change::Modify { add, remove };
        }
        if self.expected.is_empty() { Change::Clear } else { Change::Set(self.expected.to_vec()) }
    }

    /// The values that are not there yet; an empty one is no value.
    fn without<'v>(&self, values: impl IntoIterator<Item = &'v Value>, there: &NormalSet<'_>) -> Vec<Value> {
        let is_absent = |value: &&Value| {
            let normal = normalise(self.rule.matching, value);
            !normal.is_empty() && !there.contains(&normal)
        };
        values.into_iter().filter(is_absent).cloned().collect()
    }
}

/// Is the attribute one that is compared at all?
pub fn is_compared(rule: &AttributeRule) -> bool {
    !rule.write_only && !rule.on_create_only
}

fn compared<'a>(
    program: &'a Program,
    expected: &'a Expected,
    actual: &'a Attributes,
) -> impl Iterator<Item = Compared<'a>> {
    let rules = program.object_type().mapping.iter().enumerate();
    rules.filter(|(_, rule)| is_compared(rule)).filter_map(move |(number, rule)| {
        let expected = expected.attributes.get(&rule.name)?.values()?;
        let actual = actual.get(&rule.name).map_or(&[][..], Vec::as_slice);
        let owned =
            if rule.multi_valued { program.owned(number, actual, expected) } else { actual.iter().collect() };
        Some(Compared { rule, expected, owned })
    })
}
