//! The process that rehearses: two clones, and a session on each, for one request after another.
//!
//! What a request made on the candidate stays there until the next one, which says what both are to have: then it is made on the
//! incumbent, too, or taken back.
//!
//! Where the command makes or drops indexes, both arms read the clone that has them, and one arm's session hides them: on two clones the
//! rows would lie in other files, and the same scan took 5 % longer on one than on the other. Writes are measured on both.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use aion_base::clock::{Clock, SystemClock};
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::ColumnDescriptor;
use aion_catalog::{SqlType, Value};
use aion_optimizer_rules::order::{is_ordered_totally, why_unstable};
use aion_shadow::answer;
use aion_shadow::captured::Literals;
use aion_shadow::rehearsal::{self, Arm, Cost, Execution, Rehearsal, Sample, Statement, WRITTEN_ROWS, Written};
use aion_shadow::state::Mode;
use aion_shadow::statistics::milliseconds;
use aion_sql::{LocalTable, Prepared, Response, Rows, Session, SessionOptions, quoted};

use super::message::{Done, Line, Request, RequestedStatement, SampleLine, to_line};
use crate::observed::prepare_captured;
use crate::{Database, DatabaseOptions, text};

/// Rows of an answer that are kept to be compared; a statement with more is left out.
const ROWS_MAX: usize = 100_000;
/// The name of the rows that are written, in the session alone.
const WRITTEN: &str = "aion_rehearsed_rows";

/// Reads requests from `input`, rehearses, and writes lines to `output`, until the input ends. For the child process.
///
/// # Errors
/// When a request cannot be read or an answer not written; what goes wrong in a rehearsal is told in a line.
pub fn run(input: &mut dyn BufRead, output: &mut dyn Write) -> Result<()> {
    let mut clones: Option<OpenClones> = None;
    loop {
        let mut line = String::new();
        let read = input
            .read_line(&mut line)
            .map_err(|error| Error::io("read the request", error))?;
        if read == 0 {
            return Ok(());
        }
        let request: Request = serde_json::from_str(&line).map_err(|error| {
            Error::invalid(
                SqlState::PROTOCOL_VIOLATION,
                format!("the request cannot be read: {error}"),
            )
        })?;
        let end = match rehearse(&mut clones, &request, output) {
            Ok(rehearsed) => Line::Done(Done {
                evidence: rehearsed.evidence,
                verdict: rehearsed.verdict,
                had_time: rehearsed.had_time,
            }),
            Err(error) => Line::failed(&error),
        };
        write(output, &end)?;
    }
}

fn write(output: &mut dyn Write, line: &Line) -> Result<()> {
    let written = output
        .write_all(to_line(line)?.as_bytes())
        .and_then(|()| output.flush());
    written.map_err(|error| Error::io("answer", error))
}

fn rehearse(
    clones: &mut Option<OpenClones>,
    request: &Request,
    output: &mut dyn Write,
) -> Result<rehearsal::Rehearsed> {
    let clones = match clones {
        Some(clones) => clones,
        none => none.insert(OpenClones::open(request)?),
    };
    clones.settle(request)?;
    let mut pair = Pair {
        incumbent: Side::new(&clones.incumbent)?,
        candidate: Side::new(&clones.candidate)?,
        twin: None,
        request,
        clock: SystemClock::default(),
    };
    let workload: Vec<Statement> = request
        .statements
        .iter()
        .map(|one| pair.classify(one, &mut clones.tried))
        .collect();
    let time = Duration::from_millis(request.time_ms);
    rehearsal::rehearse(
        &mut pair,
        &workload,
        &request.budget,
        time,
        request.seed,
        &mut |sample| write(output, &Line::Sample(sample_line(sample, request))),
    )
}

/// Both clones, and what was done to them.
struct OpenClones {
    incumbent: Database,
    candidate: Database,
    /// Commands that were run on both.
    given: Vec<String>,
    /// The command that was run on the candidate alone, and what takes it back.
    made: Option<(String, Option<String>)>,
    /// Statements that were run once, to see whether they can be.
    tried: HashSet<i64>,
}

