//! Names to objects, for DataFusion's planner.
//!
//! One [`SessionState`] with all functions and rules is shared by every session and never rebuilt; what differs from
//! statement to statement, the catalog and the search path, is here.
//!
//! **Search path.** A name without a schema is looked up in `pg_catalog`, then along the path. `"$user"` stands for a schema of
//! the role's name, and never for one of the system's: the role `aion` does not thereby see the schema `aion` first, so a user's
//! table `models` or `statements` is never shadowed. The session's schema of temporary objects, where it has one, stands in the path, and is meant by
//! `pg_temp`; what is in those of other sessions cannot be read.

mod at_cursor;
mod from_function;
mod made_types;
mod nested_values;
mod over_row;
mod relations;
mod type_names;

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use aion_base::id::TableId;
use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{GraphDescriptor, TableDescriptor, ViewDescriptor};
use aion_catalog::objects::{Catalog, Object, SYSTEM_SCHEMAS, graph_key, is_temporary, view_key};
use aion_catalog::stats::TableStatistics;
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::catalog::{TableFunctionArgs, TableProvider};
use datafusion::common::{DFSchema, DataFusionError, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, EmptyRelation, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;
use parking_lot::Mutex;

use self::nested_values::NestedValues;
use self::type_names::SqlTypePlanner;
use crate::cursors::Cursors;
use crate::dml::normalize;
use crate::error::{missing_column, translate, wrap};
use crate::functions::{self, cast_call, is_function};
use crate::session::{AdjustedIndexes, PARAMETERS_MAX, TEMPORARY_ALIAS, check_populated, of_view};
use crate::system::{self, Facts, Identity, SequenceTable, SystemTable};
use crate::table::{Table, TableShape};
use crate::{graph, parse, set_operations, views};
pub use made_types::{find_type, names_type, settle_definition, settle_type, settle_types};

/// What a statement's names mean.
pub struct Names<'a> {
    state: &'a SessionState,
    catalog: &'a Catalog,
    search_path: &'a [String],
    shapes: &'a Shapes,
    bound: Vec<(String, Arc<dyn TableProvider>)>,
    /// What ANALYZE knows of tables; it only steers plans.
    statistics: Arc<HashMap<TableId, Arc<TableStatistics>>>,
    /// Indexes to plan with as if they were there, or not.
    indexes: AdjustedIndexes,
    /// Whose session it is, for system tables and functions.
    identity: Option<Identity>,
    /// What those answer from; taken when the first is met.
    facts: OnceLock<Arc<Facts>>,
    /// What the statement depends upon.
    met: Mutex<Met>,
    /// How many views this is planned within.
    depth: usize,
    /// What plans VALUES within the query of an INSERT.
    relations: Vec<Arc<dyn RelationPlanner>>,
    /// The cursors that `WHERE CURRENT OF` means; None where a statement is planned and not run.
    cursors: Option<&'a Cursors>,
}

/// What names were found to stand for.
#[derive(Debug, Default)]
struct Met {
    /// Tables, by schema and name, also those within views.
    tables: BTreeSet<(String, String)>,
    /// The keys of the descriptors of views and graphs, also of those within views.
    definitions: BTreeSet<Vec<u8>>,
    /// Tables, views and graphs that the statement itself names.
    named: BTreeSet<(String, String)>,
}

/// What an expression over one row cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeyondRow {
    /// A query.
    Query,
    /// An aggregate function.
    Aggregate,
    /// A window function.
    Window,
}

/// Layouts and keys of tables, computed once.
#[derive(Debug, Default)]
pub struct Shapes {
    known: Mutex<HashMap<TableId, Arc<TableShape>>>,
}

/// Shapes kept; beyond, all are forgotten and computed anew.
const SHAPES_MAX: usize = 4096;

impl Shapes {
    /// The shape of a table as this descriptor has it.
    pub fn of(&self, table: &Arc<TableDescriptor>) -> Arc<TableShape> {
        let mut known = self.known.lock();
        if let Some(shape) = known.get(&table.id)
            && (Arc::ptr_eq(&shape.descriptor, table) || shape.descriptor == *table)
        {
            return shape.clone();
        }
        if known.len() >= SHAPES_MAX {
            known.clear();
        }
        let shape = TableShape::new(table.clone());
        known.insert(table.id, shape.clone());
        shape
    }
}

