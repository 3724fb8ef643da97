//! Histories made by hand, one for each phenomenon: the checker must refuse them where the level forbids it, and only there.
//!
//! A line is a transaction: when it was invoked and completed, how it ended (`ok`, `fail`, `info`), then its steps:
//! `w KEY VALUE` writes, `r KEY = VALUES` reads. A line that begins with `last` says what was there in the end.

use std::collections::BTreeMap;

use super::check::check;
use super::level::Level;
use super::record::{Outcome, Transaction};
use super::workload::{Held, History, Kind, Micro, Plan};

/// A planted history.
struct Planted {
    name: &'static str,
    /// What the refusal at the highest level has to say; empty if there is none.
    says: &'static str,
    forbidden_at: &'static [Level],
    history: &'static str,
}

const EVERYWHERE: &[Level] = &Level::ALL;
const SNAPSHOTS: &[Level] = &[Level::Serializable, Level::RepeatableRead];
const SERIALIZABLE: &[Level] = &[Level::Serializable];
const NOWHERE: &[Level] = &[];

const fn planted(
    name: &'static str,
    says: &'static str,
    forbidden_at: &'static [Level],
    history: &'static str,
) -> Planted {
    Planted {
        name,
        says,
        forbidden_at,
        history,
    }
}

/// Phenomena that lists and registers both show.
const BOTH: &[Planted] = &[
    planted(
        "one after the other",
        "",
        NOWHERE,
        "
        0 1 ok | r 1 = | w 1 10 | r 1 = 10
        2 3 ok | r 1 = 10 | w 2 20
        4 5 fail | w 1 11
        6 7 ok | r 1 = 10 | r 2 = 20",
    ),
    planted(
        "a lost answer to a COMMIT that took effect",
        "",
        NOWHERE,
        "
        0 1 info | w 1 10
        2 3 ok | r 1 = 10",
    ),
    planted(
        "a lost answer to a COMMIT that did not",
        "",
        NOWHERE,
        "
        0 1 info | w 1 10
        2 3 ok | r 1 =",
    ),
    planted(
        "aborted read",
        "G1a",
        EVERYWHERE,
        "
        0 3 fail | w 1 10
        1 2 ok | r 1 = 10",
    ),
    planted(
        "intermediate read",
        "G1b",
        EVERYWHERE,
        "
        0 3 ok | w 1 10 | w 2 20 | w 1 11
        1 2 ok | r 1 = 10",
    ),
    planted(
        "circular information flow",
        "G1c",
        EVERYWHERE,
        "
        0 2 ok | w 1 10 | r 2 = 20
        1 3 ok | w 2 20 | r 1 = 10",
    ),
    planted(
        "read skew",
        "G-single",
        SNAPSHOTS,
        "
        0 3 ok | r 1 = | r 2 = 20
        1 2 ok | w 1 10 | w 2 20",
    ),
    planted(
        "a read that is not repeated",
        "internal",
        SNAPSHOTS,
        "
        0 3 ok | r 1 = | r 1 = 10
        1 2 ok | w 1 10",
    ),
    planted(
        "write skew",
        "G2-item",
        SERIALIZABLE,
        "
        0 2 ok | r 1 = | r 2 = | w 1 10
        1 3 ok | r 1 = | r 2 = | w 2 20",
    ),
    planted(
        "long fork",
        "G-nonadjacent",
        SNAPSHOTS,
        "
        0 4 ok | w 1 10
        1 5 ok | w 2 20
        2 6 ok | r 1 = 10 | r 2 =
        3 7 ok | r 1 = | r 2 = 20",
    ),
    planted(
        "the reader that makes it visible (Fekete and others 2004)",
        "G2-item",
        SERIALIZABLE,
        "
        0 7 ok | r 1 = | r 2 = | w 1 10
        1 2 ok | r 2 = | w 2 20
        4 5 ok | r 1 = | r 2 = 20
        8 9 ok | r 1 = 10 | r 2 = 20",
    ),
    planted(
        "a read of what was over before",
        "",
        EVERYWHERE,
        "
        0 1 ok | w 1 10
        2 3 ok | r 1 =",
    ),
    planted(
        "its own write is not there",
        "after own writes",
        EVERYWHERE,
        "
        0 1 ok | w 1 10 | r 1 =",
    ),
    planted(
        "a value that nobody wrote",
        "nobody wrote 99",
        EVERYWHERE,
        "
        0 1 ok | w 1 10
        2 3 ok | r 1 = 99",
    ),
    planted(
        "a committed write that is not there",
        "although",
        EVERYWHERE,
        "
        0 1 ok | w 1 10
        last | r 1 =",
    ),
    planted(
        "an aborted write that stayed",
        "although aborted",
        EVERYWHERE,
        "
        0 1 fail | w 1 10
        last | r 1 = 10",
    ),
];

