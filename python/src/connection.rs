//! Connections: statements in, results out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_db::{Effect, Prepared, Response, SessionOptions, Statement};
use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tokio::runtime::Handle;

use crate::config::Config;
use crate::database::{self, Shared};
use crate::lane::{Answer, Held, Lane};
use crate::names::{Parameters, Text};
use crate::outcome::affected;
use crate::result::ResultSet;
use crate::stream::Stream;
use crate::{errors, given, taken};

/// What a connection holds until it is closed.
pub struct Open {
    lane: Lane,
    shared: Mutex<Option<Arc<Shared>>>,
    /// The results that are still there.
    streams: Mutex<Vec<Weak<Stream>>>,
}

impl Open {
    /// Where its statements run.
    pub fn handle(&self) -> Handle {
        self.lane.handle.clone()
    }

    /// Ends what runs, and the results.
    pub async fn end(&self) {
        for stream in self.streams.lock().drain(..).filter_map(|stream| stream.upgrade()) {
            stream.close();
        }
        self.lane.close().await;
    }

    /// Lets go of the database.
    ///
    /// # Errors
    /// As [`Shared::release`].
    pub fn release(&self) -> Result<()> {
        let shared = self.shared.lock().take();
        shared.map_or(Ok(()), Shared::release)
    }

    fn result(&self, connection: Bound<'_, Connection>, answer: Answer) -> ResultSet {
        let connection = connection.into_any().unbind();
        let Answer { response, mark } = answer;
        match response {
            Response::Done { tag } => ResultSet::done(connection, tag),
            Response::Rows(rows) => {
                let stream = Arc::new(Stream::new(self.lane.clone(), rows, mark));
                let mut streams = self.streams.lock();
                streams.retain(|stream| stream.strong_count() > 0);
                streams.push(Arc::downgrade(&stream));
                drop(streams);
                ResultSet::of(connection, stream)
            }
        }
    }
}

/// A connection to a database: settings, a transaction, and statements run in it. Use `aiondb.connect`.
///
/// Threads may share it: their statements run one after another. Without `begin()` each statement is its own transaction, committed
/// when the call returns.
#[pyclass(module = "aiondb", subclass, frozen, weakref)]
pub struct Connection {
    open: Mutex<Option<Arc<Open>>>,
    autocommit: AtomicBool,
    is_read_only: bool,
    path: String,
}

