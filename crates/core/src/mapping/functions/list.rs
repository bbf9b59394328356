//! Functions of lists, and of attributes that may have none, one or several values.

#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "the signature that cel gives its functions"
)]

use cel::{
    ExecutionError,
    common::{
        types::{CelList, CelMap, CelString},
        value::{CowVal, Val},
    },
};

use super::{
    super::{MAX_ITEMS, MAX_TEXT},
    Answer, Arguments, is_null, null,
    text::spelled,
    text_answer, text_argument, too_many, wrong,
};

/// The items of a list; a single value is one item, null is none.
fn each<'a, 'v>(value: &'a (dyn Val + 'v)) -> Vec<&'a (dyn Val + 'v)> {
    match value.downcast_ref::<CelList<'v>>() {
        Some(list) => list.inner().iter().map(AsRef::as_ref).collect(),
        None if is_null(value) => Vec::new(),
        None => vec![value],
    }
}

/// The list as it is; a single value as a list of one; null as an empty one.
pub fn list<'b, 'v>(mut args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let value = args.remove(0);
    if value.downcast_ref::<CelList<'v>>().is_some() {
        return Ok(value);
    }
    let items = if is_null(value.as_ref()) { Vec::new() } else { vec![value.into_owned()] };
    Ok(CowVal::owned(CelList::from(items)))
}

/// What a loop or `in` goes over: a list as `list` makes it, within the limit; a map by its keys.
pub fn items<'b, 'v>(mut args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let map = args[0].downcast_ref::<CelMap<'v>>().map(|map| map.inner().len());
    let count = map.or_else(|| args[0].downcast_ref::<CelList<'v>>().map(|list| list.inner().len()));
    match (count, map) {
        (Some(count), _) if count > MAX_ITEMS => Err(too_many("list")),
        (_, Some(_)) => Ok(args.remove(0)),
        (_, None) => list(args),
    }
}

pub fn first<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    Ok(each(args[0].as_ref()).first().map_or_else(null, |first| CowVal::Owned(first.clone_as_boxed())))
}

/// The value, unless it is null, empty text or an empty list.
pub fn default<'b, 'v>(mut args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let fallback = args.remove(1);
    let value = args.remove(0);
    let is_empty_text = value.downcast_ref::<CelString<'v>>().is_some_and(|text| text.inner().is_empty());
    Ok(if is_empty_text || each(value.as_ref()).is_empty() { fallback } else { value })
}

/// The items with a separator between them; null and empty items are left out. Nothing left is null.
pub fn join<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let separator = text_argument("join", args[1].as_ref())?.unwrap_or_default();
    let items = each(args[0].as_ref());
    if items.len() > MAX_ITEMS {
        return Err(too_many("join"));
    }
    let mut joined: Option<String> = None;
    for item in items {
        let Some(text) = spelled("join", item)?.filter(|text| !text.is_empty()) else { continue };
        let so_far = joined.get_or_insert_default();
        if !so_far.is_empty() {
            *so_far += separator;
        }
        *so_far += &text;
        if so_far.len() > MAX_TEXT {
            break;
        }
    }
    text_answer("join", joined)
}

/// The template with each `%s` replaced by the next value, `%%` by a percent sign. Null where a value is null.
pub fn format<'b, 'v>(args: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let Some(template) = text_argument("format", args[0].as_ref())? else { return Ok(null()) };
    let Some(list) = args[1].downcast_ref::<CelList<'v>>() else {
        return Err(wrong("format", "a list", args[1].as_ref()));
    };
    let mut values = list.inner().iter();
    let mut text = String::new();
    let mut characters = template.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '%' { characters.next() } else { None }) {
            ('%', Some('%')) => text.push('%'),
            ('%', Some('s' | 'd')) => {
                let value = values
                    .next()
                    .ok_or_else(|| ExecutionError::function_error("format", "too few values"))?;
                let Some(spelled) = spelled("format", value.as_ref())? else { return Ok(null()) };
                text += &spelled;
            }
            ('%', _) => return Err(ExecutionError::function_error("format", "a % is followed by s, d or %")),
            (plain, _) => text.push(plain),
        }
        if text.len() > MAX_TEXT {
            break;
        }
    }
    text_answer("format", Some(text))
}
