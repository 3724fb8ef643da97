//! GRAPH_TABLE and the semi-join reduction against naive references, over small random graphs.
//!
//! 1. *Walks*: a random pattern of up to three edges is asked of the database, and enumerated here by nested loops over all
//!    vertices and edges. The answers are equal as multisets.
//! 2. *Semi-joins*: random queries with IN, EXISTS, NOT IN, DISTINCT and aggregations over joins and patterns answer the same
//!    with `aion.semi_join_reduction` on and off.
//!
//! The graph has everything that is easily got wrong: edges without an end, loops, parallel edges, NULLs in the columns that
//! filters look at.

use std::fmt::Write as _;
use std::sync::Arc;

use aion_base::rng::SeededRng;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Server;
use crate::program::{at_length, seed};

/// A vertex: of `person` (kind 0) or `place` (kind 1).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Vertex {
    kind: usize,
    id: i64,
    size: Option<i64>,
}

/// An edge: `knows` (kind 0) from person to person, `went` (kind 1) from person to place.
#[derive(Clone, Copy, Debug)]
struct Edge {
    kind: usize,
    id: i64,
    source: Option<i64>,
    destination: Option<i64>,
    weight: Option<i64>,
}

#[derive(Debug, Default)]
struct Graph {
    vertices: Vec<Vertex>,
    edges: Vec<Edge>,
}

const VERTEX_TABLES: [&str; 2] = ["person", "place"];
const EDGE_TABLES: [&str; 2] = ["knows", "went"];

fn cell(value: Option<i64>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| value.to_string())
}

fn some(rng: &mut SeededRng, limit: u64) -> Option<i64> {
    let value = i64::try_from(rng.below(limit)).expect("small");
    (!rng.chance(1, 6)).then_some(value)
}

impl Graph {
    fn random(rng: &mut SeededRng) -> Self {
        let mut graph = Self::default();
        for kind in 0..2 {
            for id in 0..=rng.below(5) {
                let id = i64::try_from(id).expect("small");
                let size = some(rng, 4);
                graph.vertices.push(Vertex { kind, id, size });
            }
            for id in 0..rng.below(11) {
                graph.edges.push(Edge {
                    kind,
                    id: i64::try_from(id).expect("small"),
                    // One id more than there are vertices: such an edge lacks its end.
                    source: some(rng, 7),
                    destination: some(rng, 7),
                    weight: some(rng, 4),
                });
            }
        }
        graph
    }

    fn script(&self) -> String {
        let mut script = String::from("DROP PROPERTY GRAPH IF EXISTS g;");
        for table in VERTEX_TABLES {
            let _ = write!(
                script,
                "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id bigint PRIMARY KEY, size bigint);"
            );
        }
        for table in EDGE_TABLES {
            let _ = write!(
                script,
                "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id bigint PRIMARY KEY, s bigint, d bigint, weight bigint);"
            );
        }
        for vertex in &self.vertices {
            let table = VERTEX_TABLES[vertex.kind];
            let _ = write!(
                script,
                "INSERT INTO {table} VALUES ({}, {});",
                vertex.id,
                cell(vertex.size)
            );
        }
        for edge in &self.edges {
            let _ = write!(
                script,
                "INSERT INTO {} VALUES ({}, {}, {}, {});",
                EDGE_TABLES[edge.kind],
                edge.id,
                cell(edge.source),
                cell(edge.destination),
                cell(edge.weight)
            );
        }
        script.push_str(
            "CREATE PROPERTY GRAPH g VERTEX TABLES (person, place) EDGE TABLES (
               knows SOURCE KEY (s) REFERENCES person (id) DESTINATION KEY (d) REFERENCES person (id),
               went SOURCE KEY (s) REFERENCES person (id) DESTINATION KEY (d) REFERENCES place (id))",
        );
        script
    }

    fn source(&self, edge: &Edge) -> Option<Vertex> {
        let is_it = |vertex: &&Vertex| vertex.kind == 0 && Some(vertex.id) == edge.source;
        self.vertices.iter().find(is_it).copied()
    }

    fn destination(&self, edge: &Edge) -> Option<Vertex> {
        let is_it = |vertex: &&Vertex| vertex.kind == edge.kind && Some(vertex.id) == edge.destination;
        self.vertices.iter().find(is_it).copied()
    }
}

