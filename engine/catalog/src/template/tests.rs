//! The answers of PostgreSQL 15, examples, the ends of the ranges, and random templates.

use proptest::prelude::*;

use super::*;
use crate::interval::Interval;
use crate::text;

/// What PostgreSQL 15 answered: kind, value, template and answer in each line, with tabs between them. An error is `!`, its SQLSTATE, its
/// message, and behind ` ## ` detail and hint.
const ANSWERS: &str = include_str!("answers.txt");

fn answer(kind: &str, value: &str, template: &str) -> Result<String> {
    let mut out = String::new();
    let mut words = value.split(' ');
    let mut integer = || words.next().and_then(|word| word.parse::<i64>().ok()).expect(value);
    match kind {
        "ts" => write_timestamp(integer(), None, template, &mut out)?,
        "tz" => {
            let (micros, offset) = (integer(), integer() as i32);
            write_timestamp(micros, Some((offset, words.next().expect(value))), template, &mut out)?;
        }
        "iv" => {
            let (months, days, micros) = (integer() as i32, integer() as i32, integer());
            write_interval(Interval { months, days, micros }, template, &mut out)?;
        }
        "num" => {
            let scale = value.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i8);
            let unscaled = value.replace('.', "").parse().expect(value);
            write_numeric(unscaled, scale, template, &mut out)?;
        }
        "int4" => write_int4(value.parse().expect(value), template, &mut out)?,
        "int8" => write_int8(value.parse().expect(value), template, &mut out)?,
        "f8" => write_double(value.parse().expect(value), template, &mut out)?,
        "f4" => write_float(value.parse().expect(value), template, &mut out)?,
        "rts" => {
            let read = read_timestamp(value, template)?;
            out = (read.local - i64::from(read.offset.unwrap_or(0)) * 1_000_000).to_string();
        }
        "rdate" => out = read_date(value, template)?.to_string(),
        "rnum" => {
            let (unscaled, scale) = read_number(value, template)?;
            text::write_decimal(unscaled, scale, &mut out);
        }
        _ => panic!("{kind}"),
    }
    Ok(out)
}

fn shown(answer: Result<String>) -> String {
    let error = match answer {
        Ok(text) => return text,
        Err(error) => error,
    };
    let notes = [error.detail(), error.hint()].into_iter().flatten();
    let notes: String = notes.map(|note| format!(" ## {note}")).collect();
    format!("!{} {}{notes}", error.state(), error.message())
}

/// Those that show most. Printed by PostgreSQL 15, too.
#[test]
fn examples() {
    let moment = "1009843199999999";
    for (kind, value, template, expected) in [
        (
            "ts",
            moment,
            "FMDay, FMDDth FMMonth YYYY, HH12:MI:SS.US p.m.",
            "Monday, 31st December 2001, 11:59:59.999999 p.m.",
        ),
        ("ts", moment, r#"IYYY-"W"IW-ID"#, "2002-W01-1"),
        ("tz", "1009843199999999 -12600 NST", "HH24:MI TZ OF", "23:59 NST -03:30"),
        ("iv", "14 3 -90000000", "YYYY MM DD HH24 MI SS", "0001 02 03 00 -01 -30"),
        ("num", "-1234.5", "9,999.99", "-1,234.50"),
        ("num", "-1234.5", "FM9,999PR", "<1,235>"),
        ("num", "12345", "999", " ###"),
        ("f8", "0.1", "9.99EEEE", " 1.00e-01"),
        ("int4", "1994", "FMRN", "MCMXCIV"),
        (
            "rts",
            "31st  December 2001 23:59",
            "DDth Month YYYY HH24:MI",
            "1009843140000000",
        ),
        ("rdate", "2002-W01-1", r#"IYYY-"W"IW-ID"#, "11687"),
        (
            "rdate",
            "2001-02-29",
            "YYYY-MM-DD",
            r#"!22008 date/time field value out of range: "2001-02-29""#,
        ),
        ("rnum", "12,454.8-", "99G999D9S", "-12454.8"),
    ] {
        assert_eq!(shown(answer(kind, value, template)), expected, "{template}");
    }
}

/// Fields of moments that no calendar of PostgreSQL's has, and of the longest intervals.
#[test]
fn the_ends_of_the_ranges_are_written() {
    let template = "YYYY IYYY IW IDDD DDD WW CC J Day Mon RM Q SSSS HH12 US TZH OF";
    for micros in [i64::MIN, i64::MAX] {
        let mut out = String::new();
        write_timestamp(micros, Some((i32::MIN, "")), template, &mut out).expect("written");
        assert!(!out.is_empty());
    }
    for end in [i32::MIN, i32::MAX] {
        let interval = Interval {
            months: end,
            days: end,
            micros: i64::from(end) << 32,
        };
        write_interval(
            interval,
            "YYYY IYYY IW IDDD DDD WW CC J RM Q SSSS HH12 US",
            &mut String::new(),
        )
        .expect("written");
    }
    for template in ["9V9", "9.9EEEE", "FM9.9", "RN"] {
        let _ = write_numeric(i128::MIN, i8::MIN, template, &mut String::new());
        let _ = write_numeric(i128::MAX, i8::MAX, template, &mut String::new());
    }
    let error = read_number(&"9".repeat(40), &"9".repeat(40)).expect_err("more than 128 bits");
    assert_eq!(error.state(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
}

proptest! {
    /// What a random template makes of a random value is compared with nothing: it is an answer or an error, and no panic.
    #[test]
    fn nothing_panics(
        template in "([ADHIMSYQWJBCFTXOZNPRLGVE0-9.,+\\\"é -]|FM|TH|YYYY|Mon|EEEE){0,12}",
        text in "[0-9a-zA-Z+.,: é-]{0,16}",
        micros in any::<i64>(),
        unscaled in any::<i128>(),
        scale in any::<i8>(),
        double in any::<f64>(),
    ) {
        let out = &mut String::new();
        let _ = write_timestamp(micros, Some((unscaled as i32, &text)), &template, out);
        let _ = write_interval(Interval { months: unscaled as i32, days: scale.into(), micros }, &template, out);
        let _ = write_numeric(unscaled, scale, &template, out);
        let _ = write_int8(micros, &template, out);
        let _ = write_int4(micros as i32, &template, out);
        let _ = write_double(double, &template, out);
        let _ = write_float(double as f32, &template, out);
        let _ = read_timestamp(&text, &template);
        let _ = read_date(&text, &template);
        let _ = read_number(&text, &template);
    }
}

#[test]
fn answers_are_those_of_postgresql() {
    let (mut lines, mut wrong) = (0, Vec::new());
    for line in ANSWERS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [kind, value, template, expected] = fields[..] else {
            panic!("{line}")
        };
        lines += 1;
        let answer = shown(answer(kind, value, template));
        if answer != expected {
            wrong.push(format!(
                "{kind} [{value}] [{template}]\n  expected [{expected}]\n  answered [{answer}]"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {lines}:\n{}", wrong.len(), wrong.join("\n"));
}