impl OpenClones {
    fn open(request: &Request) -> Result<Self> {
        let options = DatabaseOptions {
            memory_bytes: request.memory_bytes,
            // What is rehearsed is no workload.
            ai_mode: Some(Mode::Off),
            ..DatabaseOptions::default()
        };
        let incumbent = Database::open(&request.incumbent, options.clone())?;
        let candidate = Database::open(&request.candidate, options)?;
        // Building them would disturb what is measured.
        incumbent.wait_for_indexes()?;
        candidate.wait_for_indexes()?;
        Ok(Self {
            incumbent,
            candidate,
            given: Vec::new(),
            made: None,
            tried: HashSet::new(),
        })
    }

    /// Brings both to what the request says that they have.
    fn settle(&mut self, request: &Request) -> Result<()> {
        let Some(new) = request.given.strip_prefix(&self.given[..]) else {
            return Err(Error::internal("a request asks for fewer commands than the one before"));
        };
        let (mut incumbent, mut candidate) = (Side::new(&self.incumbent)?, Side::new(&self.candidate)?);
        let mut of_candidate = new.to_vec();
        match self.made.take() {
            // Others of a table come in the order in which they became ready: it is the next one, if any.
            Some((command, _)) if of_candidate.contains(&command) => of_candidate.retain(|one| *one != command),
            Some((_, Some(undo))) => candidate.run(&undo)?,
            Some((command, None)) => {
                return Err(Error::internal(format!(
                    "what cannot be taken back was kept: {command}"
                )));
            }
            None => {}
        }
        // On both at once: it is not measured.
        std::thread::scope(|scope| {
            let candidate = scope.spawn(|| of_candidate.iter().try_for_each(|command| candidate.run(command)));
            let incumbent = new.iter().try_for_each(|command| incumbent.run(command));
            let candidate = candidate
                .join()
                .map_err(|_| Error::internal("a thread that made indexes panicked"))?;
            incumbent.and(candidate)
        })?;
        self.given.clone_from(&request.given);
        self.made = Some((request.command.clone(), request.undo_command.clone()));
        Ok(())
    }
}

fn sample_line(sample: &Sample<'_>, request: &Request) -> SampleLine {
    let queryid = sample.statement.map(|statement| statement.queryid);
    let literals = request.statements.iter().find(|one| Some(one.queryid) == queryid);
    let literals = literals.and_then(|one| one.literals.get(sample.literals));
    let literal_hash = literals.map_or(0, |literals| {
        let text = Some(literals.text.clone());
        answer::hash(&[std::iter::once(text)
            .chain(literals.parameters.iter().cloned())
            .collect()])
    });
    let rows = sample.execution.rows.as_ref();
    let hash = match sample.statement {
        Some(statement) if statement.is_ordered => answer::hash,
        _ => answer::hash_of_multiset,
    };
    SampleLine {
        queryid,
        arm: sample.arm.name().to_owned(),
        literal_hash: format!("{literal_hash:016x}"),
        ms: milliseconds(sample.execution.elapsed),
        rows: rows.map(|rows| rows.len() as u64),
        result_hash: rows.map(|rows| format!("{:016x}", hash(rows))),
    }
}

/// A clone, with a session, and what was prepared in it.
struct Side<'a> {
    database: &'a Database,
    session: Session,
    /// By statement and literals.
    prepared: HashMap<(usize, usize), (Arc<Prepared>, Vec<Value>)>,
    /// How the rows that are written are put in and taken out; None before the first write.
    writes: Option<Writes>,
}

/// Statements that take rows out of a table and put them back.
struct Writes {
    delete: Arc<Prepared>,
    insert: Arc<Prepared>,
    /// Of the rows themselves, without entries of indexes.
    row_bytes: u64,
}

impl<'a> Side<'a> {
    fn new(database: &'a Database) -> Result<Self> {
        Ok(Self {
            database,
            session: database.session(SessionOptions::default()),
            prepared: HashMap::new(),
            writes: None,
        })
    }

    /// A session that plans without these indexes.
    fn hiding(database: &'a Database, indexes: &[String]) -> Result<Self> {
        let mut side = Self::new(database)?;
        side.session.set("aion.hidden_indexes", &indexes.join(","))?;
        Ok(side)
    }

    /// The names of all indexes.
    fn indexes(&self) -> Result<Vec<String>> {
        let catalog = self.session.catalog()?;
        let names = catalog
            .tables()
            .flat_map(|table| table.indexes.iter().map(|index| index.name.clone()));
        Ok(names.collect())
    }

