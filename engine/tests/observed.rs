//! What the database notes of the statements that ran: by SQL, as a user asks for it, and in the file beside the data.

use std::path::Path;

use aion_catalog::Value;
use aion_db::{Database, DatabaseOptions, Mode};

use crate::nearest::Client;

const FIGURES: &str = "SELECT query, calls, rows FROM aion.statements WHERE query LIKE '%items%' ORDER BY query";

fn open(path: &Path, ai_mode: Mode) -> Database {
    let options = DatabaseOptions {
        ai_mode: Some(ai_mode),
        ..DatabaseOptions::default()
    };
    Database::open(path, options).expect("it opens")
}

fn fill(client: &mut Client<'_>) {
    client.query(
        "CREATE TABLE items (id integer PRIMARY KEY, kind integer, name text)",
        &[],
    );
    client.query(
        "INSERT INTO items SELECT i, i % 10, 'item ' || i FROM generate_series(1, 1000) AS s(i)",
        &[],
    );
}

fn lines(rows: Vec<Vec<String>>) -> Vec<String> {
    rows.into_iter().map(|row| row.join(" | ")).collect()
}

#[test]
fn statements_are_noted_without_their_literals() {
    let database = Database::in_memory(DatabaseOptions::default()).expect("threads start");
    let mut client = Client::new(&database);
    fill(&mut client);
    for kind in 0..3 {
        client.query(&format!("SELECT count(*) FROM items WHERE kind = {kind}"), &[]);
    }
    client.query("SELECT count(*) FROM items WHERE kind = $1", &[Value::I32(4)]);
    client.query("SELECT id FROM items WHERE name LIKE 'item 1%' ORDER BY 1 LIMIT 7", &[]);
    client.query("UPDATE items SET name = 'x' WHERE kind = 3", &[]);
    // By its key: the direct path is not observed.
    client.query("SELECT name FROM items WHERE id = 7", &[]);
    let noted = lines(client.query(FIGURES, &[]));
    let wanted = [
        "INSERT INTO items SELECT i, i % $1, $2 || i FROM generate_series($3 /*, ... */) AS s(i) | 1 | 1000",
        "SELECT count(*) FROM items WHERE kind = $1 | 4 | 4",
        "SELECT id FROM items WHERE name LIKE $1 ORDER BY 1 LIMIT $2 | 1 | 7",
        "UPDATE items SET name = $1 WHERE kind = $2 | 1 | 100",
    ];
    assert_eq!(noted, wanted);
    let times = "SELECT bool_and(total_exec_time > 0 AND min_exec_time <= mean_exec_time AND mean_exec_time <= max_exec_time \
                 AND total_plan_time >= 0 AND plans = calls) FROM aion.statements";
    assert_eq!(lines(client.query(times, &[])), ["t"]);
    // The name is the system's alone.
    let refused = client.run("CREATE TABLE aion.statements (a integer)", &[]);
    assert!(refused.is_err());
    client.query("CREATE TABLE statements (a integer)", &[]);
    assert_eq!(client.query("SELECT count(*) FROM statements", &[]), [["0"]]);
}

#[test]
fn a_statement_can_be_forgotten() {
    let database = Database::in_memory(DatabaseOptions::default()).expect("threads start");
    let mut client = Client::new(&database);
    fill(&mut client);
    client.query("SELECT count(*) FROM items WHERE name = 'secret'", &[]);
    let forget = "SELECT aion.forget(queryid) FROM aion.statements WHERE query LIKE 'SELECT count(*) FROM items%'";
    assert_eq!(client.query(forget, &[]), [["t"]]);
    let left = client.query(
        "SELECT count(*) FROM aion.statements WHERE query LIKE 'SELECT count(*) FROM items%'",
        &[],
    );
    assert_eq!(left, [["0"]]);
    assert_eq!(client.query("SELECT aion.forget(1)", &[]), [["f"]]);
}

