//! Plans, as text: what the semi-join reduction makes of walks, and what it leaves alone.

use datafusion::sql::sqlparser::ast;

use crate::graph::tests::database;
use crate::parse::parse;
use crate::planner::Names;

const TABLES: &str = "
    CREATE TABLE airports (faa text PRIMARY KEY, name text NOT NULL);
    CREATE TABLE planes (tailnum text PRIMARY KEY, maker text NOT NULL);
    CREATE TABLE flights (id bigint PRIMARY KEY, tailnum text, dest text NOT NULL, delay double precision);
    CREATE PROPERTY GRAPH rotations
        VERTEX TABLES (airports LABEL airport, planes LABEL plane)
        EDGE TABLES (flights SOURCE KEY (tailnum) REFERENCES planes (tailnum)
            DESTINATION KEY (dest) REFERENCES airports (faa) LABEL flew)";

/// The joins and aggregations of an optimised plan, and its tables, indented as in the plan.
async fn shape(query: &str) -> String {
    let (engine, _session) = database(TABLES).await;
    let catalog = engine.catalog_at(&*engine.store.snapshot()).expect("a catalog");
    let path = ["public".to_owned()];
    let names = Names::new(&engine.state, &catalog, &path, &engine.shapes);
    let statement = parse(query).expect("SQL").remove(0);
    assert!(matches!(statement.ast, ast::Statement::Query(_)));
    let planned = names.plan(statement.ast, Vec::new(), query).expect("planned");
    let optimized = engine.state.optimize(&planned.plan).expect("optimised");
    let mut shape = String::new();
    let mut indents: Vec<usize> = Vec::new();
    for line in optimized.display_indent().to_string().lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        while indents.last().is_some_and(|&last| last >= indent) {
            indents.pop();
        }
        let is_shown = ["Join", "Aggregate", "TableScan", "Limit"]
            .iter()
            .any(|word| text.contains(word));
        if is_shown {
            let text = text.split(" projection=").next().unwrap_or_default();
            shape.push_str(&"  ".repeat(indents.len()));
            shape.push_str(text);
            shape.push('\n');
            indents.push(indent);
        }
    }
    shape
}

/// One airport has three million walks to fewer than a hundred destinations: the joins of walks under IN would run through
/// all of them. No inner join is left.
#[tokio::test]
async fn walks_under_in_become_semi_joins() {
    let reach = "SELECT a.name FROM airports a WHERE a.faa IN (SELECT g.faa FROM GRAPH_TABLE (rotations
        MATCH (x IS airport WHERE x.faa = 'BOS')<-[IS flew]-(t IS plane)-[IS flew]->(y IS airport)
        COLUMNS (y.faa AS faa)) AS g)";
    assert_eq!(
        shape(reach).await,
        "\
LeftSemi Join: a.faa = __correlated_sq_1.faa
  TableScan: airports
  LeftSemi Join: y.faa = aion element 4.dest
    TableScan: public.airports
    LeftSemi Join: aion element 4.tailnum = t.tailnum
      TableScan: public.flights
      LeftSemi Join: t.tailnum = aion element 2.tailnum
        TableScan: public.planes
        LeftSemi Join: aion element 2.dest = x.faa
          TableScan: public.flights
          TableScan: public.airports
"
    );
}

#[tokio::test]
async fn the_hybrid_query_reaches_airports_without_walks() {
    let hybrid = "SELECT f.id, a.name FROM flights f JOIN airports a ON a.faa = f.dest JOIN planes p USING (tailnum)
        WHERE f.dest IN (SELECT g.faa FROM GRAPH_TABLE (rotations
            MATCH (x IS airport WHERE x.faa = 'BOS')<-[IS flew]-(t IS plane)-[IS flew]->(y IS airport)
            COLUMNS (y.faa AS faa)) AS g) AND p.maker = 'AIRBUS' ORDER BY f.id LIMIT 10";
    assert_eq!(
        shape(hybrid).await,
        "\
LeftSemi Join: f.dest = __correlated_sq_1.faa
  Inner Join: f.tailnum = p.tailnum
    Inner Join: f.dest = a.faa
      TableScan: flights
      TableScan: airports
    TableScan: planes
  LeftSemi Join: y.faa = aion element 4.dest
    TableScan: public.airports
    LeftSemi Join: aion element 4.tailnum = t.tailnum
      TableScan: public.flights
      LeftSemi Join: t.tailnum = aion element 2.tailnum
        TableScan: public.planes
        LeftSemi Join: aion element 2.dest = x.faa
          TableScan: public.flights
          TableScan: public.airports
"
    );
}

