//! What a person sees: headings, and colour where a terminal shows it.

use std::io::{IsTerminal, stderr};

pub fn heading(text: &str) {
    eprintln!("{} {}", paint("36", "▸"), paint("1", text));
}

pub fn red(text: &str) -> String {
    paint("31;1", text)
}

pub fn yellow(text: &str) -> String {
    paint("33;1", text)
}

pub fn green(text: &str) -> String {
    paint("32;1", text)
}

fn paint(code: &str, text: &str) -> String {
    if stderr().is_terminal() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