/// What the first half of a statement's run came to.
enum Started {
    Answered(Answer),
    /// Its parameters are to be converted.
    Waits(Arc<Prepared>, Effect),
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (path, read_only, config, program=None))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        read_only: bool,
        config: &Bound<'_, PyDict>,
        program: Option<PathBuf>,
    ) -> PyResult<Self> {
        database::check_process(py)?;
        let config = Config::new(config, program)?;
        let shown = path.display().to_string();
        let opened = py.detach(move || {
            let shared = Shared::open(&path, &config, read_only)?;
            let database = shared.database();
            let mut session = database.session(SessionOptions {
                application: "aiondb".to_owned(),
                ..SessionOptions::default()
            });
            if read_only {
                session.set_read_only();
            }
            let lane = Lane::new(database.runtime().clone(), session);
            let open = Arc::new(Open {
                lane,
                shared: Mutex::new(Some(shared)),
                streams: Mutex::default(),
            });
            database::remember(&open);
            Ok(open)
        });
        let open = opened.map_err(|error: Error| errors::raised(py, &error))?;
        Ok(Self {
            open: Mutex::new(Some(open)),
            autocommit: AtomicBool::new(true),
            is_read_only: read_only,
            path: shown,
        })
    }

    /// Runs a text and gives the result of its last statement.
    ///
    /// Parameters are `$1`, `$2`, ... with a sequence, or `$name` with a mapping; what the statement says of a parameter
    /// decides its type. A text without parameters may have several statements, each a transaction of its own outside
    /// of `begin()`; the first that fails ends it.
    #[pyo3(signature = (query, params=None))]
    fn sql(slf: Bound<'_, Self>, query: &str, params: Option<&Bound<'_, PyAny>>) -> PyResult<ResultSet> {
        let autocommit = slf.get().autocommit.load(Ordering::Acquire);
        Self::run(slf, query, params, autocommit)
    }

    /// Runs a text as `sql` does, and begins no transaction without autocommit: for what cannot run in one.
    fn _sql_alone(slf: Bound<'_, Self>, query: &str, params: Option<&Bound<'_, PyAny>>) -> PyResult<ResultSet> {
        Self::run(slf, query, params, true)
    }

    /// Runs one statement, which gives no rows, with each of several sets of parameters; outside of `begin()` all of it is one
    /// transaction. Returns how many rows were changed.
    fn _execute_many(&self, py: Python<'_>, query: &str, sets: &Bound<'_, PyAny>) -> PyResult<u64> {
        let open = self.opened(py)?;
        let sets: Vec<Bound<'_, PyAny>> = sets.try_iter()?.collect::<PyResult<_>>()?;
        let Some(first) = sets.first() else {
            return Ok(0);
        };
        let text = Text::new(py, query, Some(first))?;
        let sql = text.sql.clone();
        let prepared = open.lane.run(py, move |mut held| async move {
            let statement = single(held.session().parse(&sql)?)?;
            let prepared = held.session().prepare(&statement, &[]).await?;
            if prepared.columns().is_some() {
                let message = "executemany runs statements that give no rows";
                return Err(Error::invalid(SqlState::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("Run a query with execute or sql, once for each set."));
            }
            Ok((prepared, statement.effect()))
        })?;
        let (prepared, effect) = prepared.map_err(|error| text.raised(py, error))?;
        let mut all = Vec::with_capacity(sets.len());
        for (at, set) in sets.iter().enumerate() {
            let parameters = text.same_with(py, set)?;
            all.push(values(py, &parameters, &prepared, Some(at + 1))?);
        }
        let changed = open.lane.run(py, move |mut held| async move {
            if !held.is_idle() {
                return many(&mut held, &prepared, effect, &all).await;
            }
            held.control("BEGIN").await?;
            match many(&mut held, &prepared, effect, &all).await {
                Ok(changed) => held.control("COMMIT").await.map(|()| changed),
                Err(error) => {
                    held.control("ROLLBACK").await?;
                    Err(error)
                }
            }
        })?;
        changed.map_err(|error| text.raised(py, error))
    }

    /// Begins a transaction. What follows takes effect with `commit()`, whole or not at all.
    fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let open = self.opened(py)?;
        let begun = open.lane.run(py, |mut held| async move {
            if !held.is_idle() {
                let message = "there is already a transaction in progress";
                return Err(Error::invalid(SqlState::ACTIVE_SQL_TRANSACTION, message)
                    .with_hint("End it with commit() or rollback()."));
            }
            held.control("BEGIN").await
        })?;
        begun.map_err(|error| errors::raised(py, &error))
    }

    /// Commits the transaction; does nothing when there is none. Durable when it returns.
    ///
    /// A transaction in which a statement failed cannot be committed: it is rolled back, and 25P02 says so. 40001 means
    /// that it lost against another one, and that running it again may succeed.
    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let open = self.opened(py)?;
        let committed = open.lane.run(py, |mut held| async move {
            use aion_db::TransactionStatus as Status;
            match held.session().status() {
                Status::Idle => Ok(()),
                Status::Active => held.control("COMMIT").await,
                Status::Failed => {
                    held.control("ROLLBACK").await?;
                    let message = "the transaction was rolled back: a statement in it had failed";
                    Err(Error::invalid(SqlState::IN_FAILED_SQL_TRANSACTION, message))
                }
            }
        })?;
        committed.map_err(|error| errors::raised(py, &error))
    }

    /// Takes the transaction back; does nothing when there is none.
    fn rollback(&self, py: Python<'_>) -> PyResult<()> {
        let open = self.opened(py)?;
        let ended = open.lane.run(py, |mut held| async move {
            if held.is_idle() {
                return Ok(());
            }
            held.control("ROLLBACK").await
        })?;
        ended.map_err(|error| errors::raised(py, &error))
    }

    /// Closes the connection: cancels what runs, rolls back an open transaction, ends its results. The last connection of a
    /// database closes it and lets other processes have the directory. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        database::check_process(py)?;
        let Some(open) = self.open.lock().take() else {
            return Ok(());
        };
        let ending = open.clone();
        crate::task::wait(py, &open.handle(), async move { ending.end().await }, || false)?;
        py.detach(|| open.release()).map_err(|error| errors::raised(py, &error))
    }

    /// Cancels what this connection runs, from another thread; that thread gets OperationalError with SQLSTATE 57014.
    fn interrupt(&self, py: Python<'_>) -> PyResult<()> {
        let open = self.opened(py)?;
        open.lane.cancel();
        for stream in open.streams.lock().iter().filter_map(Weak::upgrade) {
            stream.stop();
        }
        Ok(())
    }

    /// Gives a frame a name: `SELECT ... FROM name` reads it, in this connection alone, before a table of the database.
    ///
    /// `frame` is anything with `__arrow_c_stream__`: a pyarrow Table, a pandas or polars DataFrame, a result. Its values are
    /// copied and counted in the memory of queries (a quarter of the machine's, or half of the config's `memory`); 53200
    /// when they do not fit. The name is taken as it is: write it in lower case. Such a table is only read.
    fn register(&self, py: Python<'_>, name: String, frame: &Bound<'_, PyAny>) -> PyResult<()> {
        let open = self.opened(py)?;
        let (schema, batches) = taken::open(frame)?;
        let table = open
            .lane
            .run(py, move |mut held| async move { held.session().local_table(&schema) })?;
        let table = table.map_err(|error| errors::raised(py, &error))?;
        let table = taken::fill(py, table, batches)?;
        let registered = open
            .lane
            .run(py, move |mut held| async move { held.session().register(&name, table) })?;
        registered.map_err(|error| errors::raised(py, &error))
    }

    /// Forgets a registered frame and gives its memory back.
    fn unregister(&self, py: Python<'_>, name: String) -> PyResult<()> {
        let open = self.opened(py)?;
        let gone = open
            .lane
            .run(py, move |mut held| async move { held.session().unregister(&name) })?;
        gone.map_err(|error| errors::raised(py, &error))
    }

    /// What the database had to say since the last call that is no error: "relation exists, skipping".
    fn notices(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let open = self.opened(py)?;
        let notices = open
            .lane
            .run(py, |mut held| async move { Ok(held.session().take_notices()) })?;
        let notices = notices.map_err(|error| errors::raised(py, &error))?;
        Ok(notices.iter().map(|notice| notice.message().to_owned()).collect())
    }

    /// Whether a transaction is open.
    #[getter]
    fn in_transaction(&self, py: Python<'_>) -> PyResult<bool> {
        let open = self.opened(py)?;
        let idle = open.lane.run(py, |mut held| async move { Ok(held.is_idle()) })?;
        idle.map(|idle| !idle).map_err(|error| errors::raised(py, &error))
    }

    /// Whether a statement outside of `begin()` is its own transaction; True at first. False is as PEP 249 has it: the
    /// first statement begins a transaction.
    #[getter]
    fn autocommit(&self) -> bool {
        self.autocommit.load(Ordering::Acquire)
    }

    #[setter]
    fn set_autocommit(&self, autocommit: bool) {
        self.autocommit.store(autocommit, Ordering::Release);
    }

    /// Whether writes are refused.
    #[getter]
    fn read_only(&self) -> bool {
        self.is_read_only
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.open.lock().is_none()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Commits an open transaction, or rolls it back when an exception passes, and closes.
    #[pyo3(signature = (*exception))]
    fn __exit__(&self, py: Python<'_>, exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        if self.closed() {
            return Ok(());
        }
        let is_well = exception.get_item(0)?.is_none();
        let ended = if is_well { self.commit(py) } else { Ok(()) };
        let closed = self.close(py);
        ended.and(closed)
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { "closed " } else { "" };
        format!("<{state}aiondb.Connection to {}>", self.path)
    }
}

