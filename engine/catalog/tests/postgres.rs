//! JSON, intervals and arrays against what PostgreSQL 15 answered: `testdata/postgres.tsv`, which `testdata/postgres.py` makes.
//!
//! Answers are compared as text, errors by SQLSTATE, and by message and detail where those are PostgreSQL's word for word.

use std::collections::HashMap;

use aion_base::{Error, Result};
use aion_catalog::interval::Interval;
use aion_catalog::json::path::{Evaluation, Path};
use aion_catalog::json::{Jsonb, JsonbRef, check_text};
use aion_catalog::text::{
    ArrayValue, parse_date, parse_f64, parse_i32, parse_interval, parse_timestamp, write_decimal, write_integer,
    write_interval, write_timestamp,
};

const TABLE: &str = include_str!("testdata/postgres.tsv");

/// Messages that are ours: PostgreSQL's name a token of its grammar, or parts of its implementation.
const OWN_MESSAGES: [&str; 4] = [
    "syntax error",
    "invalid regular expression",
    "invalid input syntax for type jsonpath",
    "is out of range for type",
];

struct Arguments<'a>(&'a [String]);

impl<'a> Arguments<'a> {
    fn text(&self, index: usize) -> &'a str {
        &self.0[index]
    }

    fn json(&self, index: usize) -> Result<Jsonb> {
        Jsonb::parse(self.text(index))
    }

    fn texts(&self, index: usize) -> Result<Vec<Option<String>>> {
        Ok(ArrayValue::parse(self.text(index), |element| Ok(element.to_owned()))?.elements)
    }

    fn flag(&self, index: usize) -> bool {
        self.text(index) == "true"
    }

    fn index(&self, index: usize) -> Result<i64> {
        parse_i32(self.text(index)).map(i64::from)
    }

    fn interval(&self, index: usize) -> Result<Interval> {
        parse_interval(self.text(index))
    }

    fn timestamp(&self, index: usize) -> Result<i64> {
        parse_timestamp(self.text(index))
    }
}

fn path_of(elements: &[Option<String>]) -> Vec<Option<&str>> {
    elements.iter().map(Option::as_deref).collect()
}

fn keys_of(elements: &[Option<String>]) -> Vec<&str> {
    elements.iter().filter_map(Option::as_deref).collect()
}

