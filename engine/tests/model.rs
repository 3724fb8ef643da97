//! The cardinality model in shadow: what it learns, what it shows, and that bad ones are found out.

use std::path::Path;
use std::time::{Duration, Instant};

use aion_base::rng::SeededRng;
use aion_db::{Database, DatabaseOptions, LearningOptions, Mode};
use aion_models_registry::onnx::export;
use aion_models_registry::{FeatureSet, Layer, Manifest, Mlp};

use crate::nearest::Client;

fn open(path: &Path) -> Database {
    let options = DatabaseOptions {
        memory_bytes: 512 << 20,
        ai_mode: Some(Mode::Shadow),
        learning: LearningOptions {
            look_every: Duration::from_secs(1_000_000),
            ..LearningOptions::default()
        },
        ..DatabaseOptions::default()
    };
    Database::open(path, options).expect("it opens")
}

/// Two columns that say the same: the planner multiplies their shares and expects a tenth of what there is.
fn fill(database: &Database) {
    let mut client = Client::new(database);
    client.query(
        "CREATE TABLE items (id integer PRIMARY KEY, kind integer, shelf integer, price double precision)",
        &[],
    );
    client.query("CREATE TABLE kinds (kind integer PRIMARY KEY, name text)", &[]);
    client.query(
        "INSERT INTO kinds SELECT i, 'kind ' || i FROM generate_series(0, 9) AS s(i)",
        &[],
    );
    client.query(
        "INSERT INTO items SELECT i, i % 10, i % 10, i * 0.37 FROM generate_series(1, 5000) AS s(i)",
        &[],
    );
    client.query("ANALYZE", &[]);
}

/// Statements of 24 shapes, some with predicates that depend on each other.
fn run(database: &Database, rounds: u64, seed: u64) {
    let mut client = Client::new(database);
    let mut random = SeededRng::new(seed);
    for _ in 0..rounds {
        for shape in 0..24 {
            let kind = random.below(10);
            let price = random.below(1_800);
            let condition = match shape % 4 {
                0 => format!("items.kind = {kind} AND shelf = {kind}"),
                1 => format!("items.kind = {kind} AND shelf = {kind} AND price < {price}"),
                2 => format!("price > {price} AND items.kind = {kind}"),
                _ => format!("items.kind < {kind} AND shelf < {kind}"),
            };
            let columns = [
                "count(*)",
                "sum(price)",
                "max(price)",
                "min(id)",
                "avg(price)",
                "count(shelf)",
            ];
            let column = columns[shape / 4];
            let join = match shape % 3 {
                0 => "items JOIN kinds ON kinds.kind = items.kind",
                _ => "items",
            };
            client.query(&format!("SELECT {column} FROM {join} WHERE {condition}"), &[]);
        }
    }
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

fn one(database: &Database, sql: &str) -> String {
    Client::new(database).query(sql, &[])[0][0].clone()
}

#[test]
fn a_model_is_trained_predicts_in_shadow_and_is_judged() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path());
    fill(&database);
    let few = database.train_model().expect_err("nothing ran");
    assert_eq!(few.state().as_str(), "55000", "{few}");
    run(&database, 8, 1);
    assert_eq!(database.train_model().expect("enough ran"), Some(1));
    let shown = one(&database, "SELECT value FROM aion.ai_status WHERE name = 'model'");
    assert!(shown.starts_with("aion-card v1 in shadow, run by "), "{shown}");
    run(&database, 16, 2);
    wait("nobody judged it", || {
        one(&database, "SELECT state FROM aion.recommendations WHERE kind = 'model'") != "rehearsing"
    });
    let samples = database.model_samples();
    assert!(samples.len() >= 200, "{}", samples.len());
    // What the planner is a tenth off in, the model knows.
    let errors = Client::new(&database).query(
        "SELECT stage, q_error_p95 < baseline_p95, test_rows >= 200, sha256 <> '' FROM aion.models",
        &[],
    );
    assert_eq!(errors[0][1..], ["t", "t", "t"], "{errors:?}");
    let (state, why) = (
        one(&database, "SELECT state FROM aion.recommendations WHERE kind = 'model'"),
        one(
            &database,
            "SELECT state_reason FROM aion.recommendations WHERE kind = 'model'",
        ),
    );
    assert!(matches!(state.as_str(), "ready" | "rejected"), "{state}: {why}");
    database.verify_ledger().expect("it is whole");

    // It shows in EXPLAIN, and steers nothing.
    let query = "SELECT count(*) FROM items WHERE kind = 3 AND shelf = 3";
    let mut client = Client::new(&database);
    let explained = client
        .query(&format!("EXPLAIN (ANALYZE, AI) {query}"), &[])
        .concat()
        .join("\n");
    for wanted in [
        "Rows: classical ",
        ", actual 500",
        "AI: mode shadow, the classical plan",
    ] {
        assert!(explained.contains(wanted), "{wanted} is not in\n{explained}");
    }
    if state == "ready" {
        assert!(explained.contains("learned "), "{explained}");
    }
    drop(client);
    database.close().expect("it closes");
    // The next process goes on with it.
    let database = open(directory.path());
    assert_eq!(one(&database, "SELECT count(*) FROM aion.models"), "1");
    assert_eq!(
        one(&database, "SELECT count(*) FROM items WHERE kind = 3 AND shelf = 3"),
        "500"
    );
    database.close().expect("it closes");
}

