//! Scalar subqueries that look at the row around them and are no aggregate.
//!
//! DataFusion turns a correlated scalar subquery into a join, and so plans only those that give one row by their form.
//! PostgreSQL runs any, and refuses when a second row comes. Here such a subquery becomes `one_of((SELECT array_agg(x) ...))`: the
//! join works, and the row count is looked at for the rows that are left, after the join. So a group of several
//! rows that no outer row asks for is no error.
//!
//! Left out: subqueries with ORDER BY and LIMIT 1, which DataFusion refuses for the same reason and where the order would have to
//! go into the aggregate.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, exec_err};
use datafusion::functions_aggregate::expr_fn::array_agg;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Subquery, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

/// See the module's header.
#[derive(Debug)]
pub struct OneRow;

impl AnalyzerRule for OneRow {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let rewritten = expr.transform_up(aggregate)?;
                Ok(rewritten.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "one_row"
    }
}

fn aggregate(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(subquery) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let plan = &subquery.subquery;
    let is_one_row = subquery.outer_ref_columns.is_empty() || plan.max_rows().is_some_and(|rows| rows <= 1);
    if is_one_row || !is_plain(plan) || plan.schema().fields().len() != 1 {
        return Ok(Transformed::no(expr));
    }
    let value = Expr::Column(Column::from(plan.schema().qualified_field(0)));
    let name = plan.schema().field(0).name().clone();
    let list = LogicalPlanBuilder::from(plan.clone())
        .aggregate(Vec::<Expr>::new(), vec![array_agg(value).alias(name)])?
        .build()?;
    let list = Expr::ScalarSubquery(Subquery {
        subquery: Arc::new(list),
        outer_ref_columns: subquery.outer_ref_columns.clone(),
        spans: subquery.spans.clone(),
    });
    Ok(Transformed::yes(ONE_OF.call(vec![list])))
}

/// Whether the rows are those of FROM and WHERE, so that an aggregate may stand above.
fn is_plain(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_plain(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_plain(&alias.input),
        LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::TableScan(_) => true,
        _ => false,
    }
}

static ONE_OF: LazyLock<ScalarUDF> = LazyLock::new(|| {
    ScalarUDF::from(OneOf {
        signature: Signature::any(1, Volatility::Immutable),
    })
});

/// The element of a list that has no more than one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OneOf {
    signature: Signature,
}

impl ScalarUDFImpl for OneOf {
    fn name(&self) -> &str {
        "one_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::List(item)] => Ok(item.data_type().clone()),
            _ => exec_err!("one_of takes a list"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return exec_err!("one_of takes a list");
        };
        let array: ArrayRef = argument.to_array(args.number_rows)?;
        let Some(lists) = array.as_list_opt::<i32>() else {
            return exec_err!("one_of takes a list");
        };
        let mut places = Vec::with_capacity(lists.len());
        for row in 0..lists.len() {
            places.push(match (lists.is_null(row), lists.value_length(row)) {
                (true, _) | (false, 0) => None,
                (false, 1) => u64::try_from(lists.value_offsets()[row]).ok(),
                // The words by which the error is known, see `error`.
                _ => return exec_err!("more than one row returned by a subquery used as an expression"),
            });
        }
        let taken = take(lists.values(), &UInt64Array::from(places), None)?;
        Ok(ColumnarValue::Array(taken))
    }
}
