//! The function library of expressions; docs/mapping.md is its documentation, and a test compares the two.
//!
//! Every function can be written `lower(x)` and `x.lower()`. All but `default`, `list`, `join` and `format` hand null
//! through, so that an absent attribute yields an absent attribute.

mod ascii;
mod list;
mod text;

use cel::{
    Env, ExecutionError,
    common::{
        functions::Function,
        types::{CelInt, CelNull, CelString, DYN_TYPE, Type},
        value::{CowVal, Val},
    },
};

use super::{MAX_ITEMS, MAX_TEXT, values::Unmanaged};

/// The function around what loops and `in` go over; nobody can write its name.
pub const ITEMS: &str = "@items";

type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;
type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;

/// Name, numbers of arguments, implementation.
const LIBRARY: &[(&str, &[usize], Function)] = &[
    ("after", &[2], text::after),
    ("ascii", &[1], text::ascii),
    ("before", &[2], text::before),
    ("default", &[2], list::default),
    ("digits", &[1], text::digits),
    ("escape_dn", &[1], text::escape_dn),
    ("first", &[1], list::first),
    ("format", &[2], list::format),
    ("join", &[2], list::join),
    ("list", &[1], list::list),
    ("lower", &[1], text::lower),
    ("replace", &[3], text::replace),
    ("split", &[2], text::split),
    ("substring", &[2, 3], text::substring),
    ("suffix", &[1], text::suffix),
    ("text", &[1], text::text),
    ("trim", &[1], text::trim),
    ("unmanaged", &[0], unmanaged),
    ("upper", &[1], text::upper),
];

/// CEL's own functions that expressions may call. The rest of its library is of no use to a mapping.
const STANDARD: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// Adds the library to the environment that expressions are compiled and evaluated in.
pub fn declare(environment: &mut Env) {
    let internal: (&str, &[usize], Function) = (ITEMS, &[1], list::items);
    for (name, arities, function) in LIBRARY.iter().chain([&internal]) {
        for &arity in *arities {
            let any = |count: usize| -> Vec<Type> { (0..count).map(|_| DYN_TYPE).collect() };
            let unique = "the names and numbers of arguments of the library are unique";
            environment.add_overload(name, &format!("{name}_{arity}"), any(arity), *function).expect(unique);
            if let Some(others) = arity.checked_sub(1) {
                let id = format!("member_{name}_{arity}");
                environment.add_member_overload(name, &id, DYN_TYPE, any(others), *function).expect(unique);
            }
        }
    }
}

pub fn is_ours(name: &str) -> bool {
    name == ITEMS || LIBRARY.iter().any(|(ours, ..)| *ours == name)
}

/// Ours, CEL's, or an operator, whose names nobody can write.
pub fn is_known(name: &str) -> bool {
    is_ours(name) || STANDARD.contains(&name) || !name.starts_with(|first: char| first.is_ascii_alphabetic())
}

#[expect(clippy::unnecessary_wraps, reason = "the signature that cel gives its functions")]
fn unmanaged<'b, 'v>(_: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    Ok(CowVal::owned(Unmanaged))
}

fn is_null(value: &dyn Val) -> bool {
    value.downcast_ref::<CelNull>().is_some()
}

fn null<'b, 'v>() -> CowVal<'b, 'v> {
    CowVal::owned(CelNull)
}

/// Text as a result; none is null.
fn text_answer<'b, 'v>(function: &str, text: Option<String>) -> Answer<'b, 'v> {
    match text {
        None => Ok(null()),
        Some(text) if text.len() > MAX_TEXT => Err(ExecutionError::function_error(
            function,
            format!("the result has more than {MAX_TEXT} bytes"),
        )),
        Some(text) => Ok(CowVal::owned(CelString::from(text))),
    }
}

/// An argument that must be text; none for null.
fn text_argument<'a>(function: &str, value: &'a dyn Val) -> Result<Option<&'a str>, ExecutionError> {
    match value.downcast_ref::<CelString<'_>>() {
        Some(text) => Ok(Some(text.inner())),
        None if is_null(value) => Ok(None),
        None => Err(wrong(function, "text", value)),
    }
}

/// An argument that must be an integer of at least 0.
fn count_argument(function: &str, value: &dyn Val) -> Result<usize, ExecutionError> {
    let number = value.downcast_ref::<CelInt>().ok_or_else(|| wrong(function, "an integer", value))?;
    usize::try_from(*number.inner())
        .map_err(|_| ExecutionError::function_error(function, "expected an integer of at least 0"))
}

fn wrong(function: &str, wanted: &str, value: &dyn Val) -> ExecutionError {
    let got = value.get_type().name();
    ExecutionError::function_error(function, format!("expected {wanted}, not {got}"))
}

fn too_many(function: &str) -> ExecutionError {
    ExecutionError::function_error(function, format!("more than {MAX_ITEMS} items"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_exactly_the_library() {
        let documentation = include_str!("../../../../../docs/mapping.md");
        let (_, table) = documentation.split_once("| function | yields |").unwrap();
        let rows = table.trim_start().lines().take_while(|line| line.starts_with('|'));
        let documented: Vec<&str> =
            rows.filter_map(|row| Some(row.strip_prefix("| `")?.split_once('(')?.0)).collect();
        let library: Vec<&str> = LIBRARY.iter().map(|(name, ..)| *name).collect();
        assert_eq!(documented, library);
    }
}
