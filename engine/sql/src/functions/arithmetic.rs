//! Integers that do not wrap.
//!
//! DataFusion's `+`, `-` and `*` on integers wrap at the ends of the type; PostgreSQL's answer 22003. [`CheckIntegers`] puts Arrow's
//! checked kernels in their place, once the types of a plan are settled and before constants are folded.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::Datum;
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result, exec_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

/// See the module's header.
#[derive(Debug)]
pub struct CheckIntegers;

impl AnalyzerRule for CheckIntegers {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let mut schema = merge_schema(&plan.inputs());
            if let LogicalPlan::TableScan(scan) = &plan {
                schema.merge(&DFSchema::try_from_qualified_schema(
                    scan.table_name.clone(),
                    &scan.source.schema(),
                )?);
            }
            let names = NamePreserver::new(&plan);
            let rewritten = plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let rewritten = expr.transform_up(|expr| Ok(checked(expr, &schema)))?;
                Ok(rewritten.update_data(|expr| name.restore(expr)))
            })?;
            if rewritten.transformed {
                rewritten.map_data(LogicalPlan::recompute_schema)
            } else {
                Ok(rewritten)
            }
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "check_integers"
    }
}

fn checked(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr else {
        return Transformed::no(expr);
    };
    let function = match op {
        Operator::Plus => &*ADD,
        Operator::Minus => &*SUBTRACT,
        Operator::Multiply => &*MULTIPLY,
        _ => return Transformed::no(expr),
    };
    // A type that cannot be told here, of an outer column for instance, keeps the operator.
    let is_integer = |side: &Expr| side.get_type(schema).is_ok_and(|data_type| data_type.is_integer());
    if !is_integer(left) || !is_integer(right) {
        return Transformed::no(expr);
    }
    Transformed::yes(function.call(vec![(**left).clone(), (**right).clone()]))
}

static ADD: LazyLock<ScalarUDF> = LazyLock::new(|| ScalarUDF::from(Checked::new("int_add", Operator::Plus)));
static SUBTRACT: LazyLock<ScalarUDF> = LazyLock::new(|| ScalarUDF::from(Checked::new("int_sub", Operator::Minus)));
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

    fn compute(
        &self,
        left: &dyn Datum,
        right: &dyn Datum,
    ) -> Result<Arc<dyn datafusion::arrow::array::Array>, ArrowError> {
        match self.operator {
            Operator::Plus => numeric::add(left, right),
            Operator::Minus => numeric::sub(left, right),
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
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(
                &result, 0,
            )?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
