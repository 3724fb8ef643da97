//! `aion demo` as a newcomer runs it, and how it refuses.

use std::path::Path;
use std::process::{Command, Output};

use crate::program::program;

fn demo(out: &Path, arguments: &[&str], cache: Option<&Path>) -> Output {
    let mut command = Command::new(program());
    command.arg("demo").arg("--out").arg(out).args(arguments);
    if let Some(cache) = cache {
        command.env("AION_CACHE", cache);
    }
    command.output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Needs the archive that `make setup` fetches.
#[test]
fn the_demo_loads_compares_kills_and_leaves_its_evidence() {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out");
    // What is learned is run by the hunt: a rehearsal takes a debug build a minute, and there are nine.
    let output = demo(
        &out,
        &["--seed", "7", "--kills", "1", "--draws", "2", "--mode", "off"],
        None,
    );
    let (shown, complaint) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{shown}\n{complaint}", output.status);
    assert!(shown.starts_with("seed 7;"), "the seed comes first:\n{shown}");
    assert!(
        shown.chars().all(|char| char == '\n' || !char.is_control()),
        "in a pipe:\n{shown}"
    );
    for expected in [
        "277,977 flights are edges",
        "7,602 to an airport",
        "52,606 without a plane",
        "1,556 without weather",
    ] {
        assert!(shown.contains(expected), "{expected} is missing:\n{shown}");
    }
    // Every template, with equal answers or, through the vector index, its recall.
    for template in aion_datasets::flights::TEMPLATES {
        let line = shown.lines().find(|line| line.trim().starts_with(template.name));
        let line = line.unwrap_or_else(|| panic!("{} is missing:\n{shown}", template.name));
        assert!(line.contains("2/2") || line.contains("recall"), "{line}");
    }
    let samples = std::fs::read_to_string(out.join("samples.csv")).expect("samples.csv");
    let header = "phase,candidate_id,template,arm,literal_hash,ms,rows,result_hash";
    assert_eq!(samples.lines().next(), Some(header));
    // Where answers are exact, equal parameters have equal results in all arms. DuckDB is installed by `make setup`.
    let mut results: std::collections::BTreeMap<(&str, &str), std::collections::BTreeSet<&str>> = Default::default();
    for line in samples.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!((fields.len(), fields[0]), (8, "workload"), "{line}");
        if !fields[2].starts_with("vector_") && fields[2] != "hybrid" {
            results.entry((fields[2], fields[4])).or_default().insert(fields[7]);
        }
    }
    assert!(results.values().all(|hashes| hashes.len() == 1), "{results:?}");
    for arm in ["before", "by_hand", "duckdb"] {
        let count = samples
            .lines()
            .filter(|line| line.contains(&format!(",{arm},")))
            .count();
        assert_eq!(count, 2 * aion_datasets::flights::TEMPLATES.len(), "{arm}");
    }
    let plan = std::fs::read_to_string(out.join("plans/hybrid.by_hand.json")).expect("a plan");
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    assert!(plan[0]["Plan"]["Actual Rows"].is_u64(), "{plan}");
    // Name, rounds, acked, found, lost, half, wrong, seconds.
    for name in ["kill -9", "power cut"] {
        let line = shown
            .lines()
            .find_map(|line| line.trim().strip_prefix(name))
            .expect("a line of the table");
        let numbers: Vec<u64> = line
            .split_whitespace()
            .take(6)
            .map(|number| number.replace(',', "").parse().expect("a number"))
            .collect();
        assert!(
            numbers[0] == 1 && numbers[1] >= 50 && numbers[2] >= numbers[1],
            "{name}: {line}"
        );
        assert_eq!(numbers[3..], [0, 0, 0], "{name}: {line}");
    }
    let ledger = std::fs::read_to_string(out.join("acked.log")).expect("acked.log");
    assert!(ledger.lines().any(|line| line.starts_with("kill 1 ")), "{ledger}");
    assert!(ledger.lines().any(|line| line.starts_with("power-cut 1 ")), "{ledger}");
    let environment = std::fs::read_to_string(out.join("env.json")).expect("env.json");
    assert!(environment.contains("\"seed\": 7"), "{environment}");

    let check = Command::new(program())
        .arg("check")
        .arg("--data")
        .arg(out.join("data"))
        .output();
    let checked = text(&check.expect("the program starts").stdout);
    assert!(checked.contains(" rows, sha256 "), "{checked}");
}

#[test]
fn a_choice_that_is_none_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    for arguments in [["--kills", "many"], ["--draws", "0"], ["--start", "somehow"]] {
        assert_eq!(
            demo(dir.path(), &arguments, None).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
}

#[test]
fn without_the_archive_the_way_to_get_it_is_said_and_nothing_is_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out");
    let output = demo(&out, &[], Some(dir.path()));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("make setup"), "{}", text(&output.stderr));
    assert!(!out.exists());
}

/// The whole loop, with the evidence computed again by the script that is left there. `cargo xtask hunt` runs it.
#[test]
fn the_demo_learns_refuses_what_was_planted_and_takes_back_what_stops_paying() {
    if crate::program::at_length(0, 1) == 0 {
        println!("NOT RUN here: it takes many minutes in a debug build; cargo xtask hunt runs it");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out");
    let output = demo(&out, &["--seed", "7", "--kills", "0", "--draws", "5"], None);
    let (shown, complaint) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{shown}\n{complaint}", output.status);
    for expected in [
        "of the gain by hand",
        "it went back on its own",
        "verdicts recomputed",
        "decisions intact",
    ] {
        assert!(shown.contains(expected), "{expected} is missing:\n{shown}");
    }
    let ledger = std::fs::read_to_string(out.join("ledger.jsonl")).expect("ledger.jsonl");
    for line in ledger.lines() {
        let one: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if one["origin"] == "planted" {
            assert_eq!(one["state"], "rejected", "{one}");
        }
    }
    // One sample changed is found.
    let samples = std::fs::read_to_string(out.join("samples.csv")).expect("samples.csv");
    let line = samples
        .lines()
        .find(|line| line.starts_with("rehearsal,") && line.contains(",candidate,"));
    let line = line.expect("a sample");
    let mut fields: Vec<&str> = line.split(',').collect();
    fields[5] = "0.001";
    std::fs::write(out.join("samples.csv"), samples.replacen(line, &fields.join(","), 1)).expect("written");
    let checked = Command::new("python3")
        .arg(out.join("verify.py"))
        .output()
        .expect("it runs");
    assert_eq!(checked.status.code(), Some(1), "{}", text(&checked.stdout));
}