/// `size < limit` or `weight >= limit`; NULL is no match.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Below(i64),
    AtLeast(i64),
}

impl Bound {
    fn random(rng: &mut SeededRng) -> Option<Self> {
        let limit = i64::try_from(rng.below(4)).expect("small");
        match rng.below(5) {
            0 => Some(Self::Below(limit)),
            1 => Some(Self::AtLeast(limit)),
            _ => None,
        }
    }

    fn holds(bound: Option<Self>, value: Option<i64>) -> bool {
        match (bound, value) {
            (None, _) => true,
            (_, None) => false,
            (Some(Self::Below(limit)), Some(value)) => value < limit,
            (Some(Self::AtLeast(limit)), Some(value)) => value >= limit,
        }
    }

    fn text(bound: Option<Self>, property: &str) -> String {
        match bound {
            None => String::new(),
            Some(Self::Below(limit)) => format!(" WHERE {property} < {limit}"),
            Some(Self::AtLeast(limit)) => format!(" WHERE {property} >= {limit}"),
        }
    }
}

/// An element pattern: its labels as a set of kinds, and its filter.
#[derive(Clone, Copy, Debug)]
struct Element {
    kinds: [bool; 2],
    bound: Option<Bound>,
}

impl Element {
    fn random(rng: &mut SeededRng) -> Self {
        let kinds = match rng.below(4) {
            0 => [true, false],
            1 => [false, true],
            _ => [true, true],
        };
        Self {
            kinds,
            bound: Bound::random(rng),
        }
    }

