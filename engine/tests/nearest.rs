//! Searches through an hnsw index beside the same searches over all rows, in one database: the same rows but for what the graph may
//! miss, whatever stands between the table and the sort, and whoever changed the rows.

use aion_base::rng::SeededRng;
use aion_catalog::Value;
use aion_db::{Cells, Database, DatabaseOptions, Response, Session, SessionOptions, canonical};

const ROWS: usize = 3_000;
const DIMENSIONS: usize = 8;

/// One session of a database in memory.
struct Client<'a> {
    database: &'a Database,
    session: Session,
}

impl<'a> Client<'a> {
    fn new(database: &'a Database) -> Self {
        let session = database.session(SessionOptions::default());
        Self { database, session }
    }

    /// Runs one statement; rows as text, NULL as `-`.
    fn run(&mut self, sql: &str, parameters: &[Value]) -> aion_base::Result<Vec<Vec<String>>> {
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

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Vec<Vec<String>> {
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

    fn explain(&mut self, sql: &str, parameters: &[Value]) -> String {
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

#[test]
fn an_index_is_built_again_when_a_database_is_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Database::open(dir.path(), DatabaseOptions::default()).expect("it opens");
    let far = [Value::Vector(vec![1000.0; 3])];
    let nearest = "SELECT id FROM v ORDER BY place <-> $1, id LIMIT 1";
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
    let database = open();
    let mut client = Client::new(&database);
    // By whichever way: while the graph is being built, all rows are compared.
    for _ in 0..100 {
        assert_eq!(client.query(nearest, &far), [["1000"]]);
        if client.explain(nearest, &far).contains("Search: hnsw") {
            break;
        }
    }
    client.query("DROP TABLE v", &[]);
    drop(client);
    database.close().expect("closed");
}
