//! `aion bench` as a person runs it. What it measures is not asserted; that it measures, compares and writes it down is.

use std::path::Path;
use std::process::{Command, Output};

use crate::program::{at_length, program, seed};

fn bench(arguments: &[&str], dir: &Path, results: &Path) -> Output {
    Command::new(program())
        .arg("bench")
        .args(arguments)
        .arg("--dir")
        .arg(dir)
        .arg("--results")
        .arg(results)
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_work_is_measured_and_written_down_beside_what_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let results = dir.path().join("RESULTS.md");
    std::fs::write(
        &results,
        "# Results\n\n<!-- begin other -->\nkept\n<!-- end other -->\n",
    )
    .expect("written");
    let output = bench(
        &["point", "--rounds", "1", "--seconds", "1", "--seed", "7"],
        dir.path(),
        &results,
    );
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", text(&output.stderr));
    let written = std::fs::read_to_string(&results).expect("results");
    assert!(written.contains("\nkept\n"), "{written}");
    for expected in [
        "<!-- begin point -->\n## point",
        "| 1 session | ",
        "`aion bench point --rounds 1 --seconds 1 --seed 7`, ",
        "fdatasync of 4 KiB: median ",
    ] {
        assert!(written.contains(expected), "{expected} is missing:\n{written}");
    }
    // Nothing stays of its databases.
    let left = std::fs::read_dir(dir.path()).expect("readable").count();
    assert_eq!(left, 1, "RESULTS.md alone");
}

/// The hybrid query equals the brute-force reference in Python on the same files, and DuckDB. Needs what `make setup` fetches.
#[test]
fn the_hybrid_query_equals_its_reference() {
    let dir = tempfile::tempdir().expect("a directory");
    let results = dir.path().join("RESULTS.md");
    let (sets, seed) = (at_length(3, 50).to_string(), seed().to_string());
    let output = bench(&["hybrid", "--sets", &sets, "--seed", &seed], dir.path(), &results);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", text(&output.stderr));
    let equal = format!("exact {sets} of {sets} sets equal, DuckDB {sets} of {sets}");
    assert!(shown.contains(&equal), "{shown}");
    assert!(shown.contains("always as many rows as match"), "{shown}");
}

#[test]
fn a_work_that_is_none_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let results = dir.path().join("RESULTS.md");
    for arguments in [&["everything"][..], &[], &["point", "--seconds", "0"]] {
        assert_eq!(
            bench(arguments, dir.path(), &results).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    assert!(!results.exists());
}
