//! Expressions of a wanted type over the columns in scope.
//!
//! Divisors are guarded mostly, and numbers are small mostly: when a WHERE runs before or after what fails is nobody's promise.

use aion_base::rng::SeededRng;

use super::world::{Kind, World, index, literal, pick};

/// What an expression may name.
#[derive(Clone)]
pub struct Scope<'a> {
    pub world: &'a World,
    /// Qualified names.
    pub columns: Vec<(String, Kind)>,
}

/// An expression of this type.
pub fn expression(rng: &mut SeededRng, scope: &Scope<'_>, kind: Kind, depth: u32) -> String {
    if depth == 0 || rng.chance(1, 5) {
        return leaf(rng, scope, kind);
    }
    if rng.chance(1, 7) {
        return general(rng, scope, kind, depth - 1);
    }
    let mut sub = |kind: Kind| expression(rng, scope, kind, depth - 1);
    match kind {
        Kind::SmallInt | Kind::Integer | Kind::BigInt => {
            let (a, b, t, n) = (sub(kind), sub(kind), sub(Kind::Text), sub(Kind::Numeric));
            let (d, ts, x) = (sub(Kind::Date), sub(Kind::Timestamp), sub(Kind::Boolean));
            let cast = kind.wide();
            match rng.below(20) {
                0..3 => format!("({a} + {b})"),
                3..5 => format!("({a} - {b})"),
                5 => format!("({a} * {b})"),
                6 => format!("({a} / NULLIF({b}, 0))"),
                7 => format!("({a} % NULLIF({b}, 0))"),
                8 => format!("abs({a})"),
                9 => format!("(-{a})"),
                10 => format!("length({t})::{cast}"),
                11 => format!("position({t} in {})", leaf(rng, scope, Kind::Text)),
                12 => format!("{n}::{cast}"),
                13 => format!(
                    "extract({} from {d})::{cast}",
                    pick(rng, &["year", "month", "day", "dow", "doy", "quarter"])
                ),
                14 => format!(
                    "extract({} from {ts})::{cast}",
                    pick(rng, &["hour", "minute", "isodow", "week"])
                ),
                15 if kind == Kind::Integer => format!("({d} - {})", leaf(rng, scope, Kind::Date)),
                16 if kind == Kind::Integer => format!("({x})::integer"),
                17 => format!("sign({a})::{cast}"),
                18 => format!("ascii({t})::{cast}"),
                _ => format!("octet_length({t})::{cast}"),
            }
        }
        Kind::Numeric => {
            let (a, b, i) = (sub(kind), sub(kind), sub(Kind::Integer));
            match rng.below(10) {
                0..2 => format!("({a} + {b})"),
                2 => format!("({a} - {b})"),
                3 => format!("({a} * {})", leaf(rng, scope, Kind::Integer)),
                4 => format!("round({a}, {})", rng.below(3)),
                5 => format!("trunc({a})"),
                6 => format!("{}({a})", pick(rng, &["floor", "ceil", "abs", "sign", "round"])),
                7 => format!("{i}::numeric"),
                8 => format!("(-{a})"),
                _ => format!("({a} + {i})"),
            }
        }
        Kind::Double => {
            let (a, b, i) = (sub(kind), sub(kind), sub(Kind::Integer));
            match rng.below(8) {
                0 => format!("({a} + {b})"),
                1 => format!("({a} - {b})"),
                2 => format!("({a} * {})", leaf(rng, scope, kind)),
                3 => format!("sqrt(abs({a}))"),
                4 => format!("{}({a})", pick(rng, &["floor", "ceil", "abs", "round", "trunc"])),
                5 => format!("{i}::double precision"),
                6 => format!("({a} / NULLIF({b}, 0))"),
                _ => format!("({a} + {i})"),
            }
        }
        Kind::Boolean => boolean(rng, scope, depth - 1),
        Kind::Text => {
            let (a, b, i) = (sub(kind), sub(kind), sub(Kind::Integer));
            let n = rng.below(5);
            match rng.below(22) {
                0..3 => format!("({a} || {b})"),
                3 => format!(
                    "{}({a})",
                    pick(
                        rng,
                        &["upper", "lower", "initcap", "reverse", "md5", "trim", "ltrim", "rtrim"]
                    )
                ),
                4 => format!("substr({a}, {n})"),
                5 => format!("substring({a} from {} for {n})", rng.below(4)),
                6 => format!("replace({a}, {b}, 'x')"),
                7 => format!("lpad({a}, {n}, 'xy')"),
                8 => format!("rpad({a}, {n})"),
                9 => format!("left({a}, {})", i64::try_from(n).expect("small") - 2),
                10 => format!("right({a}, {})", i64::try_from(n).expect("small") - 2),
                11 => format!("repeat({a}, {n})"),
                12 => format!("{i}::text"),
                13 => format!("concat({a}, {i}, {b})"),
                14 => format!("split_part({a}, 'b', {})", 1 + rng.below(2)),
                15 => format!("translate({a}, 'ab', 'x')"),
                16 => format!("({a})::varchar(3)"),
                17 => format!("{}::text", expression(rng, scope, Kind::Date, depth - 1)),
                18 => format!("{}::text", expression(rng, scope, Kind::Boolean, depth - 1)),
                19 => format!("concat_ws('-', {a}, {b})"),
                20 => format!("{}::text", expression(rng, scope, Kind::Timestamp, depth - 1)),
                _ => format!("btrim({a}, 'a')"),
            }
        }
        Kind::Date => {
            let (a, ts) = (sub(kind), sub(Kind::Timestamp));
            match rng.below(4) {
                0 => format!("({a} + {})", rng.below(40)),
                1 => format!("({a} - {})", rng.below(40)),
                2 => format!("{ts}::date"),
                _ => format!("date_trunc('month', {ts})::date"),
            }
        }
        Kind::Timestamp => {
            let (a, d) = (sub(kind), sub(Kind::Date));
            match rng.below(4) {
                0 => format!(
                    "date_trunc('{}', {a})",
                    pick(rng, &["year", "month", "day", "hour", "week", "quarter"])
                ),
                1 => format!("{d}::timestamp"),
                2 => format!(
                    "({a} + interval '{}')",
                    pick(rng, &["1 day", "2 hours", "1 month", "-3 days"])
                ),
                _ => format!("({a} - interval '90 minutes')"),
            }
        }
    }
}

