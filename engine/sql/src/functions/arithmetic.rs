//! Numbers as PostgreSQL computes them: integers that do not wrap, doubles that win over numerics.
//!
//! DataFusion's `+`, `-` (of one or two), `*` and `/` on integers wrap at the ends of the type; PostgreSQL's answer 22003. [`CheckIntegers`] puts Arrow's
//! checked kernels in their place, once the types of a plan are settled and before constants are folded. Its `sum` of bigint wraps, too;
//! PostgreSQL's is numeric, and so is ours ([`widen_sums`], when a query is planned). Where a double meets a numeric, the double wins
//! ([`PreferDoubles`], before the types are settled).

use std::sync::LazyLock;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Datum};
use datafusion::arrow::compute::kernels::{self, numeric};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, cast, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::retyped::{map_named, recomputed, retyped};

/// See the module's header.
#[derive(Debug)]
pub struct CheckIntegers;

impl AnalyzerRule for CheckIntegers {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(rewrite(plan, checked)?.data)
    }

    fn name(&self) -> &str {
        "check_integers"
    }
}

/// Every expression of a plan, from the leaves up; names of columns stay.
pub(super) fn rewrite(
    plan: LogicalPlan,
    change: impl Fn(Expr, &DFSchema) -> Transformed<Expr>,
) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up_with_subqueries(|plan| {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            schema.merge(&DFSchema::try_from_qualified_schema(
                scan.table_name.clone(),
                &scan.source.schema(),
            )?);
        }
        let rewritten = map_named(plan, |expr| expr.transform_up(|expr| Ok(change(expr, &schema))))?;
        match rewritten.transformed {
            true => rewritten.map_data(LogicalPlan::recompute_schema),
            false => Ok(rewritten),
        }
    })
}

fn checked(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    if let Expr::Negative(inner) = &expr {
        // The least integer has no opposite.
        let zero = inner.get_type(schema).ok().filter(DataType::is_integer);
        let zero = zero.and_then(|data_type| ScalarValue::new_zero(&data_type).ok());
        return match zero {
            Some(zero) => Transformed::yes(SUBTRACT.call(vec![lit(zero), (**inner).clone()])),
            None => Transformed::no(expr),
        };
    }
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr else {
        return Transformed::no(expr);
    };
    let function = match op {
        Operator::Plus => &*ADD,
        Operator::Minus => &*SUBTRACT,
        Operator::Multiply => &*MULTIPLY,
        // Only by -1 can the quotient be out of range.
        Operator::Divide if !is_other_than_minus_one(right) => &*DIVIDE,
        _ => return Transformed::no(expr),
    };
    // A type that cannot be told here, of an outer column for instance, keeps the operator.
    let is_integer = |side: &Expr| side.get_type(schema).is_ok_and(|data_type| data_type.is_integer());
    if !is_integer(left) || !is_integer(right) {
        return Transformed::no(expr);
    }
    Transformed::yes(function.call(vec![(**left).clone(), (**right).clone()]))
}

/// Whether a divisor is a literal that no quotient overflows by.
fn is_other_than_minus_one(divisor: &Expr) -> bool {
    match divisor {
        Expr::Literal(value, _) => value
            .cast_to(&DataType::Int64)
            .is_ok_and(|value| value != ScalarValue::Int64(Some(-1))),
        _ => false,
    }
}

/// Arrow's division of the least integer by -1 gives the least integer again.
fn check_quotients(quotients: &ArrayRef, divisor: &dyn Datum) -> Result<(), ArrowError> {
    let least = match quotients.data_type() {
        DataType::Int8 => i64::from(i8::MIN),
        DataType::Int16 => i64::from(i16::MIN),
        DataType::Int32 => i64::from(i32::MIN),
        DataType::Int64 => i64::MIN,
        _ => return Ok(()),
    };
    let (divisor, is_scalar) = divisor.get();
    let wide = |array: &dyn Array| kernels::cast::cast(array, &DataType::Int64);
    let (quotients, divisors) = (wide(quotients)?, wide(divisor)?);
    let (quotients, divisors) = (
        quotients.as_primitive::<Int64Type>(),
        divisors.as_primitive::<Int64Type>(),
    );
    let is_over = |at: usize| {
        quotients.is_valid(at) && quotients.value(at) == least && divisors.value(if is_scalar { 0 } else { at }) == -1
    };
    match (0..quotients.len()).any(is_over) {
        true => Err(ArrowError::ArithmeticOverflow(format!(
            "Overflow happened on: {least} / -1"
        ))),
        false => Ok(()),
    }
}

/// What holds a bigint; a sum of it has ten digits more, enough for more rows than there can be.
const WIDE: DataType = DataType::Decimal128(19, 0);

/// The plan of a query with its sums of bigint numeric. It changes the types of columns, so it comes before anybody asks for them.
///
/// # Errors
/// When a plan cannot be put together again.
pub fn widen_sums(plan: LogicalPlan) -> Result<LogicalPlan> {
    recomputed(rewrite(plan, widened)?)
}

