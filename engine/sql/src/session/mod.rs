//! A session: settings, a transaction, and statements run in it.
//!
//! Every edge (PostgreSQL protocol, Flight SQL, HTTP, Python, the CLI) holds one of these, so transactions, cancellation,
//! limits and errors are the same on each.
//!
//! **Transactions.** Without BEGIN each statement is its own, committed before [`Session::execute`] returns; if it
//! loses against another transaction it is run again, a few times. A SELECT reads one snapshot, also while its rows
//! are fetched. [`Session::begin_implicit`] lets several statements that came in one message be one
//! transaction. After an error in a transaction block everything but ROLLBACK and COMMIT, which then rolls back, is 25P02. ROLLBACK TO a savepoint ends the failure.

mod alter;
mod analyze;
mod change;
pub(crate) mod columns;
mod copy;
mod create_as;
mod cursor;
mod ddl;
mod deferred;
mod dependents;
mod direct;
mod drop;
mod effect;
mod explain;
mod foreign_key;
mod frozen;
mod graph;
mod identity;
mod index;
mod listen;
mod local;
mod locked;
mod made_type;
mod materialized;
mod merge;
mod numbered;
mod observing;
mod online;
pub(crate) mod origins;
mod parameters;
mod past;
mod positioned;
mod query;
mod recall;
mod rewriting;
mod role;
mod sequence;
mod setting;
mod several;
mod slow;
mod statements;
mod table;
mod template;
mod temporary;
mod transaction;
mod upkeep;
mod upsert;
mod verbs;
mod view;
mod what_if;

use std::sync::{Arc, OnceLock};

use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::Catalog;
use aion_catalog::{SqlType, Value, Zone};
use aion_security::RoleId;
use datafusion::sql::sqlparser::ast;
use parking_lot::Mutex;

use crate::activity::Seat;
use crate::advisory::AdvisoryLocks;
use crate::as_of;
use crate::cancel::{Cancellation, Canceller};
use crate::copy::CopyDirection;
use crate::cursors::Cursors;
use crate::engine::Engine;
use crate::notifications::{Listener, Pending};
use crate::parse::{self, Statement};
use crate::planner::Names;
use crate::response::{Column, Response};
use crate::settings::{self, Settings};
use crate::steps::Steps;
use crate::system::{Assigned, Numbers};
use crate::transaction::{Transaction, Waiting};
use crate::utility::{self, Utility};
pub(crate) use columns::{UNNAMED, make_unique, name_of, of_query};
pub(crate) use ddl::write as write_definitions;
pub(crate) use drop::drop_schemas_whole;
pub use effect::{Effect, PhysicalChange};
pub(crate) use explain::{Node as PlanNode, Property, operators_of, predict};
pub use local::LocalTable;
use local::LocalTables;
pub(crate) use materialized::{check_populated, refuse_materialized};
pub(crate) use observing::KnownTexts;
pub(crate) use online::take_away_unfinished;
pub(crate) use origins::of_view;
pub(crate) use parameters::{PARAMETERS_MAX, scalar};
pub(crate) use query::{conform, refuse_clauses, result_schema};
pub(crate) use rewriting::converts_by_itself;
use several::Within;
pub use slow::LOG_TARGET;
pub(crate) use slow::Timed;
pub use statements::NamedStatement;
pub(crate) use statements::{Statements, no_statements};
pub(crate) use table::{named_columns, unqualified};
pub(crate) use temporary::ALIAS as TEMPORARY_ALIAS;
use temporary::Temporary;
use transaction::Block;
pub use upkeep::backup_extras;
pub(crate) use what_if::AdjustedIndexes;
pub use what_if::{HypotheticalIndex, WhatIf};

/// Who a session belongs to.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Role; `aion` is the first superuser.
    pub user: String,
    /// Database name as the client gave it.
    pub database: String,
    /// `application_name`.
    pub application: String,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            user: "aion".to_owned(),
            database: "aion".to_owned(),
            application: String::new(),
        }
    }
}

/// PostgreSQL's transaction status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No transaction block.
    Idle,
    /// In a transaction block.
    Active,
    /// In a transaction block that failed.
    Failed,
}

