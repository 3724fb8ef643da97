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
//! A value that looks at the outer row is computed there, from the inner columns that the join brings; `one_of` is then told by a
//! mark of the join whether there was a row at all.
//!
//! Left out, and run for each row ([`super::Apply`]): subqueries with LIMIT, DISTINCT, GROUP BY or a UNION, outer columns anywhere but
//! in SELECT and WHERE, and subqueries in other clauses than SELECT and WHERE. A value that looks at the outer row is computed also
//! where the subquery has no row, and may fail there.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::{cast, is_null, nullif};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, Result, TableReference, exec_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprFunctionExt, Filter, LogicalPlan, LogicalPlanBuilder, Projection, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery, TypeSignature, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::outer::is_deep;
use super::{Lifted, VALUE, lifted};

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
        let expr = expr.transform_up(|expr| joined.take(expr, input.schema()))?.data;
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

/// The subqueries of a node that are to be joined.
#[derive(Default)]
struct Joined {
    parts: Vec<Lifted>,
}

impl Joined {
    /// Puts a column in the place of a subquery, and keeps the subquery.
    fn take(&mut self, expr: Expr, around: &DFSchema) -> Result<Transformed<Expr>> {
        let Expr::ScalarSubquery(subquery) = &expr else {
            return Ok(Transformed::no(expr));
        };
        let alias = TableReference::bare(format!("aion subquery {}", self.parts.len()));
        if is_deep(subquery, around)? {
            return Ok(Transformed::no(expr));
        }
        let Some(part) = part(subquery, &alias)? else {
            return Ok(Transformed::no(expr));
        };
        let column = Expr::Column(Column::new(Some(alias), VALUE));
        let rows = Expr::Column(Column::new_unqualified(COUNT));
        let arguments = match &part.value {
            None => vec![column, rows],
            // The plan's column is the mark.
            Some(value) => vec![value.clone(), rows, column],
        };
        self.parts.push(part);
        Ok(Transformed::yes(ONE_OF.call(arguments)))
    }

    /// The node's input with the values beside each row.
    fn source(self, input: LogicalPlan) -> Result<LogicalPlan> {
        let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let numbered = LogicalPlanBuilder::from(input).window(vec![row_number().alias(ROW)])?;
        let mut joined = numbered;
        for part in self.parts {
            columns.extend(part.columns.into_iter().map(Expr::Column));
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
fn part(subquery: &Subquery, alias: &TableReference) -> Result<Option<Lifted>> {
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
    if !is_rows(&filter.input) {
        return Ok(None);
    }
    lifted(value, &projection.input, alias)
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

static ONE_OF: LazyLock<ScalarUDF> = LazyLock::new(|| {
    ScalarUDF::from(OneOf {
        signature: Signature::one_of(
            vec![TypeSignature::Any(2), TypeSignature::Any(3)],
            Volatility::Immutable,
        ),
    })
});

/// The first argument, where the second, the number of rows it stems from, is no more than one; NULL where there is a third, and it
/// is NULL: then the value stems from no row.
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
            [value, _] | [value, _, _] => Ok(value.clone()),
            _ => exec_err!("one_of takes a value and a number"),
        }
    }

    /// What the value is beside its Arrow type, json for instance, it stays.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [value, _] | [value, _, _] => {
                let field = value.as_ref().clone().with_name(self.name()).with_nullable(true);
                Ok(Arc::new(field))
            }
            _ => exec_err!("one_of takes a value and a number"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (value, rows, mark) = match &args.args[..] {
            [value, rows] => (value, rows, None),
            [value, rows, mark] => (value, rows, Some(mark)),
            _ => return exec_err!("one_of takes a value and a number"),
        };
        let rows = cast(&rows.to_array(args.number_rows)?, &DataType::Int64)?;
        let rows = rows.as_primitive::<Int64Type>();
        if rows.iter().flatten().any(|rows| rows > 1) {
            // The words by which the error is known, see `error`.
            return exec_err!("more than one row returned by a subquery used as an expression");
        }
        let Some(mark) = mark else {
            return Ok(value.clone());
        };
        let is_none = is_null(&mark.to_array(args.number_rows)?)?;
        let values = nullif(&value.to_array(args.number_rows)?, &is_none)?;
        Ok(ColumnarValue::Array(values))
    }
}
