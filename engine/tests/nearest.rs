//! Searches through an hnsw index beside the same searches over all rows, in one database: the same rows but for what the graph may
//! miss, whatever stands between the table and the sort, and whoever changed the rows.

use aion_base::rng::SeededRng;
use aion_catalog::Value;
use aion_db::{Cells, Database, DatabaseOptions, Response, Session, SessionOptions, canonical};

/// Enough that the graph is worth asking for 256 rows: their lookups cost less than half of a scan.
const ROWS: usize = 6_500;
const DIMENSIONS: usize = 8;

/// One session of a database in memory.
pub struct Client<'a> {
    database: &'a Database,
    session: Session,
}

impl<'a> Client<'a> {
    pub fn new(database: &'a Database) -> Self {
        let session = database.session(SessionOptions::default());
        Self { database, session }
    }

    /// Runs one statement; rows as text, NULL as `-`.
    pub fn run(&mut self, sql: &str, parameters: &[Value]) -> aion_base::Result<Vec<Vec<String>>> {
        let session = &mut self.session;
        self.database.runtime().block_on(async {
            let statement = session.parse(sql)?.remove(0);
            let prepared = session.prepare(&statement, &[]).await?;
            let Response::Rows(mut rows) = session.execute(&prepared, parameters).await? else {
                return Ok(Vec::new());
            };
            let columns = rows.columns().clone();
            let mut lines = Vec::new();
            while let Some(batch) = rows.next().await? {
                let arrays = batch.columns().iter().zip(columns.iter());
                let arrays: Vec<_> = arrays
                    .map(|(array, column)| canonical(array, column.sql_type).expect("the announced type"))
                    .collect();
                for row in 0..batch.num_rows() {
                    let cells = arrays.iter().zip(columns.iter()).map(|(array, column)| {
                        let cells = Cells::of(array, column.sql_type).expect("canonical");
                        let mut text = String::new();
                        match cells.is_null(row) {
                            true => text.push('-'),
                            false => cells.write_text(row, &mut text),
                        }
                        text
                    });
                    lines.push(cells.collect());
                }
            }
            Ok(lines)
        })
    }

    pub fn query(&mut self, sql: &str, parameters: &[Value]) -> Vec<Vec<String>> {
        self.run(sql, parameters)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same statement over all rows, and through the index.
    fn both(&mut self, sql: &str, parameters: &[Value]) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
        self.query("SET hnsw.exact = on", &[]);
        let exact = self.query(sql, parameters);
        self.query("SET hnsw.exact = off", &[]);
        (exact, self.query(sql, parameters))
    }