    fn text(&self, rng: &mut SeededRng, variable: &str, tables: [&str; 2], property: &str) -> String {
        let label = match self.kinds {
            [true, false] => format!(" IS {}", tables[0]),
            [false, true] => format!(" IS {}", tables[1]),
            // All labels, or none.
            _ if rng.chance(1, 2) => format!(" IS {} | {}", tables[1], tables[0]),
            _ => String::new(),
        };
        format!(
            "{variable}{label}{}",
            Bound::text(self.bound, &format!("{variable}.{property}"))
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    Right,
    Left,
    Either,
}

#[derive(Debug)]
struct Pattern {
    vertices: Vec<Element>,
    edges: Vec<(Element, Direction)>,
    /// The last vertex is the first.
    is_closed: bool,
}

impl Pattern {
    fn random(rng: &mut SeededRng) -> Self {
        let length = rng.below(4);
        let vertices = (0..=length).map(|_| Element::random(rng)).collect();
        let edges = (0..length).map(|_| {
            let direction = match rng.below(3) {
                0 => Direction::Right,
                1 => Direction::Left,
                _ => Direction::Either,
            };
            (Element::random(rng), direction)
        });
        Self {
            vertices,
            edges: edges.collect(),
            is_closed: length > 0 && rng.chance(1, 4),
        }
    }

    fn variable(&self, at: usize) -> String {
        match self.is_closed && at == self.edges.len() {
            true => "v0".to_owned(),
            false => format!("v{at}"),
        }
    }

    fn text(&self, rng: &mut SeededRng) -> String {
        let mut text = String::new();
        for (at, vertex) in self.vertices.iter().enumerate() {
            let _ = write!(
                text,
                "({})",
                vertex.text(rng, &self.variable(at), VERTEX_TABLES, "size")
            );
            if let Some((edge, direction)) = self.edges.get(at) {
                let filler = edge.text(rng, &format!("e{at}"), EDGE_TABLES, "weight");
                let _ = match direction {
                    Direction::Right => write!(text, "-[{filler}]->"),
                    Direction::Left => write!(text, "<-[{filler}]-"),
                    Direction::Either => write!(text, "-[{filler}]-"),
                };
            }
        }
        let mut columns = Vec::new();
        for at in 0..self.vertices.len() - usize::from(self.is_closed) {
            columns.push(format!("v{at}.id AS v{at}"));
        }
        for at in 0..self.edges.len() {
            columns.push(format!("e{at}.id AS e{at}"));
        }
        format!("GRAPH_TABLE (g MATCH {text} COLUMNS ({}))", columns.join(", "))
    }

    /// All walks, one line each.
    fn walks(&self, graph: &Graph) -> Vec<String> {
        let mut walks = Vec::new();
        for &start in &graph.vertices {
            self.extend(graph, &mut vec![start], &mut Vec::new(), &mut walks);
        }
        walks.sort();
        walks
    }

    fn extend(&self, graph: &Graph, vertices: &mut Vec<Vertex>, edges: &mut Vec<i64>, walks: &mut Vec<String>) {
        let at = edges.len();
        let here = vertices[at];
        let pattern = &self.vertices[at];
        if !pattern.kinds[here.kind] || !Bound::holds(pattern.bound, here.size) {
            return;
        }
        let Some((edge_pattern, direction)) = self.edges.get(at) else {
            if self.is_closed && vertices[0] != here {
                return;
            }
            let shown = vertices.len() - usize::from(self.is_closed);
            let ids = vertices
                .iter()
                .take(shown)
                .map(|vertex| vertex.id)
                .chain(edges.iter().copied());
            walks.push(ids.map(|id| id.to_string()).collect::<Vec<_>>().join(" "));
            return;
        };
        for edge in &graph.edges {
            let (Some(source), Some(destination)) = (graph.source(edge), graph.destination(edge)) else {
                continue;
            };
            if !edge_pattern.kinds[edge.kind] || !Bound::holds(edge_pattern.bound, edge.weight) {
                continue;
            }
            let mut ends = Vec::new();
            if *direction != Direction::Left && source == here {
                ends.push(destination);
            }
            // A loop is one edge, whichever way it is followed.
            let is_seen = *direction == Direction::Either && source == destination;
            if *direction != Direction::Right && destination == here && !is_seen {
                ends.push(source);
            }
            for end in ends {
                vertices.push(end);
                edges.push(edge.id);
                self.extend(graph, vertices, edges, walks);
                vertices.pop();
                edges.pop();
            }
        }
    }
}

struct Database {
    client: Client,
    runtime: Arc<Runtime>,
    _server: Server,
}

impl Database {
    fn start() -> Self {
        let server = Server::start();
        Self {
            client: server.connect(),
            runtime: server.runtime.clone(),
            _server: server,
        }
    }

    fn run(&self, script: &str) {
        let done = self.runtime.block_on(self.client.batch_execute(script));
        done.unwrap_or_else(|error| panic!("{error:?}\n{script}"));
    }

    /// The rows of a query, sorted, one line each.
    fn rows(&self, query: &str) -> Vec<String> {
        let messages = self.runtime.block_on(self.client.simple_query(query));
        let messages = messages.unwrap_or_else(|error| panic!("{error:?}\n{query}"));
        let mut rows: Vec<String> = messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
                    Some(cells.collect::<Vec<_>>().join(" "))
                }
                _ => None,
            })
            .collect();
        rows.sort();
        rows
    }
}

#[test]
fn graph_table_finds_the_walks_of_nested_loops() {
    let mut rng = SeededRng::new(seed());
    let database = Database::start();
    let (graphs, patterns) = (at_length(6, 200), at_length(12, 40));
    let mut found = 0;
    for _ in 0..graphs {
        let graph = Graph::random(&mut rng);
        database.run(&graph.script());
        for _ in 0..patterns {
            let pattern = Pattern::random(&mut rng);
            let query = format!("SELECT * FROM {}", pattern.text(&mut rng));
            let expected = pattern.walks(&graph);
            assert_eq!(database.rows(&query), expected, "{query}\n{}", graph.script());
            found += expected.len();
        }
    }
    assert!(found > 0, "no pattern matched anything");
}

/// A relation of a random query: its text in FROM, and its columns.
struct Source {
    text: String,
    columns: Vec<String>,
}

impl Source {
    fn random(rng: &mut SeededRng, alias: &str) -> Self {
        let columns = |names: &[&str]| names.iter().map(|name| format!("{alias}.{name}")).collect();
        if rng.chance(1, 4) {
            let text = "GRAPH_TABLE (g MATCH (x IS person)-[e IS knows]->(y IS person)-[f IS went]->(z)
                COLUMNS (x.id AS id, x.size AS size, z.id AS s, f.weight AS weight))";
            return Self {
                text: format!("{text} AS {alias}"),
                columns: columns(&["id", "size", "s", "weight"]),
            };
        }
        match rng.below(4) {
            at @ (0 | 1) => Self {
                text: format!("{} AS {alias}", VERTEX_TABLES[usize::from(at == 1)]),
                columns: columns(&["id", "size"]),
            },
            at => Self {
                text: format!("{} AS {alias}", EDGE_TABLES[usize::from(at == 3)]),
                columns: columns(&["s", "d", "weight"]),
            },
        }
    }
}

