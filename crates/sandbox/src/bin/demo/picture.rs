//! The report as a picture.

use console::{Color, style};
use indicatif::HumanCount;

use crate::{
    drift::{Counts, TYPES},
    reconcile::Findings,
    story,
};

/// The longest bar.
const WIDTH: i64 = 40;

/// A bar for each type, as long as it is frequent, with what was really wrong beside it.
pub fn draw(findings: &Findings, injected: &Counts) {
    story::chapter("What the run found");
    let most = TYPES.iter().map(|(_, name)| findings.found.get(name)).max().unwrap_or_default().max(1);
    for ((_, name), color) in TYPES.into_iter().zip(COLORS) {
        let (found, wrong) = (findings.found.get(name), injected.get(name));
        let length = (found * WIDTH + most - 1) / most;
        let bar = style("█".repeat(usize::try_from(length).unwrap_or_default())).fg(color);
        let gap = " ".repeat(usize::try_from(WIDTH - length).unwrap_or_default());
        let verdict = if found == wrong {
            style(format!("all {wrong} that there were")).dim()
        } else {
            style(format!("there were {wrong}")).red()
        };
        story::tell(&format!("{name:<10} {bar}{gap} {found:>6}  {verdict}"));
    }
    let attributes: Vec<String> =
        findings.mismatched.iter().map(|(attribute, count)| format!("{attribute} {count}")).collect();
    story::tell("");
    story::tell(&format!("mismatched   {}", attributes.join(" · ")));
    story::tell(&format!("target       {}", findings.evidence.target));
    story::tell(&format!("identities   {}", findings.evidence.expected));
    story::tell(&format!("speed        {} accounts/s", rounded(findings.accounts_per_second)));
}

pub fn draw_second(findings: &Findings) {
    let left = findings.found.total();
    let line = if left == 0 {
        style("Nothing is left to find.".to_owned()).green().bold()
    } else {
        style(format!("{left} are left, {} in flight.", findings.in_flight)).red().bold()
    };
    story::tell("");
    story::tell(&line.to_string());
}

const COLORS: [Color; 6] =
    [Color::Yellow, Color::Magenta, Color::Cyan, Color::Red, Color::Blue, Color::Green];

fn rounded(number: f64) -> String {
    HumanCount(format!("{number:.0}").parse().unwrap_or_default()).to_string()
}
