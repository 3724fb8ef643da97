//! What is found in a text, where errors point, and what parameters are.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::SqlType;
use aion_storage::{Store, StoreOptions};
use datafusion::sql::sqlparser::ast;

use crate::engine::{Engine, EngineOptions};
use crate::parse::parse;
use crate::response::Response;
use crate::session::{Session, SessionOptions};

/// A database in memory, after `script`, and a session of it.
pub(crate) async fn database(script: &str) -> (Arc<Engine>, Session) {
    let store = Arc::new(Store::in_memory(&StoreOptions::default()));
    let options = EngineOptions {
        memory_bytes: 64 << 20,
        partitions: 1,
        copy_dir: None,
        index_dir: None,
        observer: None,
        pipeline: None,
    };
    let engine = Engine::new(store, options).expect("an engine");
    let mut session = Session::new(engine.clone(), SessionOptions::default());
    for statement in session.parse(script).expect("SQL") {
        let prepared = session.prepare(&statement, &[]).await.expect("planned");
        let response = session.execute(&prepared, &[]).await.expect("run");
        assert!(matches!(response, Response::Done { .. }));
    }
    (engine, session)
}

const GRAPH: &str = "CREATE TABLE v (id bigint PRIMARY KEY, name text);
    CREATE TABLE e (id bigint PRIMARY KEY, s bigint, d bigint, at date);
    INSERT INTO v VALUES (1, 'a'), (2, 'b');
    INSERT INTO e VALUES (1, 1, 2, '2020-01-01'), (2, 1, NULL, NULL), (3, 7, 2, NULL);
    CREATE PROPERTY GRAPH g VERTEX TABLES (v)
        EDGE TABLES (e SOURCE KEY (s) REFERENCES v (id) DESTINATION KEY (d) REFERENCES v (id))";

fn refused(text: &str) -> Error {
    parse(text).expect_err(text)
}

/// The part of `text` that an error points to: from its place to the next space or parenthesis.
fn pointed(error: &Error, text: &str) -> String {
    let position = error.position().expect("a place");
    let rest = text.chars().skip(position - 1);
    rest.take_while(|c| !c.is_whitespace() && !"(),".contains(*c)).collect()
}

#[test]
fn words_in_strings_comments_and_names_are_left_alone() {
    for text in [
        "SELECT 'GRAPH_TABLE (g MATCH (x'",
        "SELECT $$GRAPH_TABLE (g MATCH (x$$",
        "SELECT 1 -- GRAPH_TABLE (g MATCH (x",
        "SELECT 1 /* CREATE PROPERTY GRAPH */",
        "SELECT graph_table, match, columns FROM graph_table",
        "SELECT \"GRAPH_TABLE\" FROM t",
        "SELECT graph_table (x, match) FROM t",
        "SELECT property FROM graph",
    ] {
        let statements = parse(text).expect(text);
        assert!(!statements[0].ast.to_string().contains("aion"), "{text}");
    }
}

#[test]
fn a_text_may_hold_several_of_everything() {
    let text = "CREATE PROPERTY GRAPH a VERTEX TABLES (t); SELECT * FROM GRAPH_TABLE (a MATCH (x) COLUMNS (x.b)) AS p,
        graph_table(s.a match (x) columns (x.b)) q; DROP PROPERTY GRAPH a;";
    let statements = parse(text).expect(text);
    assert_eq!(statements.len(), 3);
    assert!(matches!(statements[0].ast, ast::Statement::Call(_)));
    assert_eq!(statements[1].ast.to_string().matches("\"aion graph_table\"").count(), 2);
}

#[test]
fn errors_point_into_the_users_text() {
    let text =
        "SELECT 'äö' AS a,\n  b FROM GRAPH_TABLE (g\n  MATCH (x IS v WHERE x.id = )-[e]->(y) COLUMNS (x.id)) AS g";
    let error = refused(text);
    assert_eq!(error.state(), SqlState::SYNTAX_ERROR);
    let line = text.lines().nth(2).expect("three lines");
    let before = text.chars().count() - text.lines().skip(2).map(|line| line.chars().count()).sum::<usize>();
    assert_eq!(
        error.position(),
        Some(before + line.find(")-[").expect("there") + 1),
        "{error}"
    );

    for (text, part) in [
        ("SELECT 1; CREATE PROPERTY GRAPH g EDGE TABLES (t)", "EDGE"),
        ("CREATE PROPERTY GRAPH g VERTEX TABLES (t KEYS (a))", ""),
        ("SELECT * FROM GRAPH_TABLE (g MATCH (a)-->(b) COLUMNS (a.x))", "-->"),
        ("SELECT * FROM GRAPH_TABLE (g MATCH (a)<--(b)\n COLUMNS (a.x))", "--"),
        ("SELECT * FROM GRAPH_TABLE (g MATCH (a)-[e]-->(b) COLUMNS (a.x))", "-->"),
        (
            "SELECT * FROM GRAPH_TABLE (g MATCH (a) WHERE a.x = 1 COLUMN (a.x))",
            "COLUMN",
        ),
        ("SELECT * FROM GRAPH_TABLE (g MATCH (a) COLUMNS (a.x AS))", ""),
    ] {
        let error = refused(text);
        assert_eq!(error.state(), SqlState::SYNTAX_ERROR, "{text}");
        // What looks like an arrow begins a comment, and the hint says what to write.
        let has_hint = error.hint().is_some_and(|hint| hint.contains("-[]->"));
        assert_eq!(has_hint, text.contains("--"), "{text}: {error:?}");
        assert!(
            pointed(&error, text).starts_with(part),
            "{text}: {error} at {:?}",
            error.position()
        );
    }
}