    fn prepare_text(&mut self, sql: &str) -> Result<Arc<Prepared>> {
        let statement = self.session.parse(sql)?.into_iter().next();
        let statement = statement.ok_or_else(|| Error::invalid(SqlState::SYNTAX_ERROR, "a statement is empty"))?;
        let session = &mut self.session;
        self.database.runtime().block_on(session.prepare(&statement, &[]))
    }

    fn prepare(&mut self, literals: &Literals) -> Result<(Arc<Prepared>, Vec<Value>)> {
        let preparing = prepare_captured(&mut self.session, literals);
        self.database.runtime().block_on(preparing)
    }

    /// Runs to the end; rows as text.
    fn rows(&mut self, prepared: &Arc<Prepared>, values: &[Value]) -> Result<Vec<Vec<Option<String>>>> {
        let session = &mut self.session;
        self.database.runtime().block_on(async {
            match session.execute(prepared, values).await? {
                Response::Rows(mut rows) => read(&mut rows).await,
                Response::Done { .. } => Ok(Vec::new()),
            }
        })
    }

    /// The lines of the plan, without what is expected of its operators.
    fn plan(&mut self, literals: &Literals) -> Result<Vec<String>> {
        let mut explained = literals.clone();
        explained.text = format!("EXPLAIN {}", literals.text);
        let (prepared, values) = self.prepare(&explained)?;
        let rows = self.rows(&prepared, &values)?;
        let lines = rows.into_iter().flatten().flatten();
        let lines = lines.filter(|line| !line.starts_with("Planning Time"));
        Ok(lines.map(|line| without_rows(&line)).collect())
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        let prepared = self.prepare_text(sql)?;
        self.rows(&prepared, &[]).map(drop)
    }
}

/// A line of a plan without `(rows=...)`.
fn without_rows(line: &str) -> String {
    match line.split_once("  (rows") {
        Some((front, _)) => front.to_owned(),
        None => line.to_owned(),
    }
}

async fn read(rows: &mut Rows) -> Result<Vec<Vec<Option<String>>>> {
    let columns = rows.columns().clone();
    let mut read = Vec::new();
    while let Some(batch) = rows.next().await? {
        text::append_rows(&batch, &columns, &mut read)?;
        if read.len() > ROWS_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("it gives more than {ROWS_MAX} rows"),
            ));
        }
    }
    Ok(read)
}

/// See the module's header.
struct Pair<'a> {
    incumbent: Side<'a>,
    candidate: Side<'a>,
    /// What an arm reads instead of its own clone: the other's, with the indexes hidden that make the difference.
    twin: Option<(Arm, Side<'a>)>,
    request: &'a Request,
    clock: SystemClock,
}

impl<'a> Pair<'a> {
    /// What of a captured statement can be compared.
    fn classify(&mut self, requested: &RequestedStatement, tried: &mut HashSet<i64>) -> Statement {
        let mut statement = Statement {
            queryid: requested.queryid,
            calls: requested.calls,
            literals: requested.literals.len(),
            is_ordered: false,
            excluded: None,
        };
        if !requested.is_read_only {
            statement.excluded = Some("it writes".to_owned());
        } else if let Some(literals) = requested.literals.first() {
            let is_tried = tried.contains(&requested.queryid);
            match self.look_at(literals, is_tried) {
                Ok((why, is_ordered)) => {
                    tried.insert(requested.queryid);
                    statement.excluded = why.map(str::to_owned);
                    statement.is_ordered = is_ordered;
                }
                Err(error) => statement.excluded = Some(error.message().to_owned()),
            }
        }
        statement
    }

    /// Why its answers may differ of themselves, and whether they come in a total order. A first execution, too, where none was
    /// tried: what fails or gives too many rows is left out.
    fn look_at(&mut self, literals: &Literals, is_tried: bool) -> Result<(Option<&'static str>, bool)> {
        let side = &mut self.incumbent;
        let (prepared, values) = side.prepare(literals)?;
        let planning = side.session.what_if(&prepared, &values, &[]);
        let planned = side.database.runtime().block_on(planning)?;
        if aion_optimizer_rules::uses::uses(&planned.plan, &planned.catalog, &planned.search_path)
            .map_err(|error| Error::internal(format!("a plan cannot be walked: {error}")))?
            .is_empty()
        {
            return Ok((Some("it reads no table"), false));
        }
        let why = match planned.is_approximate {
            true => Some("it searches a vector index, whose answers are approximate"),
            false => why_unstable(&planned.plan, &planned.catalog),
        };
        if why.is_none() && !is_tried {
            side.rows(&prepared, &values)?;
        }
        Ok((why, is_ordered_totally(&planned.plan, &planned.catalog)))
    }

