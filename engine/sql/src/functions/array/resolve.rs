//! The types that arguments are computed with.
//!
//! An array and what is put into it, or looked for in it, get one type (PostgreSQL's `anycompatible`): numbers the wider one, text the
//! longest kind. A literal, a parameter and NULL take the type that they are wanted in; an integer literal is an integer where it fits one.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::types::ElementType;
use aion_catalog::{SqlType, Value};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};

use super::call::{Comparison, Kind, missing};
use crate::error::wrap;
use crate::session::scalar;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// A literal in quotes, a parameter or NULL: it takes a type.
    Open,
    Typed(SqlType),
    /// Of a type that there is none for here.
    Other,
}

impl Arg {
    /// What an expression over columns of a schema is.
    pub fn of(expr: &Expr, schema: &DFSchema) -> Self {
        match expr {
            Expr::Literal(ScalarValue::Utf8(_), metadata) if metadata.is_none() => return Self::Open,
            Expr::Literal(value, _) if value.data_type() == DataType::Null => return Self::Open,
            Expr::Literal(ScalarValue::Int64(Some(number)), _) if i32::try_from(*number).is_ok() => {
                return Self::Typed(SqlType::Integer);
            }
            Expr::Placeholder(Placeholder { field: None, .. }) => return Self::Open,
            Expr::Alias(alias) => return Self::of(&alias.expr, schema),
            Expr::Negative(inner) => return Self::of(inner, schema),
            _ => {}
        }
        match expr.to_field(schema).map(|(_, field)| SqlType::from_field(&field)) {
            Ok(Ok(sql_type)) => Self::Typed(sql_type),
            _ => Self::Other,
        }
    }

    /// The type of its elements, of an array.
    pub fn element(self) -> Option<SqlType> {
        match self {
            Self::Typed(sql_type) => sql_type.element(),
            _ => None,
        }
    }

    /// Its name in a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open | Self::Other => "unknown",
            Self::Typed(sql_type) => sql_type.base_name(),
        }
    }
}

/// The type that values of both are computed with; None where there is none.
pub fn common(one: SqlType, other: SqlType) -> Option<SqlType> {
    use SqlType as S;
    let rank = |sql_type| match sql_type {
        S::SmallInt => Some(0),
        S::Integer => Some(1),
        S::BigInt => Some(2),
        S::Numeric { .. } => Some(3),
        S::Real => Some(4),
        S::Double => Some(5),
        _ => None,
    };
    if one == other {
        return Some(one);
    }
    if let (Some(of_one), Some(of_other)) = (rank(one), rank(other)) {
        let (less, more) = if of_one < of_other { (one, other) } else { (other, one) };
        return Some(match (less, more) {
            (S::Numeric { scale, .. }, S::Numeric { scale: other, .. }) => S::Numeric {
                precision: None,
                scale: scale.max(other),
            },
            (S::SmallInt | S::Integer | S::BigInt, S::Numeric { scale, .. }) => S::Numeric { precision: None, scale },
            // Neither holds the other's values.
            (_, S::Real) => S::Double,
            (_, more) => more,
        });
    }
    let is_text = |sql_type| matches!(sql_type, S::Text | S::Varchar(_) | S::Char(_));
    Some(match (one, other) {
        (S::Varchar(_), S::Varchar(_)) => S::Varchar(None),
        (one, other) if is_text(one) && is_text(other) => S::Text,
        (S::Time(_), S::Time(_)) => S::TIME,
        (S::Date | S::Timestamp(_), S::Timestamp(_)) | (S::Timestamp(_), S::Date) => S::TIMESTAMP,
        (S::Date | S::Timestamp(_) | S::TimestampTz(_), S::TimestampTz(_))
        | (S::TimestampTz(_), S::Date | S::Timestamp(_)) => S::TIMESTAMPTZ,
        (S::Array(one), S::Array(other)) => return common(one.sql_type(), other.sql_type())?.array(),
        _ => return None,
    })
}

