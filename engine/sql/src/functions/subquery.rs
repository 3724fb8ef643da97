//! Scalar subqueries that look at the row around them and are no aggregate.
//!
//! DataFusion turns a correlated scalar subquery into a join, and so plans only those that give one row by their form. PostgreSQL
//! runs any, and refuses when a second row comes. Here the node that holds such subqueries becomes:
//!
//! ```text
//! the node, with one_of(value, rows) in the place of the subquery
//!   Filter: the first row of each                  so that nothing comes twice
//!     Window: rows of each, and their numbers      over the rows with the same outer row
//!       Left Join ON what was correlated           one for each subquery
//!         Window: number of the row
//!           the node's input
//!         the subquery, without its outer columns
//! ```
//!
//! `one_of` refuses with 21000 where a value that is asked for stems from several rows; so a CASE whose other branch is taken
//! does not mind, as in PostgreSQL.
//!
//! Left out, and refused by DataFusion as before: subqueries with LIMIT, DISTINCT, GROUP BY or a UNION, outer columns anywhere but
//! in WHERE, and subqueries in other clauses than SELECT and WHERE.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result, TableReference, exec_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprFunctionExt, Filter, LogicalPlan, LogicalPlanBuilder, Projection, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Subquery, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;

/// See the module's header.
#[derive(Debug)]
pub struct OneRow;

impl AnalyzerRule for OneRow {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite)
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "one_row"
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let (input, expressions) = match &plan {
        LogicalPlan::Projection(projection) => (&projection.input, projection.expr.clone()),
        LogicalPlan::Filter(filter) => (&filter.input, vec![filter.predicate.clone()]),
        _ => return Ok(Transformed::no(plan)),
    };
    let mut joined = Joined::default();
    let names = NamePreserver::new(&plan);
    let mut rewritten = Vec::with_capacity(expressions.len());
    for expr in expressions {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| joined.take(expr))?.data;
        rewritten.push(name.restore(expr));
    }
    if joined.parts.is_empty() {
        return Ok(Transformed::no(plan));
    }
    let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let source = joined.source(LogicalPlan::clone(input))?;
    let new = match plan {
        LogicalPlan::Projection(_) => LogicalPlan::Projection(Projection::try_new(rewritten, Arc::new(source))?),
        _ => {
            let predicate = conjunction(rewritten).unwrap_or_else(|| lit(true));
            let filtered = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(source))?);
            LogicalPlanBuilder::from(filtered).project(columns)?.build()?
        }
    };
    Ok(Transformed::yes(new))
}

/// No user can write these names.
const ROW: &str = "aion row";
const COUNT: &str = "aion rows";
const NUMBER: &str = "aion number";
const VALUE: &str = "aion value";

/// The subqueries of a node that are to be joined.
#[derive(Default)]
struct Joined {
    parts: Vec<Part>,
}

/// A subquery as the right side of a join.
struct Part {
    plan: LogicalPlan,
    on: Vec<Expr>,
}

impl Joined {
    /// Puts a column in the place of a subquery, and keeps the subquery.
    fn take(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let Expr::ScalarSubquery(subquery) = &expr else {
            return Ok(Transformed::no(expr));
        };
        let alias = TableReference::bare(format!("aion subquery {}", self.parts.len()));
        let Some(part) = part(subquery, &alias)? else {
            return Ok(Transformed::no(expr));
        };
        self.parts.push(part);
        let value = Expr::Column(Column::new(Some(alias), VALUE));
        let rows = Expr::Column(Column::new_unqualified(COUNT));
        Ok(Transformed::yes(ONE_OF.call(vec![value, rows])))
    }

    /// The node's input with the values beside each row.
    fn source(self, input: LogicalPlan) -> Result<LogicalPlan> {
        let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let numbered = LogicalPlanBuilder::from(input).window(vec![row_number().alias(ROW)])?;
        let mut joined = numbered;
        for (at, part) in self.parts.into_iter().enumerate() {
            let alias = TableReference::bare(format!("aion subquery {at}"));
            columns.push(Expr::Column(Column::new(Some(alias), VALUE)));
            let on = if part.on.is_empty() { vec![lit(true)] } else { part.on };
            joined = joined.join_on(part.plan, JoinType::Left, on)?;
        }
        let row = || vec![Expr::Column(Column::new_unqualified(ROW))];
        let rows = Expr::from(WindowFunction::new(count_udaf(), vec![lit(1_i64)]));
        let rows = rows.partition_by(row()).build()?.alias(COUNT);
        let number = row_number().partition_by(row()).build()?.alias(NUMBER);
        columns.push(Expr::Column(Column::new_unqualified(COUNT)));
        joined
            .window(vec![rows, number])?
            .filter(Expr::Column(Column::new_unqualified(NUMBER)).eq(lit(1_u64)))?
            .project(columns)?
            .build()
    }
}

