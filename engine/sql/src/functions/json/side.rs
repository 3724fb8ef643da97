//! What stands beside an operator or is given to a function: a document, something that takes its type, or a value of another type.

use aion_catalog::SqlType;
use aion_catalog::enumeration::EnumType;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::call::type_name;

/// See the module's header. Enums are told apart, too.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    Jsonb,
    Json,
    /// A literal, a parameter or NULL: it takes a type.
    Open,
    Integer(&'static str),
    Text(&'static str),
    List,
    Enum(EnumType),
    Other(String),
}

impl Side {
    /// What an expression over columns of a schema is.
    pub fn of(expr: &Expr, schema: &DFSchema) -> Side {
        match expr {
            Expr::Literal(ScalarValue::Utf8(_), metadata) if metadata.is_none() => return Side::Open,
            Expr::Literal(ScalarValue::Int64(Some(number)), _) if i32::try_from(*number).is_ok() => {
                return Side::Integer(SqlType::Integer.base_name());
            }
            Expr::Placeholder(Placeholder { field: None, .. }) => return Side::Open,
            // Of which nobody said more than that it comes as text.
            Expr::Placeholder(Placeholder { field: Some(field), .. })
                if SqlType::from_field(field).is_ok_and(|sql_type| sql_type == SqlType::Text) =>
            {
                return Side::Open;
            }
            Expr::Literal(value, _) if value.is_null() && value.data_type() == DataType::Null => return Side::Open,
            Expr::Alias(alias) => return Side::of(&alias.expr, schema),
            // The field of the expression would have the mark of the json that is cast.
            Expr::Cast(cast) if cast.field.data_type().is_string() => return Side::of_field(&cast.field),
            _ => {}
        }
        match expr.to_field(schema) {
            Ok((_, field)) => Side::of_field(&field),
            Err(_) => Side::Other("unknown".to_owned()),
        }
    }

    /// What has no expression but a field.
    pub fn of_field(field: &Field) -> Side {
        match (field.data_type(), SqlType::from_field(field)) {
            (_, Ok(SqlType::Jsonb)) => Side::Jsonb,
            (_, Ok(SqlType::Json)) => Side::Json,
            (DataType::Null, _) => Side::Open,
            (_, Ok(SqlType::Enum(of))) => Side::Enum(of),
            (_, Ok(text @ (SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_)))) => Side::Text(text.base_name()),
            (_, Ok(integer @ (SqlType::SmallInt | SqlType::Integer | SqlType::BigInt))) => {
                Side::Integer(integer.base_name())
            }
            (_, Ok(SqlType::Array(_))) | (DataType::List(_) | DataType::FixedSizeList(..), Err(_)) => Side::List,
            (other, _) => Side::Other(type_name(other)),
        }
    }

    /// Whether it is a json or a jsonb.
    pub fn is_document(&self) -> bool {
        matches!(self, Side::Jsonb | Side::Json)
    }

    /// The type in a message.
    pub fn name(&self) -> &str {
        match self {
            Side::Jsonb => "jsonb",
            Side::Json => "json",
            Side::Open => "unknown",
            Side::Integer(name) | Side::Text(name) => name,
            Side::List => "text[]",
            Side::Enum(of) => of.shown(),
            Side::Other(name) => name,
        }
    }
}
