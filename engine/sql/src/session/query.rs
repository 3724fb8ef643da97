//! Planning and running queries.

use std::sync::Arc;

use aion_base::clock::{Clock, SystemClock};
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::{Catalog, table_key};
use aion_catalog::{SqlType, Value};
use datafusion::arrow::array::{ArrayRef, AsArray, ListArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;

use super::direct::set_zones;
use super::several::Within;
use super::{Prepared, Session, columns, create_as, locked, origins, parameters};
use crate::as_of;
use crate::cancel::Cancellation;
use crate::cells::{document_texts, labels};
use crate::dml::plan_merge;
use crate::error::translate;
use crate::functions::{bind, is_applied};
use crate::nearest::rewrite;
use crate::observe::observed;
use crate::parse::{self, Statement};
use crate::planner::{Planned, find_type, settle_types};
use crate::response::{Column, Response, ResultType, Rows, Verb};
use crate::rules::RuleOptions;
use crate::steps;
use crate::system::shown_oids;
use crate::table::StatementContext;
use crate::transaction::Transaction;
use crate::utility::{self, Utility};

/// A query that is planned and may run.
pub(super) struct Running {
    pub columns: Arc<[Column]>,
    pub physical: Arc<dyn ExecutionPlan>,
    pub task: Arc<TaskContext>,
}

impl Session {
    /// What a statement takes and gives, without running it.
    pub(super) fn describe(&self, statement: &Statement, given: &[Option<SqlType>]) -> Result<Prepared> {
        let mut prepared = self.described(statement, given)?;
        prepared.zone = self.name_of_zone();
        if parse::mentions(&statement.text, &[b"oid"]) {
            prepared.shown_oids = shown_oids(&statement.ast);
            let is_open = |at: usize| given.get(at).copied().flatten().is_none();
            prepared.shown_oids.retain(|(at, _)| is_open(*at));
        }
        Ok(prepared)
    }

    fn described(&self, statement: &Statement, given: &[Option<SqlType>]) -> Result<Prepared> {
        if let Some(prepared) = self.describe_directly(statement, given)? {
            return Ok(prepared);
        }
        if let ast::Statement::Query(query) = &statement.ast
            && create_as::into(query).is_some()
        {
            return Ok(Prepared::new(
                statement,
                self.describe_into(statement, query, given)?,
                None,
            ));
        }
        if let Some(prepared) = self.describe_ask(statement, given)? {
            return Ok(prepared);
        }
        let given = &self.with_casts(statement, given)?[..];
        if let Some(steps) = steps::of(&statement.ast)? {
            return self.describe_steps(statement, steps, given);
        }
        let (parameters, columns) = match &statement.ast {
            ast::Statement::Query(query) => {
                let catalog = match as_of::of_query(query) {
                    Some(time) => {
                        self.check_own_time()?;
                        let past = self.transaction_at(time)?;
                        self.engine.catalog_of(&past)?
                    }
                    None => self.catalog()?,
                };
                let query = &as_of::query_without(&locked::without_locks(query));
                let planned = self.plan_query(query, given, &statement.text, &catalog)?;
                let schema = planned.plan.schema().as_arrow();
                let columns = columns::of_query(query, schema)?;
                (
                    parameters::types(&planned.plan, given)?,
                    Some(columns::with_origins(&columns, origins::of_plan(&planned.plan, None))),
                )
            }
            ast::Statement::Insert(_) | ast::Statement::Update(_) | ast::Statement::Delete(_) => {
                let described = self.describe_change(statement, given, None)?;
                (parameters::types_of(&described.plans, given)?, described.columns)
            }
            ast::Statement::Merge(merge) => {
                let catalog = self.catalog()?;
                let path = self.search_path()?;
                let names = self.names(&catalog, &path);
                let (_, planned) = plan_merge(names, merge.clone(), parameters::known(given), &statement.text)?;
                (parameters::types(&planned.plan, given)?, None)
            }
            ast::Statement::Explain { statement: inner, .. } => {
                let inner = Statement {
                    ast: (**inner).clone(),
                    text: statement.text.clone(),
                    ordinal: statement.ordinal,
                };
                (
                    self.describe(&inner, given)?.parameters,
                    Some(super::explain::columns(&statement.ast)?),
                )
            }
            ast::Statement::Execute { .. } => (Vec::new(), self.describe_executed(statement)?),
            ast::Statement::Declare { .. } => (self.describe_cursor(statement, given)?, None),
            ast::Statement::Call(call) => match utility::carried(call)? {
                Some(Utility::Fetch(fetch)) => (Vec::new(), self.describe_fetch(&fetch)?),
                Some(Utility::CreateAs(create)) => (self.describe_create_as(&create, statement, given)?, None),
                _ => (Vec::new(), None),
            },
            ast::Statement::ShowVariable { variable } => (Vec::new(), Some(super::setting::columns(variable))),
            _ => (Vec::new(), None),
        };
        Ok(Prepared::new(statement, parameters, columns))
    }

    /// As [`parameters::with_casts`], where the casts may be to types that users made.
    fn with_casts(&self, statement: &Statement, given: &[Option<SqlType>]) -> Result<Vec<Option<SqlType>>> {
        if statement.text.contains('$') {
            let catalog = self.catalog()?;
            if catalog.enums().next().is_some() {
                let path = self.search_path()?;
                let mut settled = statement.ast.clone();
                settle_types(&mut settled, &mut |name| find_type(&catalog, &path, name));
                return Ok(parameters::with_casts(&settled, given));
            }
        }
        Ok(parameters::with_casts(&statement.ast, given))
    }

    pub(super) fn plan_query(
        &self,
        query: &ast::Query,
        given: &[Option<SqlType>],
        text: &str,
        catalog: &Catalog,
    ) -> Result<Planned> {
        self.plan_query_within(query, given, text, catalog, None)
    }

    /// As [`Session::plan_query`], with the tables that a step of a statement knows.
    pub(super) fn plan_query_within(
        &self,
        query: &ast::Query,
        given: &[Option<SqlType>],
        text: &str,
        catalog: &Catalog,
        within: Option<&Within>,
    ) -> Result<Planned> {
        refuse_clauses(query)?;
        let path = self.search_path()?;
        let mut query = query.clone();
        columns::make_unique(&mut query);
        let names = self.names_within(catalog, &path, within);
        names.plan(ast::Statement::Query(Box::new(query)), parameters::known(given), text)
    }

    pub(super) async fn query(
        &mut self,
        prepared: &Arc<Prepared>,
        values: &[Value],
        cancellation: Cancellation,
    ) -> Result<Response> {
        let ast::Statement::Query(query) = &prepared.statement.ast else {
            return Err(Error::internal("no query"));
        };
        let text = &prepared.statement.text;
        let clock = SystemClock::default();
        let begin = clock.monotonic();
        let Running {
            columns,
            physical,
            task,
        } = self.start(prepared, query, values, &cancellation).await?;
        let planning = clock.monotonic().saturating_sub(begin);
        let observing = self.observe(prepared, values, planning, Some(&physical));
        let limit = self.time_limit(&cancellation);
        let schema = result_schema(&columns);
        let batches = run(physical, task, cancellation, text.clone())?;
        let stream = batches.map({
            let schema = schema.clone();
            move |batch| {
                let _ = &limit; // It ends with the stream.
                batch.and_then(|batch| conform(batch, &schema))
            }
        });
        Ok(Response::Rows(match observing {
            Some(observing) => Rows::new(columns, schema, observed(stream, observing), Verb::Select),
            None => Rows::new(columns, schema, stream, Verb::Select),
        }))
    }

    /// Plans a query over what the transaction sees at this moment.
    pub(super) async fn start(
        &self,
        prepared: &Prepared,
        query: &ast::Query,
        values: &[Value],
        cancellation: &Cancellation,
    ) -> Result<Running> {
        self.start_as(prepared, query, values, cancellation, |plan| plan).await
    }

    /// As [`Session::start`], of a plan that is changed before any rule sees it.
    pub(super) async fn start_as(
        &self,
        prepared: &Prepared,
        query: &ast::Query,
        values: &[Value],
        cancellation: &Cancellation,
        change: impl FnOnce(LogicalPlan) -> LogicalPlan,
    ) -> Result<Running> {
        let text = &prepared.statement.text;
        let transaction = self.transaction(false)?.reading()?;
        let template = self.template(prepared, query, &transaction)?;
        self.depend(&template.planned, &transaction)?;
        let plan = parameters::replace(
            template.planned.plan.clone(),
            &prepared.parameters,
            values,
            text,
            self.zone(),
        )?;
        let context = StatementContext {
            transaction,
            cancellation: cancellation.clone(),
        };
        let (physical, task) = self.physical(&change(plan), context, text).await?;
        Ok(Running {
            columns: template.columns.clone(),
            physical,
            task,
        })
    }

    /// Notes that what the transaction writes is right only while the tables it planned upon are as they were.
    pub(super) fn depend(&self, planned: &Planned, transaction: &Transaction) -> Result<()> {
        for (schema, table) in &planned.tables {
            transaction.require_unchanged(KeyRange::point(&table_key(schema, table)))?;
        }
        for key in &planned.definitions {
            transaction.require_unchanged(KeyRange::point(key))?;
        }
        Ok(())
    }

    /// Optimises a plan and makes it executable.
    pub(super) async fn physical(
        &self,
        plan: &LogicalPlan,
        context: StatementContext,
        text: &str,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
        let mut state = self.optimising()?;
        // `now()` is when the transaction began, in each of its statements.
        let begun = timestamp_us_to_datetime(context.transaction.begun_at_micros());
        state.execution_props_mut().query_execution_start_time = begun.map(|begun| begun.and_utc());
        let optimised = state.optimize(plan).map_err(|error| translate(error, text))?;
        self.executable(state, &optimised, context, text).await
    }

    /// What optimises plans, as this session wants it.
    pub(super) fn optimising(&self) -> Result<SessionState> {
        let mut state: SessionState = self.state().clone();
        if let Some(literals) = &self.literals {
            set_zones(&mut state, &self.choices.zone.name(), literals);
        }
        if self.settings.show("aion.semi_join_reduction")? == "off" {
            let extensions = &mut state.config_mut().options_mut().extensions;
            extensions.insert(RuleOptions {
                semi_join_reduction: false,
            });
        }
        state.mark_start_execution();
        Ok(state)
    }

    /// Makes a plan executable that `state` optimised.
    pub(super) async fn executable(
        &self,
        state: SessionState,
        plan: &LogicalPlan,
        context: StatementContext,
        text: &str,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
        let config = state.config().clone().with_extension(Arc::new(context));
        let task = Arc::new(TaskContext::new(
            None,
            state.session_id().to_owned(),
            config,
            state.scalar_functions().clone(),
            state.higher_order_functions().clone(),
            state.aggregate_functions().clone(),
            state.window_functions().clone(),
            state.runtime_env().clone(),
        ));
        let bound = match is_applied(plan).map_err(|error| translate(error, text))? {
            true => Some(bind(plan.clone(), &state, &task).map_err(|error| translate(error, text))?),
            false => None,
        };
        let plan = bound.as_ref().unwrap_or(plan);
        let physical = state
            .query_planner()
            .create_physical_plan(plan, &state)
            .await
            .map_err(|error| translate(error, text))?;
        let physical = match self.settings.is_on("hnsw.exact") {
            true => physical,
            false => rewrite(physical, &self.engine.followers).map_err(|error| translate(error, text))?,
        };
        Ok((physical, task))
    }
}

/// Runs a plan; its stream ends with an error when it is cancelled.
pub(super) fn run(
    physical: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    cancellation: Cancellation,
    text: Arc<str>,
) -> Result<impl futures::Stream<Item = Result<RecordBatch>> + Send + 'static> {
    let stream = execute_stream(physical, task).map_err(|error| translate(error, &text))?;
    Ok(futures::stream::unfold(Some(stream), move |stream| {
        let (cancellation, text) = (cancellation.clone(), text.clone());
        async move {
            let mut stream = stream?;
            tokio::select! {
                biased;
                () = cancellation.cancelled() => Some((Err(cancellation.error()), None)),
                batch = stream.next() => match batch? {
                    Ok(batch) => Some((Ok(batch), Some(stream))),
                    Err(error) => Some((Err(translate(error, &text)), None)),
                },
            }
        }
    }))
}

