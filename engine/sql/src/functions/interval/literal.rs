//! Literals of intervals, as DataFusion reads them.
//!
//! `INTERVAL '1 day'`, `'1 day'::interval` and `INTERVAL '1' DAY` become a literal in a form that DataFusion reads exactly. The fields behind a
//! literal say what a number without a unit is, and cut off what is smaller.

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::interval::Interval;
use aion_catalog::text;
use datafusion::sql::sqlparser::ast::{self, DateTimeField as Field};

use crate::parse;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// Digits of a second that are kept.
const PRECISION_MAX: u64 = 6;

/// An expression in the place of one of intervals that DataFusion would read otherwise; None where it stays.
///
/// # Errors
/// 22007 and its like for a text that is no interval; 42601 for fields that do not follow each other; 42883 for arguments of `make_interval`
/// that it does not have.
pub fn settle(expr: &ast::Expr) -> Result<Option<ast::Expr>> {
    match expr {
        ast::Expr::Interval(interval) => match text_of(&interval.value) {
            Some(text) => read(text, interval).map(|read| Some(written(read))),
            // A parameter.
            None if interval.leading_field.is_none() => Ok(Some(ast::Expr::Cast {
                kind: ast::CastKind::Cast,
                expr: interval.value.clone(),
                data_type: ast::DataType::Interval {
                    fields: None,
                    precision: None,
                },
                array: false,
                format: None,
            })),
            None => Ok(None),
        },
        ast::Expr::Cast {
            expr: inner,
            data_type,
            array: false,
            ..
        } if crate::planner::sql_type(data_type).is_ok_and(|sql_type| sql_type == SqlType::Interval) => {
            match text_of(inner) {
                Some(text) => Ok(Some(written(text::parse_interval(text)?.in_nanos_range()?))),
                None => Ok(None),
            }
        }
        // DataFusion would write the sign before the text.
        ast::Expr::UnaryOp {
            op: op @ ast::UnaryOperator::Minus,
            expr,
        } if matches!(**expr, ast::Expr::Interval(_)) => Ok(Some(ast::Expr::UnaryOp {
            op: *op,
            expr: Box::new(ast::Expr::Nested(expr.clone())),
        })),
        ast::Expr::Function(function) => called(function),
        _ => Ok(None),
    }
}

/// The text of a literal's value, in the form of its output; None where it is no literal.
pub fn written_interval(literal: &ast::Interval) -> Option<String> {
    let interval = read(text_of(&literal.value)?, literal).ok()?;
    let mut written = String::new();
    text::write_interval(interval, &mut written);
    Some(written)
}

fn text_of(expr: &ast::Expr) -> Option<&str> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => Some(text),
            ast::Value::DollarQuotedString(text) => Some(&text.value),
            _ => None,
        },
        ast::Expr::Nested(inner) => text_of(inner),
        _ => None,
    }
}

/// The literal in the units that Arrow reads without rounding.
fn written(interval: Interval) -> ast::Expr {
    let Interval { months, days, micros } = interval;
    let text = format!("{months} months {days} days {micros} microseconds");
    ast::Expr::Interval(ast::Interval {
        value: Box::new(ast::Expr::value(ast::Value::SingleQuotedString(text))),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}

fn read(given: &str, literal: &ast::Interval) -> Result<Interval> {
    let Some(first) = &literal.leading_field else {
        return text::parse_interval(given)?.in_nanos_range();
    };
    let refused = || {
        let last = literal.last_field.as_ref().map(|last| format!(" to {last}"));
        let fields = format!("{first}{}", last.unwrap_or_default()).to_lowercase();
        let message = format!("an interval has no fields \"{fields}\"");
        Error::invalid(SqlState::SYNTAX_ERROR, message)
    };
    let first_rank = rank(first).ok_or_else(refused)?;
    let last_rank = match &literal.last_field {
        Some(last) => rank(last).ok_or_else(refused)?,
        None => first_rank,
    };
    // Years go with months, and the others among themselves.
    let is_range = first_rank < last_rank && (first_rank > 1 || last_rank == 1);
    if literal.last_field.is_some() && !is_range {
        return Err(refused());
    }
    let (before, last) = match given.trim().rsplit_once(char::is_whitespace) {
        Some((before, last)) => (before, last),
        None => ("", given.trim()),
    };
    let is_number = last.parse::<f64>().is_ok() && !last.ends_with(|last: char| last.is_ascii_alphabetic());
    let is_minutes = first_rank == 4 && last_rank == 5 && last.matches(':').count() == 1;
    let spelled = match UNITS.get(last_rank) {
        Some(unit) if is_number => format!("{given} {unit}"),
        _ if is_minutes && !last.starts_with(['+', '-']) => format!("{before} 00:{last}"),
        _ => given.to_owned(),
    };
    // The message shows what was written.
    let interval = text::parse_interval(&spelled).or_else(|_| text::parse_interval(given))?;
    let precision = literal.fractional_seconds_precision.or(match first {
        Field::Second | Field::Seconds => literal.leading_precision,
        _ => None,
    });
    rounded(cut(interval, last_rank), precision)?.in_nanos_range()
}

/// By rank.
const UNITS: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];

fn rank(field: &Field) -> Option<usize> {
    let name = field.to_string().to_lowercase();
    UNITS.iter().position(|unit| *unit == name)
}

/// Without what is smaller than a field.
fn cut(interval: Interval, rank: usize) -> Interval {
    let Interval { months, days, micros } = interval;
    let whole = |unit: i64| micros / (unit * MICROS_PER_SECOND) * (unit * MICROS_PER_SECOND);
    match rank {
        0 => Interval {
            months: months / 12 * 12,
            ..Interval::default()
        },
        1 => Interval {
            months,
            ..Interval::default()
        },
        2 => Interval {
            months,
            days,
            micros: 0,
        },
        3 => Interval {
            micros: whole(3_600),
            ..interval
        },
        4 => Interval {
            micros: whole(60),
            ..interval
        },
        _ => interval,
    }
}

/// With so many digits of a second.
fn rounded(interval: Interval, precision: Option<u64>) -> Result<Interval> {
    let Some(precision) = precision.filter(|digits| *digits < PRECISION_MAX) else {
        return Ok(interval);
    };
    let unit = 10i64.pow((PRECISION_MAX - precision) as u32);
    let half = if interval.micros < 0 { -unit / 2 } else { unit / 2 };
    let micros = interval.micros.checked_add(half).map(|micros| micros / unit * unit);
    match micros {
        Some(micros) => Ok(Interval { micros, ..interval }),
        None => interval.in_nanos_range(),
    }
}

fn called(function: &ast::Function) -> Result<Option<ast::Expr>> {
    let Some(name) = function.name.0.last().and_then(ast::ObjectNamePart::as_ident) else {
        return Ok(None);
    };
    let ast::FunctionArguments::List(list) = &function.args else {
        return Ok(None);
    };
    match crate::dml::normalize(name).as_str() {
        // Of one argument it is from the last midnight.
        "age" if list.args.len() == 1 => {
            let today = parse::parse_expression("current_date")?;
            let mut function = function.clone();
            if let ast::FunctionArguments::List(list) = &mut function.args {
                let today = ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(today));
                list.args.insert(0, today);
            }
            Ok(Some(ast::Expr::Function(function)))
        }
        "make_interval" => made(function, &list.args),
        _ => Ok(None),
    }
}