fn show(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

fn joined(lines: impl Iterator<Item = String>) -> Option<String> {
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn written<T>(value: T, write: impl Fn(T, &mut String)) -> Option<String> {
    let mut out = String::new();
    write(value, &mut out);
    Some(out)
}

/// The answer of ours; None for NULL.
fn answer(operation: &str, arguments: &Arguments<'_>) -> Result<Option<String>> {
    if operation.starts_with("path_") || operation == "jsonpath" {
        return path_answer(operation, arguments);
    }
    if let Some(answer) = other_answer(operation, arguments) {
        return answer;
    }
    if operation == "json" {
        check_text(arguments.text(0))?;
        return Ok(show(arguments.text(0)));
    }
    let document = arguments.json(0)?;
    JsonbRef::check(document.as_bytes()).expect("what was written is sound");
    let document = document.as_ref();
    let second = || arguments.json(1);
    Ok(match operation {
        "jsonb" => show(document),
        "pretty" => written(document, JsonbRef::write_pretty),
        "compare" => show(document.compare(second()?.as_ref()) as i8),
        "contains" => show(document.contains(second()?.as_ref())),
        "concat" => show(document.concat(second()?.as_ref())?),
        "get" => document.get(arguments.text(1)).and_then(show),
        "get_text" => document.get(arguments.text(1)).and_then(JsonbRef::to_text),
        "at" => document.at(arguments.index(1)?).and_then(show),
        "at_text" => document.at(arguments.index(1)?).and_then(JsonbRef::to_text),
        "get_path" => document.get_path(&path_of(&arguments.texts(1)?)).and_then(show),
        "get_path_text" => document
            .get_path(&path_of(&arguments.texts(1)?))
            .and_then(JsonbRef::to_text),
        "has_key" => show(document.has_key(arguments.text(1))),
        "has_any" => show(document.has_any_key(keys_of(&arguments.texts(1)?))),
        "has_all" => show(document.has_all_keys(keys_of(&arguments.texts(1)?))),
        "without_key" => show(document.without_keys(&[arguments.text(1)])?),
        "without_keys" => show(document.without_keys(&keys_of(&arguments.texts(1)?))?),
        "without_index" => show(document.without_index(arguments.index(1)?)?),
        "without_path" => show(document.without_path(&path_of(&arguments.texts(1)?))?),
        "set" | "insert" => {
            let (path, value) = (arguments.texts(1)?, arguments.json(2)?);
            let (path, value, flag) = (path_of(&path), value.as_ref(), arguments.flag(3));
            show(if operation == "set" {
                document.set(&path, value, flag)?
            } else {
                document.insert(&path, value, flag)?
            })
        }
        "strip_nulls" => show(document.strip_nulls()?),
        "typeof" => show(document.type_name()),
        "array_length" => show(document.array_length()?),
        "keys" => joined(document.object_keys()?.into_iter().map(str::to_owned)),
        "each" => joined(
            document
                .each("jsonb_each")?
                .iter()
                .map(|(key, value)| format!("{key}={value}")),
        ),
        "each_text" => joined(document.each("jsonb_each_text")?.iter().map(|(key, value)| {
            let text = value.to_text().unwrap_or_else(|| "NULL".to_owned());
            format!("{key}={text}")
        })),
        "elements" => joined(document.array_elements()?.iter().map(|element| element.to_string())),
        "elements_text" => {
            let text = |element: JsonbRef<'_>| element.to_text().unwrap_or_else(|| "NULL".to_owned());
            joined(document.array_elements()?.iter().map(text))
        }
        other => panic!("an operation that the test does not know: {other}"),
    })
}

fn path_answer(operation: &str, arguments: &Arguments<'_>) -> Result<Option<String>> {
    if operation == "jsonpath" {
        let path = Path::parse(arguments.text(0))?;
        // What is printed means the same.
        let printed = path.to_string();
        assert_eq!(Path::parse(&printed).expect("printed").to_string(), printed);
        return Ok(show(printed));
    }
    let (document, path, variables) = (arguments.json(0)?, Path::parse(arguments.text(1))?, arguments.json(2)?);
    let evaluation = Evaluation {
        variables: Some(variables.as_ref()),
        silent: arguments.flag(3),
        ..Evaluation::default()
    };
    let document = document.as_ref();
    Ok(match operation {
        "path_exists" => path.exists(document, evaluation)?.and_then(show),
        "path_match" => path.matches(document, evaluation)?.and_then(show),
        "path_query" => joined(path.query(document, evaluation)?.iter().map(Jsonb::to_string)),
        "path_first" => path.query_first(document, evaluation)?.and_then(show),
        "path_array" => show(path.query_array(document, evaluation)?),
        other => panic!("an operation that the test does not know: {other}"),
    })
}

/// Intervals and arrays; None for the rest.
fn other_answer(operation: &str, arguments: &Arguments<'_>) -> Option<Result<Option<String>>> {
    let interval = |result: Result<Interval>| Some(result.map(|interval| written(interval, write_interval)));
    let moment = |result: Result<i64>| Some(result.map(|micros| written(micros, write_timestamp)));
    let both = |join: fn(Interval, Interval) -> Result<Interval>| join(arguments.interval(0)?, arguments.interval(1)?);
    let one = |map: fn(Interval) -> Result<Interval>| map(arguments.interval(0)?);
    let scaled = |scale: fn(Interval, f64) -> Result<Interval>| {
        scale(arguments.interval(0)?, parse_f64(arguments.text(1)).expect("a factor"))
    };
    match operation {
        "interval" => interval(one(Ok)),
        "interval_negate" => interval(one(Interval::negate)),
        "justify_hours" => interval(one(Interval::justify_hours)),
        "justify_days" => interval(one(Interval::justify_days)),
        "justify_interval" => interval(one(Interval::justify)),
        "interval_add" => interval(both(Interval::plus)),
        "interval_subtract" => interval(both(Interval::minus)),
        "interval_multiply" => interval(scaled(Interval::multiply)),
        "interval_divide" => interval(scaled(Interval::divide)),
        "interval_compare" => Some(arguments.interval(0).and_then(|one| {
            let other = arguments.interval(1)?;
            Ok(show(one.compare(other) as i8))
        })),
        "extract" => Some(arguments.interval(0).and_then(|interval| {
            let (unscaled, scale) = interval.extract(arguments.text(1))?;
            Ok(written(unscaled, |unscaled, out| write_decimal(unscaled, scale, out)))
        })),
        "timestamp_plus" => moment(
            arguments
                .timestamp(0)
                .and_then(|at| arguments.interval(1)?.add_to_timestamp(at)),
        ),
        "timestamp_minus" => moment(
            arguments
                .timestamp(0)
                .and_then(|at| arguments.interval(1)?.subtract_from_timestamp(at)),
        ),
        "date_plus" => moment(parse_date(arguments.text(0)).and_then(|date| arguments.interval(1)?.add_to_date(date))),
        "between" => interval(
            arguments
                .timestamp(0)
                .and_then(|to| Interval::between(to, arguments.timestamp(1)?)),
        ),
        "age" => interval(
            arguments
                .timestamp(0)
                .and_then(|to| Interval::age(to, arguments.timestamp(1)?)),
        ),
        "int_array" => Some(ArrayValue::parse(arguments.text(0), parse_i32).map(|array| {
            written(array, |array, out| {
                array.write(|element, out| write_integer((*element).into(), out), out)
            })
        })),
        "text_array" => Some(
            ArrayValue::parse(arguments.text(0), |text| Ok(text.to_owned())).map(|array| {
                written(array, |array, out| {
                    array.write(|element, out| out.push_str(element), out)
                })
            }),
        ),
        _ => None,
    }
}

/// The answer as the table has it.
fn line(answer: &Result<Option<String>>) -> String {
    match answer {
        Ok(None) => "\\N".to_owned(),
        Ok(Some(text)) => format!("={text}"),
        Err(error) => error_line(error),
    }
}

fn error_line(error: &Error) -> String {
    let detail = error.detail().map(|detail| format!(" | {detail}")).unwrap_or_default();
    format!("!{} {}{detail}", error.state(), error.message())
}

fn unescape(field: &str) -> String {
    let mut text = String::new();
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('v') => '\u{b}',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some(c) => c,
                None => panic!("a lone backslash"),
            },
            c => c,
        });
    }
    text
}

