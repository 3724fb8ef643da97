//! The DEFAULTs of the columns that a COPY leaves out.
//!
//! They are planned as a query without a table, so they mean what they mean in an INSERT. What does not change from row to
//! row (a constant, `now()`) is computed once; what may (`random()`) for each row, many rows at a time.

use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::SqlType;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::PhysicalExpr;

use crate::error::translate;

/// See the module's header.
#[derive(Debug, Default)]
pub struct Defaults {
    /// By position in the table.
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    position: usize,
    sql_type: SqlType,
    expr: Arc<dyn PhysicalExpr>,
    is_volatile: bool,
}

impl Defaults {
    /// The defaults of the columns at these positions, with these types, by their planned expressions.
    ///
    /// # Errors
    /// 42xxx for an expression that does not give the column's type.
    pub fn new(state: &SessionState, columns: Vec<(usize, SqlType, Expr)>) -> Result<Self> {
        if columns.is_empty() {
            return Ok(Self::default());
        }
        let mut state = state.clone();
        state.mark_start_execution();
        let failed = |error| translate(error, "");
        let schema = DFSchema::empty();
        let casts = columns.iter().map(|(position, sql_type, expr)| {
            let cast = expr.clone().cast_to(&sql_type.to_arrow(), &schema)?;
            Ok(cast.alias(format!("column {position}")))
        });
        let casts = casts.collect::<datafusion::common::Result<Vec<_>>>().map_err(failed)?;
        let plan = LogicalPlanBuilder::empty(true)
            .project(casts)
            .and_then(LogicalPlanBuilder::build)
            .and_then(|plan| state.optimize(&plan))
            .map_err(failed)?;
        let LogicalPlan::Projection(projection) = plan else {
            return Err(Error::internal("the defaults of a table are planned as something else"));
        };
        let columns = columns
            .into_iter()
            .zip(&projection.expr)
            .map(|((position, sql_type, _), expr)| {
                Ok(Column {
                    position,
                    sql_type,
                    expr: state.create_physical_expr(expr.clone(), &schema).map_err(failed)?,
                    is_volatile: expr.is_volatile(),
                })
            });
        Ok(Self {
            columns: columns.collect::<Result<_>>()?,
        })
    }

    /// Where the default of a column stands in [`Defaults::rows`]; None if it has none or needs none.
    pub fn place(&self, position: usize) -> Option<usize> {
        self.columns.iter().position(|column| column.position == position)
    }

    /// Whether they may differ from row to row.
    pub fn differ(&self) -> bool {
        self.columns.iter().any(|column| column.is_volatile)
    }

    /// The defaults of `count` rows, in the types of the table's columns.
    ///
    /// # Errors
    /// What an expression may fail with.
    pub fn rows(&self, count: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
        let rows = rows.map_err(|error| translate(error.into(), ""))?;
        let arrays = self.columns.iter().map(|column| {
            let array = column.expr.evaluate(&rows).and_then(|value| value.into_array(count));
            let array = array.map_err(|error| translate(error, ""))?;
            match column.sql_type.to_arrow() {
                wanted if *array.data_type() == wanted => Ok(array),
                wanted => cast(&array, &wanted).map_err(|error| translate(error.into(), "")),
            }
        });
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let fields: Vec<_> = self
            .columns
            .iter()
            .map(|column| column.sql_type.to_field(format!("column {}", column.position), true))
            .collect();
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
            .map_err(|error| Error::internal(format!("defaults do not fit their columns: {error}")))
    }
}