/// A planned query and what it depends upon.
#[derive(Debug)]
pub struct Planned {
    /// The plan, with its parameters still open.
    pub plan: LogicalPlan,
    /// The tables that it reads, also within views.
    pub tables: BTreeSet<(String, String)>,
    /// The keys of the descriptors of the views and graphs that it reads.
    pub definitions: BTreeSet<Vec<u8>>,
    /// Tables, views and graphs that the statement itself names, by schema and name.
    pub named: BTreeSet<(String, String)>,
}

impl Planned {
    fn new(plan: LogicalPlan, met: Met) -> Self {
        Self {
            plan,
            tables: met.tables,
            definitions: met.definitions,
            named: met.named,
        }
    }
}

/// The schemas of a `search_path` setting, in order.
pub fn search_path(setting: &str, user: &str) -> Vec<String> {
    setting
        .split(',')
        .map(|part| part.trim().trim_matches('"'))
        .map(|part| if part == "$user" { user } else { part })
        .filter(|part| !part.is_empty())
        .zip(setting.split(',').map(|part| part.contains("$user")))
        .filter(|(schema, is_user)| !(*is_user && SYSTEM_SCHEMAS.contains(schema)))
        .map(|(schema, _)| schema.to_owned())
        .collect()
}

impl<'a> Names<'a> {
    /// Names as `catalog` and `search_path` give them.
    pub fn new(state: &'a SessionState, catalog: &'a Catalog, search_path: &'a [String], shapes: &'a Shapes) -> Self {
        Self {
            state,
            catalog,
            search_path,
            shapes,
            bound: Vec::new(),
            statistics: Arc::default(),
            indexes: AdjustedIndexes::default(),
            identity: None,
            facts: OnceLock::new(),
            met: Mutex::default(),
            depth: 0,
            relations: Vec::new(),
            cursors: None,
        }
    }

    /// The names of a view's query.
    pub fn within_view<'b>(&'b self, search_path: &'b [String]) -> Names<'b> {
        Names {
            depth: self.depth + 1,
            indexes: self.indexes.clone(),
            identity: self.identity.clone(),
            ..Names::new(self.state, self.catalog, search_path, self.shapes).with_statistics(self.statistics.clone())
        }
    }

    /// How many views this is planned within.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What plans and computes expressions.
    pub fn state(&self) -> &SessionState {
        self.state
    }

    /// The catalog that gives names their meaning.
    pub fn catalog(&self) -> &Catalog {
        self.catalog
    }

    /// With the session that system tables and functions speak of.
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// What system tables and functions answer from.
    fn facts(&self) -> Option<Arc<Facts>> {
        let identity = self.identity.as_ref()?;
        let facts = self.facts.get_or_init(|| {
            let of_kind = |names: Vec<String>, kind: char| names.into_iter().map(move |name| (name, kind));
            let mut functions: Vec<(String, char)> = of_kind(self.udf_names(), 'f')
                .chain(of_kind(self.udaf_names(), 'a'))
                .chain(of_kind(self.udwf_names(), 'w'))
                .collect();
            functions.sort();
            functions.dedup_by(|one, other| one.0 == other.0);
            Arc::new(Facts::new(
                self.catalog.clone(),
                self.search_path.to_vec(),
                identity.clone(),
                self.statistics.clone(),
                functions,
            ))
        });
        Some(facts.clone())
    }

