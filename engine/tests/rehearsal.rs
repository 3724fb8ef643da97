//! Changes tried on clones in a child process: what pays is ready, what does not is rejected, and the database is as it was.

use std::path::Path;
use std::time::Duration;

use aion_base::Result;
use aion_db::rehearsal::{RehearsalOptions, Rehearsed};
use aion_db::{AdviceLimits, Database, DatabaseOptions, Mode};
use aion_shadow::verdict::{Budget, Verdict};

use crate::nearest::Client;
use crate::program::{at_length, program};

fn open(path: &Path) -> Database {
    let options = DatabaseOptions {
        memory_bytes: 512 << 20,
        ..DatabaseOptions::default()
    };
    Database::open(path, options).expect("it opens")
}

/// A table with 100,000 rows, of 1,000 kinds, and some queries that ran: without an index they read all, and on a busy machine that
/// must still be told from one in a thousand.
fn fill(database: &Database) {
    let mut client = Client::new(database);
    client.query(
        "CREATE TABLE items (id integer PRIMARY KEY, kind integer, price double precision, name text)",
        &[],
    );
    client.query(
        "INSERT INTO items SELECT i, i % 1000, i * 0.37, 'item ' || i FROM generate_series(1, 100000) AS s(i)",
        &[],
    );
    client.query("ANALYZE", &[]);
    for kind in [3, 77, 150, 299] {
        client.query(
            &format!("SELECT count(*), sum(price) FROM items WHERE kind = {kind}"),
            &[],
        );
        client.query(
            &format!("SELECT id, name FROM items WHERE kind = {kind} ORDER BY price, id LIMIT 5"),
            &[],
        );
    }
    // Any five of the rows would be right.
    client.query("SELECT id FROM items WHERE kind = 7 LIMIT 5", &[]);
    client.query("SELECT random() FROM items WHERE kind = 7", &[]);
    client.query("UPDATE items SET price = 0 WHERE kind = 8", &[]);
}

fn options() -> RehearsalOptions {
    RehearsalOptions {
        program: (program(), vec!["rehearse-clone".to_owned()]),
        budget: Budget {
            // Of a debug build; what is measured here is the decision.
            write_cost_pct_max: 1_000.0,
            ..Budget::default()
        },
        time: Duration::from_secs(300),
        seed: 7,
        clone_bytes_max: 1 << 30,
        compares_all: false,
    }
}

fn rehearse(database: &Database, command: &str) -> Result<Rehearsed> {
    database.rehearse(command, &options(), &mut |_| {})
}

fn assert_nothing_is_left(path: &Path) {
    let folder = path.join("clones");
    let left = std::fs::read_dir(&folder).map(Iterator::count).unwrap_or(0);
    assert_eq!(left, 0, "{} holds something", folder.display());
}

#[test]
fn an_index_that_pays_is_ready_and_the_database_is_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path());
    fill(&database);
    let mut heard = 0;
    let rehearsed = database
        .rehearse("CREATE INDEX items_kind ON items (kind)", &options(), &mut |_| {
            heard += 1
        })
        .expect("it is rehearsed");
    assert_eq!(rehearsed.verdict, Verdict::Ready, "{:?}", rehearsed.figures);
    assert_eq!(heard, rehearsed.samples.len());
    let speedup = rehearsed.figures.speedup.expect("pairs");
    assert!(speedup.low >= 1.1, "{speedup:?}");
    assert!(rehearsed.figures.results_equal);
    assert!(rehearsed.figures.write_cost_pct.is_some());
    assert!(rehearsed.evidence.size_bytes > 0);
    // Two queries were compared; what writes, calls random() or takes any five rows was not, and says so.
    let compared = rehearsed
        .evidence
        .statements
        .iter()
        .filter(|one| one.compared > 0)
        .count();
    assert_eq!(compared, 2);
    let reasons: Vec<&str> = rehearsed
        .evidence
        .statements
        .iter()
        .filter_map(|one| one.excluded.as_deref())
        .collect();
    for wanted in [
        "it writes",
        "it calls a volatile function",
        "its LIMIT takes rows in no total order",
    ] {
        assert!(reasons.contains(&wanted), "{wanted}: {reasons:?}");
    }
    // The same samples give the same figures.
    assert_eq!(rehearsed.figures, rehearsed.evidence.figures(7));
    assert_nothing_is_left(directory.path());
    let mut client = Client::new(&database);
    let indexes = client.query("SELECT count(*) FROM pg_indexes WHERE indexname = 'items_kind'", &[]);
    assert_eq!(indexes, [["0"]]);
    assert_eq!(client.query("SELECT count(*) FROM items", &[]), [["100000"]]);
    drop(client);
    database.close().expect("it closes");
}

