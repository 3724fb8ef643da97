//! Statements that need no planner: when the direct path is taken, and with what.
//!
//! What was compiled holds for one generation of the catalog and one search path, and is compiled anew for another. A
//! transaction knows the generation that its snapshot sees; where it does not, or has itself changed the catalog, the full
//! path answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, Result};
use aion_catalog::{SqlType, Value, Zone};
use aion_storage::{Generation, Isolation, LockMode};
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast;

use super::slow::SlowLog;
use super::{Prepared, Session};
use crate::cancel::Cancellation;
use crate::direct::{self, Direct, Found, Operation, Output, PutRows};
use crate::dml::{self, Ran};
use crate::functions::Zones;
use crate::parse::Statement;
use crate::response::{Response, Rows, Verb};
use crate::settings::{self, isolation};
use crate::transaction::{Busy, Seen, Transaction};

/// A statement as the direct path has it.
#[derive(Debug)]
pub(super) struct Compiled {
    generation: Generation,
    path: Arc<[String]>,
    /// None: with this catalog it is not direct.
    direct: Option<Direct>,
}

/// What statements ask the settings for every time; made anew when a setting changes.
#[derive(Debug)]
pub(super) struct Choices {
    /// Of the settings that it was made from.
    version: Option<u64>,
    pub(super) is_direct: bool,
    /// Statements outside of a block may not change anything.
    pub(super) is_read_only: bool,
    /// Of statements outside of a block.
    pub(super) isolation: Isolation,
    pub(super) lock_timeout: Option<Duration>,
    pub(super) idle_in_transaction: Option<Duration>,
    pub(super) is_observed: bool,
    /// None where slow statements are not logged.
    pub(super) slow_log: Option<SlowLog>,
    /// As others see it.
    pub(super) application: String,
    /// The setting, as it is written, behind the session's temporary schema where it has one.
    pub(super) search_path: Arc<str>,
    /// That schema.
    pub(super) temporary: Option<String>,
    /// What the session shows its times in.
    pub(super) zone: Zone,
    /// What plans, where that is not the engine's: the session's zone is in it.
    pub(super) state: Option<Box<SessionState>>,
    /// Names of indexes that queries are planned without.
    pub(super) hidden_indexes: Arc<[String]>,
    /// The search path, taken apart.
    pub(super) path: Arc<[String]>,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            version: None,
            is_direct: false,
            is_read_only: false,
            isolation: Isolation::Serializable,
            lock_timeout: None,
            idle_in_transaction: None,
            is_observed: false,
            slow_log: None,
            application: String::new(),
            search_path: Arc::default(),
            temporary: None,
            zone: Zone::UTC,
            state: None,
            hidden_indexes: Arc::default(),
            path: Arc::default(),
        }
    }
}

/// Memory for one key and one row, kept from statement to statement.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    key: Vec<u8>,
    row: Vec<u8>,
}

/// A row that grew the scratch beyond this does not keep it.
const SCRATCH_BYTES_KEPT: usize = 64 << 10;