fn agrees(expected: &str, found: &str) -> bool {
    let is_own = |line: &str| OWN_MESSAGES.iter().any(|own| line.contains(own));
    expected == found
        || expected.starts_with('!') && found.get(..6) == expected.get(..6) && (is_own(found) || is_own(expected))
}

#[test]
fn answers_are_those_of_postgres() {
    let mut wrong = Vec::new();
    let mut names = HashMap::new();
    let mut count = 0;
    for case in TABLE.lines().filter(|case| !case.starts_with('#')) {
        let mut fields: Vec<&str> = case.split('\t').collect();
        let expected = fields.pop().expect("a line has fields");
        let expected = if expected == "\\N" {
            expected.to_owned()
        } else {
            unescape(expected)
        };
        if fields[0] == "text" {
            names.insert(fields[1], expected);
            continue;
        }
        let argument = |field: &&str| names.get(field).cloned().unwrap_or_else(|| unescape(field));
        let arguments: Vec<String> = fields[1..].iter().map(argument).collect();
        let found = line(&answer(fields[0], &Arguments(&arguments)));
        count += 1;
        if !agrees(&expected, &found) {
            wrong.push(format!(
                "{} {:?}\n  PostgreSQL {expected}\n  found      {found}",
                fields[0], &arguments
            ));
        }
    }
    assert!(count > 1_000, "the table is there");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