/// The arguments of `make_interval`, in order.
const PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

/// `make_interval` with all its arguments; those that are not given are zero.
fn made(function: &ast::Function, args: &[ast::FunctionArg]) -> Result<Option<ast::Expr>> {
    let unknown = || {
        Error::not_found(
            SqlState::UNDEFINED_FUNCTION,
            "function make_interval has no such arguments",
        )
    };
    let mut parts: Vec<Option<ast::Expr>> = vec![None; PARTS.len()];
    for (at, arg) in args.iter().enumerate() {
        let (at, expr) = match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => (at, expr),
            ast::FunctionArg::Named {
                name,
                arg: ast::FunctionArgExpr::Expr(expr),
                ..
            }
            | ast::FunctionArg::ExprNamed {
                name: ast::Expr::Identifier(name),
                arg: ast::FunctionArgExpr::Expr(expr),
                ..
            } => {
                let name = crate::dml::normalize(name);
                let at = PARTS.iter().position(|part| *part == name);
                (at.ok_or_else(unknown)?, expr)
            }
            _ => return Err(unknown()),
        };
        let part = parts.get_mut(at).filter(|part| part.is_none()).ok_or_else(unknown)?;
        *part = Some(expr.clone());
    }
    let zero = parse::parse_expression("0")?;
    let parts = parts.into_iter().map(|part| {
        let part = part.unwrap_or_else(|| zero.clone());
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(part))
    });
    let mut function = function.clone();
    if let ast::FunctionArguments::List(list) = &mut function.args {
        list.args = parts.collect();
    }
    Ok(Some(ast::Expr::Function(function)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(sql: &str) -> Result<String> {
        let expr = parse::parse_expression(sql)?;
        let Some(ast::Expr::Interval(interval)) = settle(&expr)? else {
            panic!("{sql} is no literal");
        };
        Ok(text_of(&interval.value).expect("a text").to_owned())
    }

    /// As PostgreSQL 15 reads them.
    #[test]
    fn fields_behind_a_literal() {
        for (sql, expected) in [
            ("INTERVAL '1 day'", "0 months 1 days 0 microseconds"),
            ("'-1 mon 2 us'::interval", "-1 months 0 days 2 microseconds"),
            ("INTERVAL '3' YEAR", "36 months 0 days 0 microseconds"),
            ("INTERVAL '3' MINUTE", "0 months 0 days 180000000 microseconds"),
            ("INTERVAL '1.5' DAY", "0 months 1 days 0 microseconds"),
            ("INTERVAL '1-2' YEAR TO MONTH", "14 months 0 days 0 microseconds"),
            (
                "INTERVAL '1 2:03:04' DAY TO MINUTE",
                "0 months 1 days 7380000000 microseconds",
            ),
            (
                "INTERVAL '2:03' MINUTE TO SECOND",
                "0 months 0 days 123000000 microseconds",
            ),
            ("INTERVAL '1.6' SECOND(0)", "0 months 0 days 2000000 microseconds"),
        ] {
            assert_eq!(literal(sql).expect(sql), expected, "{sql}");
        }
        assert_eq!(
            literal("INTERVAL '1' MONTH TO DAY")
                .expect_err("no range")
                .state()
                .as_str(),
            "42601"
        );
        assert_eq!(
            literal("INTERVAL 'x'").expect_err("no interval").state().as_str(),
            "22007"
        );
        assert_eq!(
            literal("INTERVAL '9999999 hours'")
                .expect_err("too long")
                .state()
                .as_str(),
            "22008"
        );
    }
}