/// Pairs need both ends of the walk: the vertices go, as their keys are those of the edges, and each end is taken once
/// for each plane before they are joined.
#[tokio::test]
async fn distinct_pairs_are_joined_from_distinct_ends() {
    let pairs = "SELECT DISTINCT g.a, g.b FROM GRAPH_TABLE (rotations
        MATCH (x IS airport)<-[IS flew]-(t IS plane)-[IS flew]->(y IS airport) COLUMNS (x.faa AS a, y.faa AS b)) AS g";
    assert_eq!(
        shape(pairs).await,
        "\
Aggregate: groupBy=[[g.a, g.b]], aggr=[[]]
  Inner Join: aion element 2.tailnum = aion element 4.tailnum
    Aggregate: groupBy=[[aion element 2.tailnum, aion element 2.dest]], aggr=[[]]
      LeftSemi Join: aion element 2.dest = x.faa
        LeftSemi Join: aion element 2.tailnum = t.tailnum
          TableScan: public.flights
          TableScan: public.planes
        TableScan: public.airports
    Aggregate: groupBy=[[aion element 4.tailnum, aion element 4.dest]], aggr=[[]]
      LeftSemi Join: aion element 4.dest = y.faa
        TableScan: public.flights
        TableScan: public.airports
"
    );
}

/// What is asked for stands in the middle of the walk.
#[tokio::test]
async fn the_middle_of_a_walk_is_found_without_its_ends() {
    let between = "SELECT count(DISTINCT g.maker) FROM GRAPH_TABLE (rotations
        MATCH (x IS airport WHERE x.faa = 'BOS')<-[IS flew]-(t IS plane)-[IS flew]->(y IS airport WHERE y.faa = 'LAX')
        COLUMNS (t.maker AS maker)) AS g";
    let shape = shape(between).await;
    assert!(shape.contains("Semi") && !shape.contains("Inner Join"), "{shape}");
}

/// Counting, limits, what is volatile, and floats as keys: there the joins stay.
#[tokio::test]
async fn where_duplicates_matter_joins_stay() {
    for query in [
        "SELECT count(*) FROM flights f JOIN planes p ON p.tailnum = f.tailnum",
        "SELECT sum(f.id) FROM flights f JOIN planes p ON p.tailnum = f.tailnum GROUP BY f.dest",
        "SELECT DISTINCT dest FROM (SELECT f.dest FROM flights f JOIN planes p ON p.tailnum = f.tailnum LIMIT 5) q",
        "SELECT DISTINCT r FROM (SELECT f.dest, random() AS r FROM flights f JOIN planes p ON p.tailnum = f.tailnum) q",
        "SELECT DISTINCT f.dest FROM flights f JOIN planes p ON p.tailnum = f.tailnum AND f.delay + random() < length(p.maker)",
        "SELECT DISTINCT a.delay, b.id FROM flights a JOIN flights b ON a.delay = b.delay",
    ] {
        let shape = shape(query).await;
        assert!(
            shape.contains("Inner Join") && !shape.contains("Semi"),
            "{query}{shape}"
        );
    }
}

#[tokio::test]
async fn where_they_do_not_joins_become_semi_joins() {
    for query in [
        "SELECT DISTINCT f.dest FROM flights f JOIN planes p ON p.tailnum = f.tailnum",
        "SELECT max(f.id), count(DISTINCT f.dest) FROM flights f JOIN planes p ON p.tailnum = f.tailnum",
        "SELECT faa FROM airports a WHERE NOT EXISTS (SELECT 1 FROM flights f JOIN planes p USING (tailnum) WHERE f.dest = a.faa)",
        "SELECT DISTINCT f.dest FROM flights f JOIN planes p ON p.tailnum = f.tailnum UNION
            SELECT f.tailnum FROM flights f JOIN airports a ON a.faa = f.dest",
    ] {
        let shape = shape(query).await;
        assert!(
            shape.contains("Semi") && !shape.contains("Inner Join"),
            "{query}{shape}"
        );
    }
}