const FEATURES: usize = 48;

/// A network whose three outputs are `weight` times the first feature, the planner's estimate, and `bias`.
fn network(weight: f32, bias: f32) -> Mlp {
    // What is above zero and what is below, each by itself.
    let mut weights = vec![0.0; FEATURES * 2];
    (weights[0], weights[1]) = (1.0, -1.0);
    let hidden = Layer::new(FEATURES, 2, weights, vec![0.0; 2]).expect("it fits");
    let head = [weight, weight, weight, -weight, -weight, -weight];
    let head = Layer::new(2, 3, head.to_vec(), vec![bias; 3]).expect("it fits");
    Mlp::quantiles(vec![hidden], &head).expect("a network")
}

fn manifest() -> Manifest {
    let mut manifest = Manifest::new(
        "adversary",
        "cardinality",
        FeatureSet {
            name: "aion-card".to_owned(),
            version: 1,
            count: FEATURES,
        },
    );
    // Each gets a number of its own when it is added.
    manifest.version = 1;
    manifest.sha256 = "0".repeat(64);
    manifest.bytes = 1;
    manifest.feature_low = vec![-16.0; FEATURES];
    manifest.feature_high = vec![16.0; FEATURES];
    manifest
}

/// Acceptance: inverted, constant, stale, NaN, 100x under. None is promoted.
#[test]
fn adversarial_models_are_never_promoted() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path());
    fill(&database);
    run(&database, 2, 1);
    let set = FeatureSet {
        name: "aion-card".to_owned(),
        version: 1,
        count: FEATURES,
    };
    // Stale: what it learnt was so before the table shrank.
    let adversaries = [
        ("inverted", network(-2.0, 0.0)),
        ("constant", network(-1.0, 5.0)),
        ("stale", network(0.5, 2.0)),
        ("100x under", network(0.0, -6.64)),
        // Beyond what a float holds: infinity, and that minus itself.
        ("NaN", network(3.0e38, 0.0)),
    ];
    for (at, (name, network)) in adversaries.into_iter().enumerate() {
        let file = match export(&network, &set, &[]) {
            Ok(file) => file,
            Err(error) => {
                assert_eq!(name, "NaN", "{error}");
                continue;
            }
        };
        let json = manifest().to_json().expect("a manifest");
        let version = match database.accept_model(&file, json.as_bytes()) {
            Ok(version) => version,
            Err(error) => {
                assert_eq!(name, "NaN", "{error}");
                continue;
            }
        };
        let state = format!("SELECT state FROM aion.recommendations WHERE command LIKE 'aion-card v{version}:%'");
        let mut round = 0;
        let begun = Instant::now();
        while matches!(one(&database, &state).as_str(), "rehearsing" | "proposed") {
            if round < 30 {
                run(&database, 1, 100 * at as u64 + round);
                round += 1;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{name} was not judged");
        }
        let ended = one(&database, &state);
        assert!(matches!(ended.as_str(), "rejected" | "failed"), "{name}: {ended}");
    }
    let ready = "SELECT count(*) FROM aion.recommendations WHERE kind = 'model' AND state IN ('ready', 'applying', 'watching', 'kept')";
    assert_eq!(one(&database, ready), "0");
    database.verify_ledger().expect("it is whole");
    database.close().expect("it closes");
}

#[test]
fn a_damaged_model_file_is_refused_and_the_database_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = open(directory.path());
    fill(&database);
    let json = manifest().to_json().expect("a manifest");
    for (file, what) in [
        (&b""[..], "empty"),
        (&b"not a model"[..], "text"),
        (&[0xff; 4096][..], "ones"),
    ] {
        let refused = database.accept_model(file, json.as_bytes()).expect_err(what);
        assert!(!refused.message().is_empty(), "{what}");
    }
    let good = export(
        &network(0.0, 0.0),
        &FeatureSet {
            name: "aion-card".to_owned(),
            version: 1,
            count: FEATURES,
        },
        &[],
    )
    .expect("a file");
    database.accept_model(&good, json.as_bytes()).expect("a model");
    run(&database, 1, 1);
    database.close().expect("it closes");
    // Somebody damages the file: the database opens, a row says why nothing is predicted.
    let models = directory.path().join("models");
    let file = std::fs::read_dir(&models)
        .expect("readable")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .expect("a model file");
    let mut bytes = std::fs::read(&file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&file, bytes).expect("writable");
    let database = open(directory.path());
    let why = one(&database, "SELECT last_error FROM aion.models");
    assert!(why.len() > 5, "{why}");
    assert_eq!(one(&database, "SELECT count(*) FROM items WHERE kind = 3"), "500");
    database.close().expect("it closes");
}