/// The names of a list with commas between.
fn names_in(list: &str) -> Arc<[String]> {
    let names = list.split(',').map(|name| name.trim().trim_matches('"'));
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Tells what plans of the session's zone, and of the one that its literals are in.
pub(super) fn set_zones(state: &mut SessionState, session: &str, literals: &str) {
    state.config_mut().options_mut().extensions.insert(Zones {
        session: session.to_owned(),
        literals: literals.to_owned(),
    });
}

impl Session {
    /// Looks at the settings again if one was changed, or [`Session::forget_choices`] asked for it.
    pub(super) fn refresh_choices(&mut self) -> Result<()> {
        self.take_database_settings();
        let version = self.settings.version();
        let schema = self.temporary.schema();
        if self.choices.version != Some(version) || self.choices.temporary.as_deref() != schema {
            let schema = schema.map(str::to_owned);
            let (zone, name) = self.zone_and_name();
            let state = (zone != Zone::UTC).then(|| {
                let mut state = self.engine.state.clone();
                // Literals in what the catalog holds have offsets; those that are older were written when all zones were UTC.
                set_zones(&mut state, &name, "UTC");
                Box::new(state)
            });
            self.choices = Arc::new(Choices {
                version: Some(version),
                zone,
                state,
                // What was compiled knows nothing of tables that hide the catalog's.
                is_direct: self.settings.show("aion.direct_path")? == "on" && self.local.is_empty(),
                is_read_only: self.settings.is_on("default_transaction_read_only"),
                isolation: isolation(&self.settings.show("default_transaction_isolation")?),
                idle_in_transaction: self
                    .settings
                    .duration_ms("idle_in_transaction_session_timeout")
                    .map(Duration::from_millis),
                lock_timeout: self.settings.duration_ms("lock_timeout").map(Duration::from_millis),
                // What is planned without some indexes is an experiment, no workload.
                is_observed: self.engine.options.observer.is_some()
                    && self.settings.show("aion.ai_mode")? != "off"
                    && self.settings.show("aion.hidden_indexes")?.is_empty(),
                slow_log: u64::try_from(self.settings.integer("log_min_duration_statement"))
                    .ok()
                    .map(|from| SlowLog {
                        from: Duration::from_millis(from),
                        parameter_bytes: self.settings.integer("log_parameter_max_length"),
                    }),
                application: self.settings.show("application_name")?,
                search_path: match &schema {
                    Some(own) => format!("{own}, {}", self.settings.show("search_path")?).into(),
                    None => self.settings.show("search_path")?.into(),
                },
                temporary: schema,
                hidden_indexes: names_in(&self.settings.show("aion.hidden_indexes")?),
                path: self.search_path()?.into(),
            });
        }
        Ok(())
    }

    /// The zone that the session shows times in, and its name.
    fn zone_and_name(&self) -> (Zone, String) {
        let name = self.settings.show("timezone").unwrap_or_default();
        // The setting was looked at when it was made.
        (Zone::setting(&name).map_or(Zone::UTC, |(zone, _)| zone), name)
    }

    /// The zone that the session shows times in.
    pub fn zone(&self) -> Zone {
        match self.choices.version == Some(self.settings.version()) {
            true => self.choices.zone,
            false => self.zone_and_name().0,
        }
    }

    /// What plans for this session.
    pub(super) fn state(&self) -> &SessionState {
        self.choices.state.as_deref().unwrap_or(&self.engine.state)
    }

    /// What ALTER SYSTEM says counts from the next statement on.
    fn take_database_settings(&mut self) {
        let Some(pipeline) = &self.engine.options.pipeline else {
            return;
        };
        let version = pipeline.session_settings_version();
        if version == self.database_settings {
            return;
        }
        self.database_settings = version;
        let mut base = BTreeMap::clone(self.settings.base());
        base.retain(|name, _| !settings::is_of_superusers(name));
        base.extend(pipeline.session_settings());
        self.settings.set_base(Arc::new(base));
    }

    /// What was planned or chosen so far no longer holds: names may mean something else.
    pub(super) fn forget_choices(&mut self) {
        self.choices = Arc::default();
    }

    /// What a statement takes and gives, if it is direct.
    pub(super) fn describe_directly(
        &self,
        statement: &Statement,
        given: &[Option<SqlType>],
    ) -> Result<Option<Prepared>> {
        if !self.choices.is_direct || !direct::is_candidate(&statement.ast) {
            return Ok(None);
        }
        let Some(compiled) = self.compile_now(&statement.ast, given)? else {
            return Ok(None);
        };
        let Some(direct) = &compiled.direct else {
            return Ok(None);
        };
        let prepared = Prepared::new(statement, direct.parameters.clone(), direct.columns().cloned());
        *prepared.direct.lock() = Some(compiled);
        Ok(Some(prepared))
    }

    /// The line that EXPLAIN shows for a direct statement.
    pub(super) fn explain_directly(&self, statement: &ast::Statement, types: &[SqlType]) -> Result<Option<String>> {
        if !self.choices.is_direct || !direct::is_candidate(statement) || self.past.is_some() {
            return Ok(None);
        }
        let given: Vec<_> = types.iter().copied().map(Some).collect();
        let compiled = self.compile_now(statement, &given)?;
        Ok(compiled.and_then(|compiled| compiled.direct.as_ref().map(Direct::explain)))
    }

    /// The rows of a SELECT, if it is direct.
    pub(super) fn get_directly(&mut self, prepared: &Prepared, values: &[Value]) -> Result<Option<Response>> {
        if !prepared.is_candidate || !self.choices.is_direct || self.past.is_some() {
            return Ok(None);
        }
        if let Some(block) = &self.block {
            return match self.compiled(prepared, &block.transaction)? {
                Some(compiled) => get_in(&block.transaction, &compiled, values),
                None => Ok(None),
            };
        }
        // One key needs no snapshot: its newest value is what a snapshot taken now would give.
        let Some(compiled) = self.compiled_now(prepared)? else {
            return Ok(None);
        };
        let get = match compiled.direct.as_ref().map(|direct| &direct.operation) {
            Some(Operation::Get(get)) => Some(get).filter(|get| get.keys.is_single()),
            Some(Operation::Range(_)) => None,
            Some(Operation::Put(_)) | None => return Ok(None),
        };
        let Some(get) = get else {
            let transaction = self.engine.begin(false);
            if transaction.generation()? != Some(compiled.generation) {
                return Ok(None);
            }
            return get_in(&transaction, &compiled, values);
        };
        let Scratch { key, row } = &mut self.scratch;
        let batch = match get.keys.single(values, key) {
            direct::Fit::Unfit => return Ok(None),
            direct::Fit::Nowhere => None,
            direct::Fit::Written => match self.engine.store.get(key, row)? {
                Some(_) => get.batch([row.as_slice()].into_iter())?,
                None => None,
            },
        };
        if row.capacity() > SCRATCH_BYTES_KEPT {
            *row = Vec::new();
        }
        // The row belongs to the catalog that the statement was compiled for only if that is still the catalog.
        if self.engine.store.generation() != Some(compiled.generation) {
            return Ok(None);
        }
        Ok(Some(rows(&get.output, batch)))
    }

    /// Makes the change of a statement in a transaction, if it is direct.
    ///
    /// A row that it names is locked before the transaction sees it, where this is its first statement; otherwise the statement begins
    /// again over a newer view where the row was changed since.
    ///
    /// # Errors
    /// As the full path.
    pub(super) async fn put_directly(
        &self,
        prepared: &Prepared,
        values: &[Value],
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
    ) -> Result<Option<Response>> {
        if !prepared.is_candidate || !self.choices.is_direct {
            return Ok(None);
        }
        let compiled = match transaction.has_view() {
            true => self.compiled(prepared, transaction)?,
            false => self.compiled_now(prepared)?,
        };
        let Some(compiled) = compiled else {
            return Ok(None);
        };
        let Some(Direct {
            operation: Operation::Put(put),
            table_key,
            ..
        }) = &compiled.direct
        else {
            return Ok(None);
        };
        let keys = match put.keys(values) {
            Some(Found::Keys(keys)) => keys,
            Some(Found::Unfit) => return Ok(None),
            None => Vec::new(),
        };
        if !keys.is_empty() {
            self.lock_rows(&keys, put.change.lock_mode(), transaction, cancellation)
                .await?;
        }
        if transaction.generation()? != Some(compiled.generation) {
            return Ok(None);
        }
        let Some(source) = put.source(&keys, values, transaction, self.zone())? else {
            return Ok(None);
        };
        transaction.require_unchanged(table_key.clone())?;
        let waiting = self.waiting(cancellation);
        let ran = match source {
            PutRows::Encoded(rows) => dml::run_encoded(&put.change, rows, transaction, &waiting)?,
            PutRows::Batch(batch) => dml::run(&put.change, &[batch], transaction, &waiting)?,
        };
        match ran {
            Ran::Written(written) => Ok(Some(Response::Done {
                tag: put.change.kind.tag(written.count),
            })),
            Ran::Busy(_) => Err(Error::internal("a direct statement changes rows of other tables")),
        }
    }

    /// Locks rows that a statement names by their keys, before it has read any of them.
    async fn lock_rows(
        &self,
        keys: &[Vec<u8>],
        mode: LockMode,
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
    ) -> Result<()> {
        let waiting = self.waiting(cancellation);
        match transaction.lock(keys, mode, Busy::Wait, &waiting).await? {
            Seen::AsTheyAre => Ok(()),
            Seen::Changed if transaction.restart_statement()? => Ok(()),
            Seen::Changed => Err(super::change::overtaken()),
        }
    }

    /// Compiles for the catalog as the current transaction sees it, or as it is now. None where its generation is unknown.
    fn compile_now(&self, statement: &ast::Statement, given: &[Option<SqlType>]) -> Result<Option<Arc<Compiled>>> {
        match &self.block {
            // Describing a statement is no reason to fix what the block sees.
            Some(block) if block.has_changed_catalog || block.transaction.has_view() => {
                self.compile(statement, given, &block.transaction)
            }
            _ => self.compile(statement, given, &self.engine.begin(false)),
        }
    }

    fn compile(
        &self,
        statement: &ast::Statement,
        given: &[Option<SqlType>],
        transaction: &Transaction,
    ) -> Result<Option<Arc<Compiled>>> {
        let has_changed_catalog = self.block.as_ref().is_some_and(|block| block.has_changed_catalog);
        let Some(generation) = transaction.generation()?.filter(|_| !has_changed_catalog) else {
            return Ok(None);
        };
        let catalog = self.engine.catalog_of(transaction)?;
        let path = self.choices.path.clone();
        let direct = direct::compile(&self.names(&catalog, &path), statement, given);
        Ok(Some(Arc::new(Compiled {
            generation,
            path,
            direct,
        })))
    }

    /// The compiled statement for the catalog as a transaction sees it.
    fn compiled(&self, prepared: &Prepared, transaction: &Transaction) -> Result<Option<Arc<Compiled>>> {
        let has_changed_catalog = self.block.as_ref().is_some_and(|block| block.has_changed_catalog);
        let Some(generation) = transaction.generation()?.filter(|_| !has_changed_catalog) else {
            return Ok(None);
        };
        if let Some(known) = self.known(prepared, generation) {
            return Ok(Some(known));
        }
        let given: Vec<_> = prepared.parameters.iter().copied().map(Some).collect();
        let compiled = self.compile(&prepared.statement.ast, &given, transaction)?;
        prepared.direct.lock().clone_from(&compiled);
        Ok(compiled)
    }

    /// The compiled statement for the catalog as it is now, outside of a transaction.
    fn compiled_now(&self, prepared: &Prepared) -> Result<Option<Arc<Compiled>>> {
        let known = self.engine.store.generation();
        match known.and_then(|generation| self.known(prepared, generation)) {
            Some(known) => Ok(Some(known)),
            None => self.compiled(prepared, &self.engine.begin(false)),
        }
    }

    fn known(&self, prepared: &Prepared, generation: Generation) -> Option<Arc<Compiled>> {
        let compiled = prepared.direct.lock().clone()?;
        let path = &self.choices.path;
        let is_path = Arc::ptr_eq(&compiled.path, path) || compiled.path == *path;
        (compiled.generation == generation && is_path).then_some(compiled)
    }
}

/// The rows as a transaction sees them; what is read is recorded in it.
fn get_in(transaction: &Transaction, compiled: &Compiled, values: &[Value]) -> Result<Option<Response>> {
    let Some(direct) = &compiled.direct else {
        return Ok(None);
    };
    match &direct.operation {
        Operation::Get(get) => {
            let Found::Keys(keys) = get.keys.all(values) else {
                return Ok(None);
            };
            transaction.require_unchanged(direct.table_key.clone())?;
            let mut found = Vec::with_capacity(keys.len());
            for key in &keys {
                found.extend(transaction.get(key)?);
            }
            let batch = get.batch(found.iter().map(AsRef::as_ref))?;
            Ok(Some(rows(&get.output, batch)))
        }
        Operation::Range(range) => {
            let Some(batch) = range.read(values, transaction)? else {
                return Ok(None);
            };
            transaction.require_unchanged(direct.table_key.clone())?;
            Ok(Some(rows(&range.output, batch)))
        }
        Operation::Put(_) => Ok(None),
    }
}

fn rows(output: &Output, batch: Option<datafusion::arrow::record_batch::RecordBatch>) -> Response {
    Response::Rows(Rows::ready(
        output.columns.clone(),
        output.schema.clone(),
        batch,
        Verb::Select,
    ))
}