/// A comment within a pattern is one; only where it hides an edge is it taken for an arrow.
#[test]
fn arrows_in_comments_are_noticed_where_they_break_the_pattern() {
    let fine = "SELECT * FROM GRAPH_TABLE (g MATCH (a) --> the start\n ->(b) COLUMNS (a.x))";
    assert!(parse(fine).is_ok());
    let other = refused("SELECT * FROM GRAPH_TABLE (g MATCH (a IS ) -- the start\n ->(b) COLUMNS (a.x))");
    assert!(!other.message().contains("comment"), "{other}");
}

#[tokio::test]
async fn names_that_do_not_exist_are_pointed_at() {
    let (_, mut session) = database(GRAPH).await;
    for (text, state, part) in [
        (
            "SELECT 1 AS one,\n * FROM GRAPH_TABLE (nope MATCH (x) COLUMNS (x.id)) g",
            SqlState::UNDEFINED_TABLE,
            "nope",
        ),
        (
            "SELECT * FROM\n GRAPH_TABLE (g MATCH (x IS w) COLUMNS (x.id)) g",
            SqlState::UNDEFINED_OBJECT,
            "w",
        ),
        (
            "SELECT * FROM GRAPH_TABLE (g MATCH (x)\n COLUMNS (x.id,\n x.nope)) g",
            SqlState::UNDEFINED_COLUMN,
            "nope",
        ),
        (
            "SELECT * FROM GRAPH_TABLE (g MATCH (x WHERE y.id = 1) COLUMNS (x.id)) g",
            SqlState::UNDEFINED_TABLE,
            "y.id",
        ),
        (
            "SELECT g.nope FROM GRAPH_TABLE (g MATCH (x) COLUMNS (x.id)) g",
            SqlState::UNDEFINED_COLUMN,
            "g.nope",
        ),
        (
            "SELECT * FROM GRAPH_TABLE (g MATCH (x) COLUMNS (nofun(x.id) AS a)) g",
            SqlState::UNDEFINED_FUNCTION,
            "",
        ),
    ] {
        let statement = session.parse(text).expect("SQL").remove(0);
        let error = session.prepare(&statement, &[]).await.expect_err(text);
        assert_eq!(error.state(), state, "{text}: {error}");
        if !part.is_empty() {
            assert_eq!(pointed(&error, text), part, "{text}: {error}");
        }
    }
}

#[tokio::test]
async fn parameters_within_have_the_types_of_what_they_are_compared_with() {
    let (_, mut session) = database(GRAPH).await;
    let text = "SELECT * FROM GRAPH_TABLE (g MATCH (x WHERE x.name = $2)-[e WHERE e.at < $1]->(y) WHERE y.id > $4
        COLUMNS (y.id AS id, $3 AS said)) AS g WHERE g.id = $4";
    let statement = session.parse(text).expect("SQL").remove(0);
    let prepared = session.prepare(&statement, &[]).await.expect("planned");
    assert_eq!(
        prepared.parameter_types(),
        [SqlType::Date, SqlType::Text, SqlType::Text, SqlType::BigInt]
    );
    let names: Vec<_> = prepared
        .columns()
        .expect("rows")
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names, ["id", "said"]);
}

#[tokio::test]
async fn rows_that_are_no_edges_are_counted_in_a_notice() {
    let (_, mut session) = database(GRAPH).await;
    let notices = session.take_notices();
    let messages: Vec<_> = notices.iter().map(Error::message).collect();
    assert_eq!(
        messages,
        ["2 of 3 rows of e are no edges of g: their source is not in v, or their destination not in v"]
    );
}
