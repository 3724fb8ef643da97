//! `verify.py`, the sceptic's program, against this crate: it must find the same verdicts, and every edit of the evidence.
//!
//! 1. [`Case`] names each way in which a rehearsal can end. [`rehearsed`] draws evidence from a seed until the crate's own
//!    [`Evidence::judge`] ends it that way, with the samples that it was made of.
//! 2. [`Files`] writes `samples.csv`, `ledger.jsonl`, `evidence.jsonl` and `decisions.jsonl` as the demo does, and their hashes after
//!    each edit anew: a forger would not forget them.
//! 3. The tests run `python3 verify.py` on them, as they are and with one thing edited.

#![allow(clippy::disallowed_methods, reason = "tests write files and start Python")]

mod evidence;

use std::process::Command;

use aion_shadow::verdict::Budget;
use serde_json::{Value, json};

use evidence::{Case, FILES, Files, PROGRAM, Said};

#[test]
fn every_verdict_is_found_again() {
    for seed in 1..=6 {
        let files = Files::draw(&Case::ALL, seed);
        let said = files.verify();
        said.agrees();
        let decisions = files.decisions;
        let closing = format!("verify: 11 verdicts recomputed, 11 agree; chain of {decisions} decisions intact\n");
        assert!(said.output.ends_with(&closing), "seed {seed}: {}", said.output);
        for reason in Case::ALL.iter().filter_map(|case| case.reason()) {
            let is_told = said
                .output
                .lines()
                .any(|line| line.contains("rejected: ") && line.contains(reason));
            assert!(is_told, "seed {seed}: {reason}\n{}", said.output);
        }
        assert!(said.output.contains("not rehearsed, failed: the clone does not fit"));
    }
}

#[test]
fn the_workload_is_shown_in_medians_and_in_total() {
    let said = Files::draw(&[Case::Ready], 1).verify();
    said.agrees();
    let rows: Vec<Vec<&str>> = said
        .output
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in [
        ["nearest", "10.000", "4.000", "2.000", "5.000", "2.50x", "5.00x"],
        ["total", "20.000", "8.000", "4.000", "10.000", "2.50x", "5.00x"],
    ] {
        assert!(rows.iter().any(|found| *found == row), "{row:?}\n{}", said.output);
    }
    assert!(
        said.output.contains("`after` reaches 75.0 % of the gain by hand"),
        "{}",
        said.output
    );
}

#[test]
fn it_checks_the_folder_that_it_lies_in() {
    let files = Files::draw(&[Case::Ready], 2);
    let copy = files.path().join("verify.py");
    std::fs::copy(PROGRAM, &copy).expect("a file can be copied");
    Said::of(Command::new("python3").arg(copy)).agrees();
}

/// The place in `samples.csv` of the fastest execution of recommendation 1 under the incumbent: changed, it moves a median.
fn fastest(lines: &[String]) -> usize {
    let ms = |line: &String| line.split(',').nth(5).and_then(|ms| ms.parse::<f64>().ok());
    let is_meant =
        |line: &String| line.starts_with("rehearsal,1,") && line.contains(",incumbent,") && !line.contains(",write,");
    let meant = lines.iter().enumerate().filter(|(_, line)| is_meant(line));
    let fastest = meant.min_by(|(_, one), (_, two)| ms(one).partial_cmp(&ms(two)).expect("times"));
    fastest.expect("there are samples").0
}

fn set_column(line: &mut String, column: usize, value: &str) {
    let mut columns: Vec<&str> = line.split(',').collect();
    columns[column] = value;
    *line = columns.join(",");
}

