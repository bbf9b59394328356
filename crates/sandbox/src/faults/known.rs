//! The list of known failures, and how a run differs from it.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

const LIST: &str = include_str!("known_failures.txt");

/// What fails and is not on the list; and, of a whole run, what is on the list and does not fail.
pub fn surprises(failing: &BTreeSet<String>, is_whole: bool) -> Result<Vec<String>> {
    Ok(differences(&listed(LIST)?, failing, is_whole))
}

fn differences(known: &BTreeSet<String>, failing: &BTreeSet<String>, is_whole: bool) -> Vec<String> {
    let new = failing.difference(known).map(|one| format!("NEW FAILURE: {one}"));
    let mended = known.difference(failing).filter(|_| is_whole);
    new.chain(mended.map(|one| format!("MENDED: {one}; strike it from known_failures.txt"))).collect()
}

fn listed(text: &str) -> Result<BTreeSet<String>> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| match line.split_once(' ') {
            Some((key, why)) if !why.trim().is_empty() => Ok(key.to_owned()),
            _ => bail!("a known failure says why: {line}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_only_shrinks() {
        let set = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<BTreeSet<_>>();
        let known = listed("# why\nQ11  too many\n32 slow\n").unwrap();
        assert_eq!(known, set(&["32", "Q11"]));

        assert!(differences(&known, &set(&["32", "Q11"]), true).is_empty());
        assert_eq!(differences(&known, &set(&["32", "Q11", "Q5"]), true), ["NEW FAILURE: Q5"]);
        assert_eq!(differences(&known, &set(&["32"]), true).len(), 1);
        assert!(differences(&known, &set(&["32"]), false).is_empty(), "a part of the suite mends nothing");
        assert!(listed("Q11").is_err() && listed(LIST).is_ok());
    }
}