fn pick<'a>(rng: &mut SeededRng, items: &'a [String]) -> &'a str {
    let at = usize::try_from(rng.below(items.len() as u64)).expect("small");
    &items[at]
}

/// `SELECT columns FROM joins WHERE filters`, of up to four relations; its columns are c0, c1, ...
fn joins(rng: &mut SeededRng, width: usize, prefix: &str) -> String {
    let mut sources: Vec<Source> = Vec::new();
    let mut text = String::new();
    for at in 0..=rng.below(4) {
        let source = Source::random(rng, &format!("{prefix}{at}"));
        if sources.is_empty() {
            text.push_str(&source.text);
        } else {
            let before: Vec<String> = sources.iter().flat_map(|source| source.columns.clone()).collect();
            let kind = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"];
            let kind = kind[usize::try_from(rng.below(6)).expect("small")];
            let mut on = format!("{} = {}", pick(rng, &before), pick(rng, &source.columns));
            if kind != "FULL JOIN" && rng.chance(1, 4) {
                let _ = write!(on, " AND {} <= {}", pick(rng, &before), pick(rng, &source.columns));
            }
            if rng.chance(1, 4) {
                let _ = write!(on, " AND {} = {}", pick(rng, &before), pick(rng, &source.columns));
            }
            let _ = write!(text, " {kind} {} ON {on}", source.text);
        }
        sources.push(source);
    }
    let all: Vec<String> = sources.iter().flat_map(|source| source.columns.clone()).collect();
    if rng.chance(1, 3) {
        let _ = write!(text, " WHERE {} > {}", pick(rng, &all), rng.below(3));
    }
    let columns: Vec<String> = (0..width).map(|at| format!("{} AS c{at}", pick(rng, &all))).collect();
    format!("SELECT {} FROM {text}", columns.join(", "))
}

fn query(rng: &mut SeededRng) -> String {
    let (inner, two) = (joins(rng, 1, "i"), joins(rng, 2, "j"));
    match rng.below(10) {
        0 => format!("SELECT DISTINCT * FROM ({two}) AS q"),
        1 => format!("SELECT id FROM person WHERE size IN ({inner})"),
        2 => format!("SELECT id FROM person WHERE size NOT IN ({inner})"),
        3 => format!("SELECT id FROM place p WHERE EXISTS (SELECT 1 FROM ({two}) AS q WHERE q.c0 = p.id)"),
        4 => format!(
            "SELECT id FROM place p WHERE NOT EXISTS (SELECT 1 FROM ({two}) AS q WHERE q.c0 = p.id AND q.c1 > p.size)"
        ),
        5 => format!("SELECT c0, min(c1), count(DISTINCT c1) FROM ({two}) AS q GROUP BY c0"),
        6 => format!("SELECT count(*) FROM ({two} UNION {}) AS q", joins(rng, 2, "k")),
        // A limit and a count end what duplicates do not matter to.
        7 => format!("SELECT DISTINCT n FROM (SELECT c0, count(*) AS n FROM ({two}) AS q GROUP BY c0) AS r"),
        _ => format!(
            "SELECT DISTINCT a.c0, b.c1 FROM ({two}) AS a JOIN ({}) AS b ON a.c1 = b.c0",
            joins(rng, 2, "k")
        ),
    }
}

#[test]
fn queries_answer_the_same_without_the_semi_join_reduction() {
    let mut rng = SeededRng::new(seed());
    let database = Database::start();
    let (graphs, queries) = (at_length(3, 100), at_length(20, 60));
    for _ in 0..graphs {
        let graph = Graph::random(&mut rng);
        database.run(&graph.script());
        for _ in 0..queries {
            let query = query(&mut rng);
            database.run("SET aion.semi_join_reduction = off");
            let plain = database.rows(&query);
            database.run("SET aion.semi_join_reduction = on");
            assert_eq!(database.rows(&query), plain, "{query}\n{}", graph.script());
        }
    }
}
