//! Recommendations from proposal to revert: in SQL, as a person asks for them, and by the process that watches.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aion_base::id::TxnId;
use aion_base::range::KeyRange;
use aion_base::rng::SeededRng;
use aion_catalog::Value;
use aion_db::recommendation::{Asked, AskedOf};
use aion_db::{Database, DatabaseOptions, LearningOptions, Mode, Progress};
use aion_shadow::verdict::Budget;
use aion_storage::{Change, Commit, Direction, Outcome, Replicator, Store, StoreOptions};

use crate::nearest::Client;
use crate::program::{at_length, program};

const QUERY: &str = "SELECT count(*), sum(price) FROM items WHERE kind = $1";

fn options(ai_mode: Mode) -> DatabaseOptions {
    DatabaseOptions {
        memory_bytes: 512 << 20,
        ai_mode: Some(ai_mode),
        learning: LearningOptions {
            program: Some((program(), vec!["rehearse-clone".to_owned()])),
            // Only what the tests ask for.
            look_every: Duration::from_secs(1_000_000),
            rehearsal_time: Duration::from_secs(300),
            budget: Budget {
                // Of a debug build; what is measured here is the decision.
                write_cost_pct_max: 1_000.0,
                ..Budget::default()
            },
            ..LearningOptions::default()
        },
        ..DatabaseOptions::default()
    }
}

fn open(path: &Path, ai_mode: Mode) -> Database {
    Database::open(path, options(ai_mode)).expect("it opens")
}

/// 50,000 rows of 1,000 kinds, and queries for some of them.
fn fill(database: &Database) {
    let mut client = Client::new(database);
    client.query(
        "CREATE TABLE items (id integer PRIMARY KEY, kind integer, price double precision, name text)",
        &[],
    );
    client.query(
        "INSERT INTO items SELECT i, i % 1000, i * 0.37, 'item ' || i FROM generate_series(1, 50000) AS s(i)",
        &[],
    );
    client.query("ANALYZE", &[]);
    for kind in [3, 77, 150, 299] {
        client.query(QUERY, &[Value::I32(kind)]);
    }
}

fn state(client: &mut Client<'_>, id: u64) -> String {
    let rows = client.query(&format!("SELECT state FROM aion.recommendations WHERE id = {id}"), &[]);
    rows.first().map_or_else(|| "none".to_owned(), |row| row[0].clone())
}

fn has_index(client: &mut Client<'_>, name: &str) -> bool {
    let rows = client.query(
        &format!("SELECT count(*) FROM pg_indexes WHERE indexname = '{name}'"),
        &[],
    );
    rows == [["1"]]
}

fn refusal(client: &mut Client<'_>, sql: &str) -> (String, String) {
    let error = client.run(sql, &[]).expect_err(sql);
    (error.state().as_str().to_owned(), error.message().to_owned())
}

const PROGRESS: Progress<'static> = Progress {
    is_cancelled: &|| false,
    sampled: &|_| {},
};

