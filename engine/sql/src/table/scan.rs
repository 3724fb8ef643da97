//! The operator that reads a table.
//!
//! It knows the way to the rows ([`Access`]), evaluates the filters itself, before the other columns are decoded, and
//! says how many rows it expects and in which order they come.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aion_base::Error;
use aion_base::range::KeyRange;
use aion_catalog::keys::ROWS;
use aion_catalog::stats::TableStatistics;
use aion_storage::Direction;
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{ConstExpr, EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
    SortOrderPushdownResult,
};

use super::TableShape;
use super::access::Access;
use super::read::Reader;
use crate::cancel::Cancellation;
use crate::error::wrap;
use crate::session::Property;
use crate::transaction::Transaction;

/// What the operators of a running statement share; an extension of the task's configuration.
#[derive(Debug)]
pub struct StatementContext {
    /// What they read through.
    pub transaction: Arc<Transaction>,
    /// Whether to stop.
    pub cancellation: Cancellation,
}

impl StatementContext {
    /// The context of the statement that runs `task`.
    pub fn of(task: &TaskContext) -> aion_base::Result<Arc<Self>> {
        task.session_config()
            .get_extension::<Self>()
            .ok_or_else(|| Error::internal("a table is read outside of a statement"))
    }
}

/// The conjuncts that a scan evaluates.
#[derive(Clone, Debug)]
pub struct Filter {
    /// For people.
    pub conjuncts: Vec<Expr>,
    /// Over a batch of `columns`.
    pub predicate: Arc<dyn PhysicalExpr>,
    /// Positions in the schema with the key.
    pub columns: Vec<usize>,
}

/// Tells the scans of a plan apart, however often they are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanId(u64);

impl ScanId {
    /// One that was not given before.
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a scan does; shared with those that run it.
#[derive(Clone, Debug)]
pub struct ScanPlan {
    /// Tells it from other scans of the same table.
    pub id: ScanId,
    pub shape: Arc<TableShape>,
    /// The columns of the result: positions in the schema with the key.
    pub projection: Vec<usize>,
    pub access: Access,
    /// What it is estimated to cost, in rows that are read in order.
    pub cost: f64,
    /// The same in parts of reading the whole table in order; 1 where nothing is known of the table. A share, since the table may
    /// have grown since its statistics were gathered.
    pub share: f64,
    pub filter: Option<Filter>,
    /// Rows after the filter, at most.
    pub limit: Option<usize>,
    pub direction: Direction,
    /// The rows expected, and what their columns hold.
    pub statistics: Arc<Statistics>,
    /// What ANALYZE found of the table.
    pub known: Option<Arc<TableStatistics>>,
    /// The columns of the result.
    pub schema: SchemaRef,
}

/// All rows, in their order.
const SEQ_SCAN: &str = "Seq Scan";

impl ScanPlan {
    /// The name that EXPLAIN shows.
    pub fn name(&self) -> &'static str {
        match &self.access {
            Access::Rows { range, .. } if *range == KeyRange::index(self.shape.descriptor.storage, ROWS) => SEQ_SCAN,
            Access::Rows { .. } => "Index Scan",
            Access::Keys { .. } => "Key Lookup",
            Access::Index { is_covering: true, .. } => "Index Only Scan",
            Access::Index { .. } => "Index Scan",
        }
    }

