//! The inputs of joins that stay the same from round to round.
//!
//! Between the sort and the scan whose rows are tried lie joins. What their other inputs give does not depend on those rows, so
//! it is computed once and kept in the memory of the query; a round then costs its lookups and the joins' own work. An input
//! that does not fit into that memory stays as it was, and is computed in every round.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ReplaceChildrenOptions, execute_stream_partitioned};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt};

use crate::table::{ScanExec, ScanId};

/// The plan with the inputs beside the way to `scan` computed, where they fit into memory. The plan was not run before.
///
/// # Errors
/// Those of the inputs.
pub async fn keep_other_inputs(
    plan: Arc<dyn ExecutionPlan>,
    scan: ScanId,
    task: &Arc<TaskContext>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut others = Vec::new();
    find_others(&plan, scan, &mut others);
    let mut kept: Vec<(Arc<dyn ExecutionPlan>, Arc<KeptExec>)> = Vec::new();
    for other in others {
        if let Some(done) = keep(other.clone(), task).await? {
            kept.push((other, Arc::new(done)));
        }
    }
    let replaced = plan.transform_down(|plan| {
        let found = kept.iter().find(|(other, _)| Arc::ptr_eq(other, &plan));
        Ok(match found {
            Some((_, done)) => Transformed::new(done.clone() as _, true, TreeNodeRecursion::Jump),
            None => Transformed::no(plan),
        })
    })?;
    Ok(replaced.data)
}

/// Gathers the inputs beside the way to the scan; true where the scan is in the plan.
fn find_others(plan: &Arc<dyn ExecutionPlan>, scan: ScanId, others: &mut Vec<Arc<dyn ExecutionPlan>>) -> bool {
    let any: &dyn Any = plan.as_ref();
    if let Some(there) = any.downcast_ref::<ScanExec>() {
        return there.plan().id == scan;
    }
    let children = plan.children();
    let Some(way) = children.iter().position(|child| find_others(child, scan, others)) else {
        return false;
    };
    let beside = children.into_iter().enumerate().filter(|&(at, _)| at != way);
    others.extend(beside.map(|(_, child)| child.clone()));
    true
}

/// Runs a plan and keeps its rows; None where they do not fit into the query's memory.
async fn keep(plan: Arc<dyn ExecutionPlan>, task: &Arc<TaskContext>) -> Result<Option<KeptExec>> {
    let memory = MemoryConsumer::new("inputs beside a vector search").register(task.memory_pool());
    let streams = execute_stream_partitioned(plan.clone(), task.clone())?;
    // All partitions at once: those of one repartition wait for each other.
    let partitions = streams.into_iter().map(|stream| {
        let memory = &memory;
        stream
            .map(move |batch| {
                let batch = batch?;
                // Too large is told from other errors below by the reservation's own error.
                memory
                    .try_grow(batch.get_array_memory_size())
                    .map_err(|_| Kept::TooLarge)?;
                Ok::<_, Kept>(batch)
            })
            .try_collect::<Vec<RecordBatch>>()
    });
    let done = try_join_all(partitions).await;
    match done {
        Ok(partitions) => Ok(Some(KeptExec {
            ran: plan,
            partitions: partitions.into(),
            _memory: Arc::new(memory),
        })),
        Err(Kept::TooLarge) => Ok(None),
        Err(Kept::Failed(error)) => Err(error),
    }
}

/// Why rows were not kept.
enum Kept {
    TooLarge,
    Failed(DataFusionError),
}

impl From<DataFusionError> for Kept {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error)
    }
}

/// The rows that a plan gave, as often as they are asked for.
#[derive(Debug)]
pub struct KeptExec {
    /// The plan, with what was measured when it ran.
    ran: Arc<dyn ExecutionPlan>,
    partitions: Arc<[Vec<RecordBatch>]>,
    _memory: Arc<MemoryReservation>,
}

impl KeptExec {
    /// The plan that gave the rows, for EXPLAIN.
    pub fn shown(&self) -> Arc<dyn ExecutionPlan> {
        self.ran.clone()
    }
}

impl DisplayAs for KeptExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: usize = self.partitions.iter().flatten().map(RecordBatch::num_rows).sum();
        write!(f, "KeptExec: {rows} rows")
    }
}

impl ExecutionPlan for KeptExec {
    fn name(&self) -> &'static str {
        "KeptExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.ran.properties()
    }

    /// None: what is below has run.
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

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.partitions[partition].clone();
        Ok(Box::pin(MemoryStream::try_new(batches, self.ran.schema(), None)?))
    }
}
