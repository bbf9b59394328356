//! The digest of an account's compared attributes, expected and actual.
//!
//! Equal digests mean that nothing differs. Unequal ones mean nothing yet: then the attributes are compared.

use super::{Digest, Hasher};
use crate::{
    comparison::{NormalSet, is_compared},
    mapping::{Expected, Program},
    value::{Attributes, Value},
};

/// The digest of what is expected. None where an attribute is unmanaged or failed, or where it has values of its own
/// that its ownership predicate does not match: then only a comparison tells.
pub fn expected(program: &Program, expected: &Expected) -> Option<Digest> {
    digest(program, |number, name| {
        let values = expected.attributes.get(name)?.values()?;
        values.iter().all(|value| program.is_own(number, value)).then_some(values.iter())
    })
}

/// The digest of what the target shows.
pub fn actual(program: &Program, attributes: &Attributes) -> Digest {
    let shown = |number, name: &str| {
        let values = attributes.get(name).map_or(&[][..], Vec::as_slice);
        Some(values.iter().filter(move |value| program.is_own(number, value)))
    };
    digest(program, shown).expect("every attribute of an account has values, be it none")
}

fn digest<'v, V>(program: &Program, values: impl Fn(usize, &str) -> Option<V>) -> Option<Digest>
where
    V: Iterator<Item = &'v Value>,
{
    let mut hasher = Hasher::new("xavyo attributes 1");
    for (number, rule) in
        program.object_type().mapping.iter().enumerate().filter(|(_, rule)| is_compared(rule))
    {
        let normal = NormalSet::of(rule.matching, values(number, &rule.name)?);
        hasher.text(&rule.name);
        hasher.bytes(&u64::try_from(normal.iter().len()).expect("a length fits 64 bits").to_le_bytes());
        normal.iter().for_each(|value| hasher.text(value));
    }
    Some(hasher.finish())
}
