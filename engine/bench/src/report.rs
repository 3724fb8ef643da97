//! What a benchmark found, as lines for a person and as a section of `RESULTS.md`.
//!
//! `RESULTS.md` has a section for each work, between two comments that name it; running a work again replaces its section
//! and leaves the others. Under each table stands how it was made: command, time, commit, machine, load before and after, and how long
//! an fsync took.

use std::path::Path;

use aion_base::clock::{Clock, SystemClock};
use aion_base::{Error, Result};
use aion_catalog::text::write_timestamptz;

use crate::environment::{Environment, load_average};

/// How an arm's runs are brought to one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// More is better.
    PerSecond,
    /// Less is better.
    Milliseconds,
    /// Less is better.
    Mebibytes,
    /// Less is better.
    BytesPerByte,
}

/// The runs of one engine.
#[derive(Clone, Debug)]
pub struct Arm {
    /// The engine.
    pub name: String,
    /// One figure for each run.
    pub runs: Vec<f64>,
}

impl Arm {
    /// The middle of the runs; of an even number, the upper of the two.
    pub fn median(&self) -> f64 {
        median(&self.runs)
    }
}

/// The middle of some figures; of an even number, the upper of the two. NaN of none.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One measurement: ours, and the peers'.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// Us.
    pub ours: Arm,
    /// The others, in the same run.
    pub peers: Vec<Arm>,
}

/// All that one work found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name on the command line.
    pub work: &'static str,
    /// What it does, in a sentence or two.
    pub about: String,
    /// Of the figures.
    pub unit: Unit,
    /// The measurements.
    pub lines: Vec<Line>,
    /// What was compared, and what came of it.
    pub notes: Vec<String>,
    /// Whether all answers that should be equal were.
    pub is_equal: bool,
}

impl Report {
    /// The table, its head first: what, ours, and for each peer its name, figure and the ratio, above 1 where we are faster.
    pub fn table(&self) -> Vec<Vec<String>> {
        let unit = match self.unit {
            Unit::PerSecond => "per second",
            Unit::Milliseconds => "ms",
            Unit::Mebibytes => "MiB",
            Unit::BytesPerByte => "bytes a byte",
        };
        let mut rows = vec![vec![
            "what".to_owned(),
            format!("aion, {unit}"),
            "peer".to_owned(),
            format!("peer, {unit}"),
            "ratio".to_owned(),
        ]];
        for line in &self.lines {
            let ours = self.shown(&line.ours);
            if line.peers.is_empty() {
                rows.push(vec![
                    line.what.clone(),
                    ours.clone(),
                    "none".to_owned(),
                    "-".to_owned(),
                    "-".to_owned(),
                ]);
            }
            for peer in &line.peers {
                let ratio = match self.unit {
                    Unit::PerSecond => line.ours.median() / peer.median(),
                    Unit::Milliseconds | Unit::Mebibytes | Unit::BytesPerByte => peer.median() / line.ours.median(),
                };
                rows.push(vec![
                    line.what.clone(),
                    ours.clone(),
                    peer.name.clone(),
                    self.shown(peer),
                    format!("{ratio:.2}"),
                ]);
            }
        }
        rows
    }

    /// The median, and the least and the greatest of several runs.
    fn shown(&self, arm: &Arm) -> String {
        let figure = |figure: f64| match self.unit {
            Unit::PerSecond => count(figure.round() as u64),
            Unit::Milliseconds | Unit::BytesPerByte => format!("{figure:.2}"),
            Unit::Mebibytes => format!("{figure:.1}"),
        };
        let median = figure(arm.median());
        if arm.runs.len() < 2 {
            return median;
        }
        let least = arm.runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = arm.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{median} ({} to {})", figure(least), figure(most))
    }

    /// The section for `RESULTS.md`.
    pub fn section(&self, command: &str, environment: &Environment) -> String {
        let mut text = format!("## {}\n\n{}\n\n", self.work, self.about);
        for (at, row) in self.table().iter().enumerate() {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
            if at == 0 {
                text.push_str("|---|---:|---|---:|---:|\n");
            }
        }
        text.push('\n');
        for note in &self.notes {
            text.push_str(&format!("- {note}\n"));
        }
        let after = load_average().map_or_else(|| "unknown".to_owned(), |load| format!("{:.2}", load[0]));
        text.push_str(&format!(
            "- `{command}`, {}, commit {}, {}; load afterwards {after}\n",
            now(),
            environment.commit(),
            environment.summary()
        ));
        text
    }
}

/// Puts the section of a work into a file, in the place of a former one or at the end.
///
/// # Errors
/// When the file cannot be read or written.
pub fn write_section(path: &Path, work: &str, section: &str) -> Result<()> {
    let failed = |error| Error::io(format_args!("write {}", path.display()), error);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => HEAD.to_owned(),
        Err(error) => return Err(Error::io(format_args!("read {}", path.display()), error)),
    };
    std::fs::write(path, with_section(&text, work, section)).map_err(failed)
}

const HEAD: &str = "# Results\n\nWritten by `aion bench`. A ratio above 1 says that we are faster; three figures are the \
                    median, the least and the greatest of the runs.\n";

fn with_section(text: &str, work: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- begin {work} -->\n"), format!("<!-- end {work} -->\n"));
    let marked = format!("{begin}{section}{end}");
    let place = text.find(&begin).and_then(|from| {
        let to = text[from..].find(&end)?;
        Some((from, from + to + end.len()))
    });
    match place {
        Some((from, to)) => format!("{}{marked}{}", &text[..from], &text[to..]),
        None => format!("{}\n\n{marked}", text.trim_end()),
    }
}

/// A number with a comma between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The time, to the minute.
fn now() -> String {
    let micros = SystemClock::default().wall_micros();
    let mut text = String::new();
    write_timestamptz(i64::try_from(micros).unwrap_or_default(), &mut text);
    text.truncate("2000-01-01 00:00".len());
    text + " UTC"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(unit: Unit) -> Report {
        let arm = |name: &str, runs: &[f64]| Arm {
            name: name.to_owned(),
            runs: runs.to_vec(),
        };
        Report {
            work: "thing",
            about: "Things.".to_owned(),
            unit,
            lines: vec![Line {
                what: "one".to_owned(),
                ours: arm("aion", &[3000.0, 1000.0, 2000.0]),
                peers: vec![arm("other", &[1000.0])],
            }],
            notes: Vec::new(),
            is_equal: true,
        }
    }

    #[test]
    fn a_ratio_above_one_says_that_we_are_faster() {
        let rows = report(Unit::PerSecond).table();
        assert_eq!(rows[1], ["one", "2,000 (1,000 to 3,000)", "other", "1,000", "2.00"]);
        let rows = report(Unit::Milliseconds).table();
        assert_eq!(
            rows[1],
            ["one", "2000.00 (1000.00 to 3000.00)", "other", "1000.00", "0.50"]
        );
    }

    #[test]
    fn a_section_replaces_its_former_one_and_no_other() {
        let text = with_section(HEAD, "a", "first\n");
        let text = with_section(&text, "b", "other\n");
        let text = with_section(&text, "a", "second\n");
        assert!(text.starts_with("# Results"), "{text}");
        assert!(
            text.contains("second\n") && text.contains("other\n") && !text.contains("first"),
            "{text}"
        );
        assert_eq!(with_section(&text, "a", "second\n"), text);
    }
}
