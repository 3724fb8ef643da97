//! The rows of the five tables. Fields are named and ordered as the columns of the source; those that may be NULL are
//! options. Units are the source's: minutes, miles, feet, degrees Fahrenheit, miles per hour, inches, millibar.

use std::collections::HashMap;

use aion_base::Result;

use super::code::Code;
use super::hour::UtcHour;
use super::rows::{Fields, Record};
use super::table::Table;

/// A departure from New York City. Never NULL: what was scheduled. NULL: what a cancelled, diverted or badly recorded
/// flight lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flight {
    /// The number of the data row in the CSV file: the first row below the header is 1.
    pub id: u32,
    /// Year, always 2013.
    pub year: i16,
    /// Month of the scheduled departure in New York, from 1.
    pub month: u8,
    /// Day of that month, from 1.
    pub day: u8,
    /// Actual departure, New York's clock as the number HHMM; midnight is 2400.
    pub dep_time: Option<i16>,
    /// Scheduled departure, New York's clock, HHMM.
    pub sched_dep_time: i16,
    /// Minutes of delay at departure; negative when early.
    pub dep_delay: Option<i16>,
    /// Actual arrival, clock at the destination, HHMM.
    pub arr_time: Option<i16>,
    /// Scheduled arrival, clock at the destination, HHMM.
    pub sched_arr_time: i16,
    /// Minutes of delay at arrival; negative when early.
    pub arr_delay: Option<i16>,
    /// Two-character carrier code.
    pub carrier: Code<2>,
    /// Flight number.
    pub flight: i32,
    /// Tail number of the aircraft.
    pub tailnum: Option<Code<6>>,
    /// EWR, JFK or LGA.
    pub origin: Code<3>,
    /// Airport of destination.
    pub dest: Code<3>,
    /// Minutes in the air.
    pub air_time: Option<i16>,
    /// Miles between the airports.
    pub distance: i16,
    /// Hour of the scheduled departure, New York's clock.
    pub hour: u8,
    /// Minute of the scheduled departure.
    pub minute: u8,
    /// The hour of the scheduled departure as an instant: the key to the weather.
    pub time_hour: UtcHour,
}

impl Record for Flight {
    const TABLE: Table = Table::Flights;

    fn read(number: u32, fields: &mut Fields<'_>) -> Result<Self> {
        Ok(Self {
            id: number,
            year: fields.required()?,
            month: fields.required()?,
            day: fields.required()?,
            dep_time: fields.optional()?,
            sched_dep_time: fields.required()?,
            dep_delay: fields.optional()?,
            arr_time: fields.optional()?,
            sched_arr_time: fields.required()?,
            arr_delay: fields.optional()?,
            carrier: fields.required()?,
            flight: fields.required()?,
            tailnum: fields.optional()?,
            origin: fields.required()?,
            dest: fields.required()?,
            air_time: fields.optional()?,
            distance: fields.required()?,
            hour: fields.required()?,
            minute: fields.required()?,
            time_hour: fields.required()?,
        })
    }
}

/// The weather of one hour at one of the three origins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// EWR, JFK or LGA.
    pub origin: Code<3>,
    /// Year in New York.
    pub year: i16,
    /// Month in New York, from 1.
    pub month: u8,
    /// Day in New York, from 1.
    pub day: u8,
    /// Hour of New York's clock.
    pub hour: u8,
    /// Temperature, °F.
    pub temp: Option<f64>,
    /// Dew point, °F.
    pub dewp: Option<f64>,
    /// Relative humidity, percent.
    pub humid: Option<f64>,
    /// Direction the wind comes from, degrees.
    pub wind_dir: Option<i16>,
    /// Wind, miles per hour. One hour has 1048, a fault of the source that is kept.
    pub wind_speed: Option<f64>,
    /// Gusts, miles per hour.
    pub wind_gust: Option<f64>,
    /// Precipitation, inches.
    pub precip: f64,
    /// Pressure at sea level, millibar.
    pub pressure: Option<f64>,
    /// Visibility, miles, at most 10.
    pub visib: f64,
    /// The hour as an instant.
    pub time_hour: UtcHour,
}

