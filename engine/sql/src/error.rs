//! DataFusion's errors as ours: a kind, an SQLSTATE, a place in the text.
//!
//! DataFusion has few kinds and says most in words. What PostgreSQL has a code for and clients act upon (a missing
//! table or column, a wrong type, overflow, division by zero, memory, cancellation) is told apart here, in one
//! table, which a test holds against the words of the pinned version.

use aion_base::{Error, ErrorKind, SqlState};
use aion_catalog::SqlType;
use aion_catalog::enumeration::EnumType;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError, Span};

use crate::parse;

/// Translates an error met while planning or running `text`.
pub fn translate(error: DataFusionError, text: &str) -> Error {
    let place = find_span(&error).and_then(|span| parse::position(text, span.start.line, span.start.column));
    let translated = plain(error, text);
    match place {
        Some(position) if translated.position().is_none() => translated.with_position(position),
        _ => translated,
    }
}

/// Wraps an error of ours, so that it travels through DataFusion and comes out unchanged.
pub fn wrap(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn find_span(error: &DataFusionError) -> Option<Span> {
    match error {
        DataFusionError::Diagnostic(diagnostic, inner) => diagnostic.span.or_else(|| find_span(inner)),
        DataFusionError::Context(_, inner) => find_span(inner),
        DataFusionError::Shared(inner) => find_span(inner),
        DataFusionError::Collection(errors) => errors.first().and_then(find_span),
        _ => None,
    }
}

/// The name without a qualifier that is no column, where that is what is wrong.
pub fn missing_column(error: &DataFusionError) -> Option<String> {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => missing_column(inner),
        DataFusionError::Shared(inner) => missing_column(inner),
        DataFusionError::Collection(errors) => missing_column(errors.first()?),
        DataFusionError::SchemaError(inner, _) => match &**inner {
            SchemaError::FieldNotFound { field, .. } if field.relation.is_none() => Some(field.name.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn plain(error: DataFusionError, text: &str) -> Error {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => plain(*inner, text),
        DataFusionError::Collection(mut errors) if !errors.is_empty() => plain(errors.swap_remove(0), text),
        DataFusionError::Shared(inner) => match std::sync::Arc::try_unwrap(inner) {
            Ok(inner) => plain(inner, text),
            Err(shared) => shared_error(&shared),
        },
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => match other.downcast::<DataFusionError>() {
                Ok(inner) => plain(*inner, text),
                Err(other) => Error::internal(other.to_string()),
            },
        },
        DataFusionError::ArrowError(inner, _) => arrow(*inner, text),
        DataFusionError::SQL(inner, _) => parse::syntax_error(*inner, text),
        DataFusionError::SchemaError(inner, _) => schema(&inner),
        DataFusionError::NotImplemented(message) => Error::unsupported(first_line(&message)),
        DataFusionError::ResourcesExhausted(message) => Error::exhausted(
            SqlState::OUT_OF_MEMORY,
            format!("the query needs more memory than it may use: {}", first_line(&message)),
        )
        .with_hint("Start the server with more --memory, or let the query read less."),
        DataFusionError::Plan(message) => planning(&message),
        DataFusionError::Execution(message) => running(&message),
        DataFusionError::Configuration(message) => {
            Error::invalid(SqlState::INVALID_PARAMETER_VALUE, first_line(&message))
        }
        DataFusionError::IoError(error) => Error::io("read or write", error),
        other => beyond(&other.to_string()),
    }
}

/// Where constants are computed while a query is planned, what Arrow said comes as text.
fn beyond(message: &str) -> Error {
    if message.contains("Arithmetic overflow") {
        return overflow();
    }
    if message.contains("Divide by zero") {
        return division_by_zero();
    }
    if let Some((_, said)) = message.split_once("Cast error: ") {
        return arrow(ArrowError::CastError(said.to_owned()), "");
    }
    Error::internal(first_line(message))
}

fn shared_error(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => Error::new(ours.kind(), ours.state(), ours.message()),
            None => Error::internal(inner.to_string()),
        },
        DataFusionError::Execution(message) => running(message),
        DataFusionError::Plan(message) => planning(message),
        DataFusionError::ResourcesExhausted(message) => Error::exhausted(SqlState::OUT_OF_MEMORY, first_line(message)),
        other => beyond(&other.to_string()),
    }
}

fn schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let error = Error::not_found(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", field.flat_name()),
            )
            .with_column(field.name.clone());
            let names: Vec<_> = valid_fields
                .iter()
                .take(12)
                .map(|column| column.name.as_str())
                .collect();
            if names.is_empty() {
                error
            } else {
                error.with_hint(format!("There are: {}.", names.join(", ")))
            }
        }
        SchemaError::AmbiguousReference { field } => Error::invalid(
            SqlState::AMBIGUOUS_COLUMN,
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            Error::invalid(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" appears more than once"),
            )
            .with_hint("Give one of them another name with AS.")
        }
    }
}