/// A statement whose parameters and result are known.
#[derive(Debug)]
pub struct Prepared {
    statement: Statement,
    parameters: Vec<SqlType>,
    /// Those that clients know by another OID than that of their type.
    shown_oids: Vec<(usize, u32)>,
    columns: Option<Arc<[Column]>>,
    /// It has the shape of a statement that needs no planner.
    is_candidate: bool,
    /// What it is made of, where it is several.
    steps: Option<Arc<Steps>>,
    /// What it knows of the statement that it is a step of.
    within: Option<Within>,
    /// Its parameters stand for literals of the text that was sent.
    is_lifted: bool,
    /// The zone that its literals are in, where that is not UTC.
    zone: Option<Box<str>>,
    /// As the direct path had it last.
    direct: Mutex<Option<Arc<direct::Compiled>>>,
    /// As the full path planned it last.
    template: Mutex<Option<Arc<template::Template>>>,
    /// The same of a change.
    change_template: Mutex<Option<Arc<template::ChangeTemplate>>>,
    /// What an observer knows it by; None within where it cannot be told.
    known: OnceLock<Option<observing::Known>>,
}

impl Prepared {
    fn new(statement: &Statement, parameters: Vec<SqlType>, columns: Option<Arc<[Column]>>) -> Self {
        Self {
            is_candidate: crate::direct::is_candidate(&statement.ast),
            steps: None,
            within: None,
            is_lifted: false,
            statement: statement.clone(),
            parameters,
            shown_oids: Vec::new(),
            columns,
            zone: None,
            direct: Mutex::default(),
            template: Mutex::default(),
            change_template: Mutex::default(),
            known: OnceLock::new(),
        }
    }

    /// The types of `$1`, `$2`, ...
    pub fn parameter_types(&self) -> &[SqlType] {
        &self.parameters
    }

    /// The OIDs by which clients know the types of `$1`, `$2`, ...
    pub fn parameter_oids(&self) -> Vec<u32> {
        let mut oids: Vec<u32> = self.parameters.iter().map(SqlType::oid).collect();
        for (at, oid) in &self.shown_oids {
            if let Some(shown) = oids.get_mut(*at) {
                *shown = *oid;
            }
        }
        oids
    }

    /// The OID by which clients know a parameter, counted from 0, where it is another than that of its type.
    pub fn shown_oid(&self, at: usize) -> Option<u32> {
        self.shown_oids
            .iter()
            .find(|(shown, _)| *shown == at)
            .map(|(_, oid)| *oid)
    }

    /// Which way its data goes between client and server; None for a statement that [`Session::execute`] runs.
    pub fn copy_direction(&self) -> Option<CopyDirection> {
        match &self.statement.ast {
            ast::Statement::Copy {
                to: false,
                target: ast::CopyTarget::Stdin,
                ..
            } => Some(CopyDirection::In),
            ast::Statement::Copy {
                to: true,
                target: ast::CopyTarget::Stdout,
                ..
            } => Some(CopyDirection::Out),
            _ => None,
        }
    }

    /// The result, if it has the columns that were told of when the statement was prepared.
    fn check_result(&self, response: Response) -> Result<Response> {
        let Response::Rows(rows) = &response else {
            return Ok(response);
        };
        let oids = |columns: &[Column]| columns.iter().map(Column::oid).collect::<Vec<_>>();
        match &self.columns {
            Some(columns) if Arc::ptr_eq(columns, rows.columns()) || oids(columns) == oids(rows.columns()) => {
                Ok(response)
            }
            _ => Err(Error::unsupported("cached plan must not change result type")),
        }
    }

    /// This EXPLAIN of an EXECUTE as the EXPLAIN of what is executed.
    fn explaining(&self, inner: &Self) -> Result<Self> {
        let mut statement = inner.statement.clone();
        let mut explain = self.statement.ast.clone();
        let ast::Statement::Explain {
            statement: explained, ..
        } = &mut explain
        else {
            return Err(Error::internal("no EXPLAIN"));
        };
        **explained = statement.ast;
        statement.ast = explain;
        let mut explaining = Self::new(&statement, inner.parameters.clone(), self.columns.clone());
        explaining.zone.clone_from(&inner.zone);
        Ok(explaining)
    }

    /// The columns of its result; None for a statement that gives no rows.
    pub fn columns(&self) -> Option<&Arc<[Column]>> {
        self.columns.as_ref()
    }
}