#[test]
fn a_recommendation_goes_from_proposal_to_revert_in_sql() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path(), Mode::Advise);
    fill(&database);
    let cycle = database.learn(&PROGRESS).expect("a round");
    assert!(!cycle.proposed.is_empty(), "{cycle:?}");
    assert_eq!(cycle.proposed, cycle.rehearsed);
    assert!(cycle.approved.is_empty(), "nobody is asked in mode auto only");
    let again = database.learn(&PROGRESS).expect("a round");
    assert!(
        again.proposed.is_empty(),
        "what stands is not proposed again: {again:?}"
    );

    let mut client = Client::new(&database);
    let shown = client.query(
        "SELECT kind, object, state, origin, speedup_low >= 1.1, results_equal, samples > 0, size_bytes > 0, \
         before_ms > after_ms, verbs, array_length(queryids, 1) > 0 FROM aion.recommendations WHERE id = 1",
        &[],
    );
    let wanted = [
        "index",
        "public.items",
        "ready",
        "advisor",
        "t",
        "t",
        "t",
        "t",
        "t",
        "{rehearse,approve,dismiss}",
        "t",
    ];
    assert_eq!(shown, [wanted]);
    let names = client.query(
        "SELECT command, undo_command, evidence IS NOT NULL FROM aion.recommendations WHERE id = 1",
        &[],
    );
    assert!(names[0][0].contains("aion_items_kind"), "{names:?}");
    assert!(names[0][1].starts_with("DROP INDEX"), "{names:?}");
    assert_eq!(names[0][2], "t");

    // Each verb answers with the row.
    let approved = client.query("SELECT * FROM aion.approve(1, 'looks good')", &[]);
    assert_eq!((approved[0][0].as_str(), approved[0][3].as_str()), ("1", "watching"));
    assert!(client.explain(QUERY, &[Value::I32(3)]).contains("aion_items_kind"));
    let pinned = client.query("SELECT aion.pin($1)", &[Value::I64(1)]);
    assert_eq!(pinned[0][3], "watching");
    assert_eq!(
        client.query("SELECT pinned FROM aion.recommendations WHERE id = 1", &[]),
        [["t"]]
    );
    client.query("SELECT aion.unpin(1)", &[]);
    let reverted = client.query("SELECT aion.revert(1, $1)", &[Value::Text("not needed".to_owned())]);
    assert_eq!(
        (reverted[0][3].as_str(), reverted[0][4].as_str()),
        ("reverted", "not needed")
    );
    assert!(!client.explain(QUERY, &[Value::I32(3)]).contains("aion_items_kind"));

    let decisions = client.query(
        "SELECT from_state, to_state, actor, reason FROM aion.decisions WHERE recommendation_id = 1 ORDER BY seq",
        &[],
    );
    let decisions: Vec<(&str, &str, &str)> = decisions
        .iter()
        .map(|row| (row[0].as_str(), row[1].as_str(), row[2].as_str()))
        .collect();
    let wanted = [
        ("-", "observed", "pipeline"),
        ("observed", "proposed", "pipeline"),
        ("proposed", "rehearsing", "pipeline"),
        ("rehearsing", "ready", "pipeline"),
        ("ready", "applying", "aion"),
        ("applying", "watching", "pipeline"),
        ("watching", "watching", "aion"),
        ("watching", "watching", "aion"),
        ("watching", "reverted", "aion"),
    ];
    assert_eq!(decisions, wanted);
    let verified = database.verify_ledger().expect("it is whole");
    assert!(
        verified.verdicts >= 1 && verified.decisions >= wanted.len(),
        "{verified:?}"
    );
    drop(client);
    database.close().expect("it closes");

    // It is all there for the next process.
    let database = open(directory.path(), Mode::Advise);
    let mut client = Client::new(&database);
    assert_eq!(state(&mut client, 1), "reverted");
    assert_eq!(database.verify_ledger().expect("it is whole"), verified);
    drop(client);
    database.close().expect("it closes");
}

#[test]
fn what_may_not_be_asked_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path(), Mode::Advise);
    fill(&database);
    let mut client = Client::new(&database);
    let useless = client.query("SELECT aion.rehearse('CREATE INDEX items_name ON items (name)')", &[]);
    assert_eq!((useless[0][3].as_str(), useless[0][7].as_str()), ("rejected", "aion"));
    let before = client.query("SELECT count(*) FROM aion.decisions", &[]);
    for (sql, wanted, words) in [
        ("SELECT aion.approve(99)", "42704", "recommendation 99 does not exist"),
        ("SELECT aion.approve(1)", "55000", "it is rejected"),
        ("SELECT aion.revert(1)", "55000", "it is rejected"),
        ("SELECT aion.approve('one')", "22P02", "no id"),
        ("SELECT aion.approve()", "42883", "takes an id"),
        ("SELECT aion.rehearse(1, 2)", "42883", "a command or an id"),
        (
            "SELECT aion.rehearse('UPDATE items SET kind = 1')",
            "0A000",
            "CREATE INDEX",
        ),
        ("SELECT aion.rehearse('DELETE FROM items')", "0A000", "CREATE INDEX"),
        ("SELECT aion.rehearse('SELECT 1; SELECT 2')", "42601", "one command"),
        (
            "SELECT aion.rehearse('CREATE INDEX i ON nowhere (a)')",
            "42P01",
            "nowhere",
        ),
        ("SELECT aion.approve(id) FROM aion.recommendations", "42883", "approve"),
    ] {
        let (state, message) = refusal(&mut client, sql);
        assert_eq!(state, wanted, "{sql}: {message}");
        assert!(message.contains(words), "{sql}: {message}");
    }
    client.query("BEGIN", &[]);
    assert_eq!(refusal(&mut client, "SELECT aion.dismiss(1)").0, "25001");
    client.query("ROLLBACK", &[]);
    // A session can lower the mode, and not raise it.
    client.query("SET aion.ai_mode = 'shadow'", &[]);
    let (state, message) = refusal(&mut client, "SELECT aion.rehearse(1)");
    assert_eq!(state, "55000", "{message}");
    assert_eq!(refusal(&mut client, "SET aion.ai_mode = 'auto'").0, "42501");
    client.query("RESET aion.ai_mode", &[]);
    assert_eq!(client.query("SHOW aion.ai_mode", &[]), [["advise"]]);
    assert_eq!(client.query("SELECT count(*) FROM aion.decisions", &[]), before);
    // Another role.
    let asked = Asked {
        verb: "dismiss",
        of: AskedOf::Recommendation(1),
        reason: String::new(),
        role: "reader".to_owned(),
        mode: "auto".to_owned(),
    };
    let denied = database.ask(&asked, &PROGRESS).expect_err("no right");
    assert_eq!(denied.state().as_str(), "42501");
    // Dismissed is dismissed.
    client.query("SELECT aion.dismiss(1, 'never')", &[]);
    assert_eq!(refusal(&mut client, "SELECT aion.rehearse(1)").0, "55000");
    drop(client);
    database.close().expect("it closes");
}

