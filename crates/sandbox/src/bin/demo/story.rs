//! What the person at the terminal sees. It all goes to stderr: stdout belongs to `--json`.

use std::time::Duration;

use console::style;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::target::Choice;

/// Where the times stand, right-aligned.
const WIDTH: usize = 84;

pub fn begin(people: u32, choice: Choice) {
    console::set_colors_enabled(console::colors_enabled_stderr());
    let target = choice.description();
    let people = HumanCount(u64::from(people));
    eprintln!("\n{}  {people} people, and their accounts in {target}\n", style("xavyo").bold().cyan());
}

/// A step that is done.
pub fn done(what: &str, taken: Duration) {
    let time = format!("{:.1} s", taken.as_secs_f64());
    let gap = WIDTH.saturating_sub(console::measure_text_width(what) + time.len());
    eprintln!("  {} {what}{}{}", style("✓").green(), " ".repeat(gap), style(time).dim());
}

/// Something worth knowing.
pub fn tell(line: &str) {
    eprintln!("    {line}");
}

pub fn chapter(title: &str) {
    eprintln!("\n  {}\n", style(title).bold());
}

/// A bar that moves while something of a known size is done; invisible without a terminal.
pub fn bar(what: &str, length: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("  {spinner:.cyan} {prefix:<18} {bar:36.cyan/dim} {pos}/{len}  {msg}")
            .expect("the template is right")
            .progress_chars("━━╌");
    let bar = ProgressBar::new(length).with_style(style).with_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(80));
    bar
}

pub fn end(taken: Duration) {
    eprintln!("\n  All of it in {:.1} s. Nothing of it is left on this machine.\n", taken.as_secs_f64());
}