#[test]
fn off_notes_nothing_and_answers_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path(), Mode::Off);
    let mut client = Client::new(&database);
    fill(&mut client);
    assert_eq!(
        client.query("SELECT count(*) FROM items WHERE kind = 1", &[]),
        [["100"]]
    );
    assert_eq!(client.query("SELECT count(*) FROM aion.statements", &[]), [["0"]]);
    drop(client);
    database.close().expect("it closes");
    assert!(!directory.path().join("observed").exists());
    // A session alone can be off in a database that is not.
    let database = open(directory.path(), Mode::Shadow);
    let mut client = Client::new(&database);
    client.query("SET aion.ai_mode = off", &[]);
    client.query("SELECT count(*) FROM items WHERE kind = 1", &[]);
    assert_eq!(client.query("SELECT count(*) FROM aion.statements", &[]), [["0"]]);
    client.query("RESET aion.ai_mode", &[]);
    client.query("SELECT count(*) FROM items WHERE kind = 1", &[]);
    assert_eq!(client.query("SELECT count(*) > 0 FROM aion.statements", &[]), [["t"]]);
    let wrong = client.run("SET aion.ai_mode = maybe", &[]).expect_err("no mode");
    assert_eq!(wrong.state().as_str(), "22023");
}

#[test]
fn what_was_noted_outlives_the_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path(), Mode::Shadow);
    let mut client = Client::new(&database);
    fill(&mut client);
    client.query("SELECT count(*) FROM items WHERE name = 'literal one'", &[]);
    let before = lines(client.query(FIGURES, &[]));
    drop(client);
    database.close().expect("it closes");
    let file = directory.path().join("observed/statements.jsonl");
    let written = std::fs::read_to_string(&file).expect("a file");
    assert!(written.contains("literal one"));

    let database = open(directory.path(), Mode::Shadow);
    let mut client = Client::new(&database);
    assert_eq!(lines(client.query(FIGURES, &[])), [before.clone()].concat());
    // Forgotten, it is not in the file either.
    client.query("SELECT aion.forget(queryid) FROM aion.statements", &[]);
    drop(client);
    database.close().expect("it closes");
    assert!(!std::fs::read_to_string(&file).expect("a file").contains("literal one"));

    // Damage costs what was noted and nothing else.
    std::fs::write(&file, "{\"aion_captured\":1}\n{\"queryid\":").expect("written");
    let database = open(directory.path(), Mode::Shadow);
    let mut client = Client::new(&database);
    assert_eq!(client.query("SELECT count(*) FROM items", &[]), [["1000"]]);
    assert!(
        lines(client.query(FIGURES, &[]))
            .iter()
            .all(|line| !line.contains("literal"))
    );
    drop(client);
    database.close().expect("it closes");
    assert!(file.with_extension("jsonl.damaged").exists());

    // A file in the place of the directory keeps nobody from opening.
    std::fs::remove_dir_all(directory.path().join("observed")).expect("removed");
    std::fs::write(directory.path().join("observed"), "x").expect("written");
    let database = open(directory.path(), Mode::Shadow);
    let mut client = Client::new(&database);
    assert_eq!(client.query("SELECT count(*) FROM items", &[]), [["1000"]]);
    assert_eq!(client.query("SELECT count(*) > 0 FROM aion.statements", &[]), [["t"]]);
    drop(client);
    database.close().expect("it closes");
}

#[test]
fn a_result_that_is_not_read_to_its_end_leaves_no_literals() {
    let database = Database::in_memory(DatabaseOptions::default()).expect("threads start");
    let mut client = Client::new(&database);
    fill(&mut client);
    let failed = client.run("SELECT 1 / (kind - kind) FROM items WHERE kind = 5", &[]);
    assert_eq!(failed.expect_err("a division by zero").state().as_str(), "22012");
    let noted = client.query(
        "SELECT calls, rows FROM aion.statements WHERE query LIKE 'SELECT $1 / (kind%'",
        &[],
    );
    assert_eq!(noted, [["1", "0"]]);
}