#[test]
fn the_mode_is_the_databases_and_outlives_the_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let stored = || {
        let options = DatabaseOptions {
            ai_mode: None,
            ..options(Mode::Shadow)
        };
        Database::open(directory.path(), options).expect("it opens")
    };
    let database = stored();
    let mut client = Client::new(&database);
    assert_eq!(client.query("SHOW aion.ai_mode", &[]), [["shadow"]]);
    fill(&database);
    let (state, message) = refusal(&mut client, "SELECT aion.rehearse('ANALYZE items')");
    assert_eq!(state, "55000", "{message}");
    assert_eq!(
        refusal(&mut client, "ALTER SYSTEM SET aion.ai_mode = 'bold'").0,
        "22023"
    );
    assert_eq!(refusal(&mut client, "ALTER SYSTEM SET work_mem = '1'").0, "42704");
    client.query("ALTER SYSTEM SET aion.ai_mode = 'auto'", &[]);
    client.query("ALTER SYSTEM SET aion.auto_kinds = index", &[]);
    assert_eq!(database.ai_mode(), Mode::Auto);
    drop(client);
    database.close().expect("it closes");
    let database = stored();
    assert_eq!(database.ai_mode(), Mode::Auto);
    let mut client = Client::new(&database);
    let kinds = client.query("SELECT value FROM aion.ai_status WHERE name = 'auto_kinds'", &[]);
    assert_eq!(kinds, [["index"]]);
    // It acts alone.
    let cycle = database.learn(&PROGRESS).expect("a round");
    assert_eq!(cycle.approved.len(), 1, "{cycle:?}");
    assert_eq!(
        client.query(
            "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'aion_items_kind%'",
            &[]
        ),
        [["1"]]
    );
    client.query("ALTER SYSTEM SET aion.ai_mode = 'off'", &[]);
    let noted = client.query("SELECT sum(calls) FROM aion.statements", &[]);
    client.query(QUERY, &[Value::I32(3)]);
    assert_eq!(
        client.query("SELECT sum(calls) FROM aion.statements", &[]),
        noted,
        "nothing is noted"
    );
    client.query("ALTER SYSTEM RESET aion.ai_mode", &[]);
    assert_eq!(database.ai_mode(), Mode::Shadow);
    drop(client);
    database.close().expect("it closes");
}

#[test]
fn an_approval_of_what_is_no_longer_so_is_stale() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path(), Mode::Advise);
    fill(&database);
    let mut client = Client::new(&database);
    let one = "SELECT aion.rehearse('CREATE INDEX items_kind ON items (kind)')";
    assert_eq!(client.query(one, &[])[0][3], "ready");
    client.query("CREATE INDEX by_hand ON items (price)", &[]);
    let (state, message) = refusal(&mut client, "SELECT aion.approve(1)");
    assert_eq!(state, "55000", "{message}");
    assert!(message.contains("not those that it was rehearsed with"), "{message}");
    client.query("DROP INDEX by_hand", &[]);
    client.query("SELECT aion.approve(1)", &[]);
    // Whoever drops what it made dismisses it.
    client.query("DROP INDEX items_kind", &[]);
    let begun = Instant::now();
    while self::state(&mut client, 1) != "dismissed" {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody noticed");
        std::thread::yield_now();
    }
    drop(client);
    database.close().expect("it closes");
}