/// An argument in a type.
///
/// # Errors
/// Those of the type's input, for a literal that is none.
pub fn in_type(expr: Expr, sql_type: SqlType, schema: &DFSchema) -> Result<Expr> {
    let wanted = sql_type.to_arrow();
    Ok(match expr {
        Expr::Alias(alias) => return in_type(*alias.expr, sql_type, schema),
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field: FieldRef = Arc::new(sql_type.to_field("", true));
            Expr::Placeholder(Placeholder { id, field: Some(field) })
        }
        Expr::Literal(value, _) if value.data_type() == DataType::Null => {
            Expr::Literal(scalar(&sql_type, &Value::Null).map_err(wrap)?, None)
        }
        // What a moment is depends on the session's zone, which the analyzer's rules know.
        Expr::Literal(ScalarValue::Utf8(Some(text)), None)
            if !matches!(
                sql_type,
                SqlType::TimestampTz(_) | SqlType::Array(ElementType::TimestampTz(_))
            ) =>
        {
            let value = Value::text_in(&sql_type, &text).map_err(wrap)?;
            Expr::Literal(scalar(&sql_type, &value).map_err(wrap)?, None)
        }
        Expr::Literal(value @ ScalarValue::Int64(Some(_)), None)
            if matches!(sql_type, SqlType::SmallInt | SqlType::Integer | SqlType::Numeric { .. }) =>
        {
            Expr::Literal(value.cast_to(&wanted)?, None)
        }
        expr if expr.get_type(schema).is_ok_and(|found| found == wanted) => expr,
        expr => cast(expr, wanted),
    })
}

/// A call whose arguments have their types.
pub fn settled(kind: Kind, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = expr else {
        return Ok(Transformed::no(expr));
    };
    let sides: Vec<Arg> = call.args.iter().map(|arg| Arg::of(arg, schema)).collect();
    // The vectors of the catalog say in their metadata where they begin.
    let is_marked = call.args.first().is_some_and(|arg| {
        let field = arg.to_field(schema).map(|(_, field)| field);
        field.is_ok_and(|field| field.metadata().values().any(|mark| mark.ends_with("vector")))
    });
    let types = types(kind, &sides)?;
    let args = call
        .args
        .into_iter()
        .zip(types)
        .enumerate()
        .map(|(at, (arg, sql_type))| match sql_type {
            Some(_) if at == 0 && is_marked => Ok(arg),
            Some(sql_type) => in_type(arg, sql_type, schema),
            None => Ok(arg),
        });
    Ok(Transformed::yes(kind.call(args.collect::<Result<_>>()?)))
}

