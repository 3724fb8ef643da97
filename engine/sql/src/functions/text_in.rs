//! Text as values of other types, as PostgreSQL reads it.
//!
//! A literal in quotes has no type of its own in PostgreSQL: it takes that of what it is compared with, and a cast from text is the
//! type's input function. DataFusion makes a literal text, refuses to compare it with a uuid, and reads it as
//! Arrow does: text as binary byte for byte, timestamps in fewer forms. So
//!
//! 1. [`TypedLiterals`] gives a literal beside `=`, `<`, `+` and their like the type of the other side while the query is planned, and makes
//!    a text of a uuid beside `||`,
//! 2. [`FillLiterals`] does the same within IN, BETWEEN and `CASE interval WHEN`, before types are settled,
//! 3. [`ReadText`] puts the input function in the place of what casts from text are left, where Arrow's would do otherwise.
//!
//! Left to Arrow: integers, floats and booleans that are not literals; it reads those as PostgreSQL does.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::{SqlType, Value, Zone};
use datafusion::arrow::array::{Array, AsArray, new_empty_array};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, cast,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::retyped::map_named;
use super::time_zone::{literal_zone, session_zone};
use super::{array, enumeration, interval, json};
use crate::error::wrap;
use crate::session::scalar;

/// Types the literals beside a comparison.
#[derive(Debug)]
pub struct TypedLiterals;

