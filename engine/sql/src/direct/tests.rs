//! Both paths side by side: every statement runs in two databases, one of which never takes the direct path, and everything
//! that a client can see must be the same: types of parameters, columns, batches, tags, errors.

use std::sync::Arc;

use aion_base::rng::{SeededRng, entropy};
use aion_base::{Result, SqlState};
use aion_catalog::{SqlType, Value};
use aion_storage::{Store, StoreOptions};
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use tokio::runtime::Runtime;

use crate::engine::{Engine, EngineOptions};
use crate::response::Response;
use crate::session::{Prepared, Session, SessionOptions};

/// What a client sees of a statement.
#[derive(Debug, PartialEq)]
enum Seen {
    Rows(Option<RecordBatch>, String),
    Done(String),
    Failed(SqlState, String, Option<String>),
}

/// What a client sees of a prepared statement.
type Described = std::result::Result<(Vec<SqlType>, Option<Vec<crate::response::Column>>), (SqlState, String)>;

async fn execute(session: &mut Session, prepared: &Arc<Prepared>, values: &[Value]) -> Result<Seen> {
    let mut rows = match session.execute(prepared, values).await? {
        Response::Done { tag } => return Ok(Seen::Done(tag)),
        Response::Rows(rows) => rows,
    };
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await? {
        assert_eq!(batch.schema(), *rows.schema());
        batches.push(batch);
    }
    let batch = (!batches.is_empty()).then(|| concat_batches(rows.schema(), &batches).expect("one schema"));
    Ok(Seen::Rows(batch, rows.tag()))
}

/// Two databases, and sessions of each: those of the second never take the direct path.
struct Pair {
    runtime: Runtime,
    sessions: Vec<(Session, Session)>,
}

/// A statement as both have it prepared.
struct Both(Arc<Prepared>, Arc<Prepared>);

impl Pair {
    fn new(session_count: usize) -> Self {
        let engine = || {
            let options = EngineOptions {
                memory_bytes: 64 << 20,
                partitions: 2,
                copy_dir: None,
                index_dir: None,
                observer: None,
                pipeline: None,
            };
            Engine::new(Arc::new(Store::in_memory(&StoreOptions::default())), options).expect("an engine")
        };
        let (direct, full) = (engine(), engine());
        let session = |engine: &Arc<Engine>| Session::new(engine.clone(), SessionOptions::default());
        let sessions = (0..session_count).map(|_| {
            let mut without = session(&full);
            without.set("aion.direct_path", "off").expect("a setting");
            (session(&direct), without)
        });
        Self {
            sessions: sessions.collect(),
            // On this thread: tests give it a deep stack, as plans are walked by recursion.
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
        }
    }

    fn try_prepare(&mut self, at: usize, sql: &str, types: &[Option<SqlType>]) -> Option<Both> {
        let (direct, full) = &mut self.sessions[at];
        let describe = |session: &mut Session| -> (Described, Option<Arc<Prepared>>) {
            let prepared = session.parse(sql).and_then(|mut statements| {
                let statement = statements.pop().expect("a statement");
                self.runtime.block_on(session.prepare(&statement, types))
            });
            match prepared {
                Ok(prepared) => {
                    let columns = prepared.columns().map(|columns| columns.to_vec());
                    (Ok((prepared.parameter_types().to_vec(), columns)), Some(prepared))
                }
                Err(error) => (Err((error.state(), error.to_string())), None),
            }
        };
        let (one, two) = (describe(direct), describe(full));
        assert_eq!(one.0, two.0, "prepared: {sql}");
        Some(Both(one.1?, two.1?))
    }

    fn prepare(&mut self, at: usize, sql: &str) -> Both {
        self.try_prepare(at, sql, &[]).expect("prepared")
    }

    fn execute(&mut self, at: usize, both: &Both, values: &[Value]) -> Seen {
        let (direct, full) = &mut self.sessions[at];
        let seen = |session: &mut Session, prepared| {
            let seen = self.runtime.block_on(execute(session, prepared, values));
            seen.unwrap_or_else(|error| {
                Seen::Failed(error.state(), error.to_string(), error.detail().map(ToOwned::to_owned))
            })
        };
        let (one, two) = (seen(direct, &both.0), seen(full, &both.1));
        assert_eq!(one, two, "executed with {values:?}: {:?}", both.0);
        assert_eq!(direct.status(), full.status());
        one
    }

    /// Runs a statement in the session `at` of both.
    fn run(&mut self, at: usize, sql: &str, values: &[Value]) -> Option<Seen> {
        let both = self.try_prepare(at, sql, &[])?;
        Some(self.execute(at, &both, values))
    }

    fn ok(&mut self, sql: &str) -> Seen {
        match self.run(0, sql, &[]) {
            Some(Seen::Failed(_, error, _)) => panic!("{sql}: {error}"),
            Some(seen) => seen,
            None => panic!("{sql} cannot be prepared"),
        }
    }