fn types(kind: Kind, sides: &[Arg]) -> Result<Vec<Option<SqlType>>> {
    let refused = || {
        let types: Vec<SqlType> = sides
            .iter()
            .map(|side| match side {
                Arg::Typed(sql_type) => *sql_type,
                _ => SqlType::Text,
            })
            .collect();
        missing(kind, &types)
    };
    if !kind.arity().contains(&sides.len()) {
        return Err(refused());
    }
    let integer = Some(SqlType::Integer);
    let array_of = |element: SqlType| element.array().ok_or_else(refused);
    // Of an open array the element tells the type, and text where that is open, too.
    let array = sides[kind.array_argument()];
    let element = match array {
        Arg::Typed(sql_type) => sql_type.element(),
        Arg::Open => None,
        Arg::Other => return Err(refused()),
    };
    let is_array = element.is_some() || array == Arg::Open;
    let together = |others: &[Arg]| -> Result<SqlType> {
        let mut one = element;
        for other in others {
            one = match (one, other) {
                (one, Arg::Open) => one,
                (None, Arg::Typed(sql_type)) => Some(*sql_type),
                (Some(one), Arg::Typed(sql_type)) => Some(common(one, *sql_type).ok_or_else(refused)?),
                (_, Arg::Other) => return Err(refused()),
            };
        }
        Ok(one.unwrap_or(SqlType::Text))
    };
    if !is_array && !matches!(kind, Kind::OfString | Kind::Fill | Kind::Any(_) | Kind::All(_)) {
        return Err(refused());
    }
    Ok(match kind {
        Kind::Append | Kind::Prepend | Kind::Remove | Kind::Replace | Kind::Position | Kind::Positions => {
            let others: Vec<Arg> = match kind {
                Kind::Prepend => vec![sides[0]],
                Kind::Replace => sides[1..].to_vec(),
                _ => vec![sides[1]],
            };
            let one = together(&others)?;
            let list = Some(array_of(one)?);
            match kind {
                Kind::Prepend => vec![Some(one), list],
                Kind::Replace => vec![list, Some(one), Some(one)],
                _ => vec![list, Some(one), integer][..sides.len()].to_vec(),
            }
        }
        Kind::Cat | Kind::Contains | Kind::Contained | Kind::Overlap => {
            let one = match (sides[0], sides[1]) {
                (Arg::Typed(one), Arg::Typed(other)) => common(one, other).ok_or_else(refused)?,
                (Arg::Typed(one), Arg::Open) | (Arg::Open, Arg::Typed(one)) => one,
                (Arg::Open, Arg::Open) => SqlType::Array(ElementType::Text),
                _ => return Err(refused()),
            };
            if one.element().is_none() {
                return Err(refused());
            }
            vec![Some(one); 2]
        }
        Kind::Length | Kind::Upper | Kind::Lower | Kind::Get | Kind::Trim => {
            vec![Some(array_of(together(&[])?)?), integer]
        }
        Kind::Slice => vec![Some(array_of(together(&[])?)?), integer, integer],
        Kind::Ndims | Kind::Dims | Kind::Cardinality => vec![Some(array_of(together(&[])?)?)],
        Kind::ToString => {
            let text = Some(SqlType::Text);
            vec![Some(array_of(together(&[])?)?), text, text][..sides.len()].to_vec()
        }
        Kind::OfString => vec![Some(SqlType::Text); sides.len()],
        Kind::Fill => {
            let element = match sides[0] {
                Arg::Typed(sql_type) => sql_type,
                _ => return Err(refused()),
            };
            let integers = Some(SqlType::Array(ElementType::Integer));
            vec![Some(element), integers, integers][..sides.len()].to_vec()
        }
        Kind::Any(comparison) | Kind::All(comparison) => {
            if !is_array {
                return Err(wrap(Error::invalid(
                    SqlState::WRONG_OBJECT_TYPE,
                    "op ANY/ALL (array) requires array on right side",
                )));
            }
            let one = match (element, sides[0]) {
                (None, Arg::Typed(sql_type)) => sql_type,
                (Some(element), Arg::Open) => element,
                (Some(element), Arg::Typed(sql_type)) => match common(element, sql_type) {
                    Some(one) => one,
                    None => return Err(no_operator(symbol(comparison), sides[0].name(), element.base_name())),
                },
                (None, Arg::Open) => SqlType::Text,
                (_, Arg::Other) => return Err(refused()),
            };
            vec![Some(one), Some(array_of(one)?)]
        }
    })
}

fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => "=",
        Comparison::NotEq => "<>",
        Comparison::Lt => "<",
        Comparison::LtEq => "<=",
        Comparison::Gt => ">",
        Comparison::GtEq => ">=",
    }
}

/// 42883 for an operator between these.
pub fn no_operator(op: &str, left: &str, right: &str) -> DataFusionError {
    let message = format!("operator does not exist: {left} {op} {right}");
    wrap(
        Error::not_found(SqlState::UNDEFINED_FUNCTION, message).with_hint(
            "No operator matches the given name and argument types. You might need to add explicit type casts.",
        ),
    )
}