/// See the module's header.
#[derive(Debug)]
pub struct Session {
    engine: Arc<Engine>,
    options: SessionOptions,
    settings: Settings,
    block: Option<Block>,
    /// What the statement that runs reads through, where it reads at a time that has passed.
    past: Option<Arc<Transaction>>,
    /// Statements that are run outside of a block begin one that ends with the message.
    is_implicit: bool,
    canceller: Canceller,
    notices: Vec<Error>,
    choices: Arc<direct::Choices>,
    scratch: direct::Scratch,
    unprepared: recall::Unprepared,
    /// The text that was sent, where the statement that runs next is kept by its shape.
    said: Option<Arc<str>>,
    is_read_only: bool,
    /// The zone of the literals of the statement that runs, where that is not UTC.
    literals: Option<Box<str>>,
    local: LocalTables,
    temporary: Temporary,
    process_id: i32,
    /// As others see it, once it has a number.
    seat: Option<Arc<Seat>>,
    /// The role that logged in; None where there was no login.
    role: Option<RoleId>,
    /// What `set_config` set in a statement, until the statement is over.
    assigned: Assigned,
    advisory: Arc<AdvisoryLocks>,
    /// The numbers that sequences gave it.
    numbers: Arc<Numbers>,
    /// Indexes that statements are planned with as if they were there.
    hypothetical: Arc<[HypotheticalIndex]>,
    /// Prepared statements, by name.
    statements: Statements,
    cursors: Cursors,
    /// What it notifies of once its transaction commits; functions add to it.
    pending: Arc<Mutex<Pending>>,
    /// None while it listens to nothing.
    listener: Option<Listener>,
    /// Its client is told of notifications.
    may_listen: bool,
    /// The settings of the database that it has.
    database_settings: u64,
}

impl Session {
    /// A session of `engine`.
    pub fn new(engine: Arc<Engine>, options: SessionOptions) -> Self {
        let mut settings = Settings::default();
        // Any text is a valid application name.
        let _ = settings.set("application_name", &options.application);
        let _ = settings.take_unreported();
        let pending = Pending::new(engine.notifications.clone());
        let advisory = engine.advisory.open(engine.locks.clone(), None);
        Self {
            engine,
            options,
            settings,
            block: None,
            past: None,
            is_implicit: false,
            canceller: Canceller::default(),
            notices: Vec::new(),
            choices: Arc::default(),
            scratch: direct::Scratch::default(),
            unprepared: recall::Unprepared::default(),
            said: None,
            is_read_only: false,
            literals: None,
            local: LocalTables::default(),
            temporary: Temporary::default(),
            process_id: 0,
            seat: None,
            role: None,
            assigned: Assigned::default(),
            advisory,
            numbers: Arc::default(),
            hypothetical: [].into(),
            statements: no_statements(),
            cursors: Cursors::default(),
            pending: Arc::new(Mutex::new(pending)),
            listener: None,
            may_listen: false,
            database_settings: 0,
        }
    }

    /// Splits a text into its statements.
    ///
    /// # Errors
    /// 42601 with a position; 54000 and 54001 beyond a limit.
    pub fn parse(&self, text: &str) -> Result<Vec<Statement>> {
        parse::parse(text)
    }

    /// Plans a statement. `types` are what the client says of its parameters; None or missing is inferred, text where nothing
    /// tells.
    ///
    /// # Errors
    /// 42xxx with a position.
    pub async fn prepare(&mut self, statement: &Statement, types: &[Option<SqlType>]) -> Result<Arc<Prepared>> {
        self.assign();
        self.past = None;
        let described = self
            .refuse_if_failed(&statement.ast)
            .and_then(|()| self.refresh_choices());
        let prepared = described.and_then(|()| self.describe(statement, types));
        if prepared.is_err() {
            self.fail();
        }
        prepared.map(Arc::new)
    }

    /// Runs a prepared statement. Statements that write are finished, and outside of a transaction committed, when
    /// this returns.
    ///
    /// # Errors
    /// The statement's; a transaction block it was in has then failed.
    pub async fn execute(&mut self, prepared: &Arc<Prepared>, parameters: &[Value]) -> Result<Response> {
        self.assign();
        self.take_literals(prepared);
        self.begin_activity(prepared);
        self.end_advisory();
        let mut response = self.run(prepared, parameters).await;
        if let Ok(Response::Rows(rows)) = &mut response {
            rows.set_zone(self.zone());
        }
        match &response {
            Ok(Response::Done { .. }) => self.settle(),
            Ok(Response::Rows(_)) => {}
            Err(_) => self.fail(),
        }
        self.end_activity(&mut response);
        response
    }

    /// The literals of what runs next are in the zone that the session had when it was told the statement.
    fn take_literals(&mut self, prepared: &Prepared) {
        match prepared.is_lifted {
            // It was told right now.
            true => self.literals = self.name_of_zone(),
            false => self.literals.clone_from(&prepared.zone),
        }
    }