/// Forms that each type has.
fn general(rng: &mut SeededRng, scope: &Scope<'_>, kind: Kind, depth: u32) -> String {
    let (a, b) = (expression(rng, scope, kind, depth), expression(rng, scope, kind, depth));
    let condition = boolean(rng, scope, depth);
    match rng.below(8) {
        0 => format!("coalesce({a}, {b})"),
        1 => format!("nullif({a}, {b})"),
        2 => format!("CASE WHEN {condition} THEN {a} ELSE {b} END"),
        3 => format!("CASE WHEN {condition} THEN {a} END"),
        4 if kind != Kind::Boolean => format!("greatest({a}, {b})"),
        5 if kind != Kind::Boolean => format!("least({a}, {b})"),
        6 => {
            let of = pick(rng, &[Kind::Integer, Kind::Text]);
            let (x, y) = (expression(rng, scope, of, depth), leaf(rng, scope, of));
            format!("CASE {x} WHEN {y} THEN {a} ELSE {b} END")
        }
        _ => scalar_subquery(rng, scope, kind).unwrap_or(a),
    }
}

/// A condition.
pub fn boolean(rng: &mut SeededRng, scope: &Scope<'_>, depth: u32) -> String {
    if depth == 0 {
        let kind = pick(rng, &Kind::ALL);
        let (a, b) = (leaf(rng, scope, kind), leaf(rng, scope, kind));
        return format!("({a} {} {b})", comparison(rng));
    }
    let kind = pick(rng, &Kind::ALL);
    let mut sub = |kind: Kind| expression(rng, scope, kind, depth - 1);
    let (a, b, c) = (sub(kind), sub(kind), sub(kind));
    let (p, q, t) = (sub(Kind::Boolean), sub(Kind::Boolean), sub(Kind::Text));
    let not = pick(rng, &["", "NOT "]);
    match rng.below(14) {
        0 => format!("({p} AND {q})"),
        1 => format!("({p} OR {q})"),
        2 => format!("(NOT {p})"),
        3 => format!("({a} IS {not}NULL)"),
        4 => format!("({a} IS {not}DISTINCT FROM {b})"),
        5 => format!("({a} {not}BETWEEN {b} AND {c})"),
        6 => format!("({a} {not}IN ({b}, {c}))"),
        7 => format!(
            "({t} {not}LIKE {})",
            pick(rng, &["'a%'", "'%b%'", "'_'", "'%'", "''", "'a\\_b'"])
        ),
        8 => format!("({t} {not}ILIKE {})", pick(rng, &["'A%'", "'%B'", "'_b'"])),
        9 => format!("({p} IS {not}{})", pick(rng, &["TRUE", "FALSE", "UNKNOWN"])),
        10 => subquery_condition(rng, scope).unwrap_or(p),
        _ => format!("({a} {} {b})", comparison(rng)),
    }
}