/// The statistics say that a kind has 50 rows; then it has 150,000, and the index is the slow way to them.
/// Once in the gate, ten times in the hunt.
#[test]
fn a_change_that_stops_paying_goes_back_on_its_own() {
    for round in 0..at_length(1, 10) {
        let (executions, seconds) = stop_paying();
        println!("round {round}: back after {executions} bad executions, {seconds:.1} s");
    }
}

/// How many executions it took, and how long, until a change that no longer pays was taken back.
fn stop_paying() -> (usize, f64) {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path(), Mode::Advise);
    fill(&database);
    let mut client = Client::new(&database);
    let ready = client.query("SELECT aion.rehearse('CREATE INDEX items_kind ON items (kind)')", &[]);
    assert_eq!(ready[0][3], "ready", "{ready:?}");
    client.query("SELECT aion.approve(1)", &[]);
    for _ in 0..5 {
        client.query(QUERY, &[Value::I32(77)]);
    }
    assert_eq!(state(&mut client, 1), "watching");
    client.query(
        "INSERT INTO items SELECT i, 5, i * 0.37, 'more ' || i FROM generate_series(50001, 200000) AS s(i)",
        &[],
    );
    assert!(
        client.explain(QUERY, &[Value::I32(5)]).contains("items_kind"),
        "the planner was not told"
    );
    let begun = Instant::now();
    let mut executions = 0;
    while has_index(&mut client, "items_kind") {
        if executions < 3 {
            client.query(QUERY, &[Value::I32(5)]);
            executions += 1;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it stays");
        std::thread::yield_now();
    }
    assert!(executions <= 3, "{executions}");
    assert_eq!(state(&mut client, 1), "reverted");
    let seconds = begun.elapsed().as_secs_f64();
    let why = client.query("SELECT state_reason, decided_by FROM aion.recommendations", &[]);
    assert!(why[0][0].contains("bad execution"), "{why:?}");
    assert_eq!(why[0][1], "pipeline");
    drop(client);
    database.close().expect("it closes");
    (executions, seconds)
}

/// One pair of clones serves the rehearsals that follow one another, until somebody commits, and is gone with the database.
#[test]
fn clones_are_kept_for_the_next_rehearsal() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path(), Mode::Advise);
    fill(&database);
    let clones = || -> Vec<String> {
        let entries = std::fs::read_dir(directory.path().join("clones"));
        let names = entries.into_iter().flatten().flatten();
        names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    let mut client = Client::new(&database);
    let rehearse = |client: &mut Client<'_>, index: &str, columns: &str, state: &str| {
        let row = client.query(
            &format!("SELECT aion.rehearse('CREATE INDEX {index} ON items ({columns})')"),
            &[],
        );
        assert_eq!(row[0][3], state, "{row:?}");
        let size = client.query(
            "SELECT size_bytes > 10000, write_bytes_pct > 1 FROM aion.recommendations ORDER BY id DESC LIMIT 1",
            &[],
        );
        assert_eq!(size, [["t", "t"]], "{index}");
        clones()
    };
    // Useless, so that it is taken back; then one that becomes part of both; then one upon it.
    let first = rehearse(&mut client, "items_name", "name", "rejected");
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(rehearse(&mut client, "items_kind", "kind", "ready"), first);
    assert_eq!(rehearse(&mut client, "items_name", "name", "rejected"), first);
    // It would have been ready, were it not for the one that both have.
    assert_eq!(rehearse(&mut client, "items_both", "kind, name", "rejected"), first);
    // What somebody writes is in the next ones.
    client.query("UPDATE items SET price = 0 WHERE id = 1", &[]);
    let next = rehearse(&mut client, "items_price", "price", "rejected");
    assert_eq!(next.len(), 1, "{next:?}");
    assert_ne!(next, first);
    let spent = database.counters().expect("counters").learning_micros;
    assert!(spent > 1_000_000, "{spent} us: the child's time is counted");
    drop(client);
    database.close().expect("it closes");
    assert_eq!(clones(), Vec::<String>::new());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), &target).expect("copied")),
        }
    }
}