    /// The name of the session's zone; None for UTC.
    fn name_of_zone(&self) -> Option<Box<str>> {
        let zone = self.zone();
        (zone != Zone::UTC).then(|| zone.name().into())
    }

    async fn run(&mut self, prepared: &Arc<Prepared>, parameters: &[Value]) -> Result<Response> {
        self.admit(prepared, parameters)?;
        match &prepared.statement.ast {
            ast::Statement::Execute { .. } => {
                let (inner, values) = self.executed(&prepared.statement.ast, &prepared.statement.text).await?;
                self.admit(&inner, &values)?;
                let response = self.run_admitted(&inner, &values).await?;
                inner.check_result(response)
            }
            ast::Statement::Explain { statement, .. } if matches!(**statement, ast::Statement::Execute { .. }) => {
                let (inner, values) = self.executed(statement, &prepared.statement.text).await?;
                let explained = Arc::new(prepared.explaining(&inner)?);
                self.admit(&explained, &values)?;
                self.run_admitted(&explained, &values).await
            }
            _ => self.run_admitted(prepared, parameters).await,
        }
    }

    async fn run_admitted(&mut self, prepared: &Arc<Prepared>, parameters: &[Value]) -> Result<Response> {
        let timed = self.timed(prepared, parameters);
        let mut response = self.answer(prepared, parameters).await?;
        if let Some(timed) = timed {
            timed.answered(&mut response);
        }
        Ok(response)
    }

    async fn answer(&mut self, prepared: &Arc<Prepared>, parameters: &[Value]) -> Result<Response> {
        self.take_literals(prepared);
        // One that was dropped while it ran has left its own.
        self.past = None;
        match as_of::of(&prepared.statement.ast) {
            Some(time) => self.answer_at(time, prepared, parameters).await,
            None => self.answer_now(prepared, parameters).await,
        }
    }

    async fn answer_now(&mut self, prepared: &Arc<Prepared>, parameters: &[Value]) -> Result<Response> {
        // Too short to be cancelled.
        if let Some(response) = self.get_directly(prepared, parameters)? {
            return Ok(response);
        }
        let cancellation = self.canceller.begin();
        if prepared.steps.is_some() {
            return self.change(prepared, parameters, cancellation).await;
        }
        if matches!(&prepared.statement.ast, ast::Statement::Query(_))
            && let Some(prepared) = prepared.put_back(parameters)
        {
            return self.query(&prepared, &[], cancellation).await;
        }
        match &prepared.statement.ast {
            ast::Statement::Query(query) if create_as::into(query).is_some() => {
                self.select_into(query, prepared, parameters, &cancellation).await
            }
            ast::Statement::Query(query) if verbs::ask(query).is_some() => {
                self.ask(prepared, parameters, cancellation).await
            }
            ast::Statement::Query(query) if locked::is_locking(query) => {
                self.query_locked(prepared, query, parameters, cancellation).await
            }
            ast::Statement::Query(_) => self.query(prepared, parameters, cancellation).await,
            ast::Statement::Insert(_)
            | ast::Statement::Update(_)
            | ast::Statement::Delete(_)
            | ast::Statement::Merge(_) => self.change(prepared, parameters, cancellation).await,
            ast::Statement::Explain { .. } => self.explain(prepared, parameters, cancellation).await,
            ast::Statement::StartTransaction { .. }
            | ast::Statement::Commit { .. }
            | ast::Statement::Rollback { .. }
            | ast::Statement::Savepoint { .. }
            | ast::Statement::ReleaseSavepoint { .. } => self.control(&prepared.statement.ast).await,
            ast::Statement::Set(_)
            | ast::Statement::ShowVariable { .. }
            | ast::Statement::Reset(_)
            | ast::Statement::Discard { .. } => self.setting_statement(prepared).await,
            ast::Statement::Prepare { .. } => self.prepare_named(&prepared.statement),
            ast::Statement::Deallocate { name, .. } => self.deallocate(name),
            ast::Statement::Declare { .. } => self.declare(prepared, parameters, cancellation).await,
            ast::Statement::Close { cursor } => self.close(cursor),
            ast::Statement::LISTEN { channel } => self.listen(channel),
            ast::Statement::UNLISTEN { channel } => self.unlisten(channel),
            ast::Statement::NOTIFY { channel, payload } => self.notify(channel, payload.as_deref()),
            ast::Statement::Analyze(analyze) => self.analyze(analyze, &prepared.statement.text, &cancellation).await,
            ast::Statement::Copy { .. } => self.copy(&prepared.statement, cancellation).await,
            ast::Statement::Call(call) => match utility::carried(call)? {
                Some(Utility::CreateAs(create)) => {
                    self.create_table_as(&create, prepared, parameters, &cancellation).await
                }
                Some(utility) => self.utility(&utility, &prepared.statement, cancellation).await,
                None => self.define_graph(&prepared.statement, cancellation).await,
            },
            _ => self.define(&prepared.statement, &cancellation).await,
        }
    }

