//! Which columns of a result are columns of tables and views: drivers ask for it, to tell what may be NULL, what is counted up, and
//! where a changed value goes.
//!
//! As in PostgreSQL, a column of a result is one of a table where its expression is that column and nothing else, also through
//! subqueries, joins, groups and CTEs; a column of a view is the view's; what set operations, functions and casts give is nobody's.
//!
//! It is read off the plan as it was made of the text, before any rule has seen it.

use aion_catalog::SqlType;
use aion_catalog::descriptor::TableDescriptor;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::{DefaultTableSource, MemTable};
use datafusion::logical_expr::{Distinct, Expr, Join, JoinConstraint, JoinType, LogicalPlan, SubqueryAlias, TableScan};

use crate::dml::TARGET;
use crate::response::Origin;
use crate::system::{self, SystemTable};
use crate::table::Table;

/// The schema of the name that a view's plan has within a query; no user can write it.
const VIEW: &str = "aion view";

/// A view's plan, marked as such.
///
/// # Errors
/// Internal, where its columns have no names of their own.
pub fn of_view(plan: LogicalPlan, schema: &str, name: &str) -> datafusion::common::Result<LogicalPlan> {
    let mark = TableReference::partial(VIEW, system::oid_of_view(schema, name).to_string());
    SubqueryAlias::try_new(plan.into(), mark).map(LogicalPlan::SubqueryAlias)
}

/// What each column of a plan is a column of. Rows that a change returns are those of its `target`.
pub fn of_plan(plan: &LogicalPlan, target: Option<&TableDescriptor>) -> Vec<Option<Origin>> {
    let columns = 0..plan.schema().fields().len();
    columns.map(|at| of_column(plan, at, target)).collect()
}

/// What a column of a table is.
pub fn of_table(table: &TableDescriptor, position: usize) -> Option<Origin> {
    let column = table.columns.get(position)?;
    origin(system::oid_of_table(table.id), usize::try_from(column.id.0).ok()?)
}

fn origin(relation: u32, number: usize) -> Option<Origin> {
    let number = i16::try_from(number).ok()?;
    Some(Origin { relation, number })
}

fn of_column(plan: &LogicalPlan, at: usize, target: Option<&TableDescriptor>) -> Option<Origin> {
    match plan {
        LogicalPlan::Projection(projection) => of_expr(projection.expr.get(at)?, &projection.input, target),
        LogicalPlan::SubqueryAlias(alias) => match &alias.alias {
            TableReference::Partial { schema, table } if **schema == *VIEW => origin(table.parse().ok()?, at + 1),
            _ => of_column(&alias.input, at, target),
        },
        LogicalPlan::Filter(filter) => of_column(&filter.input, at, target),
        LogicalPlan::Sort(sort) => of_column(&sort.input, at, target),
        LogicalPlan::Limit(limit) => of_column(&limit.input, at, target),
        LogicalPlan::Distinct(Distinct::All(input)) => of_column(input, at, target),
        LogicalPlan::Distinct(Distinct::On(on)) => of_expr(on.select_expr.get(at)?, &on.input, target),
        LogicalPlan::Subquery(subquery) => of_column(&subquery.subquery, at, target),
        LogicalPlan::Window(window) => match at < window.input.schema().fields().len() {
            true => of_column(&window.input, at, target),
            false => None,
        },
        LogicalPlan::Aggregate(aggregate) => of_expr(aggregate.group_expr.get(at)?, &aggregate.input, target),
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match join.join_type {
                // Of columns that USING joins it is the right one here, or neither: the plan does not tell how it was named.
                JoinType::Right | JoinType::Full if is_using(join, at) => None,
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full if at < left => {
                    of_column(&join.left, at, target)
                }
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    of_column(&join.right, at - left, target)
                }
                // What INTERSECT and EXCEPT are made of; IN and EXISTS are no joins yet.
                _ => None,
            }
        }
        LogicalPlan::TableScan(scan) => of_scan(scan, at, target),
        _ => None,
    }
}

/// Whether a column of the left side is one of USING or of a NATURAL join.
fn is_using(join: &Join, at: usize) -> bool {
    join.join_constraint == JoinConstraint::Using
        && join.on.iter().any(|(left, _)| match left {
            Expr::Column(column) => place(&join.left, column) == Some(at),
            _ => false,
        })
}

fn of_expr(expr: &Expr, input: &LogicalPlan, target: Option<&TableDescriptor>) -> Option<Origin> {
    match expr {
        Expr::Alias(alias) => of_expr(&alias.expr, input, target),
        Expr::Column(column) => of_column(input, place(input, column)?, target),
        Expr::Cast(cast) => match &*cast.expr {
            Expr::Column(column) => {
                let at = place(input, column)?;
                let (is, becomes) = (input.schema().field(at), &cast.field);
                let (is, becomes) = (SqlType::from_field(is).ok()?, SqlType::from_field(becomes).ok()?);
                // A cast to what it is already is none.
                let same = is == becomes || is.oid() == becomes.oid() && becomes.type_modifier() == -1;
                if same { of_column(input, at, target) } else { None }
            }
            _ => None,
        },
        _ => None,
    }
}

fn place(input: &LogicalPlan, column: &Column) -> Option<usize> {
    input.schema().maybe_index_of_column(column)
}

fn of_scan(scan: &TableScan, at: usize, target: Option<&TableDescriptor>) -> Option<Origin> {
    let at = match &scan.projection {
        Some(projection) => *projection.get(at)?,
        None => at,
    };
    let provider = &scan.source.downcast_ref::<DefaultTableSource>()?.table_provider;
    if let Some(table) = provider.downcast_ref::<Table>() {
        return of_table(table.descriptor(), at);
    }
    if let Some(table) = provider.downcast_ref::<SystemTable>() {
        return origin(table.oid(), at + 1);
    }
    // What the change was joined with lies in memory, too.
    match (provider.is::<MemTable>() && scan.table_name.table() == TARGET, target) {
        (true, Some(target)) => of_table(target, at),
        _ => None,
    }
}
