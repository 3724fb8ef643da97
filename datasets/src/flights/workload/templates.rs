//! The templates: a statement in a file of its own, its kind, and how its parameters are drawn.

use aion_base::rng::SeededRng;

use super::Parameter;
use super::pools::Pools;

/// What a template exercises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// One row by its primary key.
    Point,
    /// A short range of rows.
    Range,
    /// Several tables.
    Join,
    /// Groups.
    Aggregate,
    /// The first rows of an order.
    TopK,
    /// `GRAPH_TABLE`.
    Graph,
    /// The nearest vectors.
    Vector,
    /// Rows, graph and vectors in one statement.
    Hybrid,
}

/// A parameterised statement.
#[derive(Debug)]
pub struct Template {
    /// The name: lower case, beginning with the kind.
    pub name: &'static str,
    /// What it exercises.
    pub kind: Kind,
    /// The statement for Aion.
    pub sql: &'static str,
    /// The statement for DuckDB, with the same parameters and the same results. Where `sql` is standard, the same text;
    /// otherwise graph patterns as joins and distances as `array_distance` over a `profile` of type `DOUBLE[12]`.
    pub duckdb_sql: &'static str,
    draw: fn(&Pools, &mut SeededRng) -> Vec<Parameter>,
}

impl Template {
    pub(super) fn draw(&self, pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
        (self.draw)(pools, random)
    }
}

macro_rules! sql {
    ($file:literal) => {
        include_str!(concat!("../../../flights/workload/", $file, ".sql"))
    };
}

macro_rules! template {
    ($kind:ident $name:literal $draw:ident) => {
        template!($kind $name $draw, $name)
    };
    ($kind:ident $name:literal $draw:ident, $duckdb:literal) => {
        Template { name: $name, kind: Kind::$kind, sql: sql!($name), duckdb_sql: sql!($duckdb), draw: $draw }
    };
}

/// All templates. The order is that of [`super::Workload`].
pub static TEMPLATES: &[Template] = &[
    template!(Point "point_flight" flight_id),
    template!(Point "point_weather" origin_and_hour),
    template!(Range "range_departures" origin_and_window),
    template!(Join "join_logbook" tailnum),
    template!(Join "join_weather" maker_month_and_limits),
    template!(Aggregate "aggregate_hours" carrier_and_month),
    template!(Aggregate "aggregate_makers" airport),
    template!(TopK "topk_late" airport),
    template!(Graph "graph_visits" tailnum, "duckdb/graph_visits"),
    template!(Graph "graph_between" two_airports, "duckdb/graph_between"),
    template!(Graph "graph_reach" airport, "duckdb/graph_reach"),
    template!(Vector "vector_nearest" like_flight, "duckdb/vector_nearest"),
    template!(Vector "vector_filtered" like_flight_of_carrier_to_airport, "duckdb/vector_filtered"),
    template!(Hybrid "hybrid" airport_flight_and_maker, "duckdb/hybrid"),
];

fn flight_id(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    let id = i32::try_from(pools.flight(random).id).expect("ids of flights are small");
    vec![Parameter::Integer(id)]
}

fn origin_and_hour(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    let flight = pools.flight(random);
    vec![text(flight.origin), Parameter::Time(flight.time_hour)]
}

fn origin_and_window(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    let flight = pools.flight(random);
    let hours = pick(random, [3, 12, 24]);
    vec![
        text(flight.origin),
        Parameter::Time(flight.time_hour),
        Parameter::Time(flight.time_hour.plus_hours(hours)),
    ]
}

fn tailnum(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    vec![text(pools.edge(random).tailnum)]
}

fn maker_month_and_limits(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    let edge = pools.edge(random);
    let visibility = pick(random, [1.0, 2.0, 3.0, 5.0]);
    let delay = pick(random, [15, 30, 60, 120]);
    vec![
        text(edge.manufacturer),
        Parameter::Integer(i32::from(edge.month)),
        Parameter::Double(visibility),
        Parameter::Integer(delay),
    ]
}

fn carrier_and_month(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    let flight = pools.flight(random);
    vec![text(flight.carrier), Parameter::Integer(i32::from(flight.month))]
}

fn airport(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    vec![text(pools.edge(random).dest)]
}

fn two_airports(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    vec![text(pools.edge(random).dest), text(pools.edge(random).dest)]
}

fn like_flight(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    let (flight, components) = pools.profiled(random);
    vec![Parameter::Profile {
        flight: flight.id,
        components,
    }]
}

fn like_flight_of_carrier_to_airport(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    let (flight, components) = pools.profiled(random);
    // The route of another flight, so that the nearest flights are not simply those around the given one.
    let route = pools.flight(random);
    vec![
        Parameter::Profile {
            flight: flight.id,
            components,
        },
        text(route.carrier),
        text(route.dest),
    ]
}

fn airport_flight_and_maker(pools: &Pools, random: &mut SeededRng) -> Vec<Parameter> {
    let airport = text(pools.edge(random).dest);
    let (flight, components) = pools.profiled(random);
    let maker = text(pools.edge(random).manufacturer);
    vec![
        airport,
        Parameter::Profile {
            flight: flight.id,
            components,
        },
        maker,
    ]
}

fn text(value: impl ToString) -> Parameter {
    Parameter::Text(value.to_string())
}

fn pick<T: Copy, const N: usize>(random: &mut SeededRng, choices: [T; N]) -> T {
    choices[usize::try_from(random.below(N as u64)).expect("an index of a slice")]
}
