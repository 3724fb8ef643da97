//! The workload over four flights: the same for ever, and only from rows that can serve.

use std::collections::BTreeSet;

use super::*;
use crate::flights::Table;

const WEATHER: &str = "\
EWR,2013,1,1,5,39.02,26.06,59.37,270,10.36,NA,0,1012,10,2013-01-01T10:00:00Z
JFK,2013,1,1,5,39.02,26.06,59.37,270,10.36,NA,0,1012,10,2013-01-01T10:00:00Z
";
const FLIGHTS: &str = "\
2013,1,1,517,515,2,830,819,11,UA,1545,N1,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,542,540,2,923,850,33,AA,1141,N2,JFK,MIA,160,1089,5,40,2013-01-01T10:00:00Z
2013,1,1,544,545,-1,1004,1022,-18,B6,725,N3,JFK,BQN,183,1576,5,45,2013-01-01T10:00:00Z
2013,1,1,NA,600,NA,NA,901,NA,B6,125,NA,JFK,FLL,NA,1069,6,0,2013-01-01T11:00:00Z
";

fn archive() -> FlightsArchive {
    FlightsArchive::of_files(&[
        (
            Table::Airports,
            "IAH,Houston,29.9,-95.3,97,-6,A,NA\nMIA,Miami,25.8,-80.3,8,-5,A,NA\n",
        ),
        (
            Table::Planes,
            "N1,NA,Fixed wing,BOEING,737,2,180,NA,Turbo-fan\nN2,NA,Fixed wing,AIRBUS,A320,2,180,NA,Turbo-fan\n",
        ),
        (Table::Weather, WEATHER),
        (Table::Flights, FLIGHTS),
    ])
}

fn texts(queries: impl Iterator<Item = Query>) -> Vec<String> {
    let text = |query: Query| {
        let parameters: Vec<String> = query.parameters.iter().map(Parameter::to_string).collect();
        format!("{}: {}", query.template.name, parameters.join("; "))
    };
    queries.map(text).collect()
}

/// The parameters that belong to a seed are part of the format of captured evidence: they must not change.
#[test]
fn a_seed_names_the_same_queries_for_ever() {
    let workload = Workload::new(42, &archive()).expect("enough data");
    let found = texts(workload.take(TEMPLATES.len()));
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 14] = [
    "point_flight: 3",
    "point_weather: EWR; 2013-01-01T10:00:00Z",
    "range_departures: JFK; 2013-01-01T10:00:00Z; 2013-01-01T13:00:00Z",
    "join_logbook: N1",
    "join_weather: BOEING; 1; 2; 30",
    "aggregate_hours: B6; 1",
    "aggregate_makers: IAH",
    "topk_late: IAH",
    "graph_visits: N1",
    "graph_between: MIA; IAH",
    "graph_reach: MIA",
    "vector_nearest: [0.9659258,0.25881904,0,1,0.033333335,0.18333334,1.4,1.5133333,-0.799,0.518,0,2]",
    "vector_filtered: [0.9659258,0.25881904,0,1,-0.016666668,-0.3,1.576,1.22,-0.799,0.518,0,2]; B6; BQN",
    "hybrid: MIA; [0.9659258,0.25881904,0,1,-0.016666668,-0.3,1.576,1.22,-0.799,0.518,0,2]; AIRBUS",
];

#[test]
fn another_seed_names_other_queries() {
    let queries = |seed| texts(Workload::new(seed, &archive()).expect("enough data").take(100));
    assert_eq!(queries(1), queries(1));
    assert_ne!(queries(1), queries(2));
}

#[test]
fn a_template_draws_the_same_whatever_else_is_drawn() {
    let mut alone = Workload::new(7, &archive()).expect("enough data");
    let alone = texts((0..10).map(|_| alone.draw("hybrid").expect("a template")));
    let among = Workload::new(7, &archive())
        .expect("enough data")
        .filter(|query| query.template.name == "hybrid");
    assert_eq!(alone, texts(among.take(10)));
    assert!(
        Workload::new(7, &archive())
            .expect("enough data")
            .draw("no_such")
            .is_none()
    );
}

#[test]
fn there_is_a_template_of_each_kind_and_names_are_unique() {
    let kinds: BTreeSet<Kind> = TEMPLATES.iter().map(|template| template.kind).collect();
    assert_eq!(kinds.len(), 8);
    let names: BTreeSet<&str> = TEMPLATES.iter().map(|template| template.name).collect();
    assert_eq!(names.len(), TEMPLATES.len());
}

#[test]
fn statements_use_exactly_their_parameters() {
    let workload = Workload::new(1, &archive()).expect("enough data");
    for query in workload.take(TEMPLATES.len()) {
        for sql in [query.template.sql, query.template.duckdb_sql] {
            let used: BTreeSet<usize> = sql
                .split('$')
                .skip(1)
                .map(|rest| rest[..1].parse().expect("a digit after $"))
                .collect();
            let expected: BTreeSet<usize> = (1..=query.parameters.len()).collect();
            assert_eq!(used, expected, "{}", query.template.name);
            assert!(
                sql.ends_with(";\n") && sql.matches(';').count() == 1,
                "{}: one statement",
                query.template.name
            );
        }
    }
}

#[test]
fn parameters_come_from_rows_that_can_serve() {
    let workload = Workload::new(3, &archive()).expect("enough data");
    for query in workload
        .take(50 * TEMPLATES.len())
        .filter(|query| query.template.name == "hybrid")
    {
        let [
            Parameter::Text(airport),
            Parameter::Profile { flight, .. },
            Parameter::Text(maker),
        ] = query.parameters.as_slice()
        else {
            panic!("other parameters: {:?}", query.parameters);
        };
        // Flight 3 went to an airport that is not in the table with a plane that is not; flight 4 never left.
        assert!(["IAH", "MIA"].contains(&airport.as_str()), "{airport}");
        assert!([1, 2, 3].contains(flight), "{flight}");
        assert!(["BOEING", "AIRBUS"].contains(&maker.as_str()), "{maker}");
    }
}

#[test]
fn data_without_any_edge_is_refused() {
    let archive = FlightsArchive::of_files(&[(Table::Weather, WEATHER), (Table::Flights, FLIGHTS)]);
    let error = Workload::new(1, &archive).expect_err("no planes");
    assert_eq!(error.state().as_str(), "22023");
}
