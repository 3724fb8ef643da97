//! The operator: a plan, run on the nearest rows only.

use std::fmt;
use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_base::{Error, Result};
use aion_catalog::descriptor::TableDescriptor;
use aion_catalog::keys::ROWS;
use aion_vector::by_distance;
use datafusion::arrow::array::{Array, AsArray, Float32Array, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions, reset_plan_states};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ColumnarValue, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream, collect,
    execute_stream,
};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use super::followers::{Followers, GraphAt};
use super::kept::keep_other_inputs;
use super::rewrite::NamedIndex;
use crate::error::{translate, wrap};
use crate::session::Property;
use crate::table::{Access, LOOKUP, ScanExec, ScanId, StatementContext};

/// Rows that the graph is asked for at first.
const FIRST_ROWS: usize = 64;
/// How many times as many the next time.
const GROWTH: usize = 4;
/// The plan is run as it was when the lookups of a round would cost more than this part of what its scan is estimated to cost.
const COST_MAX: f64 = 0.5;

/// What is searched for.
#[derive(Clone, Debug)]
pub struct Search {
    /// The scan whose rows are replaced.
    pub scan: ScanId,
    /// What that scan is estimated to cost, in parts of reading the whole table in order.
    pub share: f64,
    pub table: Arc<TableDescriptor>,
    pub index: NamedIndex,
    /// The vector; it may come from a scalar subquery.
    pub query: Arc<dyn PhysicalExpr>,
    /// The first sort key, over the rows of the sort.
    pub distance: Arc<dyn PhysicalExpr>,
    pub limit: usize,
}

/// How it went, for EXPLAIN.
#[derive(Clone, Debug)]
struct Run {
    /// The plan that gave the rows.
    plan: Arc<dyn ExecutionPlan>,
    /// Rows that the graph gave; None where all rows were compared.
    candidates: Option<usize>,
    rounds: usize,
}

/// See the module's header.
#[derive(Debug)]
pub struct NearestExec {
    input: Arc<dyn ExecutionPlan>,
    search: Search,
    followers: Arc<Followers>,
    metrics: ExecutionPlanMetricsSet,
    last: Arc<Mutex<Option<Run>>>,
}

impl NearestExec {
    /// `input` gives the first rows of an order, in one partition.
    pub fn new(input: Arc<dyn ExecutionPlan>, search: Search, followers: Arc<Followers>) -> Self {
        Self {
            input,
            search,
            followers,
            metrics: ExecutionPlanMetricsSet::new(),
            last: Arc::default(),
        }
    }

    /// The plan that ran last, or the input.
    pub fn shown(&self) -> Arc<dyn ExecutionPlan> {
        let last = self.last.lock();
        last.as_ref().map_or_else(|| self.input.clone(), |run| run.plan.clone())
    }

    /// The name and the properties that EXPLAIN shows.
    pub fn describe(&self) -> (String, Vec<(&'static str, Property)>) {
        let mut properties = vec![
            ("Index Name", Property::Text(self.search.index.1.clone())),
            ("Relation Name", Property::Text(self.search.table.name.clone())),
            ("Order By", Property::Text(self.search.distance.to_string())),
            ("Limit", Property::Number(self.search.limit as f64)),
        ];
        if let Some(run) = self.last.lock().as_ref() {
            let searched = match run.candidates {
                Some(candidates) => format!("hnsw, {candidates} candidates in {} rounds", run.rounds),
                None => format!("exact, after {} rounds of hnsw", run.rounds),
            };
            properties.push(("Search", Property::Text(searched)));
        }
        ("Vector Search".to_owned(), properties)
    }
}

impl DisplayAs for NearestExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, (_, index)) = (&self.search.table.name, &self.search.index);
        write!(f, "NearestExec: {table} by index {index}, limit {}", self.search.limit)
    }
}