const LISTS: &[Planted] = &[
    planted(
        "dirty write",
        "G0",
        EVERYWHERE,
        "
        0 2 ok | w 1 10 | w 2 20
        1 3 ok | w 1 11 | w 2 21
        4 5 ok | r 1 = 10 11 | r 2 = 21 20",
    ),
    planted(
        "lost update",
        "lost-update",
        SNAPSHOTS,
        "
        0 2 ok | r 1 = | w 1 10
        1 3 ok | r 1 = | w 1 11
        4 5 ok | r 1 = 10 11",
    ),
    planted(
        "lost update with a later read between",
        "lost-update",
        SNAPSHOTS,
        "
        0 1 ok | w 1 9
        2 4 ok | r 1 = 9 | w 1 10
        3 5 ok | r 1 = 9 | w 1 11 | r 1 = 9 10 11",
    ),
    planted(
        "an element twice",
        "duplicate-elements",
        EVERYWHERE,
        "
        0 1 ok | w 1 10
        2 3 ok | r 1 = 10 10",
    ),
    planted(
        "two orders of one list",
        "incompatible-order",
        EVERYWHERE,
        "
        0 2 ok | w 1 10
        1 3 ok | w 1 11
        4 5 ok | r 1 = 10 11
        6 7 ok | r 1 = 11 10",
    ),
    planted(
        "written upon what was aborted",
        "dirty-update",
        EVERYWHERE,
        "
        0 1 fail | w 1 10
        2 3 ok | w 1 11
        4 5 ok | r 1 = 10 11",
    ),
    planted(
        "an append that another replaced",
        "not in key 1",
        EVERYWHERE,
        "
        0 1 ok | w 1 10
        2 3 ok | w 1 11
        last | r 1 = 11",
    ),
    planted(
        "appended before what was over before",
        "",
        EVERYWHERE,
        "
        0 1 ok | w 1 10
        2 3 ok | w 1 11
        4 5 ok | r 1 = 11 10",
    ),
    planted(
        "a list shorter than it was",
        "read too little",
        EVERYWHERE,
        "
        0 1 ok | w 1 10
        2 3 ok | w 1 11
        4 5 ok | r 1 = 10 11
        6 7 ok | r 1 = 10",
    ),
];

const REGISTERS: &[Planted] = &[
    planted(
        "lost update",
        "lost-update",
        SNAPSHOTS,
        "
        0 1 ok | w 1 9
        2 4 ok | r 1 = 9 | w 1 10
        3 5 ok | r 1 = 9 | w 1 11",
    ),
    planted(
        "dirty write",
        "G0",
        EVERYWHERE,
        "
        0 4 ok | w 1 10 | w 2 20
        1 10 ok | w 1 11 | w 2 21
        2 3 ok | r 2 = 21
        5 6 ok | r 1 = 10
        11 12 ok | r 1 = 11 | r 2 = 20",
    ),
    planted(
        "back to a value that was replaced",
        "cyclic-versions",
        EVERYWHERE,
        "
        0 1 ok | w 1 10
        2 3 ok | w 1 11
        4 5 ok | r 1 = 10",
    ),
];

fn parse(kind: Kind, text: &str) -> History {
    let mut history = History {
        kind,
        transactions: Vec::new(),
        last: None,
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, steps) = line.split_once('|').expect("steps");
        let mut plan = Plan {
            steps: Vec::new(),
            is_withdrawn: false,
        };
        let mut seen = Vec::new();
        for step in steps.split('|') {
            let words: Vec<&str> = step.split_whitespace().filter(|word| *word != "=").collect();
            let numbers: Vec<i32> = words[1..].iter().map(|word| word.parse().expect("a number")).collect();
            if words[0] == "w" {
                plan.steps.push(Micro::Write(numbers[0], numbers[1]));
                seen.push(Vec::new());
            } else {
                plan.steps.push(Micro::Read(numbers[0]));
                seen.push(vec![(numbers[0], numbers[1..].to_vec())]);
            }
        }
        if head.trim() == "last" {
            history.last = Some(seen.into_iter().flatten().collect::<BTreeMap<i32, Held>>());
            continue;
        }
        let words: Vec<&str> = head.split_whitespace().collect();
        let because = || ("40001".to_owned(), String::new());
        let outcome = match words[2] {
            "ok" => Outcome::Committed(seen),
            "fail" => Outcome::Aborted(because().0, because().1),
            "info" => Outcome::Unknown(because().0, because().1),
            other => panic!("no outcome is called {other}"),
        };
        history.transactions.push(Transaction {
            invoked: words[0].parse().expect("a number"),
            completed: words[1].parse().expect("a number"),
            plan,
            outcome,
        });
    }
    history
}

fn refused_where_forbidden(kind: Kind, planted: &Planted) -> Vec<String> {
    let history = parse(kind, planted.history);
    let mut wrong = Vec::new();
    for level in Level::ALL {
        let verdict = check(&history, level);
        let is_forbidden = planted.forbidden_at.contains(&level);
        if verdict.is_err() != is_forbidden {
            wrong.push(format!("{kind:?}, {}, at {}: {verdict:?}", planted.name, level.sql()));
        }
        if let (Level::Serializable, Err(story)) = (level, verdict)
            && !story.contains(planted.says)
        {
            wrong.push(format!("{kind:?}, {}: not {}, but {story}", planted.name, planted.says));
        }
    }
    wrong
}

#[test]
fn each_phenomenon_is_refused_at_the_levels_that_forbid_it() {
    let mut wrong = Vec::new();
    for (kind, own) in [(Kind::Lists, LISTS), (Kind::Registers, REGISTERS)] {
        for planted in BOTH.iter().chain(own) {
            wrong.extend(refused_where_forbidden(kind, planted));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} verdicts are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