    /// The arm's own clone.
    fn side(&mut self, arm: Arm) -> &mut Side<'a> {
        match arm {
            Arm::Incumbent => &mut self.incumbent,
            Arm::Candidate => &mut self.candidate,
        }
    }

    /// Where the arm reads.
    fn reading_side(&mut self, arm: Arm) -> &mut Side<'a> {
        if self.twin.as_ref().is_none_or(|(of, _)| *of != arm) {
            return self.side(arm);
        }
        let (_, twin) = self.twin.as_mut().expect("looked at above");
        twin
    }

    /// What the indexes take on disk that only the candidate has. Both are flushed.
    fn added_bytes(&self) -> Result<u64> {
        // Else its next writes would go into a memory that is full of what was just made.
        self.incumbent.database.flush()?;
        let before = self.incumbent.indexes()?;
        let catalog = self.candidate.session.catalog()?;
        let mut bytes = 0;
        for table in catalog.tables() {
            for index in table.indexes.iter().filter(|index| !before.contains(&index.name)) {
                bytes += self.candidate.database.index_bytes(table.storage, index.id)?;
            }
        }
        Ok(bytes)
    }

    /// Lets both arms read one clone, if indexes are all that the command changed.
    fn find_twin(&mut self) -> Result<()> {
        let (before, after) = (self.incumbent.indexes()?, self.candidate.indexes()?);
        let only_in = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|name| !others.contains(name)).cloned().collect()
        };
        let (added, removed) = (only_in(&after, &before), only_in(&before, &after));
        self.twin = match (added.is_empty(), removed.is_empty()) {
            (false, true) => Some((Arm::Incumbent, Side::hiding(self.candidate.database, &added)?)),
            (true, false) => Some((Arm::Candidate, Side::hiding(self.incumbent.database, &removed)?)),
            _ => None,
        };
        Ok(())
    }
}