#[test]
fn an_edited_sample_is_found() {
    let files = Files::draw(&[Case::Ready, Case::NotShown], 3);
    files
        .edited("samples.csv", |lines| {
            let at = fastest(lines);
            set_column(&mut lines[at], 5, "123456.75");
        })
        .finds_first("recommendation 1: before_ms is ");
    for (column, value) in [(7, "0123456789abcdef"), (6, "4")] {
        let mut place = String::new();
        let said = files.edited("samples.csv", |lines| {
            // The first line of a pair, which was not given up.
            let at = lines.iter().position(|line| line.starts_with("rehearsal,1,"));
            let line = &mut lines[at.expect("there are samples")];
            place = format!(
                "recommendation 1: statement {}, pair 1: the answers differ (",
                line.split(',').nth(2).unwrap_or_default()
            );
            set_column(line, column, value);
        });
        said.finds_only(&place);
    }
}

/// A sample that moves no median was not noticed while only the figures were compared.
#[test]
fn an_edited_sample_that_moves_no_figure_is_found() {
    let files = Files::draw(&[Case::Writes, Case::Ready], 8);
    let longer = |is_meant: fn(&&String) -> bool| {
        files.edited("samples.csv", |lines| {
            let ms = |line: &String| line.split(',').nth(5).and_then(|ms| ms.parse::<f64>().ok());
            let meant = lines.iter_mut().filter(|line| is_meant(&&**line));
            // The slowest becomes slower by the least that a double can hold.
            let slowest = meant.max_by(|one, two| ms(one).partial_cmp(&ms(two)).expect("times"));
            let line = slowest.expect("there are samples");
            let longer = f64::from_bits(ms(line).expect("a time").to_bits() + 1);
            set_column(line, 5, &longer.to_string());
        })
    };
    let said =
        longer(|line| line.starts_with("rehearsal,2,") && line.contains(",candidate,") && !line.contains(",write,"));
    said.finds_first("recommendation 2: ");
    assert!(
        said.output
            .contains("has other times than the evidence, first in pair "),
        "{}",
        said.output
    );
    longer(|line| line.starts_with("rehearsal,1,write,incumbent,"))
        .finds_only("recommendation 1: write, incumbent: samples.csv has other times than the evidence");
    // Other literals than its partner's.
    let said = files.edited("samples.csv", |lines| {
        let at = lines.iter().position(|line| line.starts_with("rehearsal,2,"));
        set_column(&mut lines[at.expect("there are samples")], 4, "77");
    });
    said.finds_first("recommendation 2: ");
    assert!(said.output.contains(", pair 1: the literals differ"), "{}", said.output);
    // What decides nothing has a hash all the same.
    let before = files.read("samples.csv");
    files.write("samples.csv", &before.replacen(",before,", ",after,", 1));
    files
        .verify()
        .finds_only("samples.csv: it is not as the demo left it, by SHA256SUMS");
}

#[test]
fn evidence_that_was_edited_or_taken_away_is_found() {
    let files = Files::draw(&[Case::Ready, Case::NotShown], 9);
    let edited = |from: &'static str, to: &'static str| {
        files.edited_field("evidence.jsonl", 0, "evidence", |text| {
            json!(text.as_str().expect("a text").replacen(from, to, 1))
        })
    };
    let sealed = "recommendation 1: its evidence is not the one that its decision is sealed with";
    edited("\"had_time\":", " \"had_time\":").finds_only(sealed);
    let said = edited("\"compared\":", "\"compared\":1");
    said.finds_first(sealed);
    said.finds("recommendation 1: the statements are counted otherwise");
    let said = edited("\"size_bytes\":", "\"size_bytes\":1");
    said.finds_first(sealed);
    said.finds("recommendation 1: size_bytes is ");
    files
        .edited("evidence.jsonl", |lines| drop(lines.remove(1)))
        .finds_only("recommendation 2: evidence.jsonl has no evidence of it");
}