    /// The name and the properties that EXPLAIN shows.
    pub fn describe(&self) -> (String, Vec<(&'static str, Property)>) {
        let table = &self.shape.descriptor;
        let text = |text: &str| Property::Text(text.to_owned());
        let name = self.name();
        let index = match &self.access {
            Access::Rows { .. } if name == SEQ_SCAN => None,
            Access::Rows { .. } => table.primary_key_name.as_deref(),
            Access::Keys { .. } => None,
            Access::Index { keys, .. } => Some(keys.name()),
        };
        let direction = match self.direction {
            Direction::Forward => "Forward",
            Direction::Backward => "Backward",
        };
        let mut properties = vec![("Relation Name", text(&table.name)), ("Schema", text(&table.schema))];
        if let Some(index) = index {
            properties.push(("Index Name", text(index)));
            properties.push(("Scan Direction", text(direction)));
        }
        if let Some(filter) = &self.filter {
            let shown: Vec<_> = filter.conjuncts.iter().map(|filter| format!("({filter})")).collect();
            properties.push(("Filter", Property::Text(shown.join(" AND "))));
        }
        properties.extend(self.limit.map(|limit| ("Limit", Property::Number(limit as f64))));
        (name.to_owned(), properties)
    }
}

/// See the module's header.
#[derive(Debug)]
pub struct ScanExec {
    plan: Arc<ScanPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    /// A scan as planned.
    pub fn new(plan: ScanPlan) -> Result<Self> {
        let equivalences = equivalences(&plan)?;
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            plan: Arc::new(plan),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// What it does.
    pub fn plan(&self) -> &ScanPlan {
        &self.plan
    }
}

/// What is known of the order of the rows: the columns with one value, and the order by the others.
fn equivalences(plan: &ScanPlan) -> Result<EquivalenceProperties> {
    let (order, equal) = plan.access.order(&plan.shape);
    let column = |position: usize| {
        let at = plan.projection.iter().position(|&there| there == position)?;
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(plan.schema.field(at).name(), at));
        Some(column)
    };
    let mut known = EquivalenceProperties::new(plan.schema.clone());
    let constants = order[..equal].iter().filter_map(|&(position, _)| column(position));
    known.add_constants(constants.map(ConstExpr::from))?;
    let sorted = order[equal..].iter().map_while(|&(position, order)| {
        let is_reversed = plan.direction == Direction::Backward;
        let options = SortOptions {
            descending: order.is_descending() != is_reversed,
            nulls_first: order.is_nulls_first() != is_reversed,
        };
        Some(PhysicalSortExpr::new(column(position)?, options))
    });
    let sorted: Vec<_> = sorted.collect();
    if !sorted.is_empty() {
        known.add_ordering(sorted);
    }
    Ok(known)
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let table = &plan.shape.descriptor;
        write!(f, "ScanExec: {}.{}", table.schema, table.name)?;
        match &plan.access {
            Access::Rows { range, .. } if range.is_empty() => write!(f, ", no rows")?,
            Access::Rows { range, .. } if *range != KeyRange::index(table.storage, ROWS) => {
                write!(f, ", by primary key")?
            }
            Access::Rows { .. } => {}
            Access::Keys { keys } => write!(f, ", {} keys", keys.len())?,
            Access::Index { keys, is_covering, .. } => {
                write!(f, ", by index {}", keys.name())?;
                if *is_covering {
                    write!(f, " alone")?;
                }
            }
        }
        if plan.direction == Direction::Backward {
            write!(f, ", backward")?;
        }
        if let Some(filter) = &plan.filter {
            let shown: Vec<_> = filter.conjuncts.iter().map(ToString::to_string).collect();
            write!(f, ", filter {}", shown.join(" AND "))?;
        }
        match plan.limit {
            Some(limit) => write!(f, ", limit {limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        match &self.plan.filter {
            Some(filter) => visit(&filter.predicate),
            None => Ok(TreeNodeRecursion::Continue),
        }
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    /// What was counted is of one run.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self {
            plan: self.plan.clone(),
            properties: self.properties.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let statement = StatementContext::of(&task).map_err(wrap)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batch_rows = task.session_config().batch_size();
        let reader = Reader::new(self.plan.clone(), statement, batch_rows, metrics).map_err(wrap)?;
        let stream = futures::stream::try_unfold(reader, |mut reader| async move {
            let batch = reader.next_batch().await.map_err(wrap)?;
            Ok(batch.map(|batch| (batch, reader)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.plan.schema.clone(),
            stream,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, _: Option<usize>) -> Result<Arc<Statistics>> {
        Ok(self.plan.statistics.clone())
    }

    fn fetch(&self) -> Option<usize> {
        self.plan.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let plan = ScanPlan {
            limit,
            ..self.plan.as_ref().clone()
        };
        Some(Arc::new(Self::new(plan).ok()?))
    }

    /// Reads backward where that gives the order that is wanted.
    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let Some(wanted) = LexOrdering::new(order.to_vec()) else {
            return Ok(SortOrderPushdownResult::Unsupported);
        };
        // A limit was taken in the order there is.
        if self.plan.limit.is_some() {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        for direction in [Direction::Forward, Direction::Backward] {
            let plan = ScanPlan {
                direction,
                ..self.plan.as_ref().clone()
            };
            let scan = Self::new(plan)?;
            if scan.properties.eq_properties.ordering_satisfy(wanted.clone())? {
                return Ok(SortOrderPushdownResult::Exact { inner: Arc::new(scan) });
            }
        }
        Ok(SortOrderPushdownResult::Unsupported)
    }
}