#[test]
fn what_does_not_pay_is_rejected() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path());
    fill(&database);
    for useless in ["CREATE INDEX items_name ON items (name)", "ANALYZE items"] {
        let mut few = options();
        few.budget.pairs_max = 6;
        let rehearsed = database.rehearse(useless, &few, &mut |_| {}).expect("it is rehearsed");
        assert!(
            // Its plans are the same with and without, so there is nothing to measure.
            matches!(&rehearsed.verdict, Verdict::Rejected(why) if why.contains("would run another way")),
            "{useless}: {:?}",
            rehearsed.verdict
        );
    }
    // Pays for reads, and writes feel it.
    let mut strict = options();
    strict.budget.write_cost_pct_max = -99.0;
    let command = "CREATE INDEX items_kind ON items (kind)";
    let rehearsed = database
        .rehearse(command, &strict, &mut |_| {})
        .expect("it is rehearsed");
    assert!(
        matches!(&rehearsed.verdict, Verdict::Rejected(why) if why.contains("writes take")),
        "{:?}",
        rehearsed.verdict
    );
    database.close().expect("it closes");
}

/// Both arms are the same, and are compared all the same: whatever is measured is noise, and none of it may be promoted. In the gate one
/// of each kind, in the hunt 20.
#[test]
fn identical_arms_are_never_ready() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path());
    fill(&database);
    let mut options = options();
    options.compares_all = true;
    for round in 0..at_length(1, 10) {
        // On two clones, and on one of which a session hides what no statement uses.
        for command in ["ANALYZE items", "CREATE INDEX items_name ON items (name)"] {
            options.seed = 100 + round as u64;
            let rehearsed = database
                .rehearse(command, &options, &mut |_| {})
                .expect("it is rehearsed");
            let speedup = rehearsed.figures.speedup.expect("both queries were compared");
            println!(
                "{command}, round {round}: {:.2}x ({:.2} to {:.2}), {} pairs: {:?}",
                speedup.point, speedup.low, speedup.high, rehearsed.figures.samples, rehearsed.verdict
            );
            assert!(rehearsed.figures.samples >= 10, "{:?}", rehearsed.figures);
            assert!(
                matches!(&rehearsed.verdict, Verdict::Rejected(why) if why.contains("not shown to pay") || why.contains("slower")),
                "{command}: {:?}",
                rehearsed.verdict
            );
        }
    }
    assert_nothing_is_left(directory.path());
    database.close().expect("it closes");
}

