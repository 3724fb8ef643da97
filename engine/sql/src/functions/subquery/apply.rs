//! Subqueries that are run again for each row around them: those of which no join can be made.
//!
//! **How.** The subquery becomes a function of what it looks at in the row around it, so that it may stand wherever an expression may. The function
//! has the query's plan, with a parameter in the place of each outer column:
//!
//! ```text
//! a scalar one            value(columns...)   NULL of no row, 21000 of two
//! EXISTS                  exists(columns...)
//! IN, ANY, ALL            value(columns...)   of a query that asks whether one row hits, or was NULL
//! LATERAL beside a plan   Unnest rows(columns...), a list of structs, over the plan
//! ```
//!
//! A plan is analysed with the statement around it. [`bind`] optimises it, when that statement is made executable, and gives it what it runs with: the
//! transaction and the snapshot are those of the statement, and so are its limits. It is made executable once more, and run, for each different set
//! of values in a batch.
//!
//! A column of a row further out is an argument too: an outer reference, by which the query between looks out in turn.
//!
//! **Left to DataFusion** are those that it makes the right join of (`PullUpCorrelatedExpr`): filters, one aggregate and inner joins over tables. It also
//! takes what it plans wrongly: what looks out from below a window or the side of an outer join that may be NULL, or below two aggregates.
//!
//! **Late.** What is sorted by something else is sorted first, so that a LIMIT spares the subqueries of the rows that it takes away.
//!
//! **Cost.** A millisecond or so for each set of values, most of it planning. Lists of LATERAL are in memory for the rows of one batch.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use aion_base::{Error, SqlState};
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, ListArray, RecordBatch, StructArray, new_empty_array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{concat, concat_batches};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::config::ConfigOptions;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, JoinType, NullHandling, Result, ScalarValue, UnnestOptions};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::expr::{Exists, Placeholder};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Join, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Sort, Volatility, not,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::decorrelate::PullUpCorrelatedExpr;
use datafusion::physical_plan::{ExecutionPlan, collect};
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};

use super::membership::{as_value, is_any};
use super::outer::{OuterRefs, any_expr, has_deep, has_subqueries, settled, subquery_of};
use crate::error::wrap;
use crate::table::StatementContext;

/// See the module's header.
#[derive(Debug)]
pub struct Apply;

impl AnalyzerRule for Apply {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !has_subqueries(&plan)? {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(rewrite)
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "apply"
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if let LogicalPlan::Join(join) = &plan
        && let Some(applied) = lateral(join)?
    {
        return Ok(Transformed::yes(applied));
    }
    if let LogicalPlan::Sort(sort) = &plan
        && let Some(applied) = sorted_first(sort)?
    {
        return Ok(Transformed::yes(applied));
    }
    if !matches!(plan, LogicalPlan::Subquery(_)) && !any_expr(&plan, &|expr| subquery_of(expr).is_some())? {
        return Ok(Transformed::no(plan));
    }
    let expressions = plan.expressions();
    let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
    let own = match plan.inputs().as_slice() {
        [] => DFSchema::empty(),
        several => merge_schema(several),
    };
    let names = NamePreserver::new(&plan);
    let mut is_changed = false;
    let mut applied = Vec::with_capacity(expressions.len());
    for expr in expressions {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| in_place(expr, &own, &plan))?;
        is_changed |= expr.transformed;
        applied.push(name.restore(expr.data));
    }
    match is_changed {
        true => settled(plan.with_new_exprs(applied, inputs)?).map(|plan| Transformed::yes(plan.data)),
        // What they look at may have changed with the subqueries in them.
        false => settled(plan),
    }
}