impl Rehearsal for Pair<'_> {
    fn prepare(&mut self) -> Result<Cost> {
        let before = self.clock.monotonic();
        self.candidate.run(&self.request.command)?;
        self.candidate.database.wait_for_indexes()?;
        let build_ms = milliseconds(self.clock.monotonic().saturating_sub(before));
        self.find_twin()?;
        Ok(Cost {
            size_bytes: self.added_bytes()?,
            memory_bytes: 0,
            build_ms,
        })
    }

    fn is_affected(&mut self, statement: usize) -> Result<bool> {
        let request = self.request;
        if request.compares_all {
            return Ok(true);
        }
        for literals in &request.statements[statement].literals {
            let incumbent = self.reading_side(Arm::Incumbent).plan(literals)?;
            if incumbent != self.reading_side(Arm::Candidate).plan(literals)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn run(&mut self, arm: Arm, statement: usize, literals: usize, timeout: Option<Duration>) -> Result<Execution> {
        let request = self.request;
        let literals_of = &request.statements[statement].literals;
        let side = self.reading_side(arm);
        let (prepared, values) = match side.prepared.get(&(statement, literals)) {
            Some(known) => known.clone(),
            None => {
                let prepared = side.prepare(&literals_of[literals])?;
                side.prepared.insert((statement, literals), prepared.clone());
                prepared
            }
        };
        side.session.set("search_path", &literals_of[literals].search_path)?;
        // 0 is none.
        let millis = timeout.map_or(0, |timeout| timeout.as_millis().max(1));
        side.session.set("statement_timeout", &millis.to_string())?;
        let before = self.clock.monotonic();
        let rows = self.reading_side(arm).rows(&prepared, &values);
        let elapsed = self.clock.monotonic().saturating_sub(before);
        match rows {
            Ok(rows) => Ok(Execution {
                elapsed,
                rows: Some(rows),
            }),
            Err(error) if timeout.is_some() && error.state() == SqlState::QUERY_CANCELED => {
                Ok(Execution { elapsed, rows: None })
            }
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, arm: Arm) -> Result<Option<Written>> {
        let Some(table) = &self.request.table else {
            return Ok(None);
        };
        self.side(arm).write(table)
    }

    fn elapsed(&self) -> Duration {
        self.clock.monotonic()
    }
}

impl Side<'_> {
    /// Takes the first rows of a table out and puts them in again: what the latter took. None for a table without rows or primary key.
    fn write(&mut self, (schema, name): &(String, String)) -> Result<Option<Written>> {
        if self.writes.is_none() {
            self.writes = self.prepare_writes(schema, name)?;
        }
        let Some(Writes {
            delete,
            insert,
            row_bytes,
        }) = &self.writes
        else {
            return Ok(None);
        };
        let (delete, insert, row_bytes) = (delete.clone(), insert.clone(), *row_bytes);
        self.session.set("statement_timeout", "0")?;
        self.rows(&delete, &[])?;
        let clock = SystemClock::default();
        let (before, bytes) = (clock.monotonic(), self.database.log_bytes());
        self.rows(&insert, &[])?;
        let elapsed = clock.monotonic().saturating_sub(before);
        Ok(Some(Written {
            elapsed,
            bytes: self.database.log_bytes().saturating_sub(bytes),
            row_bytes,
        }))
    }

    /// Keeps the first rows of a table, to be taken out and put in again; None for a table without rows or primary key.
    fn prepare_writes(&mut self, schema: &str, name: &str) -> Result<Option<Writes>> {
        let catalog = self.session.catalog()?;
        let mut tables = catalog.tables();
        let table = tables.find(|table| table.schema == schema && table.name == name);
        let Some(table) = table.filter(|table| !table.primary_key.is_empty()) else {
            return Ok(None);
        };
        let of = format!("{}.{}", quoted(schema), quoted(name));
        let select = self.prepare_text(&format!("SELECT * FROM {of} LIMIT {WRITTEN_ROWS}"))?;
        let (session, runtime) = (&mut self.session, self.database.runtime());
        let kept: LocalTable = runtime.block_on(async {
            let Response::Rows(mut rows) = session.execute(&select, &[]).await? else {
                return Err(Error::internal("a query gives rows"));
            };
            let mut kept = session.local_table(rows.schema())?;
            while let Some(batch) = rows.next().await? {
                kept.push(&batch)?;
            }
            Ok(kept)
        })?;
        self.session.register(WRITTEN, kept)?;
        let key = table.primary_key_positions();
        let same = key.iter().map(|&at| {
            let column = quoted(&table.columns[at].name);
            format!("there.{column} = kept.{column}")
        });
        let same: Vec<String> = same.collect();
        let delete_up_to = self.last_written(&table.columns[key[0]])?;
        let delete = format!(
            "DELETE FROM {of} AS there USING {WRITTEN} AS kept WHERE {}{delete_up_to}",
            same.join(" AND ")
        );
        let insert = format!("INSERT INTO {of} SELECT * FROM {WRITTEN}");
        Ok(Some(Writes {
            delete: self.prepare_text(&delete)?,
            insert: self.prepare_text(&insert)?,
            row_bytes: self.database.bytes_of_first_rows(table.storage, WRITTEN_ROWS)?,
        }))
    }

    /// The rows that are written are the first of their table: where the type of its first key column lets us say so, no other row is
    /// read to find them again.
    fn last_written(&mut self, first: &ColumnDescriptor) -> Result<String> {
        let can_be_named = matches!(
            first.sql_type,
            SqlType::SmallInt
                | SqlType::Integer
                | SqlType::BigInt
                | SqlType::Text
                | SqlType::Varchar(_)
                | SqlType::Char(_)
                | SqlType::Date
                | SqlType::Time(_)
                | SqlType::Timestamp(_)
                | SqlType::TimestampTz(_)
        );
        if !can_be_named {
            return Ok(String::new());
        }
        let column = quoted(&first.name);
        let last = self.prepare_text(&format!("SELECT CAST(max({column}) AS text) FROM {WRITTEN}"))?;
        let last = self.rows(&last, &[])?.into_iter().flatten().flatten().next();
        Ok(last.map_or_else(String::new, |last| {
            let literal = last.replace('\'', "''");
            format!(" AND there.{column} <= CAST('{literal}' AS {})", first.sql_type)
        }))
    }
}
