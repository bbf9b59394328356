//! Words that have no place on the main branch.

use std::{fs, path::Path};

use anyhow::Result;

use super::Findings;
use crate::workspace::{files, root};

/// Written apart, so that this file does not name them.
const FORBIDDEN: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

pub fn check() -> Result<Findings> {
    let mut findings = Findings::new();
    for path in files()? {
        if let Ok(text) = fs::read_to_string(root().join(&path)) {
            findings.extend(check_text(&path, &text));
        }
    }
    Ok(findings)
}

fn check_text(path: &Path, text: &str) -> Findings {
    let found = |line: &str| {
        let mut words = line.split(|letter: char| !letter.is_alphanumeric());
        words.find_map(|word| FORBIDDEN.into_iter().find(|forbidden| *forbidden == word))
    };
    text.lines()
        .zip(1..)
        .filter_map(|(line, number)| Some(format!("{}:{number}: {}", path.display(), found(line)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_found() {
        let text = format!("fine\n// {}: later\nTODOS_OF_OTHERS\n", FORBIDDEN[0]);

        assert_eq!(check_text(Path::new("a.rs"), &text), [format!("a.rs:2: {}", FORBIDDEN[0])]);
    }
}