impl ExprPlanner for TypedLiterals {
    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as B;
        if matches!(expr.op, B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq) {
            if let Some(filled) = fill(&expr.right, &expr.left, schema)? {
                expr.right = filled;
            } else if let Some(filled) = fill(&expr.left, &expr.right, schema)? {
                expr.left = filled;
            }
        } else if expr.op == B::StringConcat {
            let is_uuid = |side: &Expr| matches!(side.get_type(schema), Ok(DataType::FixedSizeBinary(_)));
            if is_uuid(&expr.left) {
                expr.left = cast(expr.left, DataType::Utf8);
            }
            if is_uuid(&expr.right) {
                expr.right = cast(expr.right, DataType::Utf8);
            }
        } else if matches!(expr.op, B::Plus | B::Minus | B::Multiply | B::Divide | B::Modulo) {
            if let Some(filled) = fill_number(&expr.right, &expr.left, schema)? {
                expr.right = filled;
            } else if let Some(filled) = fill_number(&expr.left, &expr.right, schema)? {
                expr.left = filled;
            }
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// Types the literals within IN and BETWEEN.
#[derive(Debug)]
pub struct FillLiterals;

impl AnalyzerRule for FillLiterals {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite(plan, &|expr, schema| {
            let fill_all = |operands: Vec<&mut Expr>, other: &Expr| -> Result<bool> {
                let mut is_filled = false;
                for operand in operands {
                    if let Some(filled) = fill(operand, other, schema)? {
                        *operand = filled;
                        is_filled = true;
                    }
                }
                Ok(is_filled)
            };
            Ok(match expr {
                Expr::InList(mut list) => {
                    let is_filled = fill_all(list.list.iter_mut().collect(), &list.expr)?;
                    Transformed::new_transformed(Expr::InList(list), is_filled)
                }
                Expr::Between(mut between) => {
                    let is_filled = fill_all(vec![&mut between.low, &mut between.high], &between.expr)?;
                    Transformed::new_transformed(Expr::Between(between), is_filled)
                }
                // DataFusion has no type that an interval and a text have in common, and would take an enum for a time.
                Expr::Case(mut case) => {
                    let is_filled = match case.expr.take() {
                        Some(of) => {
                            let is_ours = of.get_type(schema).is_ok_and(|given| {
                                interval::is_interval(&given) || enumeration::enum_of(&given).is_some()
                            });
                            let whens = case.when_then_expr.iter_mut().map(|(when, _)| &mut **when);
                            let is_filled = is_ours && fill_all(whens.collect(), &of)?;
                            case.expr = Some(of);
                            is_filled
                        }
                        None => false,
                    };
                    Transformed::new_transformed(Expr::Case(case), is_filled)
                }
                other => Transformed::no(other),
            })
        })
    }

    fn name(&self) -> &str {
        "fill_literals"
    }
}

/// A text literal as a value of the other side's type, a time beside a moment as one; None where there is nothing to do.
fn fill(literal: &Expr, other: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = literal else {
        return Ok(as_moment(literal, other, schema));
    };
    // What has no type here, an outer column for instance, is left to DataFusion.
    let Ok((_, field)) = other.to_field(schema) else {
        return Ok(None);
    };
    if let Some(item) = item_of(field.data_type()) {
        if item == SqlType::TIMESTAMPTZ {
            return Ok(Some(cast(literal.clone(), field.data_type().clone())));
        }
        return Ok(Some(Expr::Literal(read_array(item, text, Zone::UTC)?, None)));
    }
    let Ok(sql_type) = SqlType::from_field(&field) else {
        return Ok(None);
    };
    match sql_type {
        // With the column's scale it would be rounded, and then equal to what it is not.
        SqlType::Numeric { .. } => numeric_literal(text).map(Some),
        // Its blanks say nothing, and are not stored.
        SqlType::Char(_) => {
            let bare = text.trim_end_matches(' ');
            let is_bare = bare.len() == text.len();
            Ok((!is_bare).then(|| Expr::Literal(ScalarValue::Utf8(Some(bare.to_owned())), None)))
        }
        SqlType::Text | SqlType::Varchar(_) | SqlType::Json | SqlType::Vector(_) => Ok(None),
        // What it is depends on the session's zone, which the analyzer's rules know.
        SqlType::TimestampTz(_) => Ok(Some(cast(literal.clone(), sql_type.to_arrow()))),
        sql_type if sql_type.to_arrow() != *field.data_type() => Ok(None),
        sql_type => {
            // What is compared with a time is not rounded.
            let sql_type = sql_type.with_all_digits();
            let value = Value::text_in(&sql_type, text).map_err(wrap)?;
            Ok(Some(Expr::Literal(scalar(&sql_type, &value).map_err(wrap)?, None)))
        }
    }
}

/// A date or timestamp beside a moment as one, of the same unit: DataFusion makes nanoseconds of both, which end in 2262, and where it is
/// a date, times without a zone.
fn as_moment(time: &Expr, other: &Expr, schema: &DFSchema) -> Option<Expr> {
    let is_local = |data_type: &DataType| matches!(data_type, DataType::Date32 | DataType::Timestamp(_, None));
    other.get_type(schema).ok().filter(enumeration::is_moment)?;
    time.get_type(schema).ok().filter(is_local)?;
    Some(cast(time.clone(), SqlType::TIMESTAMPTZ.to_arrow()))
}

/// A numeric with as many digits before and behind the point as its text has.
fn numeric_literal(text: &str) -> Result<Expr> {
    let (mantissa, exponent) = match text.trim().split_once(['e', 'E']) {
        // What is no number is refused below.
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (text.trim(), 0_i64),
    };
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let count = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let scale = count(behind)
        .saturating_sub(exponent)
        .clamp(0, i64::from(DECIMAL128_MAX_SCALE));
    let precision = count(before)
        .saturating_add(exponent)
        .max(0)
        .saturating_add(scale)
        .clamp(1, i64::from(DECIMAL128_MAX_PRECISION));
    let sql_type = SqlType::Numeric {
        precision: Some(u8::try_from(precision).unwrap_or(DECIMAL128_MAX_PRECISION)),
        scale: i8::try_from(scale).unwrap_or(DECIMAL128_MAX_SCALE),
    };
    let value = Value::text_in(&sql_type, text).map_err(wrap)?;
    Ok(Expr::Literal(scalar(&sql_type, &value).map_err(wrap)?, None))
}

/// As [`fill`], beside an operator of arithmetic: only numbers have those with their own type.
fn fill_number(literal: &Expr, other: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let is_number = |data_type: DataType| data_type.is_integer() || data_type.is_floating();
    match other.get_type(schema) {
        Ok(data_type) if is_number(data_type.clone()) => fill(literal, other, schema),
        _ => Ok(None),
    }
}

/// An expression whose casts of literals to times and intervals are done, for who computes it without the analyzer's rules.
///
/// # Errors
/// 22007 and its like for a text that is none.
pub fn read_literals(expr: Expr, options: &ConfigOptions) -> Result<Expr> {
    let zone = literal_zone(options);
    let read = expr.transform_up(|expr| {
        let Expr::Cast(Cast { expr: inner, field }) = &expr else {
            return Ok(Transformed::no(expr));
        };
        let is_ours = |sql_type: &SqlType| {
            let is_time = *sql_type == SqlType::Date || sql_type.second_digits().is_some();
            is_time || *sql_type == SqlType::Interval
        };
        match (&**inner, SqlType::from_field(field).ok().filter(is_ours)) {
            (Expr::Literal(ScalarValue::Utf8(Some(text)), _), Some(sql_type)) => {
                let value = Value::text_in_zone(&sql_type, text, zone).map_err(wrap)?;
                let read = Expr::Literal(scalar(&sql_type, &value).map_err(wrap)?, None);
                Ok(Transformed::yes(read))
            }
            _ => Ok(Transformed::no(expr)),
        }
    })?;
    Ok(read.data)
}

/// The type of the elements of a list that is an array, not a vector.
fn item_of(data_type: &DataType) -> Option<SqlType> {
    match data_type {
        DataType::List(_) | DataType::LargeList(_) => SqlType::from_arrow(data_type).ok()?.element(),
        _ => None,
    }
}

/// The array that a text is, as a value of a list's type; None for another type. Texts of times are in a zone.
///
/// # Errors
/// 22P02 and those of the elements' type.
pub fn read_list(data_type: &DataType, text: &str, zone: Zone) -> Result<Option<ScalarValue>> {
    item_of(data_type).map(|item| read_array(item, text, zone)).transpose()
}

/// Arrays of a type of elements.
fn array_of(item: SqlType) -> Result<SqlType> {
    let none = || wrap(Error::unsupported(format!("there are no arrays of {item}")));
    item.array().ok_or_else(none)
}

fn read_array(item: SqlType, text: &str, zone: Zone) -> Result<ScalarValue> {
    let array_type = array_of(item)?;
    let value = match item {
        SqlType::Varchar(Some(_)) | SqlType::Char(_) => array::read_shortened(item, text),
        _ => Value::text_in_zone(&array_type, text, zone),
    };
    scalar(&array_type, &value.map_err(wrap)?).map_err(wrap)
}

/// Puts [`TextIn`] in the place of casts from text that Arrow would do otherwise than PostgreSQL.
#[derive(Debug)]
pub struct ReadText;

impl AnalyzerRule for ReadText {
    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        let zone = literal_zone(options);
        rewrite(plan, &|expr, schema| {
            let cast = json::read_cast(expr, schema)?;
            match cast.transformed {
                true => Ok(cast),
                false => read(cast.data, schema, zone),
            }
        })
    }

