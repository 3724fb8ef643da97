//! What a statement would cost if indexes were there that are not.
//!
//! A *hypothetical* index is part of the descriptor that a statement is planned with, and of nothing else: it has no entries, and no
//! statement that runs ever sees one.
//!
//! The cost is counted in rows that are read in order, as [`Access`](crate::table::Access) counts scans; what the other operators add
//! is a rough share of the rows that they take in. It compares plans of one statement, and is no time.

use std::any::Any;
use std::sync::Arc;

use aion_base::id::{IndexId, TableId};
use aion_base::{Error, Result};
use aion_catalog::Value;
use aion_catalog::descriptor::{ColumnId, IndexColumn, IndexDescriptor, TableDescriptor};
use aion_catalog::objects::Catalog;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::sql::sqlparser::ast;

use super::{Prepared, Session, parameters};
use crate::error::translate;
use crate::nearest::NearestExec;
use crate::table::{ScanExec, StatementContext};

/// An ordered index that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HypotheticalIndex {
    /// The table it would be of.
    pub table: TableId,
    /// Its columns, smallest first, most significant first.
    pub columns: Vec<ColumnId>,
}

/// A statement as it would be planned.
#[derive(Debug)]
pub struct WhatIf {
    /// The optimised plan, before operators are chosen.
    pub plan: LogicalPlan,
    /// What running it is estimated to cost, in rows that are read in order.
    pub cost: f64,
    /// Whether it searches a vector index, so that its answer may miss a row.
    pub is_approximate: bool,
    /// The catalog that it was planned with.
    pub catalog: Arc<Catalog>,
    /// The schemas in which names without one were looked up.
    pub search_path: Vec<String>,
}

/// Cost of a row that an operator takes in.
const TAKEN: f64 = 0.2;
/// Cost of a comparison of a sort.
const COMPARED: f64 = 0.02;
/// Rows of an input that nothing is known of.
const ROWS_UNKNOWN: f64 = 1_000.0;

impl Session {
    /// Plans a query with these parameters as if the indexes were there. Nothing is run.
    ///
    /// # Errors
    /// Those of planning; 0A000 for a statement that is no query.
    pub async fn what_if(
        &mut self,
        prepared: &Arc<Prepared>,
        values: &[Value],
        indexes: &[HypotheticalIndex],
    ) -> Result<WhatIf> {
        self.hypothetical = indexes.into();
        let planned = self.plan_what_if(prepared, values).await;
        self.hypothetical = [].into();
        planned
    }

    async fn plan_what_if(&mut self, prepared: &Arc<Prepared>, values: &[Value]) -> Result<WhatIf> {
        let ast::Statement::Query(query) = &prepared.statement.ast else {
            return Err(Error::unsupported("only queries are planned with hypothetical indexes"));
        };
        let text = &prepared.statement.text;
        let transaction = self.transaction(false)?;
        let catalog = self.catalog_of(&transaction)?;
        let types: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let planned = self.plan_query(query, &types, text, &catalog)?;
        let plan = parameters::replace(planned.plan, &prepared.parameters, values, text, self.zone())?;
        let state = self.optimising()?;
        let optimised = state.optimize(&plan).map_err(|error| translate(error, text))?;
        let context = StatementContext {
            transaction,
            cancellation: self.canceller.begin(),
        };
        let (physical, _) = self.executable(state, &optimised, context, text).await?;
        Ok(WhatIf {
            plan: optimised,
            cost: cost(physical.as_ref(), &StatisticsContext::new()),
            is_approximate: is_approximate(physical.as_ref()),
            catalog,
            search_path: self.search_path()?,
        })
    }
}

/// What a plan is estimated to cost.
fn cost(plan: &dyn ExecutionPlan, statistics: &StatisticsContext) -> f64 {
    let any: &dyn Any = plan;
    if let Some(scan) = any.downcast_ref::<ScanExec>() {
        return scan.plan().cost;
    }
    let children = plan.children();
    let mut total = 0.0;
    for child in children {
        let known = statistics.compute(child.as_ref(), &StatisticsArgs::new()).ok();
        let rows = known.and_then(|known| known.num_rows.get_value().map(|&rows| rows as f64));
        let rows = rows.unwrap_or(ROWS_UNKNOWN);
        total += cost(child.as_ref(), statistics) + rows * TAKEN;
        if let Some(sort) = any.downcast_ref::<SortExec>() {
            let kept = sort.fetch().map_or(rows, |fetch| rows.min(fetch as f64));
            total += rows * kept.max(2.0).log2() * COMPARED;
        }
    }
    total
}

fn is_approximate(plan: &dyn ExecutionPlan) -> bool {
    let any: &dyn Any = plan;
    any.is::<NearestExec>() || plan.children().into_iter().any(|child| is_approximate(child.as_ref()))
}

/// Indexes that queries are planned with as if they were there, and without as if they were not. Writes see what is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct AdjustedIndexes {
    pub hypothetical: Arc<[HypotheticalIndex]>,
    /// By name, in whatever schema.
    pub hidden: Arc<[String]>,
}

impl AdjustedIndexes {
    /// The descriptor that a query is planned with; None where it is the table's own.
    pub fn adjust(&self, table: &TableDescriptor) -> Option<Arc<TableDescriptor>> {
        let is_hidden = |index: &IndexDescriptor| self.hidden.contains(&index.name);
        let added: Vec<_> = self
            .hypothetical
            .iter()
            .filter(|index| index.table == table.id)
            .collect();
        if added.is_empty() && !table.indexes.iter().any(is_hidden) {
            return None;
        }
        let mut adjusted = table.clone();
        adjusted.indexes.retain(|index| !is_hidden(index));
        for index in added {
            let id = IndexId(adjusted.next_index);
            adjusted.next_index = adjusted.next_index.saturating_add(1);
            let columns = index.columns.iter().copied().map(ascending).collect();
            let name = format!("hypothetical {id}");
            adjusted.indexes.push(IndexDescriptor::new(id, name, columns));
        }
        Some(Arc::new(adjusted))
    }
}

fn ascending(column: ColumnId) -> IndexColumn {
    IndexColumn {
        column,
        is_descending: false,
        is_nulls_first: false,
    }
}
