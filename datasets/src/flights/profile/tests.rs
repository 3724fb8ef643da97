//! The formula by hand, its NULLs, its independence of the libm, its text form.

use super::*;
use crate::flights::records::Weather;
use crate::flights::rows::Rows;

fn flight(row: &str) -> Flight {
    let text = format!("{}\n{row}\n", crate::flights::Table::Flights.source_columns().join(","));
    Rows::new(text.as_bytes())
        .expect("a header")
        .next()
        .expect("a row")
        .expect("a good row")
}

fn weather(row: &str) -> Weather {
    let text = format!("{}\n{row}\n", crate::flights::Table::Weather.source_columns().join(","));
    Rows::new(text.as_bytes())
        .expect("a header")
        .next()
        .expect("a row")
        .expect("a good row")
}

#[test]
fn a_profile_by_hand() {
    // Six in the morning of the first day; half an hour early at arrival.
    let flight = flight("2013,1,1,600,600,15,900,930,-30,UA,7,N1,EWR,IAH,150,1400,6,0,2013-01-01T11:00:00Z");
    let weather = weather("EWR,2013,1,1,6,75,26,59,270,10,NA,0.125,NA,2.5,2013-01-01T11:00:00Z");
    let found = profile(&flight, Some(&weather)).expect("all inputs");
    assert_eq!(
        found,
        [1.0, 6.123_234e-17, 0.0, 1.0, 0.25, -0.5, 1.4, 1.0, 1.0, 0.5, 0.5, 0.5]
    );
    assert_eq!(
        ProfileText(&found).to_string(),
        "[1,6.123234e-17,0,1,0.25,-0.5,1.4,1,1,0.5,0.5,0.5]"
    );
}

#[test]
fn outliers_are_clamped() {
    let flight = flight("2013,1,1,600,600,1301,900,930,-86,HA,51,N1,JFK,HNL,695,4983,0,0,2013-01-01T05:00:00Z");
    let weather = weather("JFK,2013,1,1,0,-40,26,59,270,1048.36058,NA,1.21,NA,10,2013-01-01T05:00:00Z");
    let found = profile(&flight, Some(&weather)).expect("all inputs");
    assert_eq!(found[4..], [4.0, -1.0, 3.0, 3.0, -2.75, 2.0, 2.0, 2.0]);
}

#[test]
fn each_input_that_is_null_makes_the_profile_null() {
    const FLIGHT: &str = "2013,1,1,600,600,0,900,930,0,UA,7,N1,EWR,IAH,150,1400,6,0,2013-01-01T11:00:00Z";
    const WEATHER: &str = "EWR,2013,1,1,6,55,26,59,270,10,NA,0,NA,10,2013-01-01T11:00:00Z";
    let without = |row: &str, index: usize| -> String {
        row.split(',')
            .enumerate()
            .map(|(at, field)| if at == index { "NA" } else { field })
            .collect::<Vec<_>>()
            .join(",")
    };
    assert!(profile(&flight(FLIGHT), Some(&weather(WEATHER))).is_some());
    assert!(profile(&flight(FLIGHT), None).is_none(), "no weather");
    for (index, is_input) in [(3, false), (5, true), (6, false), (8, true), (11, false), (14, true)] {
        let found = profile(&flight(&without(FLIGHT, index)), Some(&weather(WEATHER)));
        assert_eq!(found.is_none(), is_input, "column {index} of flights");
    }
    for (index, is_input) in [
        (5, true),
        (6, false),
        (7, false),
        (8, false),
        (9, true),
        (10, false),
        (12, false),
    ] {
        let found = profile(&flight(FLIGHT), Some(&weather(&without(WEATHER, index))));
        assert_eq!(found.is_none(), is_input, "column {index} of weather");
    }
}

/// A sine of the libm here and one of another libm may differ by a unit in the last place of the double. Both must
/// round to the same single.
#[test]
fn every_libm_gives_the_same_singles() {
    let hours = (0..24).map(|hour| (f64::from(hour), 24.0));
    let days = (0..366).map(|day| (f64::from(day), 365.0));
    for (number, period) in hours.chain(days) {
        for exact in cycle(number, period) {
            if exact == 0.0 || exact.abs() == 1.0 {
                continue; // Exact in every libm.
            }
            for units in 1..=4 {
                let (below, above) = (exact.to_bits() - units, exact.to_bits() + units);
                assert_eq!(f64::from_bits(below) as f32, exact as f32, "{number} of {period}");
                assert_eq!(f64::from_bits(above) as f32, exact as f32, "{number} of {period}");
            }
        }
    }
}

#[test]
fn the_day_of_the_year_counts_from_one() {
    let day = |date: &str| {
        day_of_year(&flight(&format!(
            "{date},NA,600,NA,NA,930,NA,UA,7,NA,EWR,IAH,NA,1400,6,0,2013-01-01T11:00:00Z"
        )))
    };
    assert_eq!(
        [day("2013,1,1"), day("2013,3,1"), day("2013,12,31"), day("2012,12,31")],
        [1, 60, 365, 366]
    );
}

#[test]
fn text_reads_back_as_the_same_singles() {
    for components in [
        [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.1,
            1.0 / 3.0,
            -6.123_234e-17,
            1e-4,
            9.999e-5,
            f32::MIN_POSITIVE,
            1e7,
            4.983,
        ],
        [
            0.5,
            0.25,
            0.75,
            -2.75,
            0.9659258,
            -0.25881904,
            0.017213,
            0.999_851_8,
            2.0,
            3.0,
            4.0,
            5.0,
        ],
    ] {
        let text = ProfileText(&components).to_string();
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .expect("brackets");
        let read: Vec<f32> = inner
            .split(',')
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert_eq!(
            read.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            components.map(f32::to_bits),
            "{text}"
        );
        assert!(text.len() < 160, "{text}");
    }
}
