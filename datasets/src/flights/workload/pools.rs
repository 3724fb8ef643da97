//! The data that parameters are drawn from.

use std::collections::{HashMap, HashSet};

use aion_base::rng::SeededRng;
use aion_base::{Error, Result, SqlState};

use crate::flights::archive::FlightsArchive;
use crate::flights::code::Code;
use crate::flights::profile::{Profile, profile};
use crate::flights::records::{Flight, WeatherByHour};

/// The flights, and for the draws that not every flight can serve, the indexes of those that can. None is empty.
#[derive(Debug)]
pub struct Pools {
    flights: Vec<Flight>,
    weather: WeatherByHour,
    manufacturers: HashMap<Code<6>, String>,
    /// Flights that are edges of the graph: their plane and their destination are in the data.
    edges: Vec<usize>,
    /// Flights with a profile.
    profiled: Vec<usize>,
}

/// A flight that is an edge of the graph.
pub struct Edge<'a> {
    /// Where it went.
    pub dest: Code<3>,
    /// Its aircraft.
    pub tailnum: Code<6>,
    /// Who made the aircraft.
    pub manufacturer: &'a str,
    /// The month in which it flew.
    pub month: u8,
}

impl Pools {
    /// Reads what the parameters need, about 30 MB in memory.
    pub fn read(archive: &FlightsArchive) -> Result<Self> {
        let airports: HashSet<Code<3>> = archive
            .airports()?
            .map(|row| row.map(|row| row.faa))
            .collect::<Result<_>>()?;
        let manufacturers: HashMap<Code<6>, String> = archive
            .planes()?
            .map(|row| row.map(|row| (row.tailnum, row.manufacturer)))
            .collect::<Result<_>>()?;
        let weather = archive.weather_by_hour()?;
        let flights: Vec<Flight> = archive.flights()?.collect::<Result<_>>()?;
        let indexes_where = |predicate: &dyn Fn(&Flight) -> bool| -> Vec<usize> {
            flights
                .iter()
                .enumerate()
                .filter(|(_, flight)| predicate(flight))
                .map(|(index, _)| index)
                .collect()
        };
        let edges = indexes_where(&|flight| {
            airports.contains(&flight.dest)
                && flight
                    .tailnum
                    .is_some_and(|tailnum| manufacturers.contains_key(&tailnum))
        });
        let profiled = indexes_where(&|flight| profile(flight, weather.at_departure(flight)).is_some());
        if edges.is_empty() || profiled.is_empty() {
            let message = "no flight has a plane and a destination in the data, or none has a profile";
            return Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_hint("Use the whole archive: the parameters are drawn from such flights."));
        }
        Ok(Self {
            flights,
            weather,
            manufacturers,
            edges,
            profiled,
        })
    }

    /// Any flight.
    pub fn flight(&self, random: &mut SeededRng) -> &Flight {
        &self.flights[below(random, self.flights.len())]
    }

    /// A flight that is an edge of the graph.
    pub fn edge(&self, random: &mut SeededRng) -> Edge<'_> {
        let flight = &self.flights[self.edges[below(random, self.edges.len())]];
        let tailnum = flight.tailnum.expect("an edge has a plane");
        let manufacturer = &self.manufacturers[&tailnum];
        Edge {
            dest: flight.dest,
            tailnum,
            manufacturer,
            month: flight.month,
        }
    }

    /// A flight that has a profile, and the profile.
    pub fn profiled(&self, random: &mut SeededRng) -> (&Flight, Profile) {
        let flight = &self.flights[self.profiled[below(random, self.profiled.len())]];
        let components = profile(flight, self.weather.at_departure(flight)).expect("it had one when it was gathered");
        (flight, components)
    }
}

fn below(random: &mut SeededRng, length: usize) -> usize {
    let index = random.below(u64::try_from(length).expect("a length fits into 64 bits"));
    usize::try_from(index).expect("an index of a slice")
}
