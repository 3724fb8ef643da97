//! The page of limits is held to the code: each constant stands in its file as the page says, with the number that the page says, and
//! what the page says of a few limits is what a client is told.

use std::path::Path;

use tokio_postgres::error::SqlState;

use crate::sql::Server;

const PAGE: &str = include_str!("../docs/limits.md");

/// A row of a table of the page.
#[derive(Debug)]
struct Limit<'a> {
    what: &'a str,
    number: &'a str,
    constant: &'a str,
    file: &'a str,
    state: &'a str,
}

fn limits(page: &str) -> Vec<Limit<'_>> {
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| what "));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [what, number, place, state] = cells[..] else {
            panic!("{line}: four cells");
        };
        let parts: Vec<&str> = place.split('`').collect();
        let ["", constant, " in ", file, ""] = parts[..] else {
            panic!("{line}: a constant in a file");
        };
        Limit {
            what,
            number,
            constant,
            file,
            state,
        }
    })
    .collect()
}

/// A number with a unit, as the page writes it.
fn shown(text: &str) -> u64 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match unit {
        "" | "bytes" | "levels" | "s" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        other => panic!("{text}: the unit {other}"),
    };
    number.parse::<u64>().expect("a number") * factor
}

/// The value of a constant's expression: products, shifts and differences of numbers.
fn value(expression: &str) -> u64 {
    let expression = expression.trim();
    if let Some((left, right)) = expression.split_once(" - ") {
        return value(left) - value(right.trim_start_matches('(').trim_end_matches(')'));
    }
    if let Some((left, right)) = expression.split_once("<<") {
        return value(left) << value(right);
    }
    if let Some((left, right)) = expression.split_once('*') {
        return value(left) * value(right);
    }
    if let Some(seconds) = expression.strip_prefix("Duration::from_secs(") {
        return value(seconds.trim_end_matches(')'));
    }
    match expression {
        "MIB" => 1 << 20,
        // It has a row of its own.
        "crate::log::ENTRY_BYTES_MAX" => value("4 << 20"),
        number => number.replace('_', "").parse().unwrap_or_else(|_| panic!("{number}")),
    }
}

#[test]
fn each_limit_stands_in_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let states = std::fs::read_to_string(root.join("engine/base/src/error.rs")).expect("the SQLSTATEs");
    let limits = limits(PAGE);
    assert!(limits.len() > 40, "{} limits", limits.len());
    for Limit {
        what,
        number,
        constant,
        file,
        state,
    } in limits
    {
        let code = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let (name, expression) = match constant.split_once(" = ") {
            Some((name, expression)) => {
                assert!(
                    code.contains(&format!("const {constant};")),
                    "{what}: {file} has no {constant}"
                );
                (name, expression)
            }
            None => {
                assert!(
                    code.contains(&format!(" {constant},")),
                    "{what}: {file} has no {constant}"
                );
                constant.split_once(": ").expect("a field and its value")
            }
        };
        assert_eq!(shown(number), value(expression), "{what}: {name}");
        let is_known = state.starts_with("none: ") || states.contains(&format!("\"{state}\""));
        assert!(is_known, "{what}: {state} is no SQLSTATE");
    }
}

/// Statements one beyond a limit, with what is beyond it; what they have room for is taken.
#[test]
fn clients_are_told_of_limits_as_the_page_says() {
    let server = Server::start();
    let client = server.connect();
    let told = |sql: &str| {
        let done = server.runtime.block_on(client.batch_execute(sql));
        done.err().map(|error| {
            error
                .code()
                .cloned()
                .unwrap_or(SqlState::INTERNAL_ERROR)
                .code()
                .to_owned()
        })
    };
    let columns = |count: usize| {
        let columns: Vec<String> = (0..count).map(|at| format!("c{at} int")).collect();
        format!("DROP TABLE IF EXISTS wide; CREATE TABLE wide ({})", columns.join(", "))
    };
    let key = |count: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("c{at}")).collect();
        format!("DROP INDEX IF EXISTS k; CREATE INDEX k ON wide ({})", names.join(", "))
    };
    let of = |what: &str| {
        let limit = limits(PAGE).into_iter().find(|limit| limit.what == what);
        let limit = limit.unwrap_or_else(|| panic!("the page has no \"{what}\""));
        (shown(limit.number) as usize, limit.state.to_owned())
    };
    let name = |length: usize| format!("CREATE TABLE {} (a int)", "n".repeat(length));
    let nested = |depth: usize| format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth));
    let row = |length: usize| {
        format!(
            "DROP TABLE IF EXISTS r; CREATE TABLE r (t text); INSERT INTO r VALUES ('{}')",
            "x".repeat(length)
        )
    };
    type Write<'a> = &'a dyn Fn(usize) -> String;
    // Some room is the row's head and the query's own levels.
    let cases: [(&str, Write<'_>, usize); 6] = [
        ("columns of a table", &columns, 0),
        ("columns of a key or an index", &key, 0),
        ("a name of a table, column, index or constraint", &name, 0),
        ("nesting of expressions and queries", &nested, 60),
        ("a row", &row, 100),
        (
            "dimensions of a `vector`",
            &|count| format!("SELECT '[{}]'::vector", vec!["1"; count].join(",")),
            0,
        ),
    ];
    for (what, write, room) in cases {
        let (number, state) = of(what);
        assert_eq!(told(&write(number - room)), None, "{what}");
        assert_eq!(told(&write(number + 1)), Some(state), "{what}");
    }
    let (number, state) = of("savepoints");
    let savepoints = "SAVEPOINT s;".repeat(number);
    assert_eq!(told(&format!("BEGIN; {savepoints}")), None);
    assert_eq!(told("SAVEPOINT one_more"), Some(state));
}