fn comparison(rng: &mut SeededRng) -> &'static str {
    pick(rng, &["=", "<>", "<", "<=", ">", ">="])
}

fn leaf(rng: &mut SeededRng, scope: &Scope<'_>, kind: Kind) -> String {
    let fitting: Vec<&(String, Kind)> = scope.columns.iter().filter(|(_, of)| *of == kind).collect();
    if fitting.is_empty() || rng.chance(1, 4) {
        return literal(rng, kind);
    }
    fitting[index(rng, fitting.len())].0.clone()
}

/// A column of some relation that has this type.
fn source(rng: &mut SeededRng, world: &World, kind: Kind) -> Option<(String, String)> {
    let relations = world.relations();
    let columns: Vec<(String, String)> = relations
        .iter()
        .flat_map(|table| table.columns.iter().map(move |column| (table, column)))
        .filter(|(_, column)| column.kind == kind)
        .map(|(table, column)| (table.name.clone(), column.name.clone()))
        .collect();
    (!columns.is_empty()).then(|| columns[index(rng, columns.len())].clone())
}

fn inner<'a>(scope: &Scope<'a>, table: &str) -> Scope<'a> {
    let mut inner = scope.clone();
    let relations = scope.world.relations();
    let columns = relations
        .iter()
        .filter(|of| of.name == table)
        .flat_map(|of| &of.columns);
    inner
        .columns
        .extend(columns.map(|column| (format!("s.{}", column.name), column.kind)));
    inner
}

/// One value out of a table: an aggregate, so that it is one.
fn scalar_subquery(rng: &mut SeededRng, scope: &Scope<'_>, kind: Kind) -> Option<String> {
    if kind == Kind::Boolean {
        return None;
    }
    let (table, column) = source(rng, scope.world, kind)?;
    let condition = boolean(rng, &inner(scope, &table), 1);
    let aggregate = pick(rng, &["min", "max"]);
    Some(format!(
        "(SELECT {aggregate}(s.{column}) FROM {table} s WHERE {condition})"
    ))
}

fn subquery_condition(rng: &mut SeededRng, scope: &Scope<'_>) -> Option<String> {
    let kind = pick(rng, &[Kind::Integer, Kind::Text, Kind::BigInt]);
    let (table, column) = source(rng, scope.world, kind)?;
    let condition = boolean(rng, &inner(scope, &table), 1);
    let not = pick(rng, &["", "NOT "]);
    Some(match rng.below(3) {
        0 => format!("({not}EXISTS (SELECT 1 FROM {table} s WHERE {condition}))"),
        1 => format!(
            "({} {not}IN (SELECT s.{column} FROM {table} s WHERE {condition}))",
            leaf(rng, scope, kind)
        ),
        _ => format!(
            "({} {} {} (SELECT s.{column} FROM {table} s))",
            leaf(rng, scope, kind),
            comparison(rng),
            pick(rng, &["ANY", "ALL"])
        ),
    })
}