/// Runs `aion ai` on a directory; whether it came to its end.
fn ai(data: &Path, arguments: &[&str]) -> bool {
    let output = Command::new(program())
        .args(["ai", "--data"])
        .arg(data)
        .args(arguments)
        .output()
        .expect("it runs");
    output.status.code().is_some()
}

#[test]
fn a_process_that_dies_at_any_step_leaves_a_database_that_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let base = directory.path().join("base");
    let database = open(&base, Mode::Advise);
    fill(&database);
    database.close().expect("it closes");
    let command = "CREATE INDEX items_kind ON items (kind)";
    let rehearse = ["rehearse", command, "--seconds", "300"];
    // Up to where it gets by itself, and the state that the next process finds.
    let steps = [
        ("proposed", 0, "proposed"),
        ("rehearsing", 0, "proposed"),
        ("judged", 0, "proposed"),
        ("decided", 0, "ready"),
        ("applying", 1, "ready"),
        ("made", 1, "watching"),
        ("watching", 1, "watching"),
        ("reverting", 2, "reverted"),
        ("undone", 2, "reverted"),
        ("reverted", 2, "reverted"),
    ];
    // One rehearsal serves all steps after it.
    let rehearsed = directory.path().join("rehearsed");
    copy(&base, &rehearsed);
    assert!(ai(&rehearsed, &rehearse));
    for (step, done, wanted) in steps {
        let data = directory.path().join(step);
        copy(if done == 0 { &base } else { &rehearsed }, &data);
        if done == 2 {
            assert!(ai(&data, &["approve", "1"]), "{step}");
        }
        let verb: &[&str] = match done {
            0 => &rehearse,
            1 => &["approve", "1"],
            _ => &["revert", "1"],
        };
        let dies = ["--die-at", step];
        assert!(!ai(&data, &[&dies, verb].concat()), "{step}: it should have died");
        let database = open(&data, Mode::Advise);
        let mut client = Client::new(&database);
        assert_eq!(state(&mut client, 1), wanted, "{step}");
        assert_eq!(has_index(&mut client, "items_kind"), wanted == "watching", "{step}");
        database
            .verify_ledger()
            .unwrap_or_else(|error| panic!("{step}: {error}"));
        assert!(!data.join("clones").exists(), "{step}: clones are left");
        // It goes on to the end from here.
        if wanted == "proposed" {
            assert_eq!(client.query("SELECT aion.rehearse(1)", &[])[0][3], "ready", "{step}");
        }
        if matches!(wanted, "proposed" | "ready") {
            assert_eq!(client.query("SELECT aion.approve(1)", &[])[0][3], "watching", "{step}");
        }
        if wanted != "reverted" {
            assert_eq!(client.query("SELECT aion.revert(1)", &[])[0][3], "reverted", "{step}");
        }
        assert!(!has_index(&mut client, "items_kind"), "{step}");
        database
            .verify_ledger()
            .unwrap_or_else(|error| panic!("{step}: {error}"));
        drop(client);
        database.close().expect("it closes");
    }
}

/// All keys of the ledger with their values, by their place in the data.
fn ledger(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let range = KeyRange::index(aion_base::id::TableId(2), aion_base::id::IndexId(2));
    let snapshot = store.snapshot();
    let mut scan = snapshot.scan(&range, Direction::Forward);
    let mut found = Vec::new();
    while scan.advance().expect("readable") {
        found.push((scan.key().to_vec(), scan.value().to_vec()));
    }
    found
}

