//! What passed, why the rest did not, and what is expected of both.
//!
//! `expected.txt` has a line for each file of which something passes: its name, and the places of the records that do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::wire::LOST;

/// What became of one file.
#[derive(Debug)]
pub struct FileReport {
    pub name: String,
    pub passed: BTreeSet<String>,
    /// By the place of a record, why.
    pub failed: BTreeMap<String, String>,
}

impl FileReport {
    pub fn new(name: String) -> Self {
        Self {
            name,
            passed: BTreeSet::new(),
            failed: BTreeMap::new(),
        }
    }

    /// A script that is included twice has its places twice: a record that failed once has failed.
    pub fn pass(&mut self, place: String) {
        if !self.failed.contains_key(&place) {
            self.passed.insert(place);
        }
    }

    pub fn fail(&mut self, place: String, why: String) {
        self.passed.remove(&place);
        self.failed.insert(place, why);
    }

    /// Whether the server ended in the middle, which it must not do whatever it is asked.
    pub fn is_dead(&self) -> bool {
        self.failed.values().any(|why| why.contains(LOST))
    }
}

/// What became of all.
#[derive(Debug)]
pub struct Report {
    pub files: Vec<FileReport>,
}

impl Report {
    pub fn of(files: impl Iterator<Item = FileReport>) -> Self {
        Self { files: files.collect() }
    }

    /// How much of what another server passes we do, and what we do not.
    pub fn beside(&self, peer: &Self) -> String {
        let (mut theirs, mut lines) = (0, Vec::new());
        for (ours, file) in self.files.iter().zip(&peer.files) {
            theirs += file.passed.len();
            let failed = ours.failed.iter().filter(|(place, _)| file.passed.contains(*place));
            lines.extend(failed.map(|(place, why)| format!("{}:{place}: {}", file.name, first_line(why))));
        }
        let both = theirs - lines.len();
        format!(
            "PostgreSQL passes {theirs} records, and of these we pass {both}; not these:\n{}",
            lines.join("\n")
        )
    }

    fn classes(&self) -> BTreeMap<String, usize> {
        let mut classes = BTreeMap::new();
        for why in self.files.iter().flat_map(|file| file.failed.values()) {
            *classes.entry(class(why)).or_default() += 1;
        }
        classes
    }
}

fn first_line(why: &str) -> String {
    let line: Vec<&str> = why.lines().take(2).collect();
    line.join(" ").chars().take(240).collect()
}

/// The SQLSTATE with what is meant by it here, or what else went wrong.
fn class(why: &str) -> String {
    if why.contains(LOST) {
        return LOST.to_owned();
    }
    if why.starts_with("the script") {
        return "the script cannot be read".to_owned();
    }
    if why.contains("query result mismatch") {
        let is_plan = why.contains("logical_plan") || why.contains("physical_plan");
        return if is_plan {
            "EXPLAIN has other words"
        } else {
            "other values"
        }
        .to_owned();
    }
    if why.contains("is expected to fail, but actually succeed") || why.contains("expected to fail") {
        return "no error, or another one".to_owned();
    }
    let code = why
        .split_once("failed: ")
        .map_or("", |(_, rest)| rest.get(..5).unwrap_or(""));
    let meaning = match code {
        "0A000" => "not supported",
        "42601" => "syntax of DataFusion",
        "42883" => "a function that is not there",
        "42704" => "a type or setting that is not there",
        "42P01" => "a table that could not be made before",
        "42703" | "42701" => "a column that is not there, or twice",
        "42000" | "42804" => "refused while it is planned",
        "XX000" => "internal",
        _ => "",
    };
    format!("{code} {meaning}").trim().to_owned()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut passed, mut all) = (0, 0);
        for file in &self.files {
            let total = file.passed.len() + file.failed.len();
            (passed, all) = (passed + file.passed.len(), all + total);
            writeln!(f, "{:>6} of {total:>6}  {}", file.passed.len(), file.name)?;
        }
        let rate = 100.0 * passed as f64 / (all as f64).max(1.0);
        writeln!(
            f,
            "{passed} of {all} records of {} files pass: {rate:.1}%",
            self.files.len()
        )?;
        for (class, count) in self.classes() {
            writeln!(f, "{count:>6}  {class}")?;
        }
        // Whatever is asked, these are ours.
        for file in &self.files {
            for (place, why) in file.failed.iter().filter(|(_, why)| why.contains("failed: XX")) {
                writeln!(f, "{}:{place}: {}", file.name, first_line(why))?;
            }
        }
        Ok(())
    }
}

/// What is committed.
pub struct Expected {
    files: BTreeMap<String, BTreeSet<String>>,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus/expected.txt")
}

impl Expected {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(path()).expect("it is committed");
        let line = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            let name = words.next().expect("the first part of a line");
            (name, words.collect())
        };
        Self {
            files: text.lines().map(line).collect(),
        }
    }

    pub fn write(report: &Report) {
        let mut text = String::new();
        for file in report.files.iter().filter(|file| !file.passed.is_empty()) {
            let passed: Vec<String> = file.passed.iter().map(|place| format!(" {place}")).collect();
            text.push_str(&format!("{}{}\n", file.name, passed.concat()));
        }
        std::fs::write(path(), text).expect("written");
    }

    fn passed(&self, name: &str) -> BTreeSet<&str> {
        self.files.get(name).into_iter().flatten().map(String::as_str).collect()
    }

    /// What of a file passed and does not any more, each with why.
    pub fn missed(&self, file: &FileReport) -> Vec<String> {
        let lost = self.passed(&file.name).into_iter();
        let lost = lost.filter(|place| !file.passed.contains(*place));
        let why = |place: &str| file.failed.get(place).map_or("it is not there", String::as_str);
        lost.map(|place| format!("{}:{place}: {}", file.name, why(place)))
            .collect()
    }

    /// What of a file passes, too.
    pub fn gained(&self, file: &FileReport) -> Vec<String> {
        let before = self.passed(&file.name);
        let gained = file.passed.iter().filter(|place| !before.contains(place.as_str()));
        gained.map(|place| format!("{}:{place}", file.name)).collect()
    }
}

#[test]
fn what_is_worse_and_what_is_better_is_told() {
    let places = |places: &[&str]| -> BTreeSet<String> { places.iter().map(|place| (*place).to_owned()).collect() };
    let expected = Expected {
        files: BTreeMap::from([("a".to_owned(), places(&["3", "5"]))]),
    };
    let mut file = FileReport::new("a".to_owned());
    file.pass("3".to_owned());
    file.pass("5".to_owned());
    assert_eq!((expected.missed(&file), expected.gained(&file)), (vec![], vec![]));
    file.fail("5".to_owned(), "so".to_owned());
    file.pass("5".to_owned());
    file.pass("7".to_owned());
    assert_eq!(expected.missed(&file), ["a:5: so"]);
    assert_eq!(expected.gained(&file), ["a:7"]);
    let other = FileReport::new("b".to_owned());
    assert_eq!((expected.missed(&other), expected.gained(&other)), (vec![], vec![]));
}

#[test]
fn what_only_a_peer_passes_is_listed() {
    let file = |is_passed: bool| {
        let mut file = FileReport::new("a".to_owned());
        match is_passed {
            true => file.pass("3".to_owned()),
            false => file.fail("3".to_owned(), "no\nSQL".to_owned()),
        }
        Report::of([file].into_iter())
    };
    assert!(
        file(false)
            .beside(&file(true))
            .contains("passes 1 records, and of these we pass 0; not these:\na:3: no SQL")
    );
    assert!(file(true).beside(&file(true)).contains("we pass 1;"));
}