impl ExecutionPlan for NearestExec {
    fn name(&self) -> &'static str {
        "NearestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> datafusion::common::Result<TreeNodeRecursion>,
    ) -> datafusion::common::Result<TreeNodeRecursion> {
        visit(&self.search.query)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let [input] =
            <[_; 1]>::try_from(children).map_err(|_| wrap(Error::internal("a vector search has one input")))?;
        Ok(Arc::new(Self::new(input, self.search.clone(), self.followers.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> datafusion::common::Result<SendableRecordBatchStream> {
        let statement = StatementContext::of(&task).map_err(wrap)?;
        let running = Running {
            input: self.input.clone(),
            search: self.search.clone(),
            followers: self.followers.clone(),
            last: self.last.clone(),
            statement,
            task,
        };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let stream = futures::stream::once(async move { running.run().await.map_err(wrap) })
            .try_flatten()
            .map(move |batch| batch.map(|batch| batch.record_output(&metrics)));
        let schema: SchemaRef = self.input.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn fetch(&self) -> Option<usize> {
        Some(self.search.limit)
    }
}

/// What one execution needs.
struct Running {
    input: Arc<dyn ExecutionPlan>,
    search: Search,
    followers: Arc<Followers>,
    last: Arc<Mutex<Option<Run>>>,
    statement: Arc<StatementContext>,
    task: Arc<TaskContext>,
}

impl Running {
    async fn run(self) -> Result<SendableRecordBatchStream> {
        let mut rounds = 0;
        let mut input = reset_plan_states(self.input.clone()).map_err(|error| translate(error, ""))?;
        if let Some((graph, query)) = self.graph()? {
            input = keep_other_inputs(input, self.search.scan, &self.task)
                .await
                .map_err(|error| translate(error, ""))?;
            let mut count = FIRST_ROWS.max(self.search.limit.saturating_mul(2));
            let scanned = graph.len() as f64 * self.search.share;
            while count as f64 * LOOKUP <= scanned * COST_MAX {
                rounds += 1;
                if let Some((batch, run)) = self.round(&input, &graph, &query, count, rounds).await? {
                    *self.last.lock() = Some(run);
                    let stream = futures::stream::iter([Ok(batch)]);
                    return Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), stream)));
                }
                count = count.saturating_mul(GROWTH);
            }
        }
        let plan = reset_plan_states(input).map_err(|error| translate(error, ""))?;
        *self.last.lock() = Some(Run {
            plan: plan.clone(),
            candidates: None,
            rounds,
        });
        execute_stream(plan, self.task).map_err(|error| translate(error, ""))
    }

    /// The graph at the statement's read point, and the vector; None where all rows are to be compared.
    fn graph(&self) -> Result<Option<(GraphAt, Vec<f32>)>> {
        if self.statement.transaction.is_past() {
            // The graph is of now, and forgets what is gone.
            return Ok(None);
        }
        let read_point = self.statement.transaction.snapshot()?.read_point()?.index;
        let Some(graph) = self
            .followers
            .graph_at(self.search.table.storage, self.search.index.0, read_point)?
        else {
            return Ok(None);
        };
        let empty = RecordBatch::new_empty(self.input.schema());
        let value = self
            .search
            .query
            .evaluate(&empty)
            .map_err(|error| translate(error, ""))?;
        let query = match value {
            ColumnarValue::Scalar(scalar) => components(&scalar)?,
            // An expression without columns that is no scalar: not worth a search.
            ColumnarValue::Array(_) => None,
        };
        Ok(query.map(|query| (graph, query)))
    }

    /// Runs the plan on the `count` nearest rows; None where more are needed.
    async fn round(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        graph: &GraphAt,
        query: &[f32],
        count: usize,
        rounds: usize,
    ) -> Result<Option<(RecordBatch, Run)>> {
        if self.statement.cancellation.is_cancelled() {
            return Err(self.statement.cancellation.error());
        }
        let Some(hits) = graph.nearest(query, count)? else {
            return Ok(None);
        };
        // Fewer rows than asked for: there are no more with a vector, and those without come last.
        let Some(farthest) = hits.last().filter(|_| hits.len() == count) else {
            return Ok(None);
        };
        let range = KeyRange::index(self.search.table.storage, ROWS);
        let mut keys: Vec<Arc<[u8]>> = hits.iter().map(|hit| hit.key.clone()).collect();
        keys.extend(self.statement.transaction.own_keys(&range).into_iter().map(Arc::from));
        keys.sort_unstable();
        keys.dedup();
        // What the graph did not show was relied upon as well.
        self.statement.transaction.rely_on(&range);
        let candidates = keys.len();
        let keys: Arc<[Arc<[u8]>]> = keys.into();
        let plan = self.plan_over(input, &keys)?;
        let batches = collect(plan.clone(), self.task.clone())
            .await
            .map_err(|error| translate(error, ""))?;
        let batch = concat_batches(&self.input.schema(), &batches).map_err(|error| translate(error.into(), ""))?;
        if batch.num_rows() < self.search.limit {
            return Ok(None);
        }
        let last = self.distance_of_last(&batch)?;
        // As near as the farthest: a row that the graph did not give may be as near, and come first by another key.
        if last.is_none_or(|last| by_distance(last, farthest.distance).is_ge()) {
            return Ok(None);
        }
        let run = Run {
            plan,
            candidates: Some(candidates),
            rounds,
        };
        Ok(Some((batch, run)))
    }

    /// The input with the table's scan replaced by lookups of these keys.
    fn plan_over(&self, input: &Arc<dyn ExecutionPlan>, keys: &Arc<[Arc<[u8]>]>) -> Result<Arc<dyn ExecutionPlan>> {
        let fresh = reset_plan_states(input.clone()).map_err(|error| translate(error, ""))?;
        let replaced = fresh.transform_up(|plan| {
            let any: &dyn std::any::Any = plan.as_ref();
            match any.downcast_ref::<ScanExec>() {
                Some(scan) if scan.plan().id == self.search.scan => {
                    let mut scan = scan.plan().clone();
                    scan.access = Access::Keys { keys: keys.clone() };
                    Ok::<_, DataFusionError>(Transformed::yes(Arc::new(ScanExec::new(scan)?) as _))
                }
                _ => Ok(Transformed::no(plan)),
            }
        });
        replaced
            .map(|replaced| replaced.data)
            .map_err(|error| translate(error, ""))
    }

    fn distance_of_last(&self, batch: &RecordBatch) -> Result<Option<f64>> {
        let Some(last) = batch.num_rows().checked_sub(1) else {
            return Ok(None);
        };
        let distances = self
            .search
            .distance
            .evaluate(batch)
            .and_then(|value| value.into_array(batch.num_rows()))
            .map_err(|error| translate(error, ""))?;
        let distances = distances.as_primitive_opt::<Float64Type>();
        let distances = distances.ok_or_else(|| Error::internal("a distance is no double precision"))?;
        Ok((!distances.is_null(last)).then(|| distances.value(last)))
    }
}

/// The components of a vector; None for NULL.
fn components(scalar: &ScalarValue) -> Result<Option<Vec<f32>>> {
    let array = scalar.to_array().map_err(|error| translate(error, ""))?;
    if array.is_null(0) {
        return Ok(None);
    }
    let elements = match array.data_type() {
        DataType::FixedSizeList(..) => array.as_fixed_size_list().value(0),
        DataType::List(_) => array.as_list::<i32>().value(0),
        other => return Err(Error::internal(format!("a vector came as Arrow's {other}"))),
    };
    let elements: Option<&Float32Array> = elements.as_primitive_opt::<Float32Type>();
    let elements = elements.ok_or_else(|| Error::internal("a vector's components are no 32-bit floats"))?;
    Ok(Some(elements.values().to_vec()))
}