fn widened(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let args = match &mut expr {
        Expr::AggregateFunction(aggregate) if aggregate.func.name() == "sum" => &mut aggregate.params.args,
        Expr::WindowFunction(window) if window.fun.name() == "sum" => &mut window.params.args,
        _ => return Transformed::no(expr),
    };
    let [arg] = args.as_mut_slice() else {
        return Transformed::no(expr);
    };
    if !arg.get_type(schema).is_ok_and(|data_type| data_type == DataType::Int64) {
        return Transformed::no(expr);
    }
    *arg = cast(std::mem::take(arg), WIDE);
    Transformed::yes(expr)
}

/// The plan of a query with its ranks bigint: DataFusion counts them in an unsigned type, which only a numeric could show. It changes the
/// types of columns, so it comes before anybody asks for them.
///
/// # Errors
/// When a plan cannot be put together again.
pub fn count_ranks(plan: LogicalPlan) -> Result<LogicalPlan> {
    let is_over_window = |plan: &LogicalPlan| match plan {
        LogicalPlan::Projection(projection) => match &*projection.input {
            LogicalPlan::Window(_) => true,
            LogicalPlan::Filter(filter) => matches!(*filter.input, LogicalPlan::Window(_)),
            _ => false,
        },
        _ => false,
    };
    retyped(plan, is_over_window, |expr, schema| {
        expr.transform_up(|expr| {
            let is_rank = matches!(expr, Expr::Column(_))
                && expr
                    .get_type(schema)
                    .is_ok_and(|data_type| data_type == DataType::UInt64);
            Ok(match is_rank {
                true => Transformed::yes(cast(expr, DataType::Int64)),
                false => Transformed::no(expr),
            })
        })
    })
}

/// Where a double precision meets a numeric, the double wins, as in PostgreSQL. DataFusion compares both as decimals of 15 digits before
/// the point, which a greater double does not fit into: the comparison was an error.
#[derive(Debug)]
pub struct PreferDoubles;

impl AnalyzerRule for PreferDoubles {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(rewrite(plan, doubled)?.data)
    }

    fn name(&self) -> &str {
        "prefer_doubles"
    }
}

fn doubled(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let sides: Vec<&mut Expr> = match &mut expr {
        Expr::BinaryExpr(binary) => vec![&mut *binary.left, &mut *binary.right],
        Expr::Between(between) => vec![&mut *between.expr, &mut *between.low, &mut *between.high],
        Expr::InList(list) => std::iter::once(&mut *list.expr).chain(&mut list.list).collect(),
        _ => return Transformed::no(expr),
    };
    let types: Vec<DataType> = sides
        .iter()
        .map(|side| side.get_type(schema).unwrap_or(DataType::Null))
        .collect();
    let is_numeric = |data_type: &DataType| matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..));
    if !types.iter().any(DataType::is_floating) || !types.iter().any(is_numeric) {
        return Transformed::no(expr);
    }
    for (side, data_type) in sides.into_iter().zip(&types) {
        if is_numeric(data_type) {
            *side = cast(std::mem::take(side), DataType::Float64);
        }
    }
    Transformed::yes(expr)
}

static ADD: LazyLock<ScalarUDF> = LazyLock::new(|| ScalarUDF::from(Checked::new("int_add", Operator::Plus)));
static SUBTRACT: LazyLock<ScalarUDF> = LazyLock::new(|| ScalarUDF::from(Checked::new("int_sub", Operator::Minus)));
static DIVIDE: LazyLock<ScalarUDF> = LazyLock::new(|| ScalarUDF::from(Checked::new("int_div", Operator::Divide)));
static MULTIPLY: LazyLock<ScalarUDF> = LazyLock::new(|| ScalarUDF::from(Checked::new("int_mul", Operator::Multiply)));

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    name: &'static str,
    operator: Operator,
    signature: Signature,
}

impl Checked {
    fn new(name: &'static str, operator: Operator) -> Self {
        Self {
            name,
            operator,
            signature: Signature::any(2, Volatility::Immutable),
        }
    }

    fn compute(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self.operator {
            Operator::Plus => numeric::add(left, right),
            Operator::Minus => numeric::sub(left, right),
            Operator::Divide => {
                let quotients = numeric::div(left, right)?;
                check_quotients(&quotients, right)?;
                Ok(quotients)
            }
            _ => numeric::mul(left, right),
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [left, right] if left == right => Ok(left.clone()),
            other => exec_err!("{} takes two integers of one type, not {other:?}", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return exec_err!("{} takes two arguments", self.name);
        };
        let failed = |error| DataFusionError::ArrowError(Box::new(error), None);
        let both_scalar = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let datum = |value: &ColumnarValue| -> Result<Box<dyn Datum>> {
            Ok(match value {
                ColumnarValue::Array(array) => Box::new(array.clone()),
                ColumnarValue::Scalar(scalar) => Box::new(scalar.to_scalar()?),
            })
        };
        let result = self.compute(&*datum(left)?, &*datum(right)?).map_err(failed)?;
        if both_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
