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
//! Left out, and refused by DataFusion as before: subqueries with LIMIT, DISTINCT, GROUP BY or a UNION, outer columns anywhere but
//! in SELECT and WHERE, and subqueries in other clauses than SELECT and WHERE. A value that looks at the outer row is computed also
//! where the subquery has no row, and may fail there.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::{cast, is_null, nullif};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result, TableReference, exec_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprFunctionExt, Filter, LogicalPlan, LogicalPlanBuilder, Projection, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery, TypeSignature, Volatility, lit,
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
    /// The columns of the plan that are looked at above the join.
    columns: Vec<Column>,
    /// The value that is computed there; None where it is a column of the plan.
    value: Option<Expr>,
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
    let is_outer_value = value.contains_outer();
    let has_outer = filter.input.exists(|plan| Ok(plan.contains_outer_reference()))?;
    if has_outer || !is_rows(&filter.input) || (is_outer_value && has_subquery(value)) {
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
    let mut keys = Keys {
        alias: alias.clone(),
        columns: Vec::new(),
    };
    let mut looked_at = vec![Column::new(Some(alias.clone()), VALUE)];
    let above = match is_outer_value {
        true => {
            let above = keys.lift(value.clone().unalias())?;
            looked_at.extend((0..keys.columns.len()).map(|at| Column::new(Some(alias.clone()), key_name(at))));
            Some(above)
        }
        false => None,
    };
    let on = correlated.into_iter().map(|expr| keys.lift(expr.clone()));
    let on = on.collect::<Result<Vec<_>>>()?;
    let first = match above {
        Some(_) => lit(true),
        None => value.clone().unalias(),
    };
    let mut columns = vec![first.alias(VALUE)];
    columns.extend(
        keys.columns
            .into_iter()
            .enumerate()
            .map(|(at, key)| Expr::Column(key).alias(key_name(at))),
    );
    let plan = inner.project(columns)?.alias(alias.clone())?.build()?;
    Ok(Some(Part {
        plan,
        on,
        columns: looked_at,
        value: above,
    }))
}

/// The inner columns that are looked at above, under names of their own: several tables may have an `oid`.
struct Keys {
    alias: TableReference,
    columns: Vec<Column>,
}

impl Keys {
    /// An expression of the subquery as one above its join.
    fn lift(&mut self, expr: Expr) -> Result<Expr> {
        let lifted = expr.transform_down(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(_, column) => {
                    Transformed::new(Expr::Column(column), true, TreeNodeRecursion::Jump)
                }
                Expr::Column(column) => {
                    let known = self.columns.iter().position(|key| *key == column);
                    let at = known.unwrap_or_else(|| {
                        self.columns.push(column);
                        self.columns.len() - 1
                    });
                    Transformed::yes(Expr::Column(Column::new(Some(self.alias.clone()), key_name(at))))
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(lifted.data)
    }
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
