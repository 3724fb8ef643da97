//! Queries: joins, aggregates, windows, common tables, set operations.

use aion_base::rng::SeededRng;

use super::expressions::{Scope, boolean, expression};
use super::world::{Kind, Table, World, index, pick};

const DEPTH: u32 = 2;

/// A query, and whether all of its rows come in an order that it asks for.
pub struct Query {
    pub sql: String,
    pub is_ordered: bool,
}

/// What is selected: texts and types.
type Outputs = Vec<(String, Kind)>;

/// A query over what is there.
pub fn query(rng: &mut SeededRng, world: &World) -> Query {
    let relations = world.relations();
    if relations.is_empty() {
        let scope = Scope {
            world,
            columns: Vec::new(),
        };
        let kind = pick(rng, &Kind::ALL);
        return Query {
            sql: format!("SELECT {}", expression(rng, &scope, kind, 3)),
            is_ordered: true,
        };
    }
    match rng.below(10) {
        0..4 => plain(rng, world),
        4..6 => grouped(rng, world),
        6 => windowed(rng, world),
        7 => common(rng, world),
        8 => combined(rng, world),
        _ => derived(rng, world),
    }
}

/// FROM, with what it brings into scope.
fn from<'a>(rng: &mut SeededRng, world: &'a World) -> (String, Scope<'a>) {
    let relations = world.relations();
    let mut scope = Scope {
        world,
        columns: Vec::new(),
    };
    let mut text = String::new();
    let tables = 1 + rng.below(3).min(rng.below(3));
    for (at, alias) in ["a", "b", "c"]
        .iter()
        .enumerate()
        .take(usize::try_from(tables).expect("few"))
    {
        let table = relations[index(rng, relations.len())];
        let own: Vec<(String, Kind)> = named(table, alias);
        if at == 0 {
            text = format!("{} {alias}", table.name);
            scope.columns = own;
            continue;
        }
        let before = scope.columns.clone();
        scope.columns.extend(own.iter().cloned());
        let join = pick(
            rng,
            &["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN", "CROSS JOIN"],
        );
        let on = match equal(rng, &before, &own) {
            Some(equal) if join == "FULL JOIN" || rng.chance(3, 4) => equal,
            _ if join == "FULL JOIN" => "1 = 1".to_owned(),
            _ => boolean(rng, &scope, 1),
        };
        text = match join {
            "CROSS JOIN" => format!("{text} CROSS JOIN {} {alias}", table.name),
            _ => format!("{text} {join} {} {alias} ON {on}", table.name),
        };
    }
    (text, scope)
}

fn named(table: &Table, alias: &str) -> Outputs {
    let columns = table.columns.iter();
    columns
        .map(|column| (format!("{alias}.{}", column.name), column.kind))
        .collect()
}

fn equal(rng: &mut SeededRng, left: &Outputs, right: &Outputs) -> Option<String> {
    let pairs: Vec<(&str, &str)> = left
        .iter()
        .flat_map(|l| right.iter().map(move |r| (l, r)))
        .filter(|(l, r)| l.1 == r.1)
        .map(|(l, r)| (l.0.as_str(), r.0.as_str()))
        .collect();
    (!pairs.is_empty()).then(|| {
        let (left, right) = pick(rng, &pairs);
        format!("{left} = {right}")
    })
}

fn condition(rng: &mut SeededRng, scope: &Scope<'_>) -> String {
    match rng.below(3) {
        0 => String::new(),
        _ => format!(" WHERE {}", boolean(rng, scope, DEPTH)),
    }
}

fn outputs(rng: &mut SeededRng, scope: &Scope<'_>) -> Outputs {
    (0..1 + rng.below(4))
        .map(|_| {
            let kind = pick(rng, &Kind::ALL);
            (expression(rng, scope, kind, DEPTH), kind)
        })
        .collect()
}

fn list(outputs: &Outputs) -> String {
    let texts: Vec<String> = outputs
        .iter()
        .enumerate()
        .map(|(at, (text, _))| format!("{text} AS x{at}"))
        .collect();
    texts.join(", ")
}

