//! What is true of the real archive. Needs the file that `make setup` fetches; without it each test says so and passes.

#![allow(clippy::disallowed_methods, reason = "tests start Python")]

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use aion_datasets::flights::{
    Code, Flight, FlightsArchive, PROFILE_DIMENSIONS, Parameter, Profile, Table, Weather, Workload, Written, orphans,
    profile, write_csv,
};

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/flights/reference.py");

/// The archive, or `None` where it was not fetched. A damaged one fails the test.
fn archive() -> Option<FlightsArchive> {
    let path = FlightsArchive::default_path().expect("HOME or AION_CACHE");
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there; run make setup", path.display());
        return None;
    }
    Some(FlightsArchive::open(&path).expect("the archive that make setup fetched"))
}

fn all<T>(rows: impl Iterator<Item = aion_base::Result<T>>) -> Vec<T> {
    rows.map(|row| row.expect("a good row")).collect()
}

#[test]
fn every_table_loads_whole_and_the_orphans_are_counted() {
    let Some(archive) = archive() else { return };
    for table in Table::ALL {
        let start = Instant::now();
        let mut bytes = Vec::new();
        let mut calls = 0;
        let written = write_csv(&archive, table, &mut bytes, |_| calls += 1).expect("memory is enough");
        let profiles = if table == Table::Flights { 325_724 } else { 0 };
        assert_eq!(
            written,
            Written {
                rows: table.row_count(),
                profiles
            },
            "{table}"
        );
        assert_eq!(
            calls,
            table.row_count() / 4096 + 1,
            "calls of the progress function for {table}"
        );
        assert_eq!(
            bytes.iter().filter(|byte| **byte == b'\n').count(),
            table.row_count() as usize + 1,
            "{table}"
        );
        println!(
            "{table}: {} rows, {} bytes as CSV, {:.1?}",
            written.rows,
            bytes.len(),
            start.elapsed()
        );
    }

    let found = orphans(&archive).expect("good rows");
    assert_eq!(found.without_destination(), 7_602);
    let unknown = [("BQN", 896), ("PSE", 365), ("SJU", 5_819), ("STT", 522)];
    let unknown: BTreeMap<Code<3>, u32> = unknown
        .into_iter()
        .map(|(faa, count)| (Code::new(faa).expect("a code"), count))
        .collect();
    assert_eq!(found.by_unknown_destination, unknown);
    assert_eq!((found.without_plane, found.without_tailnum), (52_606, 2_512));
    assert_eq!(found.without_weather, 1_556);
    assert_eq!((found.without_origin, found.without_airline), (0, 0));
    assert_eq!(found.edges, 277_977);
}

#[test]
fn keys_are_unique_and_both_times_agree() {
    let Some(archive) = archive() else { return };
    let flights = all(archive.flights().expect("a header"));
    assert!(
        flights
            .iter()
            .map(|flight| flight.id)
            .eq(1..=Table::Flights.row_count())
    );
    let weather = all(archive.weather().expect("a header"));
    let unique = |count: usize, table: Table| assert_eq!(count, table.row_count() as usize, "keys of {table}");
    unique(
        weather
            .iter()
            .map(|row| (row.origin, row.time_hour))
            .collect::<HashSet<_>>()
            .len(),
        Table::Weather,
    );
    unique(
        all(archive.planes().expect("rows"))
            .iter()
            .map(|row| row.tailnum)
            .collect::<HashSet<_>>()
            .len(),
        Table::Planes,
    );
    unique(
        all(archive.airports().expect("rows"))
            .iter()
            .map(|row| row.faa)
            .collect::<HashSet<_>>()
            .len(),
        Table::Airports,
    );
    unique(
        all(archive.airlines().expect("rows"))
            .iter()
            .map(|row| row.carrier)
            .collect::<HashSet<_>>()
            .len(),
        Table::Airlines,
    );

    // New York's clock is no key: the night in which summer time ends has one hour twice, at each origin.
    let local = |row: &Weather| (row.origin, row.month, row.day, row.hour);
    assert_eq!(
        weather.iter().map(local).collect::<HashSet<_>>().len(),
        weather.len() - 3
    );

    for flight in &flights {
        assert_eq!(
            clock_in_new_york(flight),
            flight.time_hour.to_string(),
            "flight {}",
            flight.id
        );
        assert_eq!(
            i16::from(flight.hour) * 100 + i16::from(flight.minute),
            flight.sched_dep_time
        );
    }
}

/// The instant of a flight's hour, from New York's clock: UTC − 4 from 10 March, two in the morning, to 3 November 2013.
fn clock_in_new_york(flight: &Flight) -> String {
    let clock = format!(
        "{:04}-{:02}-{:02}T{:02}:00:00Z",
        flight.year, flight.month, flight.day, flight.hour
    );
    let is_summer = ("2013-03-10T02:00:00Z".."2013-11-03T02:00:00Z").contains(&clock.as_str());
    let clock = aion_datasets::flights::UtcHour::parse(&clock).expect("a date of the calendar");
    clock.plus_hours(if is_summer { 4 } else { 5 }).to_string()
}

#[test]
fn python_computes_the_same_profiles() {
    let Some(archive) = archive() else { return };
    let output = Command::new("python3")
        .arg(REFERENCE)
        .arg("--profiles")
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        output.stdout.len(),
        Table::Flights.row_count() as usize * PROFILE_DIMENSIONS * 4
    );
    let weather = archive.weather_by_hour().expect("good rows");
    for (flight, reference) in archive
        .flights()
        .expect("a header")
        .zip(output.stdout.chunks_exact(PROFILE_DIMENSIONS * 4))
    {
        let flight = flight.expect("a good row");
        let found = match profile(&flight, weather.at_departure(&flight)) {
            Some(components) => components.map(f32::to_le_bytes).concat(),
            None => vec![0xff; PROFILE_DIMENSIONS * 4],
        };
        assert!(
            found == reference,
            "flight {}: {found:?} here, {reference:?} in Python",
            flight.id
        );
    }
}