fn planning(message: &str) -> Error {
    let line = first_line(message);
    if let Some(error) = no_function_of_enum(&line) {
        return error;
    }
    if let Some(error) = missing_operator(&line) {
        return error;
    }
    if let Some(error) = not_grouped(&line) {
        return error;
    }
    let lower = line.to_lowercase();
    let state = if lower.contains("table") && lower.contains("not found") {
        SqlState::UNDEFINED_TABLE
    } else if lower.contains("invalid function")
        || lower.contains("no function matches")
        || lower.contains("failed to match any signature")
        || (lower.starts_with("function '") && lower.contains(", but received"))
        || lower.starts_with("unary operator")
        || lower.contains("find compatible types to compare")
    {
        SqlState::UNDEFINED_FUNCTION
    } else if lower.contains("must appear in the group by") || lower.contains("must be in the group by") {
        SqlState::GROUPING_ERROR
    } else if lower.contains("placeholder") {
        SqlState::INDETERMINATE_DATATYPE
    } else if lower.contains("cannot coerce")
        || lower.contains("cannot infer common")
        || lower.contains("incompatible")
        || lower.contains("coercion")
        || lower.contains("data type")
        || lower.contains("cannot cast")
        || lower.contains("cannot automatically convert")
    {
        SqlState::DATATYPE_MISMATCH
    } else {
        SqlState::SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION
    };
    let kind = if state == SqlState::UNDEFINED_TABLE {
        ErrorKind::NotFound
    } else {
        ErrorKind::Invalid
    };
    Error::new(kind, state, line)
}

/// 42883 for an enum that is given to a function which takes none; None where it is not that.
fn no_function_of_enum(line: &str) -> Option<Error> {
    const FRONT: &str = "Timestamp(ns, \"";
    let (_, rest) = line.split_once(FRONT)?;
    let (zone, _) = rest.split_once("\")")?;
    let of = EnumType::of_zone(zone)?;
    let (_, rest) = line.split_once("unction '")?;
    let (name, _) = rest.split_once('\'')?;
    let shown = line
        .split_once("argument types '")
        .and_then(|(_, rest)| rest.split_once('\''));
    let call = match shown {
        Some((call, _)) => call.replace(&format!("{FRONT}{zone}\")"), of.shown()),
        None => format!("{name}({of})"),
    };
    let message = format!("function {call} does not exist");
    Some(
        Error::not_found(SqlState::UNDEFINED_FUNCTION, message).with_hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        ),
    )
}

