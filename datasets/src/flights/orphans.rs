//! Flights without a partner in another table.
//!
//! The source is not closed under its foreign keys, so the schema declares none; the demo shows these counts instead.

use std::collections::{BTreeMap, HashSet};

use aion_base::Result;

use super::archive::FlightsArchive;
use super::code::Code;

/// How many flights have no partner, by table. One flight may count in several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Flights to airports that are not in `airports`, by the code of that airport.
    pub by_unknown_destination: BTreeMap<Code<3>, u32>,
    /// Flights whose aircraft is not in `planes`, those without a tail number included.
    pub without_plane: u32,
    /// Flights without a tail number.
    pub without_tailnum: u32,
    /// Flights whose origin and hour are not in `weather`.
    pub without_weather: u32,
    /// Flights from airports that are not in `airports`.
    pub without_origin: u32,
    /// Flights whose carrier is not in `airlines`.
    pub without_airline: u32,
    /// Flights that have both a plane and a destination: the edges of the graph `rotations`.
    pub edges: u32,
}

impl Orphans {
    /// Flights to airports that are not in `airports`.
    pub fn without_destination(&self) -> u32 {
        self.by_unknown_destination.values().sum()
    }
}

/// Counts the orphans among the flights of `archive`.
pub fn orphans(archive: &FlightsArchive) -> Result<Orphans> {
    let airlines: HashSet<Code<2>> = archive
        .airlines()?
        .map(|row| row.map(|row| row.carrier))
        .collect::<Result<_>>()?;
    let airports: HashSet<Code<3>> = archive
        .airports()?
        .map(|row| row.map(|row| row.faa))
        .collect::<Result<_>>()?;
    let planes: HashSet<Code<6>> = archive
        .planes()?
        .map(|row| row.map(|row| row.tailnum))
        .collect::<Result<_>>()?;
    let weather = archive.weather_by_hour()?;
    let mut orphans = Orphans::default();
    for flight in archive.flights()? {
        let flight = flight?;
        let has_plane = flight.tailnum.is_some_and(|tailnum| planes.contains(&tailnum));
        let has_destination = airports.contains(&flight.dest);
        if !has_destination {
            *orphans.by_unknown_destination.entry(flight.dest).or_default() += 1;
        }
        orphans.without_plane += u32::from(!has_plane);
        orphans.without_tailnum += u32::from(flight.tailnum.is_none());
        orphans.without_weather += u32::from(weather.at_departure(&flight).is_none());
        orphans.without_origin += u32::from(!airports.contains(&flight.origin));
        orphans.without_airline += u32::from(!airlines.contains(&flight.carrier));
        orphans.edges += u32::from(has_plane && has_destination);
    }
    Ok(orphans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flights::Table;

    #[test]
    fn a_flight_counts_once_in_each_table_that_lacks_its_partner() {
        let flights = "\
2013,1,1,517,515,2,830,819,11,UA,1,N1,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,517,515,2,830,819,11,UA,2,NA,EWR,SJU,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,517,515,2,830,819,11,ZZ,3,N2,JFK,SJU,227,1400,5,15,2013-01-01T10:00:00Z
";
        let archive = FlightsArchive::of_files(&[
            (Table::Airlines, "UA,United\n"),
            (
                Table::Airports,
                "EWR,Newark,40.6,-74.1,18,-5,A,NA\nIAH,Houston,29.9,-95.3,97,-6,A,America/Chicago\n",
            ),
            (Table::Planes, "N1,NA,Fixed wing,BOEING,737,2,180,NA,Turbo-fan\n"),
            (
                Table::Weather,
                "EWR,2013,1,1,5,39.02,26.06,59.37,270,10.36,NA,0,1e3,10,2013-01-01T10:00:00Z\n",
            ),
            (Table::Flights, flights),
        ]);
        let found = orphans(&archive).expect("good rows");
        let expected = Orphans {
            by_unknown_destination: BTreeMap::from([(Code::new("SJU").expect("a code"), 2)]),
            without_plane: 2,
            without_tailnum: 1,
            without_weather: 1,
            without_origin: 1,
            without_airline: 1,
            edges: 1,
        };
        assert_eq!((found.without_destination(), found), (2, expected));
    }
}