#[test]
fn samples_and_ledger_belong_together() {
    let files = Files::draw(&[Case::Ready, Case::NotShown], 4);
    let is_second = |line: &String| line.starts_with("rehearsal,2,");
    // Without its line in the ledger.
    let said = files.edited("ledger.jsonl", |lines| drop(lines.remove(1)));
    said.finds("recommendation 2: samples.csv has ");
    said.finds("recommendation 2: decision ");
    // Without its samples.
    let said = files.edited("samples.csv", |lines| lines.retain(|line| !is_second(line)));
    said.finds("recommendation 2: statement ");
    said.finds("recommendation 2: before_ms is ");
    // Of a statement that the ledger excludes, or does not have.
    let said = files.edited("samples.csv", |lines| {
        lines.push("rehearsal,2,17,incumbent,0,1.5,1,00".to_owned());
    });
    said.finds_only("recommendation 2: samples.csv has 1 samples of 17");
    // One that has no partner.
    let said = files.edited("samples.csv", |lines| {
        let at = lines.iter().position(is_second).expect("there are samples");
        lines.remove(at);
    });
    said.finds_first("recommendation 2: statement ");
    assert!(said.output.contains(" samples make no pairs"), "{}", said.output);
}

#[test]
fn an_edited_figure_is_found() {
    // With writes, so that each figure is there.
    let files = Files::draw(&[Case::Writes, Case::Ready], 5);
    let larger = |by: f64| move |value: &Value| json!(value.as_f64().expect("a number") * by);
    let figures = [
        "before_ms",
        "after_ms",
        "speedup",
        "speedup_low",
        "speedup_high",
        "worst_speedup",
        "write_cost_pct",
    ];
    for name in figures {
        let said = files.edited_field("ledger.jsonl", 0, name, larger(1.000_001));
        said.finds_only(&format!("recommendation 1: {name} is "));
        said.finds("verify: 2 verdicts recomputed, 1 agree; ");
        files
            .edited_field("ledger.jsonl", 0, name, |_| Value::Null)
            .finds_only(&format!("recommendation 1: {name} is null"));
    }
    files
        .edited_field("ledger.jsonl", 0, "speedup", larger(1.0 + 1e-12))
        .agrees();
    for name in ["samples", "worst_queryid"] {
        let said = files.edited_field("ledger.jsonl", 0, name, |_| json!(4));
        said.finds_only(&format!("recommendation 1: {name} is 4 in the ledger"));
    }
    let said = files.edited_field("ledger.jsonl", 0, "results_equal", |_| json!(false));
    said.finds_only("recommendation 1: results_equal is false");
    // Another seed draws other bounds.
    let said = files.edited_field("ledger.jsonl", 0, "seed", |_| json!(5));
    said.finds("recommendation 1: speedup_low is ");
    said.finds("recommendation 1: no decision after a rehearsal carries its seed, 5");
    // More answers than there are.
    let said = files.edited_field("ledger.jsonl", 0, "statements", |statements| {
        let mut statements = statements.clone();
        for statement in statements.as_array_mut().expect("a list") {
            if statement["excluded"].is_null() {
                statement["compared"] = json!(99);
                statement["equal"] = json!(99);
            }
        }
        statements
    });
    said.finds_first("recommendation 1: statement ");
    assert!(
        said.output.contains("99 are said to have been compared"),
        "{}",
        said.output
    );
}

#[test]
fn an_edited_verdict_is_found() {
    let files = Files::draw(&[Case::Ready, Case::NotShown], 6);
    let edited = |line: usize, field: &str, value: Value| files.edited_field("ledger.jsonl", line, field, |_| value);
    edited(0, "verdict", json!("rejected"))
        .finds_first("recommendation 1: the verdict is rejected in the ledger, and ready by the rules");
    edited(1, "verdict", json!("ready"))
        .finds_only("recommendation 2: the verdict is ready in the ledger, and rejected (not shown to pay: ");
    edited(1, "verdict_reason", json!("it takes 5 bytes, 4 are allowed")).finds_only(
        "recommendation 2: the reason of the verdict is of the kind: too many bytes in the ledger, and not shown",
    );
    edited(1, "verdict_reason", json!("not shown to pay: 1.09x"))
        .finds_only("recommendation 2: the reason of the verdict is \"not shown to pay: 1.09x\" in the ledger");
    // Another budget asks for another verdict.
    let strict = Budget {
        speedup_min: 1e6,
        pairs_max: 1,
        ..Budget::default()
    };
    edited(0, "budget", serde_json::to_value(strict).expect("it is data"))
        .finds_first("recommendation 1: the verdict is ready in the ledger, and rejected (not shown to pay: ");
    // What failed was not shown to pay.
    edited(2, "verdict", json!("ready"))
        .finds_only("recommendation 3: the verdict is ready in the ledger, and it was not rehearsed");
    let said = edited(2, "state", json!("kept"));
    said.finds("recommendation 3: it is kept, and it was not rehearsed");
    said.finds("recommendation 3: it is kept in the ledger, and failed by decision ");
}