    /// Whether the statement is direct, as EXPLAIN says.
    fn is_direct(&mut self, sql: &str, values: &[Value]) -> bool {
        let session = &mut self.sessions[0].0;
        let explain = format!("EXPLAIN {sql}");
        let seen = self.runtime.block_on(async {
            let statement = session.parse(&explain)?.pop().expect("a statement");
            let prepared = session.prepare(&statement, &[]).await?;
            execute(session, &prepared, values).await
        });
        match seen {
            Ok(Seen::Rows(Some(batch), _)) => {
                use datafusion::arrow::array::AsArray;
                batch.column(0).as_string::<i32>().value(0).starts_with("Direct: ")
            }
            Ok(other) => panic!("{explain}: {other:?}"),
            // EXPLAIN of what is no query, or of what is wrong.
            Err(_) => false,
        }
    }

    /// All rows of a table, the same in both.
    fn contents(&mut self, table: &str) -> Seen {
        self.ok(&format!("SELECT * FROM {table} ORDER BY 1, 2"))
    }
}

/// Runs a test with a stack that a debug build's planner fits into.
fn deep(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(32 << 20).spawn(test);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

/// The types of columns, with values that differ.
fn samples() -> Vec<(&'static str, Vec<Value>)> {
    let text = |text: &str| Value::Text(text.to_owned());
    let json = |text: &str| Value::Json(text.to_owned());
    vec![
        ("boolean", vec![Value::Bool(false), Value::Bool(true)]),
        ("smallint", vec![Value::I16(i16::MIN), Value::I16(-1), Value::I16(7)]),
        ("integer", vec![Value::I32(i32::MAX), Value::I32(-1), Value::I32(7)]),
        (
            "bigint",
            vec![Value::I64(i64::MIN), Value::I64(-1), Value::I64(1 << 40)],
        ),
        ("real", vec![Value::F32(-0.0), Value::F32(1.5), Value::F32(f32::NAN)]),
        ("double precision", vec![Value::F64(0.0), Value::F64(-1e300)]),
        (
            "numeric(10,2)",
            vec![Value::Decimal(125, 2), Value::Decimal(-9_999_999_999, 2)],
        ),
        ("numeric", vec![Value::Decimal(1, 10), Value::Decimal(0, 10)]),
        ("text", vec![text(""), text("a"), text("ä\u{1}"), text("a ")]),
        ("varchar(3)", vec![text(""), text("äöü"), text("x ")]),
        (
            "bytea",
            vec![
                Value::Bytes(vec![]),
                Value::Bytes(vec![0]),
                Value::Bytes(vec![0, 255, 0]),
            ],
        ),
        ("date", vec![Value::Date(0), Value::Date(-1), Value::Date(20_000)]),
        ("timestamp", vec![Value::Timestamp(0), Value::Timestamp(-1)]),
        (
            "timestamptz",
            vec![Value::Timestamp(1), Value::Timestamp(1_600_000_000_000_000)],
        ),
        (
            "interval",
            ["0", "1 day", "25 hours", "1 mon -31 days"]
                .map(|text| Value::text_in(&SqlType::Interval, text).expect("an interval"))
                .to_vec(),
        ),
        ("uuid", vec![Value::Uuid([0; 16]), Value::Uuid([255; 16])]),
        ("json", vec![json("{}"), json("[1, 2]")]),
        (
            "vector(2)",
            vec![Value::Vector(vec![1.0, -2.5]), Value::Vector(vec![0.0, 0.0])],
        ),
        ("vector", vec![Value::Vector(vec![]), Value::Vector(vec![1.0])]),
    ]
}

fn is_key(name: &str) -> bool {
    !matches!(name, "json" | "vector(2)" | "vector")
}

/// Whether keys of the type are looked up directly.
fn is_direct_key(name: &str) -> bool {
    !matches!(name, "real" | "double precision")
}

#[test]
fn every_key_type_answers_the_same_on_both_paths() {
    deep(|| {
        let mut pair = Pair::new(1);
        for (number, (name, values)) in samples().into_iter().enumerate().filter(|(_, (name, _))| is_key(name)) {
            let table = format!("t{number}");
            pair.ok(&format!(
                "CREATE TABLE {table} (k {name} PRIMARY KEY, v text, n integer)"
            ));
            let insert = pair.prepare(0, &format!("INSERT INTO {table} VALUES ($1, $2, $3)"));
            let (stored, missing) = values.split_at(values.len() - 1);
            for (at, value) in stored.iter().enumerate() {
                let row = [value.clone(), Value::Text(format!("row {at}")), Value::Null];
                assert_eq!(
                    pair.execute(0, &insert, &row),
                    Seen::Done("INSERT 0 1".to_owned()),
                    "{name}"
                );
            }
            let again = [stored[0].clone(), Value::Null, Value::I32(1)];
            let duplicate = pair.execute(0, &insert, &again);
            assert!(
                matches!(duplicate, Seen::Failed(SqlState::UNIQUE_VIOLATION, ..)),
                "{duplicate:?}"
            );
            pair.execute(0, &insert, &[Value::Null, Value::Null, Value::Null]);

            let select = format!("SELECT v, k AS key, n, k FROM {table} AS x WHERE x.k = $1");
            assert_eq!(pair.is_direct(&select, &[Value::Null]), is_direct_key(name), "{name}");
            let select = pair.prepare(0, &select);
            for value in stored {
                let seen = pair.execute(0, &select, std::slice::from_ref(value));
                // -0 is found as PostgreSQL would; NaN and 0 are the planner's matter.
                assert!(matches!(seen, Seen::Rows(..)), "{name}: {seen:?}");
            }
            pair.execute(0, &select, missing);
            pair.execute(0, &select, &[Value::Null]);

            let list = pair.prepare(0, &format!("SELECT * FROM {table} WHERE k IN ($1, $2, $3, $4)"));
            let mut four = values.clone();
            four.extend([Value::Null, values[0].clone(), values[0].clone()]);
            pair.execute(0, &list, &four[..4]);
            four.reverse();
            pair.execute(0, &list, &four[..4]);

            for range in [
                "k >= $1 AND k < $2 ORDER BY k",
                "$1 < k AND ($2 >= k) ORDER BY x.k DESC",
                "k BETWEEN $1 AND $2 ORDER BY k ASC LIMIT 2",
            ] {
                let sql = format!("SELECT v, k FROM {table} x WHERE {range}");
                let is_direct = pair.is_direct(&sql, &[values[0].clone(), values[0].clone()]);
                assert_eq!(is_direct, is_direct_key(name), "{sql}");
                let range = pair.prepare(0, &sql);
                for from in values.iter().chain([&Value::Null]) {
                    for to in &values {
                        pair.execute(0, &range, &[from.clone(), to.clone()]);
                    }
                }
            }

            let update = pair.prepare(0, &format!("UPDATE {table} SET n = $1, v = 'new' WHERE k = $2"));
            pair.execute(0, &update, &[Value::I32(5), stored[0].clone()]);
            pair.execute(0, &update, &[Value::Null, missing[0].clone()]);
            let rename = pair.prepare(0, &format!("UPDATE {table} SET k = $1 WHERE $2 = k"));
            pair.execute(0, &rename, &[missing[0].clone(), stored[0].clone()]);
            pair.execute(0, &rename, &[Value::Null, missing[0].clone()]);
            let delete = pair.prepare(0, &format!("DELETE FROM {table} WHERE k = $1"));
            for value in values.iter().skip(1) {
                pair.execute(0, &delete, std::slice::from_ref(value));
            }
            pair.contents(&table);
        }
    });
}

#[test]
fn every_column_type_is_stored_and_read_the_same_on_both_paths() {
    deep(|| {
        let mut pair = Pair::new(1);
        let types: Vec<_> = samples();
        let columns: Vec<_> = types
            .iter()
            .enumerate()
            .map(|(at, (name, _))| format!("c{at} {name}"))
            .collect();
        pair.ok(&format!(
            "CREATE TABLE wide (id integer PRIMARY KEY, {})",
            columns.join(", ")
        ));
        let holes: Vec<_> = (0..=types.len()).map(|at| format!("${}", at + 1)).collect();
        let insert = format!("INSERT INTO wide VALUES ({})", holes.join(", "));
        assert!(pair.is_direct(&insert, &vec![Value::Null; types.len() + 1]));
        let insert = pair.prepare(0, &insert);
        let select = pair.prepare(0, "SELECT * FROM wide WHERE id = $1");
        for id in 0..5 {
            let mut row = vec![Value::I32(id)];
            row.extend(types.iter().map(|(_, values)| match id {
                0 => Value::Null,
                id => values[id as usize % values.len()].clone(),
            }));
            assert_eq!(pair.execute(0, &insert, &row), Seen::Done("INSERT 0 1".to_owned()));
            assert!(matches!(
                pair.execute(0, &select, &[Value::I32(id)]),
                Seen::Rows(Some(_), _)
            ));
        }
        for (at, (_, values)) in types.iter().enumerate() {
            let update = format!("UPDATE wide SET c{at} = $1 WHERE id IN (1, $2)");
            assert!(pair.is_direct(&update, &[Value::Null, Value::I32(2)]), "{update}");
            pair.run(0, &update, &[values[0].clone(), Value::I32(2)]);
        }
        pair.contents("wide");
    });
}

/// What looks like a key lookup and is more, or less, or wrong.
#[test]
fn what_only_the_planner_knows_is_left_to_it() {
    deep(|| {
        let mut pair = Pair::new(1);
        pair.ok("CREATE TABLE t (a integer, b text, c double precision, d smallint DEFAULT 3, PRIMARY KEY (a, b))");
        pair.ok("CREATE TABLE f (x double precision PRIMARY KEY)");
        pair.ok("CREATE TABLE h (x integer)");
        pair.ok("INSERT INTO t VALUES (1, 'one', 1.5, 1), (2, 'two', 2.5, 2), (-3, 'three', NULL, NULL)");
        pair.ok("INSERT INTO f VALUES (0), (1.5)");
        for sql in [
            "SELECT * FROM t WHERE a = 1 AND b = 'one'",
            "SELECT c, t.d AS \"D\", b FROM t WHERE ('two' = t.b) AND (a = (2))",
            "SELECT t.* FROM t WHERE b = 'three' AND a = -3",
            "SELECT t.a, b FROM public.t WHERE b = 'three' AND t.a = -3",
            "SELECT A, x.B FROM t x WHERE X.a IN (1, 2, 2, -3) AND \"b\" = 'two'",
            "SELECT b FROM t WHERE a = 5000000000 AND b = 'one'",
            "SELECT b, a AS bb FROM t WHERE a = 1 AND b IN ('one', 'two')",
            "SELECT * FROM t WHERE a >= 1 ORDER BY a, b LIMIT 1",
            "SELECT b FROM t WHERE a > -3 AND 2 > a ORDER BY t.a DESC, b DESC LIMIT 10",
            "SELECT c, b FROM t WHERE b > 'o' AND a = 1 ORDER BY b",
            "SELECT c AS a FROM t WHERE a = 1 AND b <= 'one' ORDER BY b DESC NULLS LAST LIMIT 3",
            "SELECT a FROM t WHERE a BETWEEN -3 AND 1 ORDER BY a, b",
            "SELECT a FROM t WHERE a BETWEEN 2 AND 1 ORDER BY a, b",
            "SELECT a FROM t WHERE a < 1 ORDER BY a, b LIMIT 0",
            "SELECT a FROM t WHERE a < 2 ORDER BY a, b LIMIT ALL",
        ] {
            assert!(pair.is_direct(sql, &[]), "{sql}");
            pair.run(0, sql, &[]).expect("prepared");
        }
        for sql in [
            "SELECT * FROM t WHERE a = 1",
            "SELECT * FROM t WHERE a >= 1 ORDER BY a LIMIT 1",
            "SELECT * FROM t WHERE a >= 1 ORDER BY b, a",
            "SELECT * FROM t WHERE a >= 1 ORDER BY a, b DESC",
            "SELECT * FROM t WHERE a >= 1 ORDER BY a, b OFFSET 1",
            "SELECT * FROM t WHERE a >= 1 AND a >= 2 ORDER BY a, b",
            "SELECT * FROM t WHERE a >= 1 AND b = 'one' ORDER BY a, b",
            "SELECT * FROM t WHERE a >= 1 AND c > 1 ORDER BY a, b",
            "SELECT * FROM t WHERE a NOT BETWEEN 1 AND 2 ORDER BY a, b",
            "SELECT * FROM t WHERE a >= 1.5 ORDER BY a, b",
            "SELECT c AS a, b FROM t WHERE a >= 1 ORDER BY a, b",
            "SELECT a FROM t WHERE a >= 1 ORDER BY 1, b",
            "SELECT DISTINCT a FROM t WHERE a >= 1 ORDER BY a",
            "SELECT a, b FROM t ORDER BY a, b LIMIT 1",
            "SELECT a, b FROM t WHERE a >= 1 ORDER BY a, b FETCH FIRST 1 ROW WITH TIES",
            "SELECT a, b FROM t WHERE a >= 1 ORDER BY a, b LIMIT 1 FOR UPDATE",
            "SELECT * FROM f WHERE x >= 0 ORDER BY x",
            "SELECT b, b, a AS b FROM t WHERE a = 1 AND b IN ('one', 'two')",
            "SELECT b, b FROM t WHERE a = 1 AND b = 'one'",
            "SELECT *, a FROM t WHERE a = 1 AND b = 'one'",
            "SELECT t.* FROM public.t WHERE b = 'three' AND a = -3",
            "SELECT * FROM t WHERE a = 1 OR b = 'one'",
            "SELECT * FROM t WHERE a = 1 AND b = 'one' AND c = 1.5",
            "SELECT * FROM t WHERE a = 1 AND a = 1",
            "SELECT * FROM t WHERE a = 1 AND b <> 'one'",
            "SELECT * FROM t WHERE a = b AND b = 'one'",
            "SELECT * FROM t WHERE a = NULL AND b = 'one'",
            "SELECT * FROM t WHERE a = 1.0 AND b = 'one'",
            "SELECT * FROM t WHERE a = '1' AND b = 'one'",
            "SELECT * FROM t WHERE a = 0 + 1 AND b = 'one'",
            "SELECT * FROM t WHERE a NOT IN (1) AND b = 'one'",
            "SELECT * FROM t WHERE a IN (1, 2) AND b IN ('one', 'two')",
            "SELECT a + 1 FROM t WHERE a = 1 AND b = 'one'",
            "SELECT count(*) FROM t WHERE a = 1 AND b = 'one'",
            "SELECT DISTINCT a FROM t WHERE a = 1 AND b = 'one'",
            "SELECT * FROM t WHERE a = 1 AND b = 'one' LIMIT 0",
            "SELECT * FROM t WHERE a = 1 AND b = 'one' ORDER BY a",
            "SELECT * FROM t WHERE a = 1 AND b = 'one' FOR UPDATE",
            "SELECT a FROM t WHERE a = 1 AND b = 'one' GROUP BY a",
            "SELECT a FROM t, h WHERE a = 1 AND b = 'one'",
            "SELECT t.a FROM t x WHERE x.a = 1 AND x.b = 'one'",
            "SELECT no_such FROM t WHERE a = 1 AND b = 'one'",
            "SELECT * FROM no_such WHERE a = 1 AND b = 'one'",
            "SELECT * FROM t WHERE A = 1 AND \"B\" = 'one'",
            "SELECT * FROM f WHERE x = 0",
            "SELECT * FROM h WHERE x = 1",
            "WITH w AS (SELECT 1) SELECT * FROM t WHERE a = 1 AND b = 'one'",
            "INSERT INTO t (a, b) VALUES (7, 'seven')",
            "INSERT INTO t VALUES (8, 'eight', 1.5, 1)",
            "INSERT INTO t VALUES (9, 'nine')",
            "INSERT INTO t (a, a) VALUES (9, 9)",
            "INSERT INTO t SELECT 9, 'nine', 1, 1",
            "INSERT INTO t VALUES (9, 'nine', NULL, 100000)",
            "INSERT INTO t VALUES (9, 'nine', NULL, 1) RETURNING a",
            "UPDATE t SET c = c + 1 WHERE a = 1 AND b = 'one'",
            "UPDATE t SET d = DEFAULT WHERE a = 1 AND b = 'one'",
            "UPDATE t SET d = 1, d = 2 WHERE a = 1 AND b = 'one'",
            "UPDATE t SET d = 100000 WHERE a = 1 AND b = 'one'",
            "UPDATE t SET d = 1 WHERE a = 1",
            "UPDATE t SET d = 1 WHERE a = 1 AND b = 'one' RETURNING *",
            "DELETE FROM t WHERE a = 1",
            "DELETE FROM t WHERE a = 1 AND b = 'one' RETURNING c",
            "DELETE FROM t USING f WHERE a = 1 AND b = 'two'",
        ] {
            // Out of range is seen when it runs; everything else before.
            let is_out_of_range = sql.contains("100000");
            assert!(is_out_of_range || !pair.is_direct(sql, &[]), "{sql}");
            pair.run(0, sql, &[]);
            pair.contents("t");
        }
    });
}

/// Clients that name other types than the columns have.
#[test]
fn the_clients_types_mean_the_same_on_both_paths() {
    deep(|| {
        let mut pair = Pair::new(1);
        pair.ok("CREATE TABLE t (k integer PRIMARY KEY, s smallint, v varchar(3), d date)");
        pair.ok("INSERT INTO t VALUES (1, 1, 'a', NULL), (70000, 2, 'b', NULL)");
        let types = [
            (SqlType::SmallInt, vec![Value::I16(1), Value::I16(-1), Value::Null]),
            (SqlType::Integer, vec![Value::I32(1), Value::I32(70_000)]),
            (
                SqlType::BigInt,
                vec![Value::I64(1), Value::I64(70_000), Value::I64(i64::MAX), Value::Null],
            ),
            (
                SqlType::Text,
                vec![Value::Text("1".to_owned()), Value::Text("x".to_owned())],
            ),
            (SqlType::Double, vec![Value::F64(1.0), Value::F64(1.5)]),
        ];
        for (sql_type, values) in types {
            for sql in [
                "SELECT * FROM t WHERE k = $1",
                "SELECT * FROM t WHERE k IN (1, $1)",
                "UPDATE t SET s = $1 WHERE k = 1",
                "UPDATE t SET v = $1 WHERE k = 1",
                "INSERT INTO t (s, k) VALUES ($1, 3)",
                "DELETE FROM t WHERE k = 3",
                "DELETE FROM t WHERE k = $1",
            ] {
                let given: &[_] = if sql.contains("$1") { &[Some(sql_type)] } else { &[] };
                let Some(both) = pair.try_prepare(0, sql, given) else {
                    continue;
                };
                for value in &values {
                    let values = if given.is_empty() {
                        &[]
                    } else {
                        std::slice::from_ref(value)
                    };
                    pair.execute(0, &both, values);
                    pair.contents("t");
                }
            }
        }
        // Parameters that are met twice, never, or not at all.
        for sql in [
            "SELECT * FROM t WHERE k = $2",
            "SELECT * FROM t WHERE k IN ($1, $1)",
            "UPDATE t SET s = $1 WHERE k = $1",
            "SELECT * FROM t WHERE k = $0",
            "SELECT * FROM t WHERE k = $01",
        ] {
            assert!(!pair.is_direct(sql, &[]), "{sql}");
            pair.try_prepare(0, sql, &[]);
        }
        pair.try_prepare(0, "SELECT * FROM t WHERE k = 1", &[Some(SqlType::Text)]);
    });
}

#[test]
fn own_changes_are_seen_in_a_block_and_gone_after_rollback() {
    deep(|| {
        let mut pair = Pair::new(2);
        pair.ok("CREATE TABLE t (k bigint PRIMARY KEY, v text)");
        pair.ok("INSERT INTO t VALUES (1, 'one')");
        let select = pair.prepare(0, "SELECT v FROM t WHERE k = $1");
        let other = pair.prepare(1, "SELECT v FROM t WHERE k = $1");
        let look = |pair: &mut Pair| {
            let seen = pair.execute(0, &select, &[Value::I64(1)]);
            pair.execute(0, &select, &[Value::I64(2)]);
            pair.execute(1, &other, &[Value::I64(1)]);
            pair.execute(1, &other, &[Value::I64(2)]);
            seen
        };
        let before = look(&mut pair);
        pair.ok("BEGIN");
        pair.ok("UPDATE t SET v = 'changed' WHERE k = 1");
        pair.ok("INSERT INTO t VALUES (2, 'two')");
        assert_ne!(look(&mut pair), before);
        pair.ok("DELETE FROM t WHERE k = 1");
        assert_eq!(look(&mut pair), Seen::Rows(None, "SELECT 0".to_owned()));
        pair.run(0, "INSERT INTO t VALUES (2, 'again')", &[]);
        look(&mut pair);
        pair.ok("ROLLBACK");
        assert_eq!(look(&mut pair), before);
        // A table of the transaction itself is the full path's.
        pair.ok("BEGIN");
        pair.ok("DROP TABLE t");
        pair.ok("CREATE TABLE t (v text, k bigint PRIMARY KEY)");
        pair.ok("INSERT INTO t VALUES ('new', 1)");
        look(&mut pair);
        pair.ok("COMMIT");
        assert_ne!(look(&mut pair), before);
    });
}

/// Two transactions each read the row that the other changes. Were a direct read not recorded, both would commit.
#[test]
fn a_direct_read_takes_part_in_write_skew() {
    deep(|| {
        for (read, key) in [
            ("SELECT v FROM t WHERE k = $1", 2),
            ("SELECT v FROM t WHERE k IN ($1, 1)", 2),
            ("SELECT v FROM t WHERE k = $1", 9),
            ("SELECT v FROM t WHERE k >= $1 ORDER BY k LIMIT 5", 2),
            ("SELECT v FROM t WHERE k >= $1 ORDER BY k", 9),
        ] {
            let mut pair = Pair::new(2);
            pair.ok("CREATE TABLE t (k integer PRIMARY KEY, v integer)");
            pair.ok("INSERT INTO t VALUES (1, 1), (2, 2)");
            let first = pair.prepare(0, read);
            assert!(pair.is_direct(read, &[Value::I32(1)]));
            pair.run(0, "BEGIN", &[]);
            pair.run(1, "BEGIN", &[]);
            // Session 0 reads a key, or that it is missing, and writes 1; session 1 reads 1 and writes that key.
            pair.execute(0, &first, &[Value::I32(key)]);
            let second = pair.prepare(1, "SELECT v FROM t WHERE k = $1");
            pair.execute(1, &second, &[Value::I32(1)]);
            pair.run(0, "UPDATE t SET v = 10 WHERE k = 1", &[]);
            match key {
                9 => pair.run(1, "INSERT INTO t VALUES (9, 9)", &[]),
                _ => pair.run(1, "UPDATE t SET v = 20 WHERE k = 2", &[]),
            };
            assert_eq!(pair.run(1, "COMMIT", &[]), Some(Seen::Done("COMMIT".to_owned())));
            let lost = pair.run(0, "COMMIT", &[]);
            assert!(
                matches!(lost, Some(Seen::Failed(SqlState::SERIALIZATION_FAILURE, ..))),
                "{lost:?}"
            );
        }
    });
}

#[test]
fn a_table_made_anew_under_a_prepared_statement_is_never_read_as_the_old_one() {
    deep(|| {
        let mut pair = Pair::new(2);
        pair.ok("CREATE TABLE t (k integer PRIMARY KEY, v text)");
        pair.ok("INSERT INTO t VALUES (1, 'one')");
        let texts = [
            "SELECT * FROM t WHERE k = $1",
            "UPDATE t SET v = 'x' WHERE k = $1",
            "DELETE FROM t WHERE k = $1",
        ];
        let prepared: Vec<_> = texts.iter().map(|sql| pair.prepare(1, sql)).collect();
        let run = |pair: &mut Pair| {
            for both in &prepared {
                pair.execute(1, both, &[Value::I32(1)]);
            }
            for both in &prepared {
                pair.execute(1, both, &[Value::Null]);
            }
        };
        run(&mut pair);
        for definition in [
            "v text, k integer PRIMARY KEY",
            "k bigint PRIMARY KEY, v varchar(10)",
            "k text PRIMARY KEY, v text",
            "k integer, v text",
            "w integer, k integer PRIMARY KEY",
            "k integer, v text, PRIMARY KEY (k, v)",
            "v text, k integer PRIMARY KEY",
        ] {
            pair.ok("DROP TABLE t");
            run(&mut pair);
            pair.ok(&format!("CREATE TABLE t ({definition})"));
            run(&mut pair);
            pair.run(0, "INSERT INTO t (k, v) VALUES (1, 'new')", &[]);
            run(&mut pair);
        }
    });
}

#[test]
fn the_search_path_decides_at_every_execution() {
    deep(|| {
        let mut pair = Pair::new(1);
        pair.ok("CREATE SCHEMA s");
        for schema in ["public", "s"] {
            pair.ok(&format!("CREATE TABLE {schema}.t (k integer PRIMARY KEY, v text)"));
            pair.ok(&format!("INSERT INTO {schema}.t VALUES (1, '{schema}')"));
        }
        let select = pair.prepare(0, "SELECT v FROM t WHERE k = 1");
        let first = pair.execute(0, &select, &[]);
        pair.ok("SET search_path = s");
        let second = pair.execute(0, &select, &[]);
        assert_ne!(first, second);
        pair.ok("RESET search_path");
        assert_eq!(pair.execute(0, &select, &[]), first);
        assert!(pair.is_direct("SELECT v FROM t WHERE k = 1", &[]));
        pair.sessions[0].0.set("aion.direct_path", "off").expect("a setting");
        assert!(!pair.is_direct("SELECT v FROM t WHERE k = 1", &[]));
        assert_eq!(pair.execute(0, &select, &[]), first);
    });
}

#[test]
fn a_failed_block_refuses_direct_statements() {
    deep(|| {
        let mut pair = Pair::new(1);
        pair.ok("CREATE TABLE t (k integer PRIMARY KEY)");
        let select = pair.prepare(0, "SELECT k FROM t WHERE k = $1");
        pair.ok("BEGIN");
        pair.execute(0, &select, &[]);
        let refused = pair.execute(0, &select, &[Value::I32(1)]);
        assert!(
            matches!(refused, Seen::Failed(SqlState::IN_FAILED_SQL_TRANSACTION, ..)),
            "{refused:?}"
        );
        pair.ok("ROLLBACK");
        pair.execute(0, &select, &[Value::I32(1)]);
    });
}

/// Random statements over few keys, in and out of blocks. One session: of two, the full path's would conflict more often, for it
/// reads ranges where the direct path reads keys.
#[test]
fn random_statements_answer_the_same_on_both_paths() {
    deep(|| {
        let seed = match std::env::var("AION_SEED") {
            Ok(text) => text.trim().parse().expect("AION_SEED is a number"),
            Err(_) => entropy(),
        };
        println!("AION_SEED={seed}");
        let mut rng = SeededRng::new(seed);
        let mut pair = Pair::new(1);
        let keys: Vec<_> = samples()
            .into_iter()
            .filter(|(name, _)| is_key(name) && is_direct_key(name))
            .collect();
        let pick = |rng: &mut SeededRng, count: usize| usize::try_from(rng.below(count as u64)).expect("small");
        let (one, two) = (pick(&mut rng, keys.len()), pick(&mut rng, keys.len()));
        let ((first, ones), (second, twos)) = (&keys[one], &keys[two]);
        pair.ok(&format!(
            "CREATE TABLE t (a {first}, b {second}, v integer, w varchar(2) NOT NULL, c character(3), j json, n numeric(6, 2), x vector(2), \
             r integer[], PRIMARY KEY (b, a))"
        ));
        let statements = [
            "SELECT * FROM t WHERE a = $1 AND b = $2",
            "SELECT w, a FROM t WHERE b = $2 AND a IN ($1, $3)",
            "INSERT INTO t (a, b, v, w) VALUES ($1, $2, 1, 'w')",
            "INSERT INTO t (w, b, a) VALUES ('x', $2, $1), ('y', $3, $1)",
            "UPDATE t SET v = 5, w = 'long' WHERE a = $1 AND b = $2",
            "UPDATE t SET w = 'z' WHERE a IN ($1, $3) AND b = $2",
            "UPDATE t SET a = $3 WHERE a = $1 AND b = $2",
            "DELETE FROM t WHERE a = $1 AND b = $2",
            "DELETE FROM t WHERE b IN ($2, $3) AND a = $1",
            "SELECT * FROM t WHERE b = $2 AND a >= $1 AND a < $3 ORDER BY b, a",
            "SELECT v, a FROM t WHERE b = $2 AND a <= $1 ORDER BY a DESC LIMIT 2",
            "SELECT w FROM t WHERE a BETWEEN $1 AND $3 AND b = $2 ORDER BY a",
            // Columns that are not stored as they come are copied, and are not where they are given.
            "INSERT INTO t VALUES ($1, $2, 1, 'q', 'ab', '{\"a\": 1}', 1.5, '[1,2]', '{1,NULL}')",
            "UPDATE t SET v = v + 1 WHERE a = $1 AND b = $2",
            "UPDATE t SET v = v - 2, c = 'z  ' WHERE a = $1 AND b = $2",
        ];
        // $3 goes with a, but where it stands with b.
        let third_is_b = [3, 8];
        let steps = if std::env::var("AION_HUNT").is_ok_and(|hunt| hunt == "full") {
            5_000
        } else {
            150
        };
        for _ in 0..steps {
            if rng.chance(1, 5) {
                let control = ["BEGIN", "COMMIT", "ROLLBACK"][pick(&mut rng, 3)];
                pair.run(0, control, &[]);
                continue;
            }
            let statement = pick(&mut rng, statements.len());
            let mut value = |values: &[Value]| match rng.chance(1, 12) {
                true => Value::Null,
                false => values[pick(&mut rng, values.len())].clone(),
            };
            let third = if third_is_b.contains(&statement) { twos } else { ones };
            let mut values = vec![value(ones), value(twos), value(third)];
            values.truncate(if statements[statement].contains("$3") { 3 } else { 2 });
            pair.run(0, statements[statement], &values);
        }
        pair.run(0, "COMMIT", &[]);
        pair.contents("t");
    });
}

/// Longer ranges than are given without a planner, limits that only it knows, and bounds beyond the column's type.
#[test]
fn a_range_that_turns_out_to_be_long_is_left_to_the_planner() {
    deep(|| {
        let mut pair = Pair::new(1);
        pair.ok("CREATE TABLE t (k integer PRIMARY KEY, v text)");
        pair.ok("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1500) AS s(i)");
        let sql = "SELECT k, v FROM t WHERE k >= $1 ORDER BY k LIMIT $2";
        let select = pair.prepare(0, sql);
        assert!(pair.is_direct(sql, &[Value::I32(1), Value::I64(1)]));
        let rows = |seen: Seen| match seen {
            Seen::Rows(batch, _) => batch.map_or(0, |batch| batch.num_rows()),
            other => panic!("{other:?}"),
        };
        for (from, limit, count) in [
            (1, Value::I64(10), 10),
            (1, Value::I64(1_000), 1_000),
            (1, Value::I64(1_001), 1_001),
            (1, Value::I64(i64::MAX), 1_500),
            (1, Value::Null, 1_500),
            (1_495, Value::I64(100), 6),
            (1_501, Value::I64(100), 0),
            (1, Value::I64(0), 0),
        ] {
            let seen = pair.execute(0, &select, &[Value::I32(from), limit.clone()]);
            assert_eq!(rows(seen), count, "{from}, {limit:?}");
        }
        let refused = pair.execute(0, &select, &[Value::I32(1), Value::I64(-1)]);
        assert!(matches!(refused, Seen::Failed(..)), "{refused:?}");
        pair.execute(0, &select, &[Value::Null, Value::I64(5)]);
        for sql in [
            "SELECT k FROM t WHERE k >= 3000000000 ORDER BY k LIMIT 5",
            "SELECT k FROM t WHERE k <= 3000000000 AND k > 1498 ORDER BY k",
            "SELECT k FROM t WHERE k > 1498 ORDER BY k",
        ] {
            assert!(pair.is_direct(sql, &[]), "{sql}");
            pair.ok(sql);
        }
        pair.ok("BEGIN");
        pair.ok("INSERT INTO t VALUES (0, 'own'), (-5, 'own')");
        pair.ok("DELETE FROM t WHERE k = 2");
        assert_eq!(
            rows(pair.ok("SELECT * FROM t WHERE k BETWEEN -9 AND 3 ORDER BY k DESC")),
            4
        );
        assert_eq!(
            rows(pair.ok("SELECT * FROM t WHERE k BETWEEN -9 AND 3 ORDER BY k LIMIT 3")),
            3
        );
        pair.ok("ROLLBACK");
        assert_eq!(rows(pair.ok("SELECT * FROM t WHERE k < 4 ORDER BY k")), 3);
    });
}