    /// Whether the statement may run now; begins the implicit transaction it may be part of.
    fn admit(&mut self, prepared: &Prepared, parameters: &[Value]) -> Result<()> {
        if parameters.len() != prepared.parameters.len() {
            return Err(Error::invalid(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "the statement has {} parameters; {} were given",
                    prepared.parameters.len(),
                    parameters.len()
                ),
            ));
        }
        self.refuse_if_failed(&prepared.statement.ast)?;
        self.refresh_choices()?;
        if self.is_implicit && self.block.is_none() {
            self.block = Some(Block::begin(&self.engine, &self.settings, true)?);
        }
        if let Some(block) = &self.block {
            block.transaction.begin_statement();
        }
        let is_read_only = match &self.block {
            Some(block) => block.is_read_only,
            None => self.choices.is_read_only,
        };
        let is_read_only = self.is_read_only || is_read_only;
        // A SELECT may turn out to take numbers.
        self.numbers.set_read_only(is_read_only);
        if is_read_only {
            prepared.statement.refuse_change()?;
        }
        Ok(())
    }

    /// A transaction that failed takes nothing but its end.
    fn refuse_if_failed(&self, statement: &ast::Statement) -> Result<()> {
        let ends_block = matches!(
            statement,
            ast::Statement::Commit { .. } | ast::Statement::Rollback { .. }
        );
        match self.status() == TransactionStatus::Failed && !ends_block {
            true => Err(failed_block()),
            false => Ok(()),
        }
    }

    /// What follows is one transaction until [`Session::end_implicit`], unless the statements say otherwise. It begins with the first
    /// statement that runs.
    pub fn begin_implicit(&mut self) {
        self.is_implicit = true;
    }

    /// Commits what [`Session::begin_implicit`] began, or rolls it back when a statement failed.
    ///
    /// # Errors
    /// 40001 and what else a commit may answer.
    pub async fn end_implicit(&mut self) -> Result<()> {
        self.is_implicit = false;
        match self.block.take_if(|block| block.is_implicit) {
            Some(block) if !block.is_failed => self.end(block).await,
            Some(block) => {
                self.abandon(block);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Tells the session that reading a result failed, so that its transaction block has failed too.
    pub fn fail(&mut self) {
        match &mut self.block {
            Some(block) => block.is_failed = true,
            None => self.pending.lock().clear(),
        }
    }

    /// The transaction status.
    pub fn status(&self) -> TransactionStatus {
        match &self.block {
            Some(block) if block.is_failed => TransactionStatus::Failed,
            Some(block) if !block.is_implicit => TransactionStatus::Active,
            _ => TransactionStatus::Idle,
        }
    }

    /// From now on statements that change rows or definitions are refused with 25006. There is no way back.
    pub fn set_read_only(&mut self) {
        self.is_read_only = true;
    }

    /// A handle that cancels what this session runs.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// The value of a setting as SHOW prints it.
    ///
    /// # Errors
    /// 42704 for a name that does not exist.
    pub fn setting(&self, name: &str) -> Result<String> {
        self.settings.show(name)
    }

    /// The mode of the learned parts for this session: the database's, unless the session lowered it.
    pub(crate) fn ai_mode(&self) -> Result<String> {
        let asked = self.settings.show("aion.ai_mode")?;
        let pipeline = self.engine.options.pipeline.as_ref();
        Ok(settings::lower_mode(&asked, pipeline.map_or("off", |pipeline| pipeline.mode())).to_owned())
    }

    /// Changes a setting as SET does.
    ///
    /// # Errors
    /// 42704, 22023 or 55P02.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        self.check_setter(name)?;
        self.settings.set(name, value)
    }

    /// Makes a setting that came with the beginning of the session: RESET returns to it.
    ///
    /// # Errors
    /// 42704, 22023 or 55P02.
    pub fn set_initial(&mut self, name: &str, value: &str) -> Result<()> {
        self.check_setter(name)?;
        self.settings.set_initial(name, value)
    }

    /// Says what a setting that nobody can change is.
    pub fn set_fixed(&mut self, name: &str, value: impl ToString) {
        let mut base = self.settings.base().clone();
        Arc::make_mut(&mut base).insert(name.to_owned(), value.to_string());
        self.settings.set_base(base);
    }

    /// The settings that clients are told of, with their values.
    pub fn reported_settings(&self) -> Vec<(String, String)> {
        self.settings.reported()
    }

    /// Settings that clients are told of whose value changed since the last call.
    pub fn take_changed_settings(&mut self) -> Vec<(String, String)> {
        self.assign();
        self.settings.take_unreported()
    }

    /// Notices since the last call.
    pub fn take_notices(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.notices)
    }

    fn notice(&mut self, state: SqlState, message: impl Into<String>) {
        // Bounded: a session whose client never asks keeps the last ones.
        const NOTICES_MAX: usize = 1_000;
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(Error::invalid(state, message));
        }
    }

    /// The catalog as the current transaction sees it, or as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn catalog(&self) -> Result<Arc<Catalog>> {
        match &self.block {
            Some(block) if block.has_changed_catalog => self.engine.catalog_in(&block.transaction),
            // Describing a statement is no reason to fix what the block sees.
            Some(block) if block.transaction.has_view() => self.engine.catalog_of(&block.transaction),
            _ => self.engine.catalog_of(&self.engine.begin(false)),
        }
    }

    /// The catalog as a transaction sees it that may or may not be the block's.
    fn catalog_of(&self, transaction: &Transaction) -> Result<Arc<Catalog>> {
        match &self.block {
            Some(block) if block.has_changed_catalog && self.past.is_none() => {
                self.engine.catalog_in(&block.transaction)
            }
            _ => self.engine.catalog_of(transaction),
        }
    }

    /// How this session waits for locks in a statement.
    fn waiting(&self, cancellation: &Cancellation) -> Waiting {
        Waiting {
            locks: self.engine.locks.clone(),
            label: Some(identity::label_of(self.process_id)),
            timeout: self.choices.lock_timeout,
            cancellation: cancellation.clone(),
        }
    }

    /// The block's transaction, or one of this statement alone, which records what it reads if it may write.
    fn transaction(&self, may_write: bool) -> Result<Arc<Transaction>> {
        if let Some(past) = &self.past {
            return Ok(past.clone());
        }
        match &self.block {
            Some(block) => Ok(block.transaction.clone()),
            None => {
                let transaction = self.engine.begin(may_write);
                transaction.set_isolation(self.choices.isolation);
                Ok(Arc::new(transaction))
            }
        }
    }

    fn search_path(&self) -> Result<Vec<String>> {
        Ok(self.path_of(&self.settings.show("search_path")?))
    }

    /// As [`Session::names`], with the tables that a step of a statement knows.
    fn names_within<'a>(&'a self, catalog: &'a Catalog, path: &'a [String], within: Option<&Within>) -> Names<'a> {
        let mut names = self.names(catalog, path);
        for (name, table) in within.iter().flat_map(|within| &within.tables) {
            names.bind(name, table.clone());
        }
        names
    }

    fn names<'a>(&'a self, catalog: &'a Catalog, path: &'a [String]) -> Names<'a> {
        let mut names = Names::new(self.state(), catalog, path, &self.engine.shapes)
            .with_statistics(self.engine.statistics())
            .with_indexes(AdjustedIndexes {
                hypothetical: self.hypothetical.clone(),
                hidden: self.choices.hidden_indexes.clone(),
            })
            .with_identity(self.identity());
        self.local.bind(&mut names);
        names
    }

    /// Stops `cancellation` when `statement_timeout` is over; nothing happens once the guard is dropped.
    fn time_limit(&self, cancellation: &Cancellation) -> Option<TimeLimit> {
        let millis = self.settings.statement_timeout_ms()?;
        let cancellation = cancellation.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
            cancellation.time_out();
        });
        Some(TimeLimit(task))
    }
}

/// What a block answers that has failed.
fn failed_block() -> Error {
    Error::invalid(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// Ends the task that waits for the end of a statement's time.
#[derive(Debug)]
pub(crate) struct TimeLimit(tokio::task::JoinHandle<()>);

impl Drop for TimeLimit {
    fn drop(&mut self) {
        self.0.abort();
    }
}