impl Record for Weather {
    const TABLE: Table = Table::Weather;

    fn read(_number: u32, fields: &mut Fields<'_>) -> Result<Self> {
        Ok(Self {
            origin: fields.required()?,
            year: fields.required()?,
            month: fields.required()?,
            day: fields.required()?,
            hour: fields.required()?,
            temp: fields.optional()?,
            dewp: fields.optional()?,
            humid: fields.optional()?,
            wind_dir: fields.optional()?,
            wind_speed: fields.optional()?,
            wind_gust: fields.optional()?,
            precip: fields.required()?,
            pressure: fields.optional()?,
            visib: fields.required()?,
            time_hour: fields.required()?,
        })
    }
}

/// Weather by its key, origin and hour.
#[derive(Debug)]
pub struct WeatherByHour(HashMap<(Code<3>, UtcHour), Weather>);

impl WeatherByHour {
    /// Gathers rows, of which the first error is returned. A later row replaces one of the same key.
    pub fn new(rows: impl Iterator<Item = Result<Weather>>) -> Result<Self> {
        rows.map(|row| row.map(|row| ((row.origin, row.time_hour), row)))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The weather at the scheduled departure of `flight`.
    pub fn at_departure(&self, flight: &Flight) -> Option<&Weather> {
        self.0.get(&(flight.origin, flight.time_hour))
    }
}

/// An aircraft.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Tail number.
    pub tailnum: Code<6>,
    /// Year of manufacture.
    pub year: Option<i16>,
    /// Kind of aircraft; the column is called `type`.
    pub kind: String,
    /// Manufacturer, in the spelling of the registry: `AIRBUS` and `AIRBUS INDUSTRIE` are two.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Number of engines.
    pub engines: i16,
    /// Number of seats.
    pub seats: i16,
    /// Cruising speed, miles per hour; nearly always NULL.
    pub speed: Option<i16>,
    /// Kind of engine.
    pub engine: String,
}

impl Record for Plane {
    const TABLE: Table = Table::Planes;

    fn read(_number: u32, fields: &mut Fields<'_>) -> Result<Self> {
        Ok(Self {
            tailnum: fields.required()?,
            year: fields.optional()?,
            kind: fields.required()?,
            manufacturer: fields.required()?,
            model: fields.required()?,
            engines: fields.required()?,
            seats: fields.required()?,
            speed: fields.optional()?,
            engine: fields.required()?,
        })
    }
}

/// An airport, or a railway station with a code of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Airport {
    /// Code of the Federal Aviation Administration.
    pub faa: Code<3>,
    /// Name.
    pub name: String,
    /// Latitude, degrees.
    pub lat: f64,
    /// Longitude, degrees, east positive.
    pub lon: f64,
    /// Altitude, feet.
    pub alt: i32,
    /// Hours from UTC in winter.
    pub tz: i16,
    /// Daylight saving: `A`merican, `N`one, `U`nknown.
    pub dst: Code<1>,
    /// Name of the time zone.
    pub tzone: Option<String>,
}

impl Record for Airport {
    const TABLE: Table = Table::Airports;

    fn read(_number: u32, fields: &mut Fields<'_>) -> Result<Self> {
        Ok(Self {
            faa: fields.required()?,
            name: fields.required()?,
            lat: fields.required()?,
            lon: fields.required()?,
            alt: fields.required()?,
            tz: fields.required()?,
            dst: fields.required()?,
            tzone: fields.optional()?,
        })
    }
}

/// A carrier.
#[derive(Clone, Debug, PartialEq)]
pub struct Airline {
    /// Two-character code.
    pub carrier: Code<2>,
    /// Name.
    pub name: String,
}

impl Record for Airline {
    const TABLE: Table = Table::Airlines;

    fn read(_number: u32, fields: &mut Fields<'_>) -> Result<Self> {
        Ok(Self {
            carrier: fields.required()?,
            name: fields.required()?,
        })
    }
}