#[test]
fn an_edited_ledger_is_found_and_its_first_wrong_decision_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let database = open(&data, Mode::Advise);
    fill(&database);
    let mut client = Client::new(&database);
    client.query("SELECT aion.rehearse('CREATE INDEX items_name ON items (name)')", &[]);
    drop(client);
    let verified = database.verify_ledger().expect("it is whole");
    assert_eq!(verified.decisions, 4);
    database.close().expect("it closes");
    for (at, from, to) in [
        (1, "proposed", "dismissed"),
        (3, "nothing to compare", "something to show"),
    ] {
        let edited = directory.path().join(format!("edited {at}"));
        copy(&data, &edited);
        let store = Store::open(&edited, StoreOptions::default()).expect("it opens");
        let (key, value) = ledger(&store).swap_remove(at);
        let text = String::from_utf8(value).expect("JSON behind a byte");
        assert!(text.contains(from), "{text}");
        let read_point = store.snapshot().read_point().expect("readable").index;
        let mut commit = Commit::new(TxnId(SeededRng::from_entropy().next_u128()), read_point);
        commit.write(key, Change::Put(text.replacen(from, to, 1).into_bytes()));
        let outcome = store.propose(commit).expect("taken").wait().expect("decided");
        assert!(matches!(outcome, Outcome::Committed { .. }));
        store.close().expect("it closes");
        let database = open(&edited, Mode::Advise);
        let broken = database.verify_ledger().expect_err("somebody edited it");
        assert!(broken.message().contains(&format!("decision {}", at + 1)), "{broken}");
        database.close().expect("it closes");
        assert!(!ai_succeeds(&edited, &["verify"]));
    }
    assert!(ai_succeeds(&data, &["verify"]));
}

fn ai_succeeds(data: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new(program());
    let output = command.args(["ai", "--data"]).arg(data).args(arguments).output();
    output.expect("it runs").status.success()
}

#[test]
fn a_rehearsal_without_room_for_its_clones_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut small = options(Mode::Advise);
    small.learning.clone_bytes_max = 1 << 20;
    let database = Database::open(directory.path(), small).expect("it opens");
    fill(&database);
    let mut client = Client::new(&database);
    let (state, message) = refusal(
        &mut client,
        "SELECT aion.rehearse('CREATE INDEX items_name ON items (name, price, kind)')",
    );
    assert_eq!(state, "53100", "{message}");
    assert!(message.contains("1048576 are allowed"), "{message}");
    assert_eq!(self::state(&mut client, 1), "failed");
    let left = std::fs::read_dir(directory.path().join("clones")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
    drop(client);
    database.close().expect("it closes");
}

/// A small file system of its own; None where this process may not mount one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a directory");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_disk_that_fills_up_during_a_rehearsal_costs_the_rehearsal_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(disk) = SmallDisk::mount(&directory.path().join("disk"), 160) else {
        println!("NOT CHECKED: this process may not mount a small disk, so none was filled");
        return;
    };
    let data = disk.0.join("data");
    let database = open(&data, Mode::Advise);
    fill(&database);
    let mut client = Client::new(&database);
    // Too little is free: it is not begun.
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 110 << 20]).expect("it fits");
    let sql = "SELECT aion.rehearse('CREATE INDEX items_name ON items (name, price, kind)')";
    let (state, message) = refusal(&mut client, sql);
    assert_eq!(state, "53100", "{message}");
    assert!(message.contains("are free"), "{message}");
    std::fs::remove_file(&ballast).expect("it is there");
    // It fills up while the rehearsal runs.
    let filling = std::thread::spawn({
        let (disk, clones) = (disk.0.clone(), data.join("clones"));
        move || {
            let begun = Instant::now();
            while !std::fs::read_dir(&clones).is_ok_and(|found| found.count() > 0) {
                assert!(begun.elapsed() < Duration::from_secs(60), "no clone was made");
                std::thread::yield_now();
            }
            let mut number = 0;
            // Until there is no room for another byte.
            while std::fs::write(disk.join(format!("ballast {number}")), vec![1; 64 << 10]).is_ok() {
                number += 1;
            }
        }
    });
    let (state, message) = refusal(&mut client, sql);
    filling.join().expect("it filled the disk");
    assert!(
        matches!(state.as_str(), "53100" | "58030" | "XX000" | "53000"),
        "{state}: {message}"
    );
    for entry in std::fs::read_dir(&disk.0).expect("readable").flatten() {
        if entry.file_name().to_string_lossy().starts_with("ballast") {
            std::fs::remove_file(entry.path()).expect("it is there");
        }
    }
    assert_eq!(client.query("SELECT count(*) FROM items", &[]), [["50000"]]);
    let left = std::fs::read_dir(data.join("clones")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "clones are left");
    client.query("INSERT INTO items VALUES (0, 0, 0, 'after')", &[]);
    database.verify_ledger().expect("it is whole");
    drop(client);
    database.close().expect("it closes");
    let database = open(&data, Mode::Advise);
    let mut client = Client::new(&database);
    assert_eq!(client.query("SELECT count(*) FROM items", &[]), [["50001"]]);
    drop(client);
    database.close().expect("it closes");
}