fn division_by_zero() -> Error {
    Error::invalid(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// PostgreSQL's words for a column that is the same for no group.
fn not_grouped(line: &str) -> Option<Error> {
    let (before, _) =
        line.split_once("\" must appear in the GROUP BY clause or must be part of an aggregate function")?;
    let (_, column) = before.split_once("column \"")?;
    // What is no column is said as it is.
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$');
    if !column.chars().all(is_name) {
        return None;
    }
    let message = format!("column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function");
    Some(Error::invalid(SqlState::GROUPING_ERROR, message))
}

/// Operands that no operator takes, as PostgreSQL tells of them.
fn missing_operator(line: &str) -> Option<Error> {
    let expression = [
        "Cannot infer common argument type for comparison operation ",
        "Cannot coerce arithmetic expression ",
    ]
    .iter()
    .find_map(|start| line.strip_prefix(start))?;
    let expression = expression.strip_suffix(" to valid types").unwrap_or(expression);
    let mut words = expression.split(' ');
    let (left, operator, right) = (words.next()?, words.next()?, words.next()?);
    let named = |word: &str| {
        let data_type: DataType = word.parse().ok()?;
        SqlType::from_arrow(&data_type)
            .ok()
            .map(|sql_type| sql_type.base_name())
    };
    let message = match (named(left), named(right), words.next()) {
        (Some(left), Some(right), None) => format!("operator does not exist: {left} {operator} {right}"),
        _ => line.to_owned(),
    };
    let error = Error::invalid(SqlState::UNDEFINED_FUNCTION, message);
    Some(
        error.with_hint(
            "No operator matches the given name and argument types. You might need to add explicit type casts.",
        ),
    )
}

fn running(message: &str) -> Error {
    let line = first_line(message);
    let lower = line.to_lowercase();
    if lower.contains("overflow") {
        return overflow();
    }
    if lower.contains("divide by zero") || lower.contains("division by zero") {
        return division_by_zero();
    }
    if lower.contains("more than one row") {
        return Error::invalid(
            SqlState::CARDINALITY_VIOLATION,
            "more than one row returned by a subquery used as an expression",
        );
    }
    Error::invalid(SqlState::DATA_EXCEPTION, line)
}

fn arrow(error: ArrowError, text: &str) -> Error {
    match error {
        ArrowError::DivideByZero => Error::invalid(SqlState::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(_) => overflow(),
        // As a precision is told: `12345 is too large to store in a Decimal128 of precision 4. Max is 9999`.
        ArrowError::InvalidArgumentError(message) if message.contains(" to store in a Decimal") => numeric_overflow(),
        ArrowError::CastError(message) | ArrowError::ParseError(message) => {
            if let Some(error) = cast(&message) {
                return error;
            }
            let lower = message.to_lowercase();
            let state =
                if lower.contains("overflow") || lower.contains("out of range") || lower.contains("can't cast value") {
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE
                } else {
                    SqlState::INVALID_TEXT_REPRESENTATION
                };
            Error::invalid(state, first_line(&message))
        }
        ArrowError::ComputeError(message) => running(&message),
        ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(inner) => plain(*inner, text),
                Err(inner) => Error::internal(inner.to_string()),
            },
        },
        other => Error::internal(first_line(&other.to_string())),
    }
}

/// What a cast that failed says, in PostgreSQL's words; None for words of Arrow's that are others.
fn cast(message: &str) -> Option<Error> {
    let text = ["Cannot cast string '", "Cannot cast value '"]
        .iter()
        .find_map(|front| message.strip_prefix(front));
    if let Some((value, rest)) = text.and_then(|rest| rest.rsplit_once("' to value of ")) {
        let target = type_name(rest.strip_suffix(" type")?)?;
        return Some(unread(value, target));
    }
    if let Some(rest) = message.strip_prefix("Can't cast value ") {
        return Some(out_of_range(type_name(rest.rsplit_once(" to type ")?.1)?));
    }
    if let Some(rest) = message.strip_prefix("value of ") {
        return Some(out_of_range(type_name(rest.rsplit_once(" is out of range ")?.1)?));
    }
    let is_numeric = message.starts_with("Cannot cast to Decimal") && message.to_lowercase().contains("overflow");
    is_numeric.then(numeric_overflow)
}

/// A text that is no value of a type, or one beyond its range.
fn unread(value: &str, target: &str) -> Error {
    let trimmed = value.trim();
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit()) && digits.parse::<f64>().is_ok();
    match target {
        "numeric" if is_number => numeric_overflow(),
        "smallint" | "integer" | "bigint" if is_integer => Error::invalid(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{value}\" is out of range for type {target}"),
        ),
        _ => Error::invalid(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {target}: \"{value}\""),
        ),
    }
}

/// PostgreSQL's name of a type that Arrow names, of those that numbers and booleans have.
fn type_name(arrow: &str) -> Option<&'static str> {
    Some(match arrow {
        "Boolean" => "boolean",
        "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        "Float32" => "real",
        "Float64" => "double precision",
        decimal if decimal.starts_with("Decimal") => "numeric",
        _ => return None,
    })
}

fn out_of_range(target: &str) -> Error {
    Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{target} out of range"))
}

fn numeric_overflow() -> Error {
    Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
}

fn overflow() -> Error {
    Error::invalid(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "a value is out of the range of its type",
    )
}

/// DataFusion adds a stack trace or advice to some messages.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_fail_in_the_words_of_postgresql() {
        for (arrow, code, message) in [
            (
                "Cannot cast string 'x' to value of Int32 type",
                "22P02",
                "invalid input syntax for type integer: \"x\"",
            ),
            (
                "Cannot cast string 'it's\nx' to value of Float64 type",
                "22P02",
                "invalid input syntax for type double precision: \"it's\nx\"",
            ),
            (
                "Cannot cast string '-99999' to value of Int16 type",
                "22003",
                "value \"-99999\" is out of range for type smallint",
            ),
            (
                "Cannot cast value 'maybe' to value of Boolean type",
                "22P02",
                "invalid input syntax for type boolean: \"maybe\"",
            ),
            (
                "Cannot cast string '' to value of Decimal128(38, 10) type",
                "22P02",
                "invalid input syntax for type numeric: \"\"",
            ),
            (
                "Can't cast value 5000000000 to type Int32",
                "22003",
                "integer out of range",
            ),
            ("value of 40000 is out of range Int16", "22003", "smallint out of range"),
            (
                "Cannot cast to Decimal128(4, 2). Overflowing on 12345",
                "22003",
                "numeric field overflow",
            ),
        ] {
            let error = super::arrow(ArrowError::CastError(arrow.to_owned()), "");
            assert_eq!((error.state().as_str(), error.message()), (code, message), "{arrow}");
        }
    }
}