/// The parameters of 50 hybrid queries, answered by Python and, as directly as can be, here.
#[test]
fn python_answers_the_hybrid_query_as_brute_force_does() {
    let Some(archive) = archive() else { return };
    let mut workload = Workload::new(2013, &archive).expect("good rows");
    let queries: Vec<Hybrid> = (0..50)
        .map(|_| Hybrid::of(&workload.draw("hybrid").expect("a template").parameters))
        .collect();
    let mut child = Command::new("python3")
        .arg(REFERENCE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = child.stdin.take().expect("a pipe");
    for query in &queries {
        let (airport, flight, maker) = (&query.airport, query.flight, &query.maker);
        let line = serde_json::json!({ "airport": airport, "flight_id": flight, "manufacturer": maker });
        writeln!(input, "{line}").expect("into the pipe");
    }
    drop(input);
    let output = child.wait_with_output().expect("python3");
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(answers.lines().count(), queries.len());
    let data = Data::read(&archive);
    let mut rows = 0;
    for (query, answer) in queries.iter().zip(answers.lines()) {
        let answer: serde_json::Value = serde_json::from_str(answer).expect("JSON");
        let reference: Vec<(f64, u64)> = answer["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| {
                (
                    row["distance"].as_f64().expect("a number"),
                    row["id"].as_u64().expect("a number"),
                )
            })
            .collect();
        let found = data.answer(query);
        assert_eq!(answer["matches"].as_u64(), Some(found.len() as u64), "{query:?}");
        let found = &found[..found.len().min(10)];
        assert!(
            ids(&reference).eq(ids(found)),
            "{query:?}: {found:?} here, {reference:?} in Python"
        );
        for ((here, _), (there, _)) in found.iter().zip(&reference) {
            // serde_json reads a number to within a unit of its last place.
            assert!(
                (here - there).abs() <= 1e-15 * here,
                "{query:?}: {here} here, {there} in Python"
            );
        }
        rows += reference.len();
    }
    println!("50 parameter sets, {rows} rows, all equal");
}

fn ids(rows: &[(f64, u64)]) -> impl Iterator<Item = u64> {
    rows.iter().map(|(_, id)| *id)
}

#[derive(Debug)]
struct Hybrid {
    airport: String,
    flight: u32,
    components: Profile,
    maker: String,
}

impl Hybrid {
    fn of(parameters: &[Parameter]) -> Self {
        let [
            Parameter::Text(airport),
            Parameter::Profile { flight, components },
            Parameter::Text(maker),
        ] = parameters
        else {
            panic!("other parameters: {parameters:?}");
        };
        Self {
            airport: airport.clone(),
            flight: *flight,
            components: *components,
            maker: maker.clone(),
        }
    }
}

/// The joined rows of the hybrid query without its parameters, and the edges of the graph.
struct Data {
    /// Destination, maker, id, profile: of flights in bad weather.
    rows: Vec<(Code<3>, String, u32, Profile)>,
    /// Plane and destination.
    edges: HashSet<(Code<6>, Code<3>)>,
}

impl Data {
    fn read(archive: &FlightsArchive) -> Self {
        let airports: HashSet<Code<3>> = all(archive.airports().expect("rows"))
            .iter()
            .map(|row| row.faa)
            .collect();
        let planes: BTreeMap<Code<6>, String> = all(archive.planes().expect("rows"))
            .into_iter()
            .map(|row| (row.tailnum, row.manufacturer))
            .collect();
        let weather = archive.weather_by_hour().expect("rows");
        let (mut rows, mut edges) = (Vec::new(), HashSet::new());
        for flight in all(archive.flights().expect("rows")) {
            let Some((tailnum, maker)) = flight.tailnum.and_then(|tailnum| planes.get_key_value(&tailnum)) else {
                continue;
            };
            if !airports.contains(&flight.dest) {
                continue;
            }
            edges.insert((*tailnum, flight.dest));
            let Some(hour) = weather.at_departure(&flight) else {
                continue;
            };
            let is_bad = hour.visib < 3.0 || hour.precip > 0.1 || hour.wind_speed.is_some_and(|speed| speed > 25.0);
            if let (true, Some(components)) = (is_bad, profile(&flight, Some(hour))) {
                rows.push((flight.dest, maker.clone(), flight.id, components));
            }
        }
        Self { rows, edges }
    }

    fn answer(&self, query: &Hybrid) -> Vec<(f64, u64)> {
        let planes: HashSet<Code<6>> = self
            .edges
            .iter()
            .filter(|(_, faa)| faa.as_str() == query.airport)
            .map(|(plane, _)| *plane)
            .collect();
        let reached: HashSet<Code<3>> = self
            .edges
            .iter()
            .filter(|(plane, _)| planes.contains(plane))
            .map(|(_, faa)| *faa)
            .collect();
        let mut found: Vec<(f64, u64)> = self
            .rows
            .iter()
            .filter(|(dest, maker, ..)| reached.contains(dest) && *maker == query.maker)
            .map(|(_, _, id, components)| (distance(components, &query.components), u64::from(*id)))
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        found
    }
}

fn distance(left: &Profile, right: &Profile) -> f64 {
    let squares = left
        .iter()
        .zip(right)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    squares.fold(0.0, |sum, square| sum + square).sqrt()
}
