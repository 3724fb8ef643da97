//! The five tables: their names, their files in the archive, their columns and their sizes.

use std::fmt;

/// A table of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// 16 carriers.
    Airlines,
    /// 1,458 airports, mostly of the United States.
    Airports,
    /// 3,322 aircraft.
    Planes,
    /// 26,115 hours of weather at the three origins.
    Weather,
    /// 336,776 departures from Newark, Kennedy and LaGuardia.
    Flights,
}

impl Table {
    /// All tables, each after those that its rows refer to.
    pub const ALL: [Self; 5] = [
        Self::Airlines,
        Self::Airports,
        Self::Planes,
        Self::Weather,
        Self::Flights,
    ];

    /// The name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Airlines => "airlines",
            Self::Airports => "airports",
            Self::Planes => "planes",
            Self::Weather => "weather",
            Self::Flights => "flights",
        }
    }

    /// How many rows the archive has.
    pub fn row_count(self) -> u32 {
        match self {
            Self::Airlines => 16,
            Self::Airports => 1_458,
            Self::Planes => 3_322,
            Self::Weather => 26_115,
            Self::Flights => 336_776,
        }
    }

    /// The columns of the CSV file in the archive, in its order.
    pub fn source_columns(self) -> &'static [&'static str] {
        match self {
            Self::Airlines => &["carrier", "name"],
            Self::Airports => &["faa", "name", "lat", "lon", "alt", "tz", "dst", "tzone"],
            Self::Planes => &[
                "tailnum",
                "year",
                "type",
                "manufacturer",
                "model",
                "engines",
                "seats",
                "speed",
                "engine",
            ],
            Self::Weather => &[
                "origin",
                "year",
                "month",
                "day",
                "hour",
                "temp",
                "dewp",
                "humid",
                "wind_dir",
                "wind_speed",
                "wind_gust",
                "precip",
                "pressure",
                "visib",
                "time_hour",
            ],
            Self::Flights => &[
                "year",
                "month",
                "day",
                "dep_time",
                "sched_dep_time",
                "dep_delay",
                "arr_time",
                "sched_arr_time",
                "arr_delay",
                "carrier",
                "flight",
                "tailnum",
                "origin",
                "dest",
                "air_time",
                "distance",
                "hour",
                "minute",
                "time_hour",
            ],
        }
    }

    /// The columns of the table in SQL, in the order of its load-ready CSV.
    pub fn columns(self) -> Vec<&'static str> {
        let mut columns = self.source_columns().to_vec();
        if self == Self::Flights {
            columns.insert(0, "id");
            columns.push("profile");
        }
        columns
    }

    /// The name of its file in the archive, without the folders.
    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Airlines => "airlines.csv",
            Self::Airports => "airports.csv",
            Self::Planes => "planes.csv",
            Self::Weather => "weather.csv",
            Self::Flights => "flights.csv",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flights::SCHEMA_SQL;

    #[test]
    fn the_schema_has_the_columns_of_the_load_ready_csv() {
        for table in Table::ALL {
            let head = format!("CREATE TABLE {table} (");
            let body = SCHEMA_SQL.split_once(&head).expect("a statement for each table").1;
            let body = body.split_once("\n);").expect("the end of the statement").0;
            let columns: Vec<&str> = body
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with("PRIMARY KEY") && !line.starts_with("--"))
                .map(|line| line.split_whitespace().next().expect("a name"))
                .collect();
            assert_eq!(columns, table.columns(), "{table}");
        }
    }
}
