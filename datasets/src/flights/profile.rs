//! The profile of a flight: the vector(12) by which flights are alike.
//!
//! | i | component | value |
//! |---|---|---|
//! | 0, 1 | hour | sin and cos of 2π · `hour` / 24 |
//! | 2, 3 | day | sin and cos of 2π · (day of the year − 1) / 365 |
//! | 4 | `dep_delay` | clamp(minutes, −60, 240) / 60 |
//! | 5 | `arr_delay` | clamp(minutes, −60, 240) / 60 |
//! | 6 | `distance` | clamp(miles, 0, 3000) / 1000 |
//! | 7 | `air_time` | clamp(minutes, 0, 450) / 150 |
//! | 8 | `temp` | (clamp(°F, 0, 110) − 55) / 20 |
//! | 9 | `wind_speed` | clamp(miles per hour, 0, 40) / 20 |
//! | 10 | `precip` | clamp(inches, 0, 0.5) / 0.25 |
//! | 11 | `visib` | clamp(miles, 0, 10) / 5 |
//!
//! `hour`, and the day, are New York's, as in `flights`; 8 to 11 are the weather at the origin in the hour of the
//! scheduled departure. The profile is NULL where any of its inputs is, so also where there is no weather.
//!
//! **Exactness.** All steps are IEEE 754 double precision, in the order written: 2π is the nearest double, times the
//! number, then divided. The result is rounded once, to the nearest single (ties to even). The sines and
//! cosines that occur stay clear of such ties by more than a libm's error, which a test shows: so every libm gives the same
//! single. The constants are part of the format: they are fixed, not fitted, and of the size that makes a component
//! about 1.

use std::f64::consts::TAU;
use std::fmt;

use super::hour::days_since_epoch;
use super::records::{Flight, Weather};

/// The number of components.
pub const PROFILE_DIMENSIONS: usize = 12;

/// The components of a profile.
pub type Profile = [f32; PROFILE_DIMENSIONS];

/// The profile of `flight`, given the weather at its departure.
pub fn profile(flight: &Flight, weather: Option<&Weather>) -> Option<Profile> {
    let weather = weather?;
    let [hour_sine, hour_cosine] = cycle(f64::from(flight.hour), 24.0);
    let [day_sine, day_cosine] = cycle(f64::from(day_of_year(flight) - 1), 365.0);
    let components = [
        hour_sine,
        hour_cosine,
        day_sine,
        day_cosine,
        f64::from(flight.dep_delay?).clamp(-60.0, 240.0) / 60.0,
        f64::from(flight.arr_delay?).clamp(-60.0, 240.0) / 60.0,
        f64::from(flight.distance).clamp(0.0, 3000.0) / 1000.0,
        f64::from(flight.air_time?).clamp(0.0, 450.0) / 150.0,
        (weather.temp?.clamp(0.0, 110.0) - 55.0) / 20.0,
        weather.wind_speed?.clamp(0.0, 40.0) / 20.0,
        weather.precip.clamp(0.0, 0.5) / 0.25,
        weather.visib.clamp(0.0, 10.0) / 5.0,
    ];
    Some(components.map(|component| component as f32))
}

fn cycle(number: f64, period: f64) -> [f64; 2] {
    let angle = TAU * number / period;
    [angle.sin(), angle.cos()]
}

/// From 1.
fn day_of_year(flight: &Flight) -> i32 {
    let (year, month, day) = (i32::from(flight.year), i32::from(flight.month), i32::from(flight.day));
    days_since_epoch(year, month, day) - days_since_epoch(year, 1, 1) + 1
}

/// A profile in the text form of `vector`: `[0.5,-1,...]`, each number the shortest that reads back as the same single.
#[derive(Clone, Copy, Debug)]
pub struct ProfileText<'a>(pub &'a Profile);

impl fmt::Display for ProfileText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, component) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "[" } else { "," })?;
            // The sine of 2π · 12 / 24 is about 1e-16: without an exponent it would be twenty zeros.
            if *component != 0.0 && component.abs() < 1e-4 {
                write!(f, "{component:e}")?;
            } else {
                write!(f, "{component}")?;
            }
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests;
