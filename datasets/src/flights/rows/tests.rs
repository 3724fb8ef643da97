//! Rows read from small files: NULLs, numbers and dates, and each kind of bad input with the words of its error.

use super::*;
use crate::flights::records::{Airline, Flight, Plane, Weather};

const FLIGHT: &str = "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z";

fn file(table: Table, rows: &[&str]) -> String {
    let header = table.source_columns().join(",");
    [&[header.as_str()], rows].concat().join("\n") + "\n"
}

/// The error that reading `text` ends with.
fn error<T: Record>(text: &str) -> Error {
    match Rows::<T>::new(text.as_bytes()) {
        Ok(rows) => rows.filter_map(Result::err).next().expect("an error"),
        Err(error) => error,
    }
}

#[test]
fn rows_are_numbered_from_one_and_na_is_null() {
    let text = file(
        Table::Flights,
        &[
            FLIGHT,
            "2013,9,30,NA,840,NA,NA,1020,NA,MQ,3531,NA,LGA,RDU,NA,431,8,40,2013-09-30T12:00:00Z",
        ],
    );
    let flights: Vec<Flight> = Rows::new(text.as_bytes())
        .expect("a header")
        .map(|row| row.expect("a row"))
        .collect();
    assert_eq!(flights.iter().map(|flight| flight.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((flights[0].dep_time, flights[0].arr_delay), (Some(517), Some(11)));
    assert_eq!(
        flights[0].tailnum.map(|tailnum| tailnum.to_string()),
        Some("N14228".to_owned())
    );
    assert_eq!(flights[0].time_hour.to_string(), "2013-01-01T10:00:00Z");
    let cancelled = &flights[1];
    assert_eq!(
        (cancelled.dep_time, cancelled.dep_delay, cancelled.arr_time),
        (None, None, None)
    );
    assert_eq!(
        (cancelled.arr_delay, cancelled.tailnum, cancelled.air_time),
        (None, None, None)
    );
    assert_eq!((cancelled.distance, cancelled.minute), (431, 40));
}

#[test]
fn na_is_text_where_a_column_has_no_null() {
    let text = file(Table::Airlines, &["NA,North American Airlines"]);
    let row = Rows::<Airline>::new(text.as_bytes())
        .expect("a header")
        .next()
        .expect("a row")
        .expect("a good row");
    assert_eq!(row.carrier.as_str(), "NA");
}

#[test]
fn numbers_may_have_an_exponent_and_files_windows_line_ends() {
    let text = file(
        Table::Weather,
        &["EWR,2013,1,1,1,39.02,26.06,59.37,270,NA,NA,0,1e3,10,2013-01-01T06:00:00Z"],
    );
    let text = text.replace('\n', "\r\n");
    let row = Rows::<Weather>::new(text.as_bytes())
        .expect("a header")
        .next()
        .expect("a row")
        .expect("a good row");
    assert_eq!((row.pressure, row.wind_speed, row.precip), (Some(1000.0), None, 0.0));
}

#[test]
fn a_bad_value_names_its_line_and_column() {
    for (column, bad, message) in [
        (
            "dep_delay",
            "two",
            r#"flights, line 3, column dep_delay: "two" is not an integer of 16 bits"#,
        ),
        (
            "dep_delay",
            "",
            r#"flights, line 3, column dep_delay: "" is not an integer of 16 bits"#,
        ),
        (
            "arr_delay",
            "40000",
            r#"flights, line 3, column arr_delay: "40000" is not an integer of 16 bits"#,
        ),
        (
            "distance",
            "NA",
            r#"flights, line 3, column distance: "NA" is not an integer of 16 bits"#,
        ),
        (
            "month",
            "-1",
            r#"flights, line 3, column month: "-1" is not an integer from 0 to 255"#,
        ),
        (
            "origin",
            "NEWARK",
            r#"flights, line 3, column origin: "NEWARK" is not a short code"#,
        ),
        (
            "time_hour",
            "2013-01-01 10:00:00",
            r#"flights, line 3, column time_hour: "2013-01-01 10:00:00" is not a full hour such as 2013-01-01T10:00:00Z"#,
        ),
    ] {
        let index = Table::Flights
            .source_columns()
            .iter()
            .position(|name| *name == column)
            .expect("a column");
        let mut fields: Vec<&str> = FLIGHT.split(',').collect();
        fields[index] = bad;
        let error = error::<Flight>(&file(Table::Flights, &[FLIGHT, &fields.join(",")]));
        assert_eq!(error.message(), message);
        assert_eq!(
            (error.table(), error.column(), error.state().as_str()),
            (Some("flights"), Some(column), "22P02")
        );
    }
}

#[test]
fn numbers_must_be_finite() {
    for bad in ["NaN", "inf", "1e999"] {
        let row = format!("EWR,2013,1,1,1,{bad},26.06,59.37,270,NA,NA,0,1e3,10,2013-01-01T06:00:00Z");
        let error = error::<Weather>(&file(Table::Weather, &[&row]));
        assert_eq!(
            error.message(),
            format!("weather, line 2, column temp: {bad:?} is not a finite number")
        );
    }
}

#[test]
fn a_missing_column_is_named() {
    let text = file(Table::Flights, &[FLIGHT]).replacen("dep_delay,", "", 1);
    let error = error::<Flight>(&text);
    assert_eq!(error.message(), "the CSV file of flights has no column dep_delay");
    assert_eq!(error.state().as_str(), "22P04");
}

#[test]
fn other_columns_are_refused() {
    for header in ["name,carrier", "carrier,name,country"] {
        let error = error::<Airline>(&format!("{header}\nUA,United\n"));
        let expected = "the CSV file of airlines has other columns, or another order of them, than expected";
        assert_eq!(error.message(), expected);
        assert_eq!(
            error.detail(),
            Some(format!("Expected: carrier,name. Found: {header}.").as_str())
        );
    }
    assert_eq!(
        error::<Airline>("").message(),
        "the CSV file of airlines has no column carrier"
    );
}

#[test]
fn a_row_with_another_number_of_fields_is_refused() {
    for (row, count) in [("UA", 1), ("UA,United,USA", 3)] {
        let error = error::<Airline>(&file(Table::Airlines, &["AA,American", row]));
        assert_eq!(
            error.message(),
            format!("airlines, line 3: {count} fields instead of 2")
        );
    }
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let mut text = file(Table::Airlines, &["UA,United"]).into_bytes();
    let last = text.len() - 2;
    text[last] = 0xff;
    let error = Rows::<Airline>::new(&text)
        .expect("a header")
        .next()
        .expect("a row")
        .expect_err("not UTF-8");
    assert_eq!(
        error.message(),
        "airlines, line 2, column name: \"Unite\u{fffd}\" is not text in UTF-8"
    );
}

#[test]
fn nothing_follows_an_error() {
    let text = file(Table::Planes, &["N1,x,Fixed wing,BOEING,737,2,180,NA,Turbo-fan"; 3]);
    assert_eq!(Rows::<Plane>::new(text.as_bytes()).expect("a header").count(), 1);
}

#[test]
fn a_file_with_fewer_rows_than_it_must_have_ends_with_an_error() {
    let text = file(Table::Airlines, &["UA,United"]);
    let mut rows = Rows::<Airline>::new(text.as_bytes()).expect("a header").expecting(16);
    assert!(rows.next().expect("a row").is_ok());
    let error = rows.next().expect("an error").expect_err("too few rows");
    assert_eq!(
        error.message(),
        "1 rows of airlines were read from an archive that has 16"
    );
    assert!(rows.next().is_none());
}