    fn name(&self) -> &str {
        "read_text"
    }
}

/// A rewrite of one expression over columns of a schema.
type RewriteExpr<'a> = &'a dyn Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>;

/// Rewrites all expressions of a plan; columns keep their names.
fn rewrite(plan: LogicalPlan, of: RewriteExpr<'_>) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        map_named(plan, |expr| expr.transform_up(|expr| of(expr, &schema)))
    })
    .map(|transformed| transformed.data)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn read(expr: Expr, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    let Expr::Cast(Cast { expr: inner, field }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    check_interval(inner, field, schema)?;
    let item = SqlType::from_field(field).ok().and_then(SqlType::element);
    let sql_type = match item {
        Some(item) => Ok(item),
        None => SqlType::from_field(field),
    };
    let Ok(sql_type) = sql_type else {
        return Ok(Transformed::no(expr));
    };
    let is_ours = matches!(
        sql_type,
        SqlType::Bytea
            | SqlType::Uuid
            | SqlType::Json
            | SqlType::Jsonb
            | SqlType::Vector(_)
            | SqlType::Date
            | SqlType::Time(_)
            | SqlType::Timestamp(_)
            | SqlType::TimestampTz(_)
            | SqlType::Interval
            | SqlType::Enum(_)
            // Arrow's takes no negative exponents, and counts digits behind the scale as an overflow.
            | SqlType::Numeric { .. }
    );
    if item.is_none() && !(is_ours && sql_type.to_arrow() == *field.data_type()) {
        return Ok(Transformed::no(expr));
    }
    if matches!(sql_type, SqlType::TimestampTz(_) | SqlType::Enum(_))
        && let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = &**inner
    {
        // The moment is that of the zone in which it was written, whatever the session's is when it is computed; a label is one when it is
        // written.
        let read = match item {
            Some(item) => read_array(item, text, zone)?,
            None => {
                let value = Value::text_in_zone(&sql_type, text, zone).map_err(wrap)?;
                scalar(&sql_type, &value).map_err(wrap)?
            }
        };
        return Ok(Transformed::yes(Expr::Literal(read, None)));
    }
    let volatility = match sql_type {
        // Labels may get other texts.
        SqlType::TimestampTz(_) | SqlType::Enum(_) => Volatility::Stable,
        _ => Volatility::Immutable,
    };
    Ok(match inner.get_type(schema) {
        Ok(from) if is_text(&from) => {
            let function = ScalarUDF::from(TextIn {
                sql_type,
                is_array: item.is_some(),
                signature: Signature::any(1, volatility),
            });
            Transformed::yes(function.call(vec![(**inner).clone()]))
        }
        _ => Transformed::no(expr),
    })
}

/// Refuses a cast between an interval and what is neither one nor text: Arrow would take its fields for a number.
fn check_interval(inner: &Expr, field: &Field, schema: &DFSchema) -> Result<()> {
    let Ok(from) = inner.get_type(schema) else {
        return Ok(());
    };
    let to = field.data_type();
    let is_open = |data_type: &DataType| data_type.is_null() || is_text(data_type) || interval::is_interval(data_type);
    // Of days that are added to a date DataFusion makes an interval by way of a duration.
    let is_time = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_)
        )
    };
    let has_interval = interval::is_interval(&from) || interval::is_interval(to);
    if !has_interval || is_time(&from) || is_time(to) || (is_open(&from) && is_open(to)) {
        return Ok(());
    }
    let name = |data_type: &DataType| match SqlType::from_arrow(data_type) {
        Ok(sql_type) => sql_type.base_name().to_owned(),
        Err(_) => data_type.to_string(),
    };
    let message = format!("cannot cast type {} to {}", name(&from), name(to));
    Err(wrap(Error::invalid(SqlState::CANNOT_COERCE, message)))
}

