//! Reading a range of a table.

use std::fmt;
use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_base::{Error, SqlState};
use aion_storage::Direction;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
};

use super::{BatchBuilder, TableShape};
use crate::cancel::Cancellation;
use crate::error::wrap;
use crate::transaction::{Transaction, TransactionScan};

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

/// See the module's header.
#[derive(Debug)]
pub struct ScanExec {
    shape: Arc<TableShape>,
    projection: Vec<usize>,
    range: KeyRange,
    limit: Option<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    /// A scan of the rows whose keys are in `range`; `projection` are positions in the schema with the key.
    pub fn new(shape: Arc<TableShape>, projection: Vec<usize>, range: KeyRange, limit: Option<usize>) -> Result<Self> {
        let schema = Arc::new(shape.schema_with_key.project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        Ok(Self {
            shape,
            projection,
            range,
            limit,
            schema,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.shape.descriptor;
        write!(f, "ScanExec: {}.{}", table.schema, table.name)?;
        if self.range.is_empty() {
            write!(f, ", no rows")?;
        } else if self.range != KeyRange::index(table.id, aion_catalog::keys::ROWS) {
            write!(f, ", by primary key")?;
        }
        match self.limit {
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
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
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

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let statement = StatementContext::of(&task).map_err(wrap)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let state = ScanState {
            scan: statement.transaction.scan(&self.range, Direction::Forward),
            builder: BatchBuilder::new(&self.shape.layout, &self.projection, self.schema.clone()),
            shape: self.shape.clone(),
            batch_rows: task.session_config().batch_size(),
            rest: self.limit.unwrap_or(usize::MAX),
            statement,
            metrics,
        };
        let stream = futures::stream::try_unfold(state, |mut state| async move {
            let batch = state.next_batch().map_err(wrap)?;
            Ok(batch.map(|batch| (batch, state)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct ScanState {
    scan: TransactionScan,
    builder: BatchBuilder,
    shape: Arc<TableShape>,
    batch_rows: usize,
    rest: usize,
    statement: Arc<StatementContext>,
    metrics: BaselineMetrics,
}

impl ScanState {
    fn next_batch(&mut self) -> aion_base::Result<Option<RecordBatch>> {
        if self.statement.cancellation.is_cancelled() {
            return Err(self.statement.cancellation.error());
        }
        let timer = self.metrics.elapsed_compute().timer();
        while self.builder.len() < self.batch_rows && self.rest > 0 {
            if !self.scan.advance()? {
                self.rest = 0;
                break;
            }
            self.builder
                .push(&self.shape.layout, self.scan.key(), self.scan.value())
                .map_err(|error| {
                    Error::new(error.kind(), SqlState::DATA_CORRUPTED, error.message())
                        .with_table(self.shape.descriptor.name.clone())
                })?;
            self.rest -= 1;
        }
        timer.done();
        if self.builder.len() == 0 {
            return Ok(None);
        }
        let batch = self.builder.finish()?;
        Ok(Some(batch.record_output(&self.metrics)))
    }
}