impl Connection {
    /// Runs a text; without `autocommit` its first statement begins a transaction.
    fn run(
        slf: Bound<'_, Self>,
        query: &str,
        params: Option<&Bound<'_, PyAny>>,
        autocommit: bool,
    ) -> PyResult<ResultSet> {
        let py = slf.py();
        let open = slf.get().opened(py)?;
        let text = Text::new(py, query, params)?;
        let has_parameters = params.is_some();
        let sql = text.sql.clone();
        let started = open
            .lane
            .run(py, move |held| start(held, sql, has_parameters, autocommit))?
            .map_err(|error| text.raised(py, error))?;
        let (prepared, effect) = match started {
            Started::Answered(answer) => return Ok(open.result(slf, answer)),
            Started::Waits(prepared, effect) => (prepared, effect),
        };
        let values = values(py, &text.parameters, &prepared, None)?;
        let answer = open.lane.run(py, move |mut held| async move {
            begin(&mut held, effect, autocommit).await?;
            held.execute(&prepared, effect, &values).await
        })?;
        let answer = answer.map_err(|error| text.raised(py, error))?;
        Ok(open.result(slf, answer))
    }

    fn opened(&self, py: Python<'_>) -> PyResult<Arc<Open>> {
        database::check_process(py)?;
        let open = self.open.lock().clone();
        open.ok_or_else(|| errors::interface(py, "the connection is closed"))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(open) = self.open.get_mut().take() else {
            return;
        };
        if database::is_forked() {
            // Its threads are not in this process.
            std::mem::forget(open);
            return;
        }
        let close = || {
            let handle = open.handle();
            handle.block_on(open.end());
            open.release()
        };
        // Without an interpreter there is nobody to tell.
        Python::try_attach(|py| {
            if let Err(error) = py.detach(close) {
                errors::raised(py, &error).write_unraisable(py, None);
            }
        });
    }
}