/// A text read as PostgreSQL reads the type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextIn {
    sql_type: SqlType,
    /// An array of the type.
    is_array: bool,
    signature: Signature,
}

impl ScalarUDFImpl for TextIn {
    fn name(&self) -> &str {
        "text_in"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.is_array {
            true => array_of(self.sql_type)?.to_arrow(),
            false => self.sql_type.to_arrow(),
        })
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(match self.is_array {
            true => array_of(self.sql_type)?.to_field(self.name(), true),
            false => self.sql_type.to_field(self.name(), true),
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return exec_err!("text_in takes an argument");
        };
        let zone = match self.sql_type {
            SqlType::TimestampTz(_) => session_zone(&args.config_options),
            _ => Zone::UTC,
        };
        let read = |text: Option<&str>| -> Result<ScalarValue> {
            let value = match text {
                None if self.is_array => return ScalarValue::try_from(&self.return_type(&[])?),
                Some(text) if self.is_array => return read_array(self.sql_type, text, zone),
                None => Value::Null,
                Some(text) => Value::text_in_zone(&self.sql_type, text, zone).map_err(wrap)?,
            };
            scalar(&self.sql_type, &value).map_err(wrap)
        };
        if let ColumnarValue::Scalar(ScalarValue::Utf8(text)) = argument {
            return Ok(ColumnarValue::Scalar(read(text.as_deref())?));
        }
        let texts = cast_array(&argument.to_array(args.number_rows)?, &DataType::Utf8)?;
        if texts.is_empty() {
            return Ok(ColumnarValue::Array(new_empty_array(&self.return_type(&[])?)));
        }
        let values = texts.as_string::<i32>().iter().map(read);
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(
            values.collect::<Result<Vec<_>>>()?,
        )?))
    }
}
