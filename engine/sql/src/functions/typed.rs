//! Text and arrays as uuid, uuid[] and vector.
//!
//! DataFusion knows no cast to these types and refuses one while it plans, so the cast is a function of the type's name: what
//! `CAST(x AS vector(3))`, `x::uuid` and `uuid '…'` mean, and what a text literal in an INSERT is wrapped in ([`cast_call`]). Its
//! second argument is the type.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::types::ElementType;
use aion_catalog::{SqlType, Value, Zone};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Float32Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast;

use super::array;
use crate::error::wrap;
use crate::parse;
use crate::session::scalar;

/// Whether a cast to the type is one of the functions here.
pub fn is_function(sql_type: SqlType) -> bool {
    matches!(
        sql_type,
        SqlType::Uuid | SqlType::Vector(_) | SqlType::Array(ElementType::Uuid)
    )
}

/// The call that makes a value of the type out of an expression.
///
/// # Errors
/// Internal, if the template does not parse.
pub fn cast_call(expr: ast::Expr, sql_type: SqlType) -> aion_base::Result<ast::Expr> {
    let name = name(sql_type);
    let mut template = parse::parse_expression(&format!("{name}(NULL, '{sql_type}')"))?;
    if let ast::Expr::Function(function) = &mut template
        && let ast::FunctionArguments::List(list) = &mut function.args
        && let Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))) = list.args.first_mut()
    {
        *argument = expr;
        return Ok(template);
    }
    Err(Error::internal("the template is a call with two arguments"))
}

fn name(sql_type: SqlType) -> &'static str {
    match sql_type {
        SqlType::Uuid => "uuid",
        SqlType::Array(_) => "uuid_array",
        _ => "vector",
    }
}

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let function = |name| {
        Arc::new(ScalarUDF::from(ToType {
            name,
            signature: Signature::any(2, Volatility::Immutable),
        }))
    };
    vec![function("uuid"), function("vector"), function("uuid_array")]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToType {
    name: &'static str,
    signature: Signature,
}

impl ToType {
    fn target(&self, argument: Option<&ScalarValue>) -> Result<SqlType> {
        let Some(ScalarValue::Utf8(Some(text))) = argument else {
            return Err(wrap(Error::not_found(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {} takes the name of a type second", self.name),
            )));
        };
        let sql_type: SqlType = text.parse().map_err(wrap)?;
        match is_function(sql_type) {
            true => Ok(sql_type),
            false => Err(wrap(Error::internal(format!("{} makes no {sql_type}", self.name)))),
        }
    }
}

impl ScalarUDFImpl for ToType {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Err(wrap(Error::internal("the type is that of the second argument")))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let sql_type = self.target(args.scalar_arguments.get(1).copied().flatten())?;
        Ok(Arc::new(sql_type.to_field(self.name, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, ColumnarValue::Scalar(target)] = &args.args[..] else {
            return Err(wrap(Error::internal("a cast has a value and a type")));
        };
        let sql_type = self.target(Some(target))?;
        match value {
            ColumnarValue::Scalar(one) => {
                let array = converted(&one.to_array()?, sql_type)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(converted(array, sql_type)?)),
        }
    }
}

fn converted(array: &ArrayRef, sql_type: SqlType) -> Result<ArrayRef> {
    if *array.data_type() == sql_type.to_arrow() {
        return Ok(array.clone());
    }
    let value: Box<dyn Fn(usize) -> aion_base::Result<Value> + '_> = match array.data_type() {
        DataType::Null => Box::new(|_| Ok(Value::Null)),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = cast(array, &DataType::Utf8)?;
            Box::new(move |row| Value::text_in(&sql_type, texts.as_string::<i32>().value(row)))
        }
        DataType::List(_) if matches!(sql_type, SqlType::Array(_)) => {
            return array::converted(array, sql_type, Zone::UTC);
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
            if matches!(sql_type, SqlType::Vector(_)) =>
        {
            let lists = cast(array, &SqlType::Vector(None).to_arrow())?;
            Box::new(move |row| components(&lists, row, sql_type))
        }
        other => {
            return Err(wrap(Error::invalid(
                SqlState::CANNOT_COERCE,
                format!("cannot cast type {other} to {sql_type}"),
            )));
        }
    };
    let values = (0..array.len()).map(|row| {
        let value = match array.is_null(row) {
            true => Value::Null,
            false => value(row).map_err(wrap)?,
        };
        scalar(&sql_type, &value).map_err(wrap)
    });
    let values: Vec<ScalarValue> = values.collect::<Result<_>>()?;
    match values.is_empty() {
        true => Ok(datafusion::arrow::array::new_empty_array(&sql_type.to_arrow())),
        false => ScalarValue::iter_to_array(values),
    }
}

fn components(lists: &ArrayRef, row: usize, sql_type: SqlType) -> aion_base::Result<Value> {
    let list = lists.as_list::<i32>().value(row);
    let list = list.as_primitive::<Float32Type>();
    if list.null_count() > 0 {
        return Err(Error::invalid(SqlState::DATA_EXCEPTION, "array must not contain nulls"));
    }
    if let SqlType::Vector(Some(dimensions)) = sql_type
        && list.len() != usize::from(dimensions)
    {
        return Err(Error::invalid(
            SqlState::DATA_EXCEPTION,
            format!("expected {dimensions} dimensions, not {}", list.len()),
        ));
    }
    if let Some(bad) = list.values().iter().find(|component| !component.is_finite()) {
        return Err(Error::invalid(
            SqlState::DATA_EXCEPTION,
            format!("{bad} is not allowed in a vector"),
        ));
    }
    Ok(Value::Vector(list.values().to_vec()))
}