#[test]
fn what_cannot_be_rehearsed_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path());
    let state = |outcome: Result<Rehearsed>| outcome.expect_err("refused").state().as_str().to_owned();
    assert_eq!(state(rehearse(&database, "ANALYZE")), "55000", "no query has run");
    fill(&database);
    for (command, expected) in [
        ("UPDATE items SET kind = 1", "0A000"),
        ("DROP TABLE items", "0A000"),
        ("CREATE UNIQUE INDEX u ON items (id)", "0A000"),
        ("SELECT 1", "0A000"),
        ("ANALYZE; ANALYZE", "42601"),
        ("CREATE INDEX", "42601"),
        ("CREATE INDEX i ON items (missing)", "42000"),
        ("DROP INDEX missing", "42000"),
    ] {
        assert_eq!(state(rehearse(&database, command)), expected, "{command}");
        assert_nothing_is_left(directory.path());
    }
    let mut without = options();
    without.program = (directory.path().join("no program"), Vec::new());
    let outcome = database.rehearse("ANALYZE", &without, &mut |_| {});
    assert!(outcome.is_err());
    // A program that says nothing sensible.
    without.program = ("/bin/echo".into(), vec!["hello".to_owned()]);
    assert!(database.rehearse("ANALYZE", &without, &mut |_| {}).is_err());
    without.program = ("/bin/false".into(), Vec::new());
    let outcome = database.rehearse("ANALYZE", &without, &mut |_| {});
    assert!(outcome.expect_err("it ended").message().contains("without a verdict"));
    assert_nothing_is_left(directory.path());
    database.close().expect("it closes");

    let memory = Database::in_memory(DatabaseOptions::default()).expect("threads start");
    fill(&memory);
    assert_eq!(state(rehearse(&memory, "ANALYZE")), "0A000");
    let off = Database::in_memory(DatabaseOptions {
        ai_mode: Some(Mode::Off),
        ..DatabaseOptions::default()
    });
    assert_eq!(state(rehearse(&off.expect("threads start"), "ANALYZE")), "55000");
}

#[test]
fn what_a_killed_process_left_is_removed_when_the_database_opens() {
    let directory = tempfile::tempdir().expect("a directory");
    open(directory.path()).close().expect("it closes");
    let left = directory.path().join("clones/0123456789abcdef/candidate");
    std::fs::create_dir_all(&left).expect("made");
    std::fs::write(left.join("FORMAT"), "x").expect("written");
    open(directory.path()).close().expect("it closes");
    assert!(!directory.path().join("clones").exists());
}

#[test]
fn the_advisor_names_the_index_that_the_rehearsal_then_confirms() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path());
    fill(&database);
    let advice = database.advise(&AdviceLimits::default()).expect("it advises");
    let first = advice.indexes.first().expect("an index");
    assert_eq!(first.table, ("public".to_owned(), "items".to_owned()));
    assert_eq!(first.columns[0], "kind", "{advice:?}");
    assert!(first.estimated_speedup > 2.0, "{first:?}");
    assert!(!first.statements.is_empty());
    let rehearsed = rehearse(&database, &first.command()).expect("it is rehearsed");
    assert_eq!(rehearsed.verdict, Verdict::Ready, "{:?}", rehearsed.figures);
    // Once it is there, it is not named again.
    let mut client = Client::new(&database);
    client.query(&first.command(), &[]);
    let again = database.advise(&AdviceLimits::default()).expect("it advises");
    assert!(
        again.indexes.iter().all(|index| index.columns != first.columns),
        "{again:?}"
    );
    client.query(&first.undo_command(), &[]);
    drop(client);
    database.close().expect("it closes");
}

#[test]
fn an_index_can_be_hidden_from_the_queries_of_a_session() {
    let database = Database::in_memory(DatabaseOptions::default()).expect("threads start");
    fill(&database);
    let mut client = Client::new(&database);
    client.query("CREATE INDEX items_kind ON items (kind)", &[]);
    let query = "SELECT name FROM items WHERE kind = 5 ORDER BY name";
    let rows = client.query(query, &[]);
    assert!(client.explain(query, &[]).contains("items_kind"));
    client.query("SET aion.hidden_indexes = 'other, items_kind'", &[]);
    assert!(!client.explain(query, &[]).contains("items_kind"));
    assert_eq!(client.query(query, &[]), rows);
    // Writes keep it all the same.
    client.query("UPDATE items SET name = 'new' WHERE id = 5", &[]);
    client.query("RESET aion.hidden_indexes", &[]);
    assert!(client.explain(query, &[]).contains("items_kind"));
    let changed = client.query(query, &[]);
    assert!(changed.contains(&vec!["new".to_owned()]));
}
