//! Where a direct statement's values come from.

use aion_base::key::{ColumnOrder, KeyWriter};
use aion_catalog::types::ElementType;
use aion_catalog::{SqlType, Value};
use datafusion::sql::sqlparser::ast;

use crate::planner;

/// A parameter, by its position from 0, or a literal.
#[derive(Clone, Debug)]
pub enum Source {
    Parameter(usize),
    Literal(Value),
    /// When the transaction began.
    Now,
}

impl Source {
    /// The source that an expression is, for a column of this type; None where it is more than one.
    pub fn compile(expr: &ast::Expr, sql_type: SqlType, parameters: &mut Parameters<'_>) -> Option<Self> {
        match expr {
            ast::Expr::Nested(inner) => Self::compile(inner, sql_type, parameters),
            // Drivers write the type of an array beside its parameter.
            ast::Expr::Cast {
                kind: ast::CastKind::Cast | ast::CastKind::DoubleColon,
                expr: inner,
                data_type,
                array: false,
                format: None,
            } if matches!(sql_type, SqlType::Array(_)) && planner::sql_type(data_type).ok()? == sql_type => {
                Self::compile(inner, sql_type, parameters)
            }
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Placeholder(name) => parameters.take(name, sql_type).map(Self::Parameter),
                other => literal(other, false, sql_type).map(Self::Literal),
            },
            ast::Expr::UnaryOp {
                op: ast::UnaryOperator::Minus,
                expr,
            } => match &**expr {
                ast::Expr::Value(value) => literal(&value.value, true, sql_type).map(Self::Literal),
                _ => None,
            },
            _ => None,
        }
    }

    /// Its value in this execution.
    pub fn value<'a>(&'a self, values: &'a [Value]) -> Option<&'a Value> {
        match self {
            Self::Parameter(at) => values.get(*at),
            Self::Literal(value) => Some(value),
            Self::Now => None,
        }
    }
}

/// A literal as a value, where comparing it with a column of the type, or storing it there, takes no cast but of an integer's
/// width. NULL is none.
fn literal(value: &ast::Value, is_negative: bool, sql_type: SqlType) -> Option<Value> {
    match (value, sql_type) {
        (ast::Value::Number(digits, false), _) if is_integer(sql_type) => {
            let number: i64 = digits.parse().ok()?;
            Some(Value::I64(if is_negative { -number } else { number }))
        }
        (ast::Value::SingleQuotedString(text), SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_))
            if !is_negative =>
        {
            Some(Value::Text(text.clone()))
        }
        (
            ast::Value::SingleQuotedString(text),
            SqlType::Array(
                ElementType::SmallInt
                | ElementType::Integer
                | ElementType::BigInt
                | ElementType::Text
                | ElementType::Uuid
                | ElementType::Enum(_),
            )
            | SqlType::Enum(_),
        ) if !is_negative => Value::text_in(&sql_type, text).ok(),
        (ast::Value::Boolean(value), SqlType::Boolean) if !is_negative => Some(Value::Bool(*value)),
        _ => None,
    }
}

/// Whether both are the enum of one OID.
fn are_states_of_one(one: SqlType, other: SqlType) -> bool {
    one.made().is_some() && other.made().is_some() && one.oid() == other.oid()
}

/// Whether keys of integers are found by its elements.
fn is_integer_array(sql_type: SqlType) -> bool {
    sql_type.element().is_some_and(is_integer)
}

pub fn is_integer(sql_type: SqlType) -> bool {
    matches!(sql_type, SqlType::SmallInt | SqlType::Integer | SqlType::BigInt)
}

/// The parameters that a statement was seen to have.
pub struct Parameters<'a> {
    given: &'a [Option<SqlType>],
    found: Vec<Option<SqlType>>,
}

impl<'a> Parameters<'a> {
    pub fn new(given: &'a [Option<SqlType>]) -> Self {
        Self {
            given,
            found: Vec::new(),
        }
    }