/// A subquery of an expression as a function, unless it is DataFusion's.
fn in_place(expr: Expr, own: &DFSchema, around: &LogicalPlan) -> Result<Transformed<Expr>> {
    let Some(subquery) = subquery_of(&expr) else {
        return Ok(Transformed::no(expr));
    };
    let query = &subquery.subquery;
    let refs = OuterRefs::of(query)?;
    if refs.is_empty() || (refs.without(own).is_empty() && is_known(&expr, around)?) {
        return Ok(Transformed::no(expr));
    }
    let applied = match &expr {
        Expr::ScalarSubquery(_) => {
            let two = LogicalPlanBuilder::from(LogicalPlan::clone(query)).limit(0, Some(2))?;
            call(Kind::Value, two.build()?, own)?
        }
        Expr::Exists(Exists { negated, .. }) => {
            let one = LogicalPlanBuilder::from(LogicalPlan::clone(query)).limit(0, Some(1))?;
            let exists = call(Kind::Exists, one.build()?, own)?;
            if *negated { not(exists) } else { exists }
        }
        _ => match as_value(&expr, own)? {
            Some(query) => call(Kind::Value, query, own)?,
            None => return Ok(Transformed::no(expr)),
        },
    };
    Ok(Transformed::yes(applied))
}

/// What is sorted before its subqueries are run, so that a LIMIT spares those of the rows that it takes away. None where it sorts by one, and where there is
/// none.
///
/// ```text
/// Sort                               Projection: a, subquery(b)
///   Projection: a, subquery(b)         Sort
///                                        Projection: a, b
/// ```
fn sorted_first(sort: &Sort) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Projection(projection) = sort.input.as_ref() else {
        return Ok(None);
    };
    let is_late: Vec<bool> = projection.expr.iter().map(calls_again).collect();
    let outputs = projection.schema.columns();
    let late_outputs = || outputs.iter().zip(&is_late).filter(|(_, is_late)| **is_late);
    let is_sorted_by = |column: &Column| {
        let mut keys = sort.expr.iter();
        keys.any(|key| calls_again(&key.expr) || key.expr.column_refs().contains(column))
    };
    if !is_late.contains(&true) || late_outputs().any(|(column, _)| is_sorted_by(column)) {
        return Ok(None);
    }
    let parts = || projection.expr.iter().zip(&is_late).zip(&outputs);
    let mut early: Vec<Expr> = Vec::new();
    for ((expr, is_late), _) in parts() {
        match is_late {
            false => early.push(expr.clone()),
            true => early.extend(expr.column_refs().into_iter().cloned().map(Expr::Column)),
        }
    }
    let mut seen = HashSet::new();
    early.retain(|expr| seen.insert(expr.clone()));
    let late = parts().map(|((expr, is_late), output)| match is_late {
        false => Expr::Column(output.clone()),
        true => expr.clone(),
    });
    let built = LogicalPlanBuilder::from(LogicalPlan::clone(&projection.input))
        .project(early)
        .and_then(|early| early.sort_with_limit(sort.expr.clone(), sort.fetch))
        .and_then(|sorted| sorted.project(late))
        .and_then(LogicalPlanBuilder::build);
    // A column of the input may be called as an output is: then it stays as it was.
    Ok(built.ok().filter(|built| built.schema().columns() == outputs))
}

fn calls_again(expr: &Expr) -> bool {
    let found = expr.exists(|expr| Ok(again_of(expr).is_some()));
    found.is_ok_and(|found| found)
}

/// The function that an expression calls, if it is one of these.
fn again_of(expr: &Expr) -> Option<&Again> {
    match expr {
        Expr::ScalarFunction(function) => function.func.inner().downcast_ref(),
        _ => None,
    }
}