/// The Arrow schema of a result with these columns.
pub(crate) fn result_schema(columns: &[Column]) -> SchemaRef {
    let fields = columns.iter().map(|column| {
        let field = column.sql_type.to_outer_field(column.name.clone(), true);
        match column.result_type {
            Some(result_type) => result_type.mark(field),
            None => field,
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The batch in the types of its SQL columns: DataFusion has some more, unsigned integers for instance.
pub(crate) fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    // What does not fit is a defect of ours, and no NULL.
    let exact = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(column.clone());
        }
        if let Some(texts) = documents_shown(column, field.data_type())? {
            return Ok(texts);
        }
        if let Some(result_type) = ResultType::carried(column.data_type(), field) {
            return result_type.carry(column);
        }
        cast_with_options(column, field.data_type(), &exact).map_err(|error| translate(error.into(), ""))
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Error::internal(format!("a result does not fit its columns: {error}")))
}

/// Documents as texts, and values of enums as labels, also those in arrays; None for what holds none, or is to stay as it is.
fn documents_shown(column: &ArrayRef, wanted: &DataType) -> Result<Option<ArrayRef>> {
    match (column.data_type(), wanted) {
        (DataType::LargeBinary, DataType::Utf8) => document_texts(column).map(Some),
        (from, DataType::Utf8) => match SqlType::from_arrow(from) {
            Ok(SqlType::Enum(of)) => labels(column, of).map(Some),
            _ => Ok(None),
        },
        (DataType::List(from), DataType::List(to))
            if *to.data_type() == DataType::Utf8 && from.data_type() != to.data_type() =>
        {
            let (_, offsets, values, nulls) = column.as_list::<i32>().clone().into_parts();
            let texts = documents_shown(&values, to.data_type())?;
            Ok(texts.map(|texts| Arc::new(ListArray::new(to.clone(), offsets, texts, nulls)) as ArrayRef))
        }
        _ => Ok(None),
    }
}

/// What sqlparser reads and DataFusion would silently ignore.
pub(crate) fn refuse_clauses(query: &ast::Query) -> Result<()> {
    if !query.locks.is_empty() {
        return Err(Error::unsupported(
            "FOR UPDATE and FOR SHARE are for a SELECT by itself",
        ));
    }
    steps::refuse_within(query)?;
    if create_as::into(query).is_some() {
        return Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            "SELECT ... INTO is not allowed here",
        ));
    }
    if as_of::of_query(query).is_some() {
        return Err(Error::unsupported("AS OF SYSTEM TIME is for a SELECT by itself"));
    }
    if query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some() {
        return Err(Error::unsupported("FOR XML, SETTINGS and FORMAT are not PostgreSQL's"));
    }
    Ok(())
}