    /// Notes that a parameter meets a column of this type, and gives its position.
    ///
    /// None for one that was met before: what the types of both columns together mean is the planner's to say.
    fn take(&mut self, name: &str, sql_type: SqlType) -> Option<usize> {
        let digits = name.strip_prefix('$').filter(|digits| !digits.starts_with('0'))?;
        let number: usize = digits.parse().ok()?;
        let at = number.checked_sub(1).filter(|&at| at < usize::from(u16::MAX))?;
        let taken = match self.given.get(at).copied().flatten() {
            // What is compared with a time is not rounded.
            None => sql_type.with_all_digits(),
            Some(given) if given.with_all_digits() == sql_type.with_all_digits() => given,
            // The type has labels since that it had not: values mean what they meant.
            Some(given) if are_states_of_one(given, sql_type) => given,
            Some(given) if is_integer(given) && is_integer(sql_type) => given,
            Some(given @ (SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_)))
                if matches!(sql_type, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_)) =>
            {
                given
            }
            Some(given) if is_integer_array(given) && is_integer_array(sql_type) => given,
            Some(_) => return None,
        };
        if self.found.len() <= at {
            self.found.resize(at + 1, None);
        }
        match self.found[at].replace(taken) {
            None => Some(at),
            Some(_) => None,
        }
    }

    /// The types of all; None where one is never met.
    pub fn finish(self) -> Option<Vec<SqlType>> {
        let types: Vec<_> = self.found.into_iter().collect::<Option<_>>()?;
        (self.given.len() <= types.len()).then_some(types)
    }
}

/// How a value goes into a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It was written.
    Written,
    /// No row has it: NULL, which equals nothing, or an integer beyond the column's.
    Nowhere,
    /// The planner has to say.
    Unfit,
}

/// Whether columns of the type are looked up here. Zeroes and NaN of floats are the planner's.
pub fn is_key_type(sql_type: SqlType) -> bool {
    sql_type.is_ordered() && !matches!(sql_type, SqlType::Real | SqlType::Double)
}

/// Appends a value as a column of a key.
pub fn write_key(value: &Value, sql_type: SqlType, out: &mut Vec<u8>) -> Fit {
    let order = ColumnOrder::ASC;
    let mut writer = KeyWriter::new(out);
    if let Some(value) = integer(value) {
        match sql_type {
            SqlType::SmallInt => match i16::try_from(value) {
                Ok(value) => writer.i16(value, order),
                Err(_) => return Fit::Nowhere,
            },
            SqlType::Integer => match i32::try_from(value) {
                Ok(value) => writer.i32(value, order),
                Err(_) => return Fit::Nowhere,
            },
            SqlType::BigInt => writer.i64(value, order),
            _ => return Fit::Unfit,
        };
        return Fit::Written;
    }
    match (value, sql_type) {
        (Value::Null, _) => return Fit::Nowhere,
        (Value::Bool(value), SqlType::Boolean) => writer.bool(*value, order),
        (Value::Decimal(value, scale), SqlType::Numeric { scale: column, .. }) if *scale == column => {
            writer.i128(*value, order)
        }
        (Value::Text(value), SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_)) => writer.text(value, order),
        (Value::Bytes(value), SqlType::Bytea) => writer.bytes(value, order),
        (Value::Date(value), SqlType::Date) => writer.i32(*value, order),
        (Value::Time(value), SqlType::Time(_))
        | (Value::Timestamp(value), SqlType::Timestamp(_) | SqlType::TimestampTz(_)) => writer.i64(*value, order),
        (Value::Jsonb(value), SqlType::Jsonb) => writer.bytes(&value.as_ref().to_key(), order),
        (Value::Interval(value), SqlType::Interval) => writer.i128(value.length(), order),
        (Value::Enum(value), SqlType::Enum(_)) => writer.i64(*value, order),
        (Value::Uuid(value), SqlType::Uuid) => writer.uuid(value, order),
        _ => return Fit::Unfit,
    };
    Fit::Written
}

/// The value of an integer of any width.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::I16(value) => Some((*value).into()),
        Value::I32(value) => Some((*value).into()),
        Value::I64(value) => Some(*value),
        _ => None,
    }
}
