//! Which column of which table a column of a result is. The answers are PostgreSQL 15's.

use crate::sql::Server;

const SCHEMA: &str = "CREATE TABLE oa (id int PRIMARY KEY, gone int, v text, n numeric(8,2)); \
     ALTER TABLE oa DROP COLUMN gone; \
     CREATE TABLE ob (id int PRIMARY KEY, w text); \
     CREATE VIEW ov AS SELECT v AS vv, id + 1 AS i1, id FROM oa";

/// Statements, and the columns of their results: table and number, or - for what is computed.
const ANSWERS: &[(&str, &str)] = &[
    ("SELECT * FROM oa", "oa.1 oa.3 oa.4"),
    ("SELECT id, v AS t, id + 1, n FROM oa", "oa.1 oa.3 - oa.4"),
    // Direct: by the key, by keys, by a range of them.
    ("SELECT v FROM oa WHERE id = 1", "oa.3"),
    ("SELECT v, id AS number FROM oa WHERE id IN (1, 2)", "oa.3 oa.1"),
    ("SELECT id, v FROM oa WHERE id > 0 ORDER BY id LIMIT 1", "oa.1 oa.3"),
    ("SELECT id::text, id::int, v::varchar FROM oa", "- oa.1 -"),
    (
        "SELECT a.id, b.id, w FROM oa a LEFT JOIN ob b ON a.id = b.id",
        "oa.1 ob.1 ob.2",
    ),
    ("SELECT id, v, w FROM oa JOIN ob USING (id)", "oa.1 oa.3 ob.2"),
    ("SELECT * FROM oa NATURAL JOIN ob", "oa.1 oa.3 oa.4 ob.2"),
    ("SELECT id FROM oa RIGHT JOIN ob USING (id)", "ob.1"),
    ("SELECT id FROM oa FULL JOIN ob USING (id)", "-"),
    ("SELECT v, count(*), max(id) FROM oa GROUP BY v", "oa.3 - -"),
    ("SELECT id FROM oa GROUP BY id HAVING count(*) > 0", "oa.1"),
    ("SELECT DISTINCT v FROM oa", "oa.3"),
    ("SELECT DISTINCT ON (v) v, id FROM oa ORDER BY v", "oa.3 oa.1"),
    ("SELECT id FROM oa UNION SELECT id FROM ob", "-"),
    ("SELECT v FROM oa INTERSECT SELECT w FROM ob", "-"),
    ("SELECT v FROM oa EXCEPT ALL SELECT w FROM ob", "-"),
    ("SELECT s.v, s.x FROM (SELECT v, id * 2 AS x FROM oa) AS s", "oa.3 -"),
    ("WITH c AS (SELECT v, id FROM oa) SELECT * FROM c", "oa.3 oa.1"),
    ("SELECT * FROM ov", "ov.1 ov.2 ov.3"),
    ("SELECT id, vv FROM (SELECT * FROM ov WHERE id = 1) AS s", "ov.3 ov.1"),
    ("SELECT ov.vv, oa.v FROM ov JOIN oa USING (id)", "ov.1 oa.3"),
    ("SELECT (SELECT v FROM oa WHERE id = 1), 1, (v) FROM oa", "- - oa.3"),
    ("SELECT relname FROM pg_class", "pg_class.2"),
    ("SELECT v, row_number() OVER () FROM oa", "oa.3 -"),
    (
        "SELECT lower(v), coalesce(v, ''), CASE WHEN id = 1 THEN v END FROM oa",
        "- - -",
    ),
    (
        "SELECT id, v FROM oa WHERE v = 'x' AND id IN (SELECT id FROM ob) FOR UPDATE",
        "oa.1 oa.3",
    ),
    (
        "SELECT id FROM oa WHERE EXISTS (SELECT 1 FROM ob WHERE ob.id = oa.id)",
        "oa.1",
    ),
    ("SELECT v FROM oa ORDER BY id", "oa.3"),
    ("SELECT id, id FROM oa", "oa.1 oa.1"),
    ("SELECT v, x FROM oa, generate_series(1, 2) AS s(x)", "oa.3 -"),
    ("VALUES (1)", "-"),
    (
        "INSERT INTO oa VALUES (10, 'z', 1) RETURNING id, v || '', v",
        "oa.1 - oa.3",
    ),
    ("UPDATE oa SET v = 'q' WHERE id = 10 RETURNING *", "oa.1 oa.3 oa.4"),
    ("DELETE FROM oa WHERE id = 10 RETURNING n, id AS x", "oa.4 oa.1"),
];

#[test]
fn columns_say_where_they_come_from() {
    let server = Server::start();
    let client = server.connect();
    server.runtime.block_on(async {
        client.batch_execute(SCHEMA).await.expect("the schema");
        let mut names = Vec::new();
        for name in ["oa", "ob", "ov", "pg_class"] {
            let query = format!("SELECT oid FROM pg_class WHERE relname = '{name}'");
            let oid: u32 = client.query_one(&query, &[]).await.expect("a relation").get(0);
            names.push((oid, name));
        }
        for path in ["on", "off"] {
            let set = format!("SET aion.direct_path = {path}");
            client.batch_execute(&set).await.expect("set");
            for (statement, expected) in ANSWERS {
                let prepared = client.prepare(statement).await.expect(statement);
                let origins = prepared.columns().iter().map(|column| {
                    let Some(oid) = column.table_oid() else {
                        assert_eq!(column.column_id(), None, "{statement}");
                        return "-".to_owned();
                    };
                    let name = names.iter().find(|(known, _)| *known == oid);
                    let name = name.map_or_else(|| oid.to_string(), |(_, name)| (*name).to_owned());
                    format!("{name}.{}", column.column_id().unwrap_or(0))
                });
                let found = origins.collect::<Vec<_>>().join(" ");
                assert_eq!(found, *expected, "{statement}, direct path {path}");
            }
        }
    });
}