/// ORDER BY all that is selected: where rows are equal, their order cannot be seen.
fn order(rng: &mut SeededRng, count: usize) -> Query {
    if rng.chance(1, 2) {
        return Query {
            sql: String::new(),
            is_ordered: false,
        };
    }
    let keys: Vec<String> = (1..=count)
        .map(|at| {
            let direction = pick(rng, &["", " DESC", " ASC", " NULLS FIRST", " DESC NULLS LAST"]);
            format!("{at}{direction}")
        })
        .collect();
    let limit = match rng.below(4) {
        0 => format!(" LIMIT {}", rng.below(6)),
        1 => format!(" LIMIT {} OFFSET {}", 1 + rng.below(4), rng.below(4)),
        2 => format!(" OFFSET {}", rng.below(4)),
        _ => String::new(),
    };
    Query {
        sql: format!(" ORDER BY {}{limit}", keys.join(", ")),
        is_ordered: true,
    }
}

fn plain(rng: &mut SeededRng, world: &World) -> Query {
    let (from, scope) = from(rng, world);
    let outputs = outputs(rng, &scope);
    let condition = condition(rng, &scope);
    let order = order(rng, outputs.len());
    let distinct = pick(rng, &["", "", "", "DISTINCT "]);
    Query {
        sql: format!(
            "SELECT {distinct}{} FROM {from}{condition}{}",
            list(&outputs),
            order.sql
        ),
        is_ordered: order.is_ordered,
    }
}

fn aggregate(rng: &mut SeededRng, scope: &Scope<'_>) -> (String, Kind) {
    let kind = pick(
        rng,
        &[
            Kind::Integer,
            Kind::Numeric,
            Kind::Text,
            Kind::Date,
            Kind::BigInt,
            Kind::Boolean,
        ],
    );
    let x = expression(rng, scope, kind, 1);
    let distinct = pick(rng, &["", "", "DISTINCT "]);
    let filter = match rng.below(5) {
        0 => format!(" FILTER (WHERE {})", boolean(rng, scope, 1)),
        _ => String::new(),
    };
    let (text, of) = match (rng.below(6), kind) {
        (0, _) => ("count(*)".to_owned(), Kind::BigInt),
        (1, _) => (format!("count({distinct}{x})"), Kind::BigInt),
        (_, Kind::Boolean) => (format!("{}({x})", pick(rng, &["bool_and", "bool_or", "every"])), kind),
        (2, Kind::Integer) => (format!("sum({distinct}{x})"), Kind::BigInt),
        (2, Kind::Numeric | Kind::BigInt) => (format!("sum({distinct}{x})"), Kind::Numeric),
        (3, Kind::Integer | Kind::BigInt | Kind::Numeric) => (format!("round(avg({x}), 3)"), Kind::Numeric),
        (2 | 3, Kind::Text) => (format!("string_agg({x}, ',' ORDER BY {x})"), kind),
        _ => (format!("{}({x})", pick(rng, &["min", "max"])), kind),
    };
    match text.starts_with("round") {
        true => (text, of),
        false => (format!("{text}{filter}"), of),
    }
}

fn grouped(rng: &mut SeededRng, world: &World) -> Query {
    let (from, scope) = from(rng, world);
    let keys: Outputs = (0..rng.below(3))
        .map(|_| {
            let kind = pick(rng, &Kind::ALL);
            (expression(rng, &scope, kind, 1), kind)
        })
        .filter(|(text, _)| text.contains('.') && !text.contains("SELECT"))
        .collect();
    let mut outputs = keys.clone();
    for _ in 0..1 + rng.below(3) {
        outputs.push(aggregate(rng, &scope));
    }
    let group = match keys.len() {
        0 => String::new(),
        count => {
            let numbers: Vec<String> = (1..=count).map(|at| at.to_string()).collect();
            format!(" GROUP BY {}", numbers.join(", "))
        }
    };
    let having = match rng.below(4) {
        0 => format!(" HAVING count(*) {} {}", pick(rng, &[">", "<="]), rng.below(3)),
        _ => String::new(),
    };
    let condition = condition(rng, &scope);
    let order = order(rng, outputs.len());
    Query {
        sql: format!(
            "SELECT {} FROM {from}{condition}{group}{having}{}",
            list(&outputs),
            order.sql
        ),
        is_ordered: order.is_ordered,
    }
}

