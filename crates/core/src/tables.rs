//! State machines printed as text, for the tests that compare them with the documented tables (`crates/core/tables`).

use std::fmt::Display;

use crate::error::Error;

/// All pairs of event and state: what the state becomes, `–` where the move is refused, `*` where it goes beyond the
/// data model, which draws the moves of `drawn`.
pub fn of_moves<S, E>(
    states: &[S],
    events: &[E],
    after: impl Fn(S, E) -> Result<S, Error>,
    drawn: &[(S, S)],
) -> String
where
    S: Copy + Display + PartialEq,
    E: Copy + Display,
{
    let is_drawn = |from, event| after(from, event).is_ok_and(|to| drawn.contains(&(from, to)));
    of_moves_by_event(states, events, &after, is_drawn)
}

/// The same where the data model tells events apart that lead to the same state.
pub fn of_moves_by_event<S, E>(
    states: &[S],
    events: &[E],
    after: impl Fn(S, E) -> Result<S, Error>,
    is_drawn: impl Fn(S, E) -> bool,
) -> String
where
    S: Copy + Display,
    E: Copy + Display,
{
    let header = std::iter::once("event \\ from".to_owned()).chain(states.iter().map(S::to_string)).collect();
    let rows = events.iter().map(|&event| {
        let cells = states.iter().map(|&from| match after(from, event) {
            Err(_) => "–".to_owned(),
            Ok(to) if is_drawn(from, event) => to.to_string(),
            Ok(to) => format!("{to} *"),
        });
        std::iter::once(event.to_string()).chain(cells).collect()
    });
    format!("{}\n`–` is refused; `*` goes beyond the data model's drawing.\n", markdown(header, rows))
}

/// A table as Markdown, its columns aligned.
pub fn markdown(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut printed = String::new();
    for (number, row) in rows.iter().enumerate() {
        printed += &line(row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect());
        if number == 0 {
            printed += &line(widths.iter().map(|width| "-".repeat(*width)).collect());
        }
    }
    printed
}

/// Fails with the printed table, ready to be copied, where it is not the documented one.
#[track_caller]
pub fn compare(printed: &str, documented: &str) {
    assert!(printed == documented, "the documented table differs from what the code does:\n{printed}");
}
