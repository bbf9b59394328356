//! Functions of text.

#![expect(clippy::needless_pass_by_value, reason = "the signature that cel gives its functions")]

use cel::{
    ExecutionError,
    common::{
        types::{CelBool, CelDouble, CelInt, CelList, CelString, CelTimestamp, CelUInt},
        value::{CowVal, Val},
    },
};
use chrono::SecondsFormat;

use super::{
    super::MAX_ITEMS, Answer, Arguments, ascii as fold, count_argument, is_null, null, text_answer,
    text_argument, too_many, wrong,
};

/// A function from text to text.
fn map<'b, 'v>(
    function: &str,
    args: &Arguments<'b, 'v>,
    change: impl FnOnce(&str) -> String,
) -> Answer<'b, 'v> {
    let text = text_argument(function, args[0].as_ref())?;
    text_answer(function, text.map(change))
}

pub fn lower<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    map("lower", &args, str::to_lowercase)
}

pub fn upper<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    map("upper", &args, str::to_uppercase)
}

pub fn trim<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    map("trim", &args, |text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

pub fn ascii<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    map("ascii", &args, fold::fold)
}

pub fn digits<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    map("digits", &args, |text| text.chars().filter(char::is_ascii_digit).collect())
}

pub fn escape_dn<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    map("escape_dn", &args, crate::dn::escape)
}

pub fn before<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    around("before", &args, |(before, _)| before)
}

pub fn after<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    around("after", &args, |(_, after)| after)
}

/// What stands on one side of the first separator; null where there is none.
fn around<'b, 'v>(
    function: &str,
    args: &Arguments<'b, 'v>,
    side: impl for<'t> FnOnce((&'t str, &'t str)) -> &'t str,
) -> Answer<'b, 'v> {
    let text = text_argument(function, args[0].as_ref())?;
    let separator = separator(function, args[1].as_ref())?;
    text_answer(
        function,
        text.and_then(|text| text.split_once(separator)).map(|parts| side(parts).to_owned()),
    )
}

pub fn replace<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let from = separator("replace", args[1].as_ref())?;
    let to = text_argument("replace", args[2].as_ref())?.unwrap_or_default();
    map("replace", &args, |text| text.replace(from, to))
}

pub fn split<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let separator = separator("split", args[1].as_ref())?;
    let Some(text) = text_argument("split", args[0].as_ref())? else { return Ok(null()) };
    if text.split(separator).nth(MAX_ITEMS).is_some() {
        return Err(too_many("split"));
    }
    let parts =
        text.split(separator).map(|part| Box::new(CelString::from(part.to_owned())) as Box<dyn Val + 'v>);
    Ok(CowVal::owned(CelList::from(parts.collect::<Vec<_>>())))
}

/// From one character to another, counted from 0; what lies beyond the end is left out.
pub fn substring<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let start = count_argument("substring", args[1].as_ref())?;
    let end = args.get(2).map(|end| count_argument("substring", end.as_ref())).transpose()?;
    let length = end.map_or(usize::MAX, |end| end.saturating_sub(start));
    map("substring", &args, |text| text.chars().skip(start).take(length).collect())
}

/// Nothing for 0, else the number: what makes a taken name free.
pub fn suffix<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let iteration = count_argument("suffix", args[0].as_ref())?;
    text_answer("suffix", Some(if iteration == 0 { String::new() } else { iteration.to_string() }))
}

pub fn text<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    text_answer("text", spelled("text", args[0].as_ref())?)
}

/// A single value as text; none for null.
pub fn spelled(function: &str, value: &dyn Val) -> Result<Option<String>, ExecutionError> {
    let text = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        text.inner().to_owned()
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        number.inner().to_string()
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        number.inner().to_string()
    } else if let Some(number) = value.downcast_ref::<CelDouble>() {
        number.inner().to_string()
    } else if let Some(truth) = value.downcast_ref::<CelBool>() {
        truth.inner().to_string()
    } else if let Some(at) = value.downcast_ref::<CelTimestamp>() {
        at.inner().to_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true)
    } else if is_null(value) {
        return Ok(None);
    } else {
        return Err(wrong(function, "a single value", value));
    };
    Ok(Some(text))
}

/// An argument that must be text of at least one character.
fn separator<'a>(function: &str, value: &'a dyn Val) -> Result<&'a str, ExecutionError> {
    match text_argument(function, value)? {
        Some(text) if !text.is_empty() => Ok(text),
        Some(_) | None => Err(ExecutionError::function_error(function, "the text to look for is empty")),
    }
}