    /// What is known of the system table that a reference names.
    fn system_definition(&self, name: &TableReference) -> Option<&'static system::Definition> {
        match name {
            TableReference::Bare { table } => {
                let path = self.search_path.iter().map(|schema| Some(schema.as_str()));
                std::iter::once(None)
                    .chain(path)
                    .find_map(|schema| system::find(schema, table))
            }
            TableReference::Partial { schema, table } | TableReference::Full { schema, table, .. } => {
                system::find(Some(schema), table)
            }
        }
    }

    /// The system table that a reference names.
    fn system_table(&self, name: &TableReference) -> Option<Arc<SystemTable>> {
        let definition = self.system_definition(name)?;
        let facts = self.facts()?;
        if self.depth == 0 && definition.tells_columns() {
            facts.describe_views(|view| {
                let planned = views::plan(self, view).ok()?;
                Some(planned.plan.schema().inner().clone())
            });
        }
        Some(Arc::new(SystemTable::new(definition, facts)))
    }

    /// With what ANALYZE knows of tables.
    pub fn with_statistics(mut self, statistics: Arc<HashMap<TableId, Arc<TableStatistics>>>) -> Self {
        self.statistics = statistics;
        self
    }

    /// What ANALYZE knows of a table.
    pub fn statistics(&self, table: TableId) -> Option<Arc<TableStatistics>> {
        self.statistics.get(&table).cloned()
    }

    /// Gives a table of this statement alone a name, before all others.
    pub fn bind(&mut self, name: &str, table: Arc<dyn TableProvider>) {
        self.bound.push((name.to_owned(), table));
    }

    /// Gives a table to be inserted into a name, before all others.
    ///
    /// # Errors
    /// 42xxx for a DEFAULT that can no longer be planned.
    pub fn bind_for_insert(&mut self, name: &str, shape: &Arc<TableShape>) -> Result<()> {
        let defaults = self.defaults(&shape.descriptor).map_err(|error| translate(error, ""))?;
        self.bind(name, Arc::new(Table::for_insert(shape.clone(), defaults)));
        Ok(())
    }

    /// Notes that the statement depends on a table.
    pub fn meet(&self, table: &TableDescriptor) {
        let name = (table.schema.clone(), table.name.clone());
        let mut met = self.met.lock();
        met.tables.insert(name.clone());
        met.named.insert(name);
    }

    /// Notes that the statement depends on a graph.
    pub fn meet_graph(&self, graph: &GraphDescriptor) {
        let mut met = self.met.lock();
        met.definitions.insert(graph_key(&graph.schema, &graph.name));
        met.named.insert((graph.schema.clone(), graph.name.clone()));
    }

    /// Notes that the statement depends on a view, and on what the view was `planned` with.
    fn meet_view(&self, view: &ViewDescriptor, planned: Planned) -> LogicalPlan {
        let mut met = self.met.lock();
        met.tables.extend(planned.tables);
        met.definitions.extend(planned.definitions);
        met.definitions.insert(view_key(&view.schema, &view.name));
        met.named.insert((view.schema.clone(), view.name.clone()));
        planned.plan
    }

    /// What a statement without a query depends upon: the tables that were met.
    pub fn nothing(self) -> Planned {
        let plan = LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema: Arc::new(DFSchema::empty()),
        });
        Planned::new(plan, self.met.into_inner())
    }

    /// The layout and keys of a table.
    pub fn shape(&self, table: &Arc<TableDescriptor>) -> Arc<TableShape> {
        self.prepared(self.shapes.of(table))
    }

    /// The layout and keys of a table that nobody else knows yet.
    pub fn new_shape(&self, table: Arc<TableDescriptor>) -> Arc<TableShape> {
        self.prepared(TableShape::new(table))
    }

    /// The layout and keys of a table that is read, with the indexes that a plan may use.
    fn shape_to_read(&self, table: &Arc<TableDescriptor>) -> Arc<TableShape> {
        match self.indexes.adjust(table) {
            Some(adjusted) => self.new_shape(adjusted),
            None => self.shape(table),
        }
    }

    /// With other indexes to plan with than those that are there.
    pub fn with_indexes(mut self, indexes: AdjustedIndexes) -> Self {
        self.indexes = indexes;
        self
    }

    /// Whether the DEFAULT expressions of a table's columns can be planned.
    ///
    /// # Errors
    /// 42xxx.
    pub fn check_defaults(&self, table: &TableDescriptor) -> Result<()> {
        for text in table.columns.iter().filter_map(|column| column.default.as_ref()) {
            let refuse = |state: SqlState, what: &str| -> Result<()> {
                let message = format!("{what} functions are not allowed in DEFAULT expressions");
                Err(Error::invalid(state, message))
            };
            match self.beyond_a_row(&parse::parse_expression(text)?) {
                Some(BeyondRow::Aggregate) => return refuse(SqlState::GROUPING_ERROR, "aggregate"),
                Some(BeyondRow::Window) => return refuse(SqlState::WINDOWING_ERROR, "window"),
                Some(BeyondRow::Query) | None => {}
            }
        }
        self.defaults(table).map(drop).map_err(|error| translate(error, ""))
    }

    /// Whether a function of this name is an aggregate.
    fn is_aggregate(&self, name: &str) -> bool {
        self.state.aggregate_functions().contains_key(name) || functions::json_aggregate(name).is_some()
    }

    /// What in an expression needs more than one row to be computed.
    pub fn beyond_a_row(&self, expr: &ast::Expr) -> Option<BeyondRow> {
        let found = ast::visit_expressions(expr, |expr| {
            let found = match expr {
                ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. } => BeyondRow::Query,
                ast::Expr::Function(function) if function.over.is_some() => BeyondRow::Window,
                ast::Expr::Function(function) => {
                    let name = function.name.0.last().and_then(ast::ObjectNamePart::as_ident);
                    match name.map(normalize) {
                        Some(name) if self.is_aggregate(&name) => BeyondRow::Aggregate,
                        _ => return ControlFlow::Continue(()),
                    }
                }
                _ => return ControlFlow::Continue(()),
            };
            ControlFlow::Break(found)
        });
        match found {
            ControlFlow::Break(found) => Some(found),
            ControlFlow::Continue(()) => None,
        }
    }

    /// The DEFAULT expressions of a table's columns.
    ///
    /// # Errors
    /// 42xxx for a DEFAULT that can no longer be planned.
    pub fn defaults(&self, table: &TableDescriptor) -> Result<Vec<Option<Expr>>, DataFusionError> {
        let planner = SqlToRel::new_with_options(self, self.parser_options());
        let plan = |text: &String| {
            let mut expr = parse::parse_expression(text).map_err(wrap)?;
            parse::write_out_exponents(&mut expr);
            system::rewrite_expression(&mut expr, &|name| self.is_aggregate(name));
            self.settle_types(&mut expr);
            settle_casts(&mut expr, &mut Vec::new()).map_err(wrap)?;
            planner.sql_to_expr(expr, &DFSchema::empty(), &mut PlannerContext::new())
        };
        table
            .columns
            .iter()
            .map(|column| column.default.as_ref().map(plan).transpose())
            .collect()
    }

    /// Plans a query. `types` are what is known of its parameters.
    ///
    /// # Errors
    /// 42xxx, with a place in `text`.
    pub fn plan(
        mut self,
        mut statement: ast::Statement,
        mut types: Vec<Option<FieldRef>>,
        text: &str,
    ) -> Result<Planned> {
        graph::expand(&self, &mut statement, text)?;
        system::rewrite(
            &mut statement,
            &|name| self.is_aggregate(name),
            &|factor| self.columns_of(factor),
            &|factor| self.key_of(factor),
        );
        set_operations::count_rows(&mut statement);
        self.renew_types(&mut types);
        self.settle_types(&mut statement);
        settle_casts(&mut statement, &mut types)?;
        let _: ControlFlow<()> = ast::Visit::visit(&statement, &mut Limits(&mut types));
        if let ast::Statement::Insert(insert) = &mut statement
            && let Some(source) = &mut insert.source
            && let Some(values) = NestedValues::of(source, &types)?
        {
            self.relations.push(Arc::new(values));
        }
        let planner = SqlToRel::new_with_options(&self, self.parser_options());
        let attempt = |statement| {
            let mut context = PlannerContext::new().with_prepare_param_data_types(types.clone());
            planner.sql_statement_to_plan_with_context(statement, &mut context)
        };
        let planned = match has_from(&statement) {
            false => attempt(statement),
            true => loop {
                let planned = attempt(statement.clone());
                match planned.as_ref().err().and_then(missing_column) {
                    Some(name) if system::substitute(&mut statement, &name) => {}
                    _ => break planned,
                }
            },
        };
        let plan = planned
            .and_then(functions::flatten)
            .and_then(functions::expand_rows)
            .and_then(functions::settle_arrays)
            .and_then(functions::settle_branches)
            .and_then(functions::settle_aggregates)
            .and_then(functions::widen_sums)
            .and_then(functions::count_ranks)
            .and_then(functions::mark_cases)
            .and_then(functions::mark_nullable)
            .and_then(nested_values::without_queries)
            .map_err(|error| translate(error, text))?;
        Ok(Planned::new(plan, self.met.into_inner()))
    }

    /// The schema and name that a reference stands for, and the object.
    ///
    /// # Errors
    /// 42P01, or 3D000 for another database.
    pub fn resolve(&self, name: &TableReference) -> Result<Object> {
        if self.system_definition(name).is_some() {
            return Err(Error::denied(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("\"{name}\" is a system catalog: it can only be read"),
            ));
        }
        let missing = || {
            Error::not_found(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
                .with_table(name.table())
        };
        match name {
            // What is bound is read where the planner asks for it; whoever comes here wants an object of the catalog.
            TableReference::Bare { table } if self.bound.iter().any(|(name, _)| **name == **table) => {
                Err(Error::invalid(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{table}\" is a table of this session alone, which is only read"),
                )
                .with_table(table.to_string())
                .with_hint("Unregister it, or write a table of the same name with its schema before it."))
            }
            TableReference::Bare { table } => {
                let path = std::iter::once("pg_catalog").chain(self.search_path.iter().map(String::as_str));
                path.into_iter()
                    .find_map(|schema| self.catalog.object(schema, table))
                    .ok_or_else(missing)
            }
            TableReference::Partial { schema, table } | TableReference::Full { schema, table, .. } => {
                let own = self.search_path.iter().find(|schema| is_temporary(schema));
                if **schema == *TEMPORARY_ALIAS {
                    let object = own.and_then(|own| self.catalog.object(own, table));
                    return object.ok_or_else(missing);
                }
                if is_temporary(schema) && own.is_none_or(|own| **own != **schema) && self.catalog.has_schema(schema) {
                    return Err(Error::unsupported("cannot access temporary tables of other sessions"));
                }
                if !self.catalog.has_schema(schema) {
                    return Err(Error::not_found(
                        SqlState::UNDEFINED_TABLE,
                        format!("relation \"{name}\" does not exist: there is no schema \"{schema}\""),
                    ));
                }
                self.catalog.object(schema, table).ok_or_else(missing)
            }
        }
    }

    fn parser_options(&self) -> ParserOptions {
        let options = &self.state.config().options().sql_parser;
        ParserOptions {
            parse_float_as_decimal: options.parse_float_as_decimal,
            enable_ident_normalization: options.enable_ident_normalization,
            support_varchar_with_length: options.support_varchar_with_length,
            map_string_types_to_utf8view: options.map_string_types_to_utf8view,
            enable_options_value_normalization: options.enable_options_value_normalization,
            collect_spans: options.collect_spans,
            default_null_ordering: options.default_null_ordering.as_str().into(),
        }
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        if let TableReference::Bare { table } = &name
            && let Some((_, bound)) = self.bound.iter().find(|(name, _)| **name == **table)
        {
            return Ok(provider_as_source(bound.clone()));
        }
        if let Some(table) = self.system_table(&name) {
            return Ok(provider_as_source(table));
        }
        match self.resolve(&name).map_err(wrap)? {
            Object::Table(table) => {
                check_populated(&table).map_err(wrap)?;
                self.meet(&table);
                let defaults = self.defaults(&table)?;
                let known = self.statistics(table.id);
                let table = Table::new(self.shape_to_read(&table), defaults).with_statistics(known);
                Ok(provider_as_source(Arc::new(table)))
            }
            Object::View(view) => {
                let planned = views::plan(self, &view).map_err(wrap)?;
                let plan = of_view(self.meet_view(&view, planned), &view.schema, &view.name)?;
                Ok(provider_as_source(Arc::new(ViewTable::new(plan, None))))
            }
            Object::Graph(graph) => Err(wrap(Error::invalid(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is a property graph: ask it with GRAPH_TABLE", graph.name),
            ))),
            Object::Sequence(sequence) => {
                let facts = self.facts().ok_or_else(|| {
                    wrap(Error::invalid(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("\"{}\" is a sequence: ask it with nextval and currval", sequence.name),
                    ))
                })?;
                let name = (sequence.schema.clone(), sequence.name.clone());
                self.met.lock().named.insert(name);
                Ok(provider_as_source(Arc::new(SequenceTable::new(sequence, facts))))
            }
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        match &self.relations[..] {
            [] => self.state.relation_planners(),
            own => own,
        }
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(SqlTypePlanner))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>, DataFusionError> {
        let table = datafusion::datasource::cte_worktable::CteWorkTable::new(name, schema);
        Ok(provider_as_source(Arc::new(table)))
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> Result<Arc<dyn TableSource>, DataFusionError> {
        let function = self.state.table_functions().get(name).ok_or_else(|| {
            wrap(Error::not_found(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name} does not exist"),
            ))
        })?;
        let args = from_function::computed(args, self.options())?;
        if name == "generate_series"
            && let Some(series) = functions::series(&args).map_err(wrap)?
        {
            return Ok(provider_as_source(series));
        }
        let table = function.create_table_provider_with_args(TableFunctionArgs::new(&args, self.state))?;
        Ok(provider_as_source(table))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if functions::system::exists(name) {
            return functions::system::bound(name, self.facts()?);
        }
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        let ours = functions::system::names().map(str::to_owned);
        ours.chain(self.state.scalar_functions().keys().cloned()).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}

/// Whether a statement may have a FROM. Rows of VALUES are many, and are not copied to be planned once more.
fn has_from(statement: &ast::Statement) -> bool {
    match statement {
        ast::Statement::Insert(insert) => match &insert.source {
            Some(source) => !matches!(&*source.body, ast::SetExpr::Values(_)),
            None => false,
        },
        _ => true,
    }
}

/// Gives a parameter that is cast the type of the cast, where nothing else is known of it, and puts functions in the place of casts
/// that DataFusion does not know.
fn settle_casts(node: &mut impl ast::VisitMut, types: &mut Vec<Option<FieldRef>>) -> Result<()> {
    let result = ast::visit_expressions_mut(node, |expr| match settle_cast(expr, types) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match result {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn settle_cast(expr: &mut ast::Expr, types: &mut Vec<Option<FieldRef>>) -> Result<()> {
    if let Some(settled) = functions::settle_interval(expr)? {
        *expr = settled;
    }
    let (inner, target) = match expr {
        ast::Expr::Cast {
            kind: ast::CastKind::Cast | ast::CastKind::DoubleColon,
            expr: inner,
            data_type,
            array: false,
            ..
        } => (&**inner, sql_type(data_type)),
        ast::Expr::TypedString(typed) => {
            let target = sql_type(&typed.data_type);
            let Ok(target) = target else {
                return Ok(());
            };
            if is_function(target) {
                *expr = cast_call(ast::Expr::Value(typed.value.clone()), target)?;
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    // A type that is not ours is DataFusion's to know or refuse.
    let Ok(target) = target else {
        return Ok(());
    };
    note_parameter(inner, target, types);
    if is_function(target) {
        *expr = cast_call(inner.clone(), target)?;
    }
    Ok(())
}

/// A parameter of LIMIT and OFFSET is a bigint, where nothing else is known of it.
struct Limits<'a>(&'a mut Vec<Option<FieldRef>>);

impl ast::Visitor for Limits<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        if let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            let numbers = limit.iter().chain(offset.iter().map(|offset| &offset.value));
            numbers.for_each(|number| note_parameter(number, SqlType::BigInt, self.0));
        }
        ControlFlow::Continue(())
    }
}

/// Gives a parameter a type, if it is one, and nothing else is known of it.
pub fn note_parameter(expr: &ast::Expr, sql_type: SqlType, types: &mut Vec<Option<FieldRef>>) {
    if let ast::Expr::Value(value) = expr
        && let ast::Value::Placeholder(name) = &value.value
        && let Some(number) = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok())
        && (1..=PARAMETERS_MAX).contains(&number)
    {
        if types.len() < number {
            types.resize(number, None);
        }
        types[number - 1].get_or_insert_with(|| Arc::new(sql_type.to_field("", true)));
    }
}

/// The SQL type that a definition names.
///
/// # Errors
/// 42704 for a type that does not exist.
pub fn sql_type(definition: &ast::DataType) -> Result<SqlType> {
    definition.to_string().to_ascii_lowercase().parse()
}

#[cfg(test)]
mod tests {
    use super::search_path as path;

    #[test]
    fn the_user_never_means_a_system_schema() {
        assert_eq!(path("\"$user\", public", "aion"), ["public"]);
        assert_eq!(path("\"$user\", public", "mine"), ["mine", "public"]);
        assert_eq!(path("aion, public", "aion"), ["aion", "public"], "by name it is meant");
    }
}