/// A subquery that can be joined; None for another.
fn part(subquery: &Subquery, alias: &TableReference) -> Result<Option<Part>> {
    let plan = &subquery.subquery;
    if subquery.outer_ref_columns.is_empty() || plan.max_rows().is_some_and(|rows| rows <= 1) {
        return Ok(None);
    }
    let LogicalPlan::Projection(projection) = plan.as_ref() else {
        return Ok(None);
    };
    let ([value], LogicalPlan::Filter(filter)) = (&projection.expr[..], projection.input.as_ref()) else {
        return Ok(None);
    };
    let has_outer = value.contains_outer() || filter.input.exists(|plan| Ok(plan.contains_outer_reference()))?;
    if has_outer || !is_rows(&filter.input) {
        return Ok(None);
    }
    let (correlated, local): (Vec<&Expr>, Vec<&Expr>) = split_conjunction(&filter.predicate)
        .into_iter()
        .partition(|expr| expr.contains_outer());
    if correlated.iter().any(|expr| has_subquery(expr)) {
        return Ok(None);
    }
    let mut inner = LogicalPlanBuilder::from(filter.input.as_ref().clone());
    if let Some(local) = conjunction(local.into_iter().cloned()) {
        inner = inner.filter(local)?;
    }
    // The inner columns that the join looks at, under names of their own: several tables may have an `oid`.
    let mut keys: Vec<Column> = Vec::new();
    let mut on = Vec::with_capacity(correlated.len());
    for expr in correlated {
        let expr = expr.clone().transform_down(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(_, column) => {
                    Transformed::new(Expr::Column(column), true, TreeNodeRecursion::Jump)
                }
                Expr::Column(column) => {
                    let known = keys.iter().position(|key| *key == column);
                    let at = known.unwrap_or_else(|| {
                        keys.push(column);
                        keys.len() - 1
                    });
                    Transformed::yes(Expr::Column(Column::new(Some(alias.clone()), key_name(at))))
                }
                other => Transformed::no(other),
            })
        })?;
        on.push(expr.data);
    }
    let mut columns = vec![value.clone().unalias().alias(VALUE)];
    columns.extend(
        keys.into_iter()
            .enumerate()
            .map(|(at, key)| Expr::Column(key).alias(key_name(at))),
    );
    let plan = inner.project(columns)?.alias(alias.clone())?.build()?;
    Ok(Some(Part { plan, on }))
}

fn key_name(at: usize) -> String {
    format!("aion key {at}")
}

/// Whether the rows of a plan are those of tables, joined and filtered.
fn is_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => is_rows(&alias.input),
        LogicalPlan::Filter(filter) => is_rows(&filter.input),
        LogicalPlan::Join(join) => is_rows(&join.left) && is_rows(&join.right),
        LogicalPlan::TableScan(_) => true,
        _ => false,
    }
}

fn has_subquery(expr: &Expr) -> bool {
    let found = expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
        ))
    });
    found.is_ok_and(|found| found)
}

static ONE_OF: LazyLock<ScalarUDF> = LazyLock::new(|| {
    ScalarUDF::from(OneOf {
        signature: Signature::any(2, Volatility::Immutable),
    })
});

/// The first argument, where the second, the number of rows it stems from, is no more than one.
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
            [value, _] => Ok(value.clone()),
            _ => exec_err!("one_of takes a value and a number"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, rows] = &args.args[..] else {
            return exec_err!("one_of takes a value and a number");
        };
        let rows = cast(&rows.to_array(args.number_rows)?, &DataType::Int64)?;
        let rows = rows.as_primitive::<Int64Type>();
        if rows.iter().flatten().any(|rows| rows > 1) {
            // The words by which the error is known, see `error`.
            return exec_err!("more than one row returned by a subquery used as an expression");
        }
        Ok(value.clone())
    }
}