#[test]
fn an_edited_decision_is_found() {
    let files = Files::draw(&[Case::Ready, Case::NotShown], 7);
    let fields = [
        ("at", json!(1)),
        ("recommendation_id", json!(9)),
        ("from_state", json!("kept")),
        ("to_state", json!("kept")),
        ("actor", json!("ann")),
        ("reason", json!("because")),
        ("log_index", json!(1)),
        ("version", json!("0.2.0")),
        ("seed", json!(1)),
        ("evidence_sha256", json!("00")),
        ("hash", json!("00")),
    ];
    for (field, value) in fields {
        let said = files.edited_field("decisions.jsonl", 2, field, |_| value);
        said.finds_only("decision 3: its fields are not those that it was made with");
        said.finds(&format!(
            "verify: 2 verdicts recomputed, 2 agree; chain of {} decisions broken at decision 3",
            files.decisions
        ));
    }
    let said = files.edited_field("decisions.jsonl", 2, "prev_hash", |_| json!("00"));
    said.finds_only("decision 3: it does not follow the decision before it");
    let said = files.edited("decisions.jsonl", |lines| drop(lines.remove(2)));
    said.finds_only("decision 4: decision 3 is missing before it");
    let said = files.edited("decisions.jsonl", |lines| lines.swap(2, 3));
    said.finds_only("decision 4: decision 3 is missing before it");
    // The end that was cut off is not in the chain, but the ledger knows of it.
    let said = files.edited("decisions.jsonl", |lines| drop(lines.pop()));
    said.finds_only("recommendation 3: it is failed in the ledger, and rehearsing by decision ");
}

#[test]
fn what_cannot_be_read_is_named() {
    let files = Files::draw(&[Case::Ready], 8);
    let unreadable = |said: &Said, what: &str| {
        assert_eq!(said.code, Some(2), "{what}: {said:?}");
        assert!(
            said.errors.starts_with("verify: ") && said.errors.contains(what),
            "{what}: {said:?}"
        );
        assert_eq!(said.errors.lines().count(), 1, "{said:?}");
    };
    for name in FILES {
        let text = files.read(name);
        std::fs::remove_file(files.path().join(name)).expect("a file can be removed");
        unreadable(&files.verify(), name);
        files.write(name, &text);
    }
    let said = files.edited("samples.csv", |lines| set_column(&mut lines[1], 5, "fast"));
    unreadable(&said, "samples.csv, line 2: 'fast' is no time in milliseconds");
    let said = files.edited("samples.csv", |lines| lines[0] = lines[0].replace("ms", "seconds"));
    unreadable(&said, "samples.csv: the header is phase,");
    let said = files.edited("ledger.jsonl", |lines| lines[0].truncate(40));
    unreadable(&said, "ledger.jsonl, line 1: ");
    let said = files.edited_field("ledger.jsonl", 0, "speedup", |_| json!("3x"));
    unreadable(
        &said,
        "ledger.jsonl, line 1: speedup is \"3x\", which is of the wrong type",
    );
    let said = files.edited("decisions.jsonl", |lines| lines[1] = "{\"seq\": 2}".to_owned());
    unreadable(&said, "decisions.jsonl, line 2: at is missing");
    files.verify().agrees();
}