/// Whether DataFusion makes the right join of a subquery that looks at the rows around it and no further.
fn is_known(expr: &Expr, around: &LogicalPlan) -> Result<bool> {
    let is_filter = matches!(around, LogicalPlan::Filter(_));
    let pull_up = PullUpCorrelatedExpr::new();
    let (query, pull_up, is_exists) = match expr {
        Expr::ScalarSubquery(subquery) => {
            let is_one = subquery.subquery.max_rows().is_some_and(|rows| rows <= 1);
            if !is_one || !(is_filter || matches!(around, LogicalPlan::Projection(_))) {
                return Ok(false);
            }
            (&subquery.subquery, pull_up.with_need_handle_count_bug(true), false)
        }
        Expr::Exists(exists) if is_filter => (&exists.subquery.subquery, pull_up.with_exists_sub_query(true), true),
        Expr::InSubquery(of) if is_filter => {
            let value = of.subquery.subquery.head_output_expr()?;
            let condition = value.map(|value| of.expr.as_ref().clone().eq(value));
            (&of.subquery.subquery, pull_up.with_in_predicate_opt(condition), false)
        }
        _ => return Ok(false),
    };
    Ok(is_plain(query, is_exists)? && can_pull_up(query, pull_up))
}

/// Whether what looks out of a plan is below nothing that means something else once it is pulled up.
fn is_plain(plan: &LogicalPlan, is_exists: bool) -> Result<bool> {
    fn walk(plan: &LogicalPlan, is_exists: bool, aggregates: usize) -> Result<bool> {
        if OuterRefs::of(plan)?.is_empty() {
            return Ok(true);
        }
        let aggregates = match plan {
            LogicalPlan::Aggregate(_) if aggregates == 1 => return Ok(false),
            LogicalPlan::Aggregate(_) => 1,
            LogicalPlan::Join(join) if join.join_type == JoinType::Inner => aggregates,
            LogicalPlan::Limit(limit) if is_exists && is_any(limit)? => aggregates,
            LogicalPlan::Filter(_)
            | LogicalPlan::Projection(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::SubqueryAlias(_) => aggregates,
            _ => return Ok(false),
        };
        for input in plan.inputs() {
            if !walk(input, is_exists, aggregates)? {
                return Ok(false);
            }
        }
        let own = match plan.inputs().as_slice() {
            [] => DFSchema::empty(),
            several => merge_schema(several),
        };
        for expr in plan.expressions() {
            if has_deep(&expr, &own)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
    walk(plan, is_exists, 0)
}

fn can_pull_up(plan: &LogicalPlan, mut pull_up: PullUpCorrelatedExpr) -> bool {
    // Where it fails it cannot.
    let rewritten = plan.clone().rewrite(&mut pull_up);
    rewritten.is_ok() && pull_up.can_pull_up
}

/// A join with a query that looks at the rows beside it as a function of these; None for another, and where DataFusion makes the right join.
fn lateral(join: &Join) -> Result<Option<LogicalPlan>> {
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return Ok(None);
    }
    let right = LogicalPlan::clone(&join.right).transform_up(|plan| {
        Ok(match plan {
            LogicalPlan::Subquery(subquery) => Transformed::yes(LogicalPlan::clone(&subquery.subquery)),
            other => Transformed::no(other),
        })
    })?;
    if !right.transformed {
        return Ok(None);
    }
    let (beside, right) = (join.left.schema(), right.data);
    let refs = OuterRefs::of(&right)?;
    let is_beside = |(_, column): &(FieldRef, Column)| beside.has_column(column);
    if !refs.iter().any(is_beside) {
        return Ok(None);
    }
    if refs.without(beside).is_empty() && is_plain(&right, false)? {
        let mut pull_up = PullUpCorrelatedExpr::new().with_need_handle_count_bug(true);
        let rewritten = right.clone().rewrite(&mut pull_up);
        if rewritten.is_ok() && pull_up.can_pull_up && pull_up.pull_up_having_expr.is_none() {
            return Ok(None);
        }
    }
    let equal = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let conditions = equal.chain(join.filter.clone());
    let conditions = conditions.map(|condition| outward(condition, beside));
    let mut query = LogicalPlanBuilder::from(right);
    if let Some(condition) = conjunction(conditions.collect::<Result<Vec<_>>>()?) {
        query = query.filter(condition)?;
    }
    let query = query.build()?;
    let columns: Vec<Expr> = beside.columns().into_iter().map(Expr::Column).collect();
    let named = query.schema().columns();
    let rows = call(Kind::Rows, query, beside)?.alias(ROWS);
    let null_handling = match join.join_type {
        JoinType::Left => NullHandling::PreserveAndExpandEmpty,
        _ => NullHandling::Drop,
    };
    let options = UnnestOptions {
        null_handling,
        ..UnnestOptions::default()
    };
    let unnested = LogicalPlanBuilder::from(LogicalPlan::clone(&join.left))
        .project(columns.iter().cloned().chain([rows]))?
        .unnest_column_with_options(ROWS, options)?;
    let parts = named.into_iter().enumerate().map(|(at, column)| {
        let part = get_field(Expr::Column(Column::new_unqualified(ROWS)), part_name(at));
        part.alias_qualified(column.relation, column.name)
    });
    unnested.project(columns.into_iter().chain(parts))?.build().map(Some)
}

/// No user can write this name.
const ROWS: &str = "aion rows";

fn part_name(at: usize) -> String {
    format!("c{at}")
}

/// An expression over rows as one within a query that looks at them from within.
pub fn outward(expr: Expr, own: &DFSchema) -> Result<Expr> {
    let seen = expr.transform_up(|expr| {
        Ok(match expr {
            Expr::Column(column) if own.has_column(&column) => {
                let field = own.field_from_column(&column)?.clone();
                Transformed::yes(Expr::OuterReferenceColumn(field, column))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(seen.data)
}

/// A query as a function of what it looks at.
fn call(kind: Kind, query: LogicalPlan, own: &DFSchema) -> Result<Expr> {
    let refs = OuterRefs::of(&query)?;
    let parameters = parameters_of(&query)?;
    let mut arguments = Vec::new();
    for (field, column) in refs.iter() {
        arguments.push(match own.has_column(column) {
            true => Expr::Column(column.clone()),
            false => Expr::OuterReferenceColumn(field.clone(), column.clone()),
        });
    }
    let mut names: Vec<String> = (0..arguments.len()).map(|at| format!("$aion_outer_{at}")).collect();
    for parameter in parameters {
        names.push(parameter.id.clone());
        arguments.push(Expr::Placeholder(parameter));
    }
    let bound = |column: &Column| refs.iter().position(|(_, bound)| bound == column);
    let query = replaced(query, &|expr| match expr {
        Expr::OuterReferenceColumn(field, column) => bound(column).map(|at| {
            Expr::Placeholder(Placeholder {
                id: names[at].clone(),
                field: Some(field.clone()),
            })
        }),
        _ => None,
    })?;
    let function = Again {
        kind,
        query: Arc::new(query),
        parameters: names,
        ready: None,
        signature: Signature::variadic_any(Volatility::Volatile),
    };
    Ok(ScalarUDF::from(function).call(arguments))
}

/// The parameters of a statement that a query in it has.
fn parameters_of(query: &LogicalPlan) -> Result<Vec<Placeholder>> {
    let mut found: Vec<Placeholder> = Vec::new();
    query.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(parameter) = expr
                    && !found.iter().any(|known| known.id == parameter.id)
                {
                    found.push(parameter.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// A query with other expressions in it, its subqueries included.
fn replaced(query: LogicalPlan, by: &dyn Fn(&Expr) -> Option<Expr>) -> Result<LogicalPlan> {
    let replaced = query.transform_up_with_subqueries(|plan| {
        let names = NamePreserver::new(&plan);
        let plan = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| {
                Ok(match by(&expr) {
                    Some(other) => Transformed::yes(other),
                    None => Transformed::no(expr),
                })
            })?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        match plan.transformed {
            true => settled(plan.data).map(|plan| Transformed::yes(plan.data)),
            false => settled(plan.data),
        }
    })?;
    Ok(replaced.data)
}

/// What is asked of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// Its one value.
    Value,
    /// Whether it has a row.
    Exists,
    /// All its rows.
    Rows,
}

/// A query, as a function of its parameters.
#[derive(Clone, Debug)]
struct Again {
    kind: Kind,
    query: Arc<LogicalPlan>,
    /// As the query names them, in the order of the arguments.
    parameters: Vec<String>,
    /// What runs it, once the statement around it is made executable.
    ready: Option<Arc<Ready>>,
    signature: Signature,
}

impl PartialEq for Again {
    fn eq(&self, other: &Self) -> bool {
        let is_same = match (&self.ready, &other.ready) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        is_same && self.kind == other.kind && self.parameters == other.parameters && self.query == other.query
    }
}

impl Eq for Again {}

impl Hash for Again {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, &self.parameters, &self.query).hash(state);
    }
}

/// What a query is run with.
struct Ready {
    /// Optimised.
    query: LogicalPlan,
    state: SessionState,
    task: Arc<TaskContext>,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

/// Gives the functions in a plan what they run with.
///
/// # Errors
/// What optimising their queries says.
pub fn bind(plan: LogicalPlan, state: &SessionState, task: &Arc<TaskContext>) -> Result<LogicalPlan> {
    let bound = plan.transform_up_with_subqueries(|plan| {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| {
                let Expr::ScalarFunction(mut function) = expr else {
                    return Ok(Transformed::no(expr));
                };
                let Some(again) = function.func.inner().downcast_ref::<Again>() else {
                    return Ok(Transformed::no(Expr::ScalarFunction(function)));
                };
                let mut again = again.clone();
                let query = LogicalPlan::clone(&again.query);
                let query = state.optimizer().optimize(query, state, |_, _| {})?;
                again.ready = Some(Arc::new(Ready {
                    query: bind(query, state, task)?,
                    state: state.clone(),
                    task: task.clone(),
                }));
                function.func = Arc::new(ScalarUDF::from(again));
                Ok(Transformed::yes(Expr::ScalarFunction(function)))
            })?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(bound.data)
}

/// Whether a plan has such functions.
///
/// # Errors
/// None of its own: what walks a plan may have some.
pub fn is_applied(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|plan| {
        found = found || any_expr(plan, &|expr| again_of(expr).is_some())?;
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

impl Ready {
    /// Runs the query with these values.
    async fn run(&self, parameters: &[String], values: &[Expr]) -> Result<Vec<RecordBatch>> {
        let query = replaced(self.query.clone(), &|expr| match expr {
            Expr::Placeholder(parameter) => {
                let at = parameters.iter().position(|name| *name == parameter.id)?;
                Some(values[at].clone())
            }
            _ => None,
        })?;
        let planner = self.state.query_planner();
        let physical: Arc<dyn ExecutionPlan> = planner.create_physical_plan(&query, &self.state).await?;
        collect(physical, self.task.clone()).await
    }
}

/// Where a query is run that is asked for on a thread which may not wait.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("aion subquery")
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
});

/// Plans are walked by recursion.
const STACK_BYTES: usize = 32 << 20;

/// Waits for what runs a query, from within an expression that is computed.
fn wait<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    if let Ok(handle) = Handle::try_current()
        && handle.runtime_flavor() == RuntimeFlavor::MultiThread
    {
        return tokio::task::block_in_place(|| handle.block_on(future));
    }
    let failed = |error: &std::io::Error| wrap(Error::internal(format!("no thread for a subquery: {error}")));
    let runtime = RUNTIME.as_ref().map_err(failed)?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || runtime.block_on(future))
            .map_err(|error| failed(&error))?;
        let ended = thread.join();
        ended.unwrap_or_else(|_| Err(wrap(Error::internal("a subquery panicked"))))
    })
}

impl Again {
    /// The columns of its rows as the parts of a struct.
    fn parts(&self) -> Fields {
        let fields = self.query.schema().fields().iter().enumerate();
        fields
            .map(|(at, field)| Field::clone(field).with_name(part_name(at)).with_nullable(true))
            .collect()
    }

    fn item(&self) -> FieldRef {
        Arc::new(Field::new("item", DataType::Struct(self.parts()), true))
    }

    /// What one run of it gives, as an array of one value.
    fn answer(&self, batches: &[RecordBatch]) -> Result<ArrayRef> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        match self.kind {
            Kind::Exists => Ok(Arc::new(BooleanArray::from(vec![rows > 0]))),
            Kind::Value => match rows {
                0 => {
                    let field = self.query.schema().field(0);
                    ScalarValue::try_from(field.data_type())?.to_array()
                }
                1 => {
                    let batch = batches.iter().find(|batch| batch.num_rows() == 1);
                    let column = batch.map(|batch| batch.column(0).clone());
                    column.ok_or_else(|| wrap(Error::internal("a row is in a batch")))
                }
                _ => Err(wrap(Error::invalid(
                    SqlState::CARDINALITY_VIOLATION,
                    "more than one row returned by a subquery used as an expression",
                ))),
            },
            Kind::Rows => {
                let parts = self.parts();
                let structs: ArrayRef = match batches.first() {
                    None => new_empty_array(&DataType::Struct(parts)),
                    Some(first) => {
                        let whole = concat_batches(&first.schema(), batches)?;
                        let columns = whole.columns().to_vec();
                        match columns.is_empty() {
                            true => Arc::new(StructArray::new_empty_fields(rows, None)),
                            false => Arc::new(StructArray::try_new(parts, columns, None)?),
                        }
                    }
                };
                let offsets = OffsetBuffer::from_lengths([rows]);
                Ok(Arc::new(ListArray::try_new(self.item(), offsets, structs, None)?))
            }
        }
    }
}

impl ScalarUDFImpl for Again {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Value => "subquery",
            Kind::Exists => "subquery_exists",
            Kind::Rows => "subquery_rows",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Value => self.query.schema().field(0).data_type().clone(),
            Kind::Exists => DataType::Boolean,
            Kind::Rows => DataType::List(self.item()),
        })
    }

    /// What the value is beside its Arrow type, json for instance, it stays.
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = match self.kind {
            Kind::Value => Field::clone(self.query.schema().field(0))
                .with_name(self.name())
                .with_nullable(true),
            _ => Field::new(self.name(), self.return_type(&[])?, self.kind == Kind::Rows),
        };
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(ready) = &self.ready else {
            return Err(wrap(Error::internal("a subquery is run before its statement is")));
        };
        let context = StatementContext::of(&ready.task).map_err(wrap)?;
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let rows = match args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            true => 1,
            false => args.number_rows,
        };
        let mut known: HashMap<Vec<ScalarValue>, usize> = HashMap::new();
        let mut answers: Vec<ArrayRef> = Vec::new();
        let mut order = Vec::with_capacity(rows);
        for row in 0..rows {
            let values = arrays.iter().map(|array| ScalarValue::try_from_array(array, row));
            let values = values.collect::<Result<Vec<_>>>()?;
            match known.entry(values) {
                Entry::Occupied(entry) => order.push(*entry.get()),
                Entry::Vacant(entry) => {
                    if context.cancellation.is_cancelled() {
                        return Err(wrap(context.cancellation.error()));
                    }
                    let literals = entry.key().iter().zip(&args.arg_fields).map(|(value, field)| {
                        let metadata = (!field.metadata().is_empty()).then(|| FieldMetadata::from(field.as_ref()));
                        Expr::Literal(value.clone(), metadata)
                    });
                    let literals: Vec<Expr> = literals.collect();
                    let batches = wait(ready.run(&self.parameters, &literals))?;
                    answers.push(self.answer(&batches)?);
                    order.push(*entry.insert(answers.len() - 1));
                }
            }
        }
        if order.is_empty() {
            return Ok(ColumnarValue::Array(new_empty_array(&self.return_type(&[])?)));
        }
        let of_rows: Vec<&dyn Array> = order.iter().map(|at| answers[*at].as_ref()).collect();
        let all = concat(&of_rows)?;
        if rows == 1 && args.number_rows != 1 {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&all, 0)?));
        }
        Ok(ColumnarValue::Array(all))
    }
}
