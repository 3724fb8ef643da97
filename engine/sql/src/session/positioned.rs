//! The rows of a cursor with their keys, for `UPDATE ... WHERE CURRENT OF`.
//!
//! Which cursors know whose rows theirs are: as in PostgreSQL those that lock them, and those that read one table as it lies, with
//! conditions and a LIMIT. The latter is told by the plan as it was made of the text; there the key is added behind all columns.
//!
//! **Left out.** PostgreSQL finds the row as well where an index gives the order of an ORDER BY, which its planner decides: here that is
//! refused. A row whose key was changed, or that was deleted and inserted again, is looked for by the key it had.

use std::sync::Arc;

use aion_base::id::TableId;
use aion_base::{Error, Result};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::logical_expr::{
    Expr, Filter, Limit, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, TableScan,
};

use super::query::conform;
use crate::table::{KEY_COLUMN, Table};

/// A plan that gives the rows of one table, with their keys behind its columns; None for any other.
pub(super) fn with_key(plan: &LogicalPlan) -> Option<(LogicalPlan, TableId)> {
    let below = |input: &LogicalPlan| -> Option<(Arc<LogicalPlan>, TableId)> {
        with_key(input).map(|(input, table)| (input.into(), table))
    };
    match plan {
        LogicalPlan::Projection(projection) => {
            let (input, table) = with_key(&projection.input)?;
            let last = input.schema().fields().len().checked_sub(1)?;
            let key = Expr::Column(Column::from(input.schema().qualified_field(last)));
            let mut columns = projection.expr.clone();
            columns.push(key);
            let projection = Projection::try_new(columns, input.into()).ok()?;
            Some((LogicalPlan::Projection(projection), table))
        }
        LogicalPlan::Filter(filter) if !joins(&filter.predicate) => {
            let (input, table) = below(&filter.input)?;
            let filter = Filter::try_new(filter.predicate.clone(), input).ok()?;
            Some((LogicalPlan::Filter(filter), table))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, table) = below(&alias.input)?;
            let alias = SubqueryAlias::try_new(input, alias.alias.clone()).ok()?;
            Some((LogicalPlan::SubqueryAlias(alias), table))
        }
        LogicalPlan::Limit(limit) => {
            let (input, table) = below(&limit.input)?;
            let limit = Limit { input, ..limit.clone() };
            Some((LogicalPlan::Limit(limit), table))
        }
        LogicalPlan::TableScan(scan) => scan_with_key(scan),
        _ => None,
    }
}

fn scan_with_key(scan: &TableScan) -> Option<(LogicalPlan, TableId)> {
    let source = scan.source.downcast_ref::<DefaultTableSource>()?;
    let table = source.table_provider.downcast_ref::<Table>()?;
    let key = table.descriptor().columns.len();
    let projection = scan.projection.clone().map(|mut columns| {
        columns.push(key);
        columns
    });
    let keyed = provider_as_source(Arc::new(table.keyed()));
    let plan = LogicalPlanBuilder::scan_with_filters(scan.table_name.clone(), keyed, projection, scan.filters.clone());
    Some((plan.ok()?.build().ok()?, table.descriptor().id))
}

/// Whether a condition becomes a join, whose rows are no longer those of the table as it lies.
fn joins(condition: &Expr) -> bool {
    let found = condition.exists(|expr| {
        Ok(match expr {
            Expr::InSubquery(within) => !within.negated,
            Expr::Exists(exists) => !exists.negated,
            Expr::SetComparison(_) => true,
            _ => false,
        })
    });
    !matches!(found, Ok(false))
}

/// The schema of a result with so many keys behind it.
pub(super) fn keyed_schema(schema: &SchemaRef, keys: usize) -> SchemaRef {
    let keys = (0..keys).map(|at| Field::new(format!("{KEY_COLUMN} {at}"), DataType::Binary, true).into());
    SchemaRef::new(Schema::new(
        schema.fields().iter().cloned().chain(keys).collect::<Vec<_>>(),
    ))
}

/// As [`conform`], with what stands behind the columns.
///
/// # Errors
/// As that one.
pub(super) fn conform_keyed(batch: RecordBatch, schema: &SchemaRef, keyed: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let keys = batch
        .columns()
        .get(schema.fields().len()..)
        .unwrap_or_default()
        .to_vec();
    let mut columns = conform(batch, schema)?.columns().to_vec();
    columns.extend(keys);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(keyed.clone(), columns, &options)
        .map_err(|error| Error::internal(format!("the rows of a cursor do not fit their columns: {error}")))
}

/// The columns of a result, without what stands behind them.
///
/// # Errors
/// Internal, where they are not there.
pub(super) fn visible(batch: &RecordBatch, columns: usize) -> Result<RecordBatch> {
    if batch.num_columns() == columns {
        return Ok(batch.clone());
    }
    let all: Vec<usize> = (0..columns).collect();
    batch
        .project(&all)
        .map_err(|error| Error::internal(format!("a result without its columns: {error}")))
}