    pub fn explain(&mut self, sql: &str, parameters: &[Value]) -> String {
        let lines = self.query(&format!("EXPLAIN ANALYZE {sql}"), parameters);
        lines
            .into_iter()
            .map(|line| line[0].clone())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn vector(random: &mut SeededRng) -> Value {
    let component = |random: &mut SeededRng| random.below(10_000) as f32 / 1_000.0;
    // Clusters, as data has them.
    let centre = random.below(50) as f32;
    Value::Vector(
        (0..DIMENSIONS)
            .map(|at| component(random) + (centre * (at as f32 + 1.0)) % 37.0)
            .collect(),
    )
}

fn database(random: &mut SeededRng) -> Database {
    let database = Database::in_memory(DatabaseOptions::default()).expect("threads start");
    let mut client = Client::new(&database);
    client.query("CREATE TABLE kinds (kind integer PRIMARY KEY, name text)", &[]);
    client.query(
        "INSERT INTO kinds SELECT i, 'kind ' || i FROM generate_series(0, 99) AS s(i)",
        &[],
    );
    client.query(
        &format!("CREATE TABLE items (id integer PRIMARY KEY, kind integer, place vector({DIMENSIONS}))"),
        &[],
    );
    client.query("BEGIN", &[]);
    for id in 0..ROWS {
        let place = if id % 50 == 7 { Value::Null } else { vector(random) };
        let values = [Value::I32(id as i32), Value::I32(random.below(100) as i32), place];
        client.query("INSERT INTO items VALUES ($1, $2, $3)", &values);
    }
    client.query("COMMIT", &[]);
    client.query(
        "CREATE INDEX items_place ON items USING hnsw (place vector_l2_ops)",
        &[],
    );
    drop(client);
    database
}

/// Shapes of statements; `$1` is the vector.
const STATEMENTS: &[&str] = &[
    "SELECT id, place <-> $1 AS distance FROM items ORDER BY place <-> $1, id LIMIT 10",
    "SELECT id, place <-> $1 AS distance FROM items ORDER BY distance, id LIMIT 10",
    "SELECT id FROM items WHERE kind < 10 ORDER BY place <-> $1, id LIMIT 10",
    "SELECT i.id, k.name FROM items i JOIN kinds k USING (kind) WHERE k.name LIKE 'kind 1%' \
     ORDER BY i.place <-> $1, i.id LIMIT 10",
    "SELECT id FROM items WHERE kind IN (SELECT kind FROM kinds WHERE kind % 7 = 3) ORDER BY place <-> $1, id LIMIT 10",
    "SELECT id FROM items ORDER BY $1 <-> place, id LIMIT 3",
];

#[test]
fn the_index_finds_what_a_scan_finds() {
    let seed = aion_base::rng::entropy();
    println!("seed {seed}");
    let mut random = SeededRng::new(seed);
    let database = database(&mut random);
    let mut client = Client::new(&database);
    let (mut found, mut wanted) = (0, 0);
    for statement in STATEMENTS {
        for _ in 0..5 {
            let query = [vector(&mut random)];
            let (exact, approximate) = client.both(statement, &query);
            assert_eq!(exact.len(), approximate.len(), "{statement}");
            wanted += exact.len();
            found += approximate.iter().filter(|row| exact.contains(row)).count();
        }
        let plan = client.explain(statement, &[vector(&mut random)]);
        assert!(plan.contains("Vector Search using items_place on items"), "{plan}");
        assert!(plan.contains("Search: hnsw, "), "{plan}");
    }
    let recall = found as f64 / wanted as f64;
    println!("recall {recall:.3}");
    assert!(recall > 0.9, "recall {recall:.3} of {wanted} rows");
}

/// A filter with an index of its own left 900 rows, and the search asked the graph for 64, 256, 1,024, 4,096 and 16,384 rows in
/// vain before it read them: 145 of 193 ms.
#[test]
fn few_rows_behind_another_index_are_compared_without_the_graph() {
    let mut random = SeededRng::new(5);
    let database = database(&mut random);
    let mut client = Client::new(&database);
    client.query("CREATE INDEX items_kind ON items (kind)", &[]);
    let query = [vector(&mut random)];
    let filtered = "SELECT id FROM items WHERE kind = 5 ORDER BY place <-> $1, id LIMIT 10";
    // Nothing is known of the table: the graph is tried.
    let plan = client.explain(filtered, &query);
    assert!(plan.contains("exact, after 2 rounds of hnsw"), "{plan}");
    client.query("ANALYZE items", &[]);
    let plan = client.explain(filtered, &query);
    assert!(plan.contains("exact, after 0 rounds of hnsw"), "{plan}");
    let (exact, approximate) = client.both(filtered, &query);
    assert_eq!(exact, approximate);
    // The statistics are of a table that was smaller; the graph is still worth it.
    client.query("DELETE FROM items WHERE id >= 10", &[]);
    client.query("ANALYZE items", &[]);
    client.query("BEGIN", &[]);
    for id in 10..ROWS {
        let values = [Value::I32(id as i32), Value::I32(5), vector(&mut random)];
        client.query("INSERT INTO items VALUES ($1, $2, $3)", &values);
    }
    client.query("COMMIT", &[]);
    database.wait_for_indexes().expect("it follows");
    let plan = client.explain("SELECT id FROM items ORDER BY place <-> $1, id LIMIT 10", &query);
    assert!(plan.contains("hnsw, 64 candidates in 1 rounds"), "{plan}");
}

/// The other side of a join is kept between rounds where it fits into the query's memory, and computed again where it does not.
#[test]
fn another_side_that_does_not_fit_into_memory_is_not_kept() {
    let options = |mib: usize| DatabaseOptions {
        memory_bytes: mib << 20,
        ..DatabaseOptions::default()
    };
    for mib in [16, 1024] {
        let database = Database::in_memory(options(mib)).expect("threads start");
        let mut client = Client::new(&database);
        client.query(
            "CREATE TABLE items (id integer PRIMARY KEY, kind integer, place vector(3))",
            &[],
        );
        client.query(
            "CREATE TABLE notes (id integer PRIMARY KEY, item integer, text text)",
            &[],
        );
        client.query("BEGIN", &[]);
        for id in 0..3_000 {
            let place = Value::Vector(vec![id as f32, 1.0, 2.0]);
            client.query(
                "INSERT INTO items VALUES ($1, $2, $3)",
                &[Value::I32(id), Value::I32(id % 100), place],
            );
        }
        client.query("COMMIT", &[]);
        // Little by little: what one statement inserts must fit into the memory of queries.
        for from in (0..30_000).step_by(3_000) {
            let to = from + 2_999;
            client.query(
                &format!(
                    "INSERT INTO notes SELECT i, i % 3000, repeat(chr(97 + i % 26), 1000) FROM generate_series({from}, {to}) AS s(i)"
                ),
                &[],
            );
        }
        client.query("CREATE INDEX ON items USING hnsw (place)", &[]);
        client.query("ANALYZE", &[]);
        let query = [Value::Vector(vec![1_500.2, 1.0, 2.0])];
        let sql = "SELECT i.id, n.id, length(n.text) FROM items i JOIN notes n ON n.item = i.id \
                   WHERE i.kind < 5 AND n.text < 'zz' ORDER BY i.place <-> $1, i.id, n.id LIMIT 25";
        let (exact, approximate) = client.both(sql, &query);
        assert_eq!(exact.len(), 25);
        assert_eq!(exact, approximate, "{mib} MiB");
        let plan = client.explain(sql, &query);
        assert!(plan.contains("Search: hnsw, "), "{plan}");
    }
}

#[test]
fn rows_without_a_vector_come_last_and_no_match_is_left_out() {
    let database = database(&mut SeededRng::new(7));
    let mut client = Client::new(&database);
    let query = [Value::Vector(vec![1.0; DIMENSIONS])];
    // 25 rows match, all of them without a vector: more than any search that stops early would find.
    let sql = "SELECT id, place <-> $1 FROM items WHERE id % 100 = 7 AND id < 2500 ORDER BY place <-> $1, id LIMIT 60";
    let (exact, approximate) = client.both(sql, &query);
    assert_eq!(exact, approximate);
    assert_eq!(exact.len(), 25);
    assert!(
        exact.iter().all(|row| row[1] == "-"),
        "every hundredth row and seven has none"
    );
    let (exact, approximate) = client.both(
        "SELECT id FROM items WHERE id BETWEEN 100 AND 160 ORDER BY place <-> $1, id LIMIT 100",
        &query,
    );
    assert_eq!(exact.len(), 61);
    assert_eq!(exact, approximate);
    let (exact, approximate) = client.both(
        "SELECT id FROM items ORDER BY place <-> (SELECT place FROM items WHERE id = 1), id LIMIT 1",
        &[],
    );
    assert_eq!(exact, approximate);
    assert_eq!(exact, [["1"]]);
    let of_subquery = "SELECT id FROM items ORDER BY place <-> (SELECT place FROM items WHERE id = 1), id LIMIT 1";
    let plan = client.explain(of_subquery, &[]);
    assert!(
        plan.contains("Search: hnsw, "),
        "a vector of a subquery is searched for, too: {plan}"
    );
}

/// Each operator has its index, and none is served by another's.
#[test]
fn each_metric_has_its_index() {
    let mut random = SeededRng::new(17);
    let database = database(&mut random);
    let mut client = Client::new(&database);
    let (mut found, mut wanted) = (0, 0);
    for (operator, class) in [("<=>", "vector_cosine_ops"), ("<#>", "vector_ip_ops")] {
        let sql = format!(
            "SELECT id, place {operator} $1 FROM items WHERE kind < 50 ORDER BY place {operator} $1, id LIMIT 10"
        );
        let plan = client.explain(&sql, &[vector(&mut random)]);
        assert!(
            !plan.contains("Vector Search"),
            "there is an index of <-> alone: {plan}"
        );
        client.query(
            &format!("CREATE INDEX items_of ON items USING hnsw (place {class})"),
            &[],
        );
        for _ in 0..10 {
            let query = [vector(&mut random)];
            let (exact, approximate) = client.both(&sql, &query);
            assert_eq!(exact.len(), approximate.len(), "{operator}");
            wanted += exact.len();
            found += approximate.iter().filter(|row| exact.contains(row)).count();
        }
        let plan = client.explain(&sql, &[vector(&mut random)]);
        assert!(
            plan.contains("Vector Search using items_of on items"),
            "{operator}: {plan}"
        );
        client.query("DROP INDEX items_of", &[]);
    }
    let recall = found as f64 / wanted as f64;
    println!("recall {recall:.3}");
    assert!(recall > 0.9, "recall {recall:.3} of {wanted} rows");
}

#[test]
fn changes_are_seen_as_the_snapshot_sees_them() {
    let database = database(&mut SeededRng::new(11));
    let (mut writer, mut reader) = (Client::new(&database), Client::new(&database));
    let far = Value::Vector(vec![1000.0; DIMENSIONS]);
    let nearest = "SELECT id FROM items ORDER BY place <-> $1, id LIMIT 1";
    reader.query("BEGIN", &[]);
    let before = reader.query(nearest, std::slice::from_ref(&far));

    // Its own row before the commit, and everybody's after.
    writer.query("BEGIN", &[]);
    writer.query("INSERT INTO items VALUES (100000, 1, $1)", std::slice::from_ref(&far));
    assert_eq!(writer.query(nearest, std::slice::from_ref(&far)), [["100000"]]);
    writer.query("COMMIT", &[]);
    assert_eq!(writer.query(nearest, std::slice::from_ref(&far)), [["100000"]]);
    assert_eq!(
        reader.query(nearest, std::slice::from_ref(&far)),
        before,
        "a snapshot stays as it is"
    );
    reader.query("COMMIT", &[]);
    assert_eq!(reader.query(nearest, std::slice::from_ref(&far)), [["100000"]]);

    // Moved away, and deleted.
    let near = Value::Vector(vec![1.0; DIMENSIONS]);
    writer.query("UPDATE items SET place = $1 WHERE id = 100000", &[near]);
    assert_eq!(writer.query(nearest, std::slice::from_ref(&far)), before);
    writer.query(
        "UPDATE items SET place = $1 WHERE id = 100000",
        std::slice::from_ref(&far),
    );
    writer.query("DELETE FROM items WHERE id = 100000", &[]);
    assert_eq!(writer.query(nearest, std::slice::from_ref(&far)), before);
    writer.query("BEGIN", &[]);
    writer.query(
        "DELETE FROM items WHERE id = $1",
        &[Value::I32(before[0][0].parse().expect("an id"))],
    );
    assert_ne!(writer.query(nearest, std::slice::from_ref(&far)), before);
    writer.query("ROLLBACK", &[]);
    assert_eq!(writer.query(nearest, std::slice::from_ref(&far)), before);
}

/// A search relies on the whole table: a row that another transaction makes nearer is a conflict.
#[test]
fn a_search_in_a_transaction_that_writes_is_serializable() {
    let database = database(&mut SeededRng::new(13));
    let (mut one, mut two) = (Client::new(&database), Client::new(&database));
    let far = Value::Vector(vec![1000.0; DIMENSIONS]);
    let nearest = "SELECT id FROM items ORDER BY place <-> $1, id LIMIT 1";
    one.query("BEGIN", &[]);
    one.query(nearest, std::slice::from_ref(&far));
    one.query("INSERT INTO kinds VALUES (1000, 'from what was found')", &[]);
    two.query("INSERT INTO items VALUES (100001, 1, $1)", &[far]);
    let error = one.run("COMMIT", &[]).expect_err("the nearest is another now");
    assert_eq!(error.state().as_str(), "40001");
}

/// A graph is saved when its database is closed, and read again by the next process where it is whole and has exactly what the rows
/// have; otherwise it is built from the rows. The answers are the same either way.
#[test]
fn an_index_outlives_its_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Database::open(dir.path(), DatabaseOptions::default()).expect("it opens");
    let far = [Value::Vector(vec![1000.0; 3])];
    let nearest = "SELECT id FROM v ORDER BY place <-> $1, id LIMIT 1";
    // Opens, waits for the graph, and looks; how many graphs came from files.
    let look = |expected: &str| {
        let database = open();
        database.wait_for_indexes().expect("built");
        let mut client = Client::new(&database);
        assert_eq!(client.query(nearest, &far), [[expected]]);
        let plan = client.explain(nearest, &far);
        assert!(plan.contains("Search: hnsw"), "{plan}");
        let restored = database.counters().expect("counted").vector_indexes_restored;
        (database, restored)
    };
    let database = open();
    let mut client = Client::new(&database);
    client.query("CREATE TABLE v (id integer PRIMARY KEY, place vector(3))", &[]);
    client.query("CREATE INDEX ON v USING hnsw (place)", &[]);
    client.query("BEGIN", &[]);
    for id in 0..2_000 {
        let place = Value::Vector(vec![id as f32, 1.0, 2.0]);
        client.query("INSERT INTO v VALUES ($1, $2)", &[Value::I32(id), place]);
    }
    client.query("COMMIT", &[]);
    assert_eq!(client.query(nearest, &far), [["1000"]]);
    drop(client);
    database.close().expect("closed");

    // Twice: a database that was only read is not saved anew, and its file stays good.
    for _ in 0..2 {
        let (database, restored) = look("1000");
        assert_eq!(restored, 1, "the file is whole");
        database.close().expect("closed");
    }

    // What is committed after the file was read is in the next file.
    let (database, restored) = look("1000");
    assert_eq!(restored, 1);
    Client::new(&database).query("DELETE FROM v WHERE id = 1000", &[]);
    database.close().expect("closed");
    let (database, restored) = look("999");
    assert_eq!(restored, 1);

    // After a kill the file is behind the rows, and is not taken: here the former file is put back.
    let vectors = dir.path().join("vectors");
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&vectors).expect("readable");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let [file] = files().try_into().expect("one file for one index");
    let former = std::fs::read(&file).expect("readable");
    Client::new(&database).query("DELETE FROM v WHERE id = 999", &[]);
    database.close().expect("closed");
    std::fs::write(&file, former).expect("written");
    let (database, restored) = look("1001");
    assert_eq!(restored, 0, "the file is behind");
    database.close().expect("closed");

    // A damaged file is not taken either.
    let mut bytes = std::fs::read(&file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let (database, restored) = look("1001");
    assert_eq!(restored, 0, "the file is damaged");
    database.close().expect("closed");
    let (database, restored) = look("1001");
    assert_eq!(restored, 1, "it was saved again");

    Client::new(&database).query("DROP TABLE v", &[]);
    database.close().expect("closed");
    assert_eq!(files().len(), 0, "the file goes with its index");
}