fn windowed(rng: &mut SeededRng, world: &World) -> Query {
    let relations = world.relations();
    let table = relations[index(rng, relations.len())];
    let scope = Scope {
        world,
        columns: named(table, "a"),
    };
    // Ordered by all columns: rows that are equal cannot be told apart.
    let all: Vec<String> = scope.columns.iter().map(|(name, _)| name.clone()).collect();
    let partition = match rng.below(2) {
        0 => String::new(),
        _ => format!(
            "PARTITION BY {} ",
            pick(
                rng,
                &scope.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()
            )
        ),
    };
    let mut outputs: Vec<String> = all.clone();
    for _ in 0..1 + rng.below(2) {
        let kind = pick(rng, &[Kind::Integer, Kind::Text, Kind::Numeric, Kind::Date]);
        let x = expression(rng, &scope, kind, 1);
        let i = expression(rng, &scope, Kind::Integer, 1);
        let function = match rng.below(9) {
            0 => "row_number()".to_owned(),
            1 => "rank()".to_owned(),
            2 => "dense_rank()".to_owned(),
            3 => format!("lag({x})"),
            4 => format!("lead({x}, {})", rng.below(3)),
            5 => format!("first_value({x})"),
            6 => format!("count({x})"),
            7 => format!("sum({i})"),
            _ => format!("ntile({})", 1 + rng.below(3)),
        };
        let ordered = match rng.below(3) {
            0 if function.starts_with("rank") || function.starts_with("dense") || function.starts_with("count") => {
                all[..1 + index(rng, all.len())].join(", ")
            }
            _ => all.join(", "),
        };
        let frame = match (
            rng.below(4),
            function.contains('(') && (function.starts_with("sum") || function.starts_with("count")),
        ) {
            (0, true) => " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
            (1, true) => " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            (2, true) => " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
            _ => "",
        };
        outputs.push(format!("{function} OVER ({partition}ORDER BY {ordered}{frame})"));
    }
    let condition = condition(rng, &scope);
    let order = order(rng, outputs.len());
    Query {
        sql: format!(
            "SELECT {} FROM {} a{condition}{}",
            outputs.join(", "),
            table.name,
            order.sql
        ),
        is_ordered: order.is_ordered,
    }
}

fn common(rng: &mut SeededRng, world: &World) -> Query {
    if rng.chance(1, 3) {
        let (limit, step) = (1 + rng.below(8), 1 + rng.below(3));
        return Query {
            sql: format!(
                "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + {step} FROM r WHERE n < {limit}) \
                 SELECT n, n * 2 FROM r ORDER BY n"
            ),
            is_ordered: true,
        };
    }
    let (from, scope) = from(rng, world);
    let outputs = outputs(rng, &scope);
    let condition = condition(rng, &scope);
    let outer = Scope {
        world,
        columns: outputs
            .iter()
            .enumerate()
            .map(|(at, (_, kind))| (format!("w.x{at}"), *kind))
            .collect(),
    };
    let filter = boolean(rng, &outer, 1);
    let how = pick(rng, &["", "", "MATERIALIZED "]);
    Query {
        sql: format!(
            "WITH w AS {how}(SELECT {} FROM {from}{condition}) SELECT * FROM w WHERE {filter}",
            list(&outputs)
        ),
        is_ordered: false,
    }
}

fn combined(rng: &mut SeededRng, world: &World) -> Query {
    let kinds: Vec<Kind> = (0..1 + rng.below(3)).map(|_| pick(rng, &Kind::ALL)).collect();
    let mut side = || {
        let (from, scope) = from(rng, world);
        let texts: Vec<String> = kinds.iter().map(|kind| expression(rng, &scope, *kind, 1)).collect();
        let condition = condition(rng, &scope);
        format!("SELECT {} FROM {from}{condition}", texts.join(", "))
    };
    let (left, right) = (side(), side());
    let operation = pick(
        rng,
        &[
            "UNION",
            "UNION ALL",
            "INTERSECT",
            "EXCEPT",
            "INTERSECT ALL",
            "EXCEPT ALL",
        ],
    );
    let order = order(rng, kinds.len());
    Query {
        sql: format!("{left} {operation} {right}{}", order.sql),
        is_ordered: order.is_ordered,
    }
}

fn derived(rng: &mut SeededRng, world: &World) -> Query {
    let (from, scope) = from(rng, world);
    let mut inside = outputs(rng, &scope);
    inside.push(aggregate_free(rng, &scope));
    let condition = condition(rng, &scope);
    let outer = Scope {
        world,
        columns: inside
            .iter()
            .enumerate()
            .map(|(at, (_, kind))| (format!("d.x{at}"), *kind))
            .collect(),
    };
    let outputs = outputs(rng, &outer);
    let order = order(rng, outputs.len());
    Query {
        sql: format!(
            "SELECT {} FROM (SELECT {} FROM {from}{condition}) d{}",
            list(&outputs),
            list(&inside),
            order.sql
        ),
        is_ordered: order.is_ordered,
    }
}

fn aggregate_free(rng: &mut SeededRng, scope: &Scope<'_>) -> (String, Kind) {
    (expression(rng, scope, Kind::Integer, 1), Kind::Integer)
}
