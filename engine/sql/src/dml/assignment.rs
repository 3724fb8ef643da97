//! What a column takes without being asked for a cast.
//!
//! PostgreSQL assigns numbers to numbers, dates and timestamps to each other, and all of them to text; a literal in quotes has the
//! column's type. DataFusion casts whatever Arrow can cast: true became the number 1, and a number a day. Left to it: what
//! comes as text, since it does not tell a literal from a column of text.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::ColumnDescriptor;
use aion_catalog::types::SECOND_DIGITS_MAX;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, cast};
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::at;
use crate::error::translate;
use crate::functions::is_open_expr;

/// Types that are assigned to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Boolean,
    Number,
    Moment,
    OfDay,
    Interval,
    Text,
    /// Uuids, vectors and their like.
    Other,
}

fn class(sql_type: SqlType) -> Class {
    match sql_type {
        SqlType::Boolean => Class::Boolean,
        SqlType::SmallInt
        | SqlType::Integer
        | SqlType::BigInt
        | SqlType::Real
        | SqlType::Double
        | SqlType::Numeric { .. } => Class::Number,
        SqlType::Date | SqlType::Timestamp(_) | SqlType::TimestampTz(_) => Class::Moment,
        SqlType::Interval => Class::Interval,
        SqlType::Time(_) => Class::OfDay,
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => Class::Text,
        _ => Class::Other,
    }
}

fn is_refused(from: Class, to: Class) -> bool {
    // A timestamp has a time, and a time is as long as an interval.
    let is_known = matches!(
        (from, to),
        (Class::Moment, Class::OfDay) | (Class::OfDay, Class::Interval) | (Class::Interval, Class::OfDay)
    );
    !is_known && from != to && from != Class::Text && from != Class::Other && to != Class::Text
}

fn mismatch(column: &str, to: SqlType, from: &str) -> Error {
    Error::invalid(
        SqlState::DATATYPE_MISMATCH,
        format!(
            "column \"{column}\" is of type {} but expression is of type {from}",
            to.base_name()
        ),
    )
    .with_hint("You will need to rewrite or cast the expression.")
}

/// Refuses a literal that its column does not take.
///
/// # Errors
/// 42804, with its place.
pub fn check_literal(expr: &ast::Expr, column: &ColumnDescriptor, text: &str) -> Result<()> {
    let literal = match expr {
        ast::Expr::UnaryOp {
            op: ast::UnaryOperator::Minus | ast::UnaryOperator::Plus,
            expr,
        } => expr,
        other => other,
    };
    let ast::Expr::Value(value) = literal else {
        return Ok(());
    };
    let (from, name) = match &value.value {
        ast::Value::Boolean(_) => (Class::Boolean, "boolean"),
        ast::Value::Number(number, _) if number.parse::<i32>().is_ok() => (Class::Number, "integer"),
        ast::Value::Number(number, _) if number.parse::<i64>().is_ok() => (Class::Number, "bigint"),
        ast::Value::Number(..) => (Class::Number, "numeric"),
        _ => return Ok(()),
    };
    match is_refused(from, class(column.sql_type)) {
        true => Err(at(mismatch(&column.name, column.sql_type, name), expr.span(), text)),
        false => Ok(()),
    }
}

/// The source of an INSERT with each column of the type that is stored: DataFusion leaves the cast out where the type was this one before
/// the branches of the query had theirs in common.
///
/// # Errors
/// Internal, when the plan cannot be put together again.
pub fn fitted(source: LogicalPlan, target: &Schema) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(projection) = source else {
        return Ok(source);
    };
    let types = target.fields().iter().map(|field| field.data_type());
    let fits = |(field, to): (&FieldRef, &DataType)| field.data_type() == to || field.data_type().is_null();
    // So that conditions, and RETURNING, see what is stored.
    let rounded: Vec<Option<FieldRef>> = target.fields().iter().map(rounded_field).collect();
    if rounded.iter().all(Option::is_none) && projection.schema.fields().iter().zip(types.clone()).all(fits) {
        return Ok(LogicalPlan::Projection(projection));
    }
    let fields = projection.schema.fields().iter();
    let exprs =
        projection.expr.iter().zip(fields).zip(types.zip(rounded)).map(
            |((expr, field), (to, rounded))| match rounded {
                Some(to) => Expr::Cast(Cast {
                    expr: Box::new(expr.clone().unalias()),
                    field: to,
                })
                .alias(field.name()),
                None if fits((field, to)) => expr.clone(),
                None => cast(expr.clone().unalias(), to.clone()).alias(field.name()),
            },
        );
    Projection::try_new(exprs.collect(), projection.input.clone())
        .map(LogicalPlan::Projection)
        .map_err(|error| translate(error, ""))
}

