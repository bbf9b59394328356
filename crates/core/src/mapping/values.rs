//! Our values as CEL values, and back.

use std::any::Any;

use cel::common::{
    types::{CelBool, CelBytes, CelDouble, CelInt, CelList, CelNull, CelString, CelTimestamp, CelUInt, Type},
    value::{CowVal, StaticVal, Val},
};
use chrono::Utc;

use crate::value::Value;

/// What an expression yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// None for null, for empty text and for an empty list.
    Values(Vec<Value>),
    Unmanaged,
}

/// What `unmanaged()` yields: leave the attribute alone.
#[derive(Clone, Copy, Debug)]
pub struct Unmanaged;

static UNMANAGED: Type = Type::new_unspecified_type("unmanaged");

/// None is null, one is itself, several are a list.
pub fn to_cel<'b>(values: &[Value]) -> CowVal<'b, '_> {
    match values {
        [] => CowVal::owned(CelNull),
        [one] => CowVal::Owned(scalar(one)),
        several => CowVal::owned(CelList::from(several.iter().map(scalar).collect::<Vec<_>>())),
    }
}

fn scalar(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Text(text) => Box::new(CelString::from(text.as_str())),
        Value::Integer(number) => Box::new(CelInt::from(*number)),
        Value::Double(number) => Box::new(CelDouble::from(*number)),
        Value::Boolean(truth) => Box::new(CelBool::from(*truth)),
        Value::Binary(bytes) => Box::new(CelBytes::from(bytes.as_slice())),
        Value::Timestamp(at) => Box::new(CelTimestamp::from(at.fixed_offset())),
    }
}

/// What an expression yielded, or what is wrong with it.
pub fn from_cel(yielded: &dyn Val) -> Result<Outcome, String> {
    if yielded.downcast_ref::<Unmanaged>().is_some() {
        return Ok(Outcome::Unmanaged);
    }
    let values = match yielded.downcast_ref::<CelList<'_>>() {
        Some(list) => list.inner().iter().map(|item| one(item.as_ref())).collect::<Result<Vec<_>, _>>()?,
        None => vec![one(yielded)?],
    };
    Ok(Outcome::Values(values.into_iter().flatten().collect()))
}

fn one(yielded: &dyn Val) -> Result<Option<Value>, String> {
    let value = if let Some(text) = yielded.downcast_ref::<CelString<'_>>() {
        if text.inner().is_empty() {
            return Ok(None);
        }
        Value::Text(text.inner().to_owned())
    } else if let Some(number) = yielded.downcast_ref::<CelInt>() {
        Value::Integer(*number.inner())
    } else if let Some(number) = yielded.downcast_ref::<CelUInt>() {
        let number =
            i64::try_from(*number.inner()).map_err(|_| "an integer beyond 64 bits with sign".to_owned())?;
        Value::Integer(number)
    } else if let Some(number) = yielded.downcast_ref::<CelDouble>() {
        match *number.inner() {
            finite if finite.is_finite() => Value::Double(finite),
            _ => return Err("a number that is not finite".to_owned()),
        }
    } else if let Some(truth) = yielded.downcast_ref::<CelBool>() {
        Value::Boolean(*truth.inner())
    } else if let Some(bytes) = yielded.downcast_ref::<CelBytes<'_>>() {
        Value::Binary(bytes.inner().to_vec())
    } else if let Some(at) = yielded.downcast_ref::<CelTimestamp>() {
        Value::Timestamp(at.inner().with_timezone(&Utc))
    } else if yielded.downcast_ref::<CelNull>().is_some() {
        return Ok(None);
    } else {
        return Err(format!("a {} is no value of an attribute", yielded.get_type().name()));
    };
    Ok(Some(value))
}

impl Val for Unmanaged {
    fn get_type(&self) -> &Type {
        &UNMANAGED
    }

    fn cel_type() -> &'static Type {
        &UNMANAGED
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some()
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Unmanaged {}