/// The one statement of a text.
fn single(mut statements: Vec<Statement>) -> Result<Statement> {
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (Some(_), false) => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            "a text with parameters has one statement",
        )),
        (None, _) => Err(no_statement()),
    }
}

fn no_statement() -> Error {
    Error::invalid(SqlState::SYNTAX_ERROR, "the text has no statement")
}

/// Begins a transaction where PEP 249 asks for one.
async fn begin(held: &mut Held, effect: Effect, autocommit: bool) -> Result<()> {
    if autocommit || effect == Effect::Controls || !held.is_idle() {
        return Ok(());
    }
    held.control("BEGIN").await
}

/// Runs a text up to the point where parameters are needed.
async fn start(mut held: Held, sql: String, has_parameters: bool, autocommit: bool) -> Result<Started> {
    let mut statements = held.session().parse(&sql)?;
    if has_parameters {
        let statement = single(statements)?;
        let prepared = held.session().prepare(&statement, &[]).await?;
        return Ok(Started::Waits(prepared, statement.effect()));
    }
    let last = statements.pop().ok_or_else(no_statement)?;
    for statement in statements {
        let answer = run_plain(&mut held, &statement, autocommit).await?;
        // Read to its end, because an error may come with any row.
        if let Response::Rows(mut rows) = answer.response {
            loop {
                match rows.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        held.session().fail();
                        return Err(error);
                    }
                }
            }
        }
    }
    run_plain(&mut held, &last, autocommit).await.map(Started::Answered)
}

async fn run_plain(held: &mut Held, statement: &Statement, autocommit: bool) -> Result<Answer> {
    let effect = statement.effect();
    begin(held, effect, autocommit).await?;
    let prepared = held.session().prepare(statement, &[]).await?;
    if !prepared.parameter_types().is_empty() {
        held.session().fail();
        return Err(Error::invalid(
            SqlState::UNDEFINED_PARAMETER,
            format!(
                "the statement has {} parameters, and none were given",
                prepared.parameter_types().len()
            ),
        ));
    }
    held.execute(&prepared, effect, &[]).await
}

async fn many(held: &mut Held, prepared: &Arc<Prepared>, effect: Effect, sets: &[Vec<Value>]) -> Result<u64> {
    let mut changed = 0;
    for values in sets {
        let answer = held.execute(prepared, effect, values).await?;
        if let Response::Done { tag } = answer.response {
            changed += affected(&tag).unwrap_or(0);
        }
    }
    Ok(changed)
}

/// The values of a statement's parameters. `set` counts sets from 1, for messages.
fn values(
    py: Python<'_>,
    parameters: &Parameters<'_>,
    prepared: &Prepared,
    set: Option<usize>,
) -> PyResult<Vec<Value>> {
    let types = prepared.parameter_types();
    if parameters.len() != types.len() {
        let message = format!(
            "the statement has {} parameters; {} were given",
            types.len(),
            parameters.len()
        );
        return Err(errors::raised(
            py,
            &Error::invalid(SqlState::UNDEFINED_PARAMETER, message),
        ));
    }
    let converted = parameters.iter().zip(types).map(|((name, value), sql_type)| {
        given::value(value, sql_type).map_err(|problem| match problem {
            given::Problem::Python(error) => error,
            given::Problem::Value(error) => {
                let of_set = set.map(|set| format!(" of set {set}")).unwrap_or_default();
                let message = format!("parameter {name}{of_set}: {}", error.message());
                let mut named = Error::new(error.kind(), error.state(), message);
                if let Some(hint) = error.hint() {
                    named = named.with_hint(hint);
                }
                errors::raised(py, &named)
            }
        })
    });
    converted.collect()
}

/// What is no set of parameters.
pub fn no_parameters(value: &Bound<'_, PyAny>) -> PyErr {
    let name = value
        .get_type()
        .name()
        .map_or_else(|_| "this".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "params is a sequence for $1, $2, ... or a mapping for $name; {name} is neither"
    ))
}