/// The field of a column that keeps less than all digits of a second.
fn rounded_field(field: &FieldRef) -> Option<FieldRef> {
    let sql_type = SqlType::from_field(field).ok()?;
    sql_type
        .second_digits()
        .filter(|&digits| digits < SECOND_DIGITS_MAX)
        .map(|_| Arc::new(sql_type.to_field("", true)))
}

/// Refuses what an INSERT selects into a column that does not take it. `source` casts each of its columns to the type that is stored.
///
/// # Errors
/// 42804.
pub fn check_source(source: &LogicalPlan) -> Result<()> {
    let LogicalPlan::Projection(projection) = source else {
        return Ok(());
    };
    for (expr, field) in projection.expr.iter().zip(projection.schema.fields()) {
        if let Ok(to) = SqlType::from_field(field) {
            check_cast(expr, &projection.input, field.name(), to)?;
            if matches!(to, SqlType::Enum(_)) {
                check_values(expr, &projection.input, field.name(), to)?;
            }
        }
    }
    Ok(())
}

/// Refuses what an UPDATE computes for a column that does not take it. The plan gives the key of a row, and the values of its columns.
///
/// # Errors
/// 42804.
pub fn check_update(plan: &LogicalPlan, columns: &[ColumnDescriptor]) -> Result<()> {
    let LogicalPlan::Projection(projection) = plan else {
        return Ok(());
    };
    for (expr, column) in projection.expr.iter().skip(1).zip(columns) {
        check_cast(expr, &projection.input, &column.name, column.sql_type)?;
    }
    Ok(())
}

/// As [`check_cast`], for an enum in the rows of VALUES, which are cast where they stand. What is a text there may be cast by the user.
fn check_values(expr: &Expr, input: &LogicalPlan, column: &str, to: SqlType) -> Result<()> {
    let (LogicalPlan::Values(values), Expr::Column(name)) = (input, expr.clone().unalias()) else {
        return Ok(());
    };
    let Some(at) = input.schema().maybe_index_of_column(&name) else {
        return Ok(());
    };
    for value in values.values.iter().filter_map(|row| row.get(at)) {
        if let Expr::Cast(Cast { expr: inner, .. }) = value
            && let Ok(found) = inner.get_type(&DFSchema::empty())
            && let Ok(from) = SqlType::from_arrow(&found)
            && class(from) != Class::Text
            && from != to
        {
            return Err(mismatch(column, to, from.base_name()));
        }
    }
    Ok(())
}

fn check_cast(expr: &Expr, input: &LogicalPlan, column: &str, to: SqlType) -> Result<()> {
    let Expr::Cast(Cast { expr: inner, .. }) = expr.clone().unalias() else {
        return Ok(());
    };
    let from = match inner.get_type(input.schema()) {
        Ok(DataType::Null) | Err(_) => return Ok(()),
        Ok(from) => SqlType::from_arrow(&from),
    };
    match from {
        Ok(from) if is_refused(class(from), class(to)) => Err(mismatch(column, to, from.base_name())),
        // A text is no label by itself.
        Ok(from) if to.made().is_some() && from != to && !is_open_expr(&inner, input) => {
            Err(mismatch(column, to, from.base_name()))
        }
        Ok(from) if matches!(from, SqlType::Enum(_)) && class(to) != Class::Text && from != to => {
            Err(mismatch(column, to, from.base_name()))
        }
        _ => Ok(()),
    }
}
