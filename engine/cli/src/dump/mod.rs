//! `aion admin dump`: a database as a script of SQL that makes it again.
//!
//! ```text
//! pg_catalog, aion.views -- catalog --> Objects -- script --> statements --+
//!                                                                          +--> file or stdout
//! COPY ... TO STDOUT ----------------------- data --> rows ----------------+
//! ```
//!
//! All of it is read in one transaction at REPEATABLE READ: it is the database at one moment, whatever others commit meanwhile. Only the
//! numbers of sequences, which are no part of transactions, are later; they are read last, so that no row has a number that is yet to
//! be given.
//!
//! **Guarantees.** The script stops nobody: it is plain SQL for `psql -f`, also with `-1`. The dump of what it makes is the same script,
//! byte for byte: objects are in the order of their names and of what they need, rows in the order of their keys, and nothing says
//! when it was written. What is no extension of SQL by this database (graphs, vectors) restores into PostgreSQL 15 as well.
//!
//! Order: schemas, types, sequences, tables with their CHECK constraints and primary keys, rows, the state of sequences, UNIQUE
//! constraints, indexes, foreign keys, graphs, views, comments.
//!
//! Left out, as by pg_dump: roles and settings, which are no part of a database; owners; statistics.

mod catalog;
mod data;
mod objects;
mod script;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aion_base::{Error, Result, SqlState};
use aion_db::{DatabaseOptions, Mode};
use clap::Args;

use self::objects::{Objects, Selection};
use crate::arguments::check_directory;
use crate::shell::{Complaint, Connection};

/// Memory for the stack that statements are planned on: plans are walked by recursion.
const STACK_BYTES: usize = 64 << 20;

/// What is written, and from where.
#[derive(Clone, Debug, Args)]
pub struct DumpArguments {
    /// The file; standard output by default
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// The data directory of a database that nobody serves
    #[arg(long, value_name = "DIR", conflicts_with = "connect")]
    data: Option<PathBuf>,
    /// The server: postgresql://user@host:port/database; by default the one on this machine
    #[arg(long, value_name = "URL")]
    connect: Option<String>,
    /// Only what is in this schema; may be given several times
    #[arg(long = "schema", value_name = "NAME")]
    schemas: Vec<String>,
    /// Only this table, view, sequence or graph: a name, or schema.name; may be given several times
    #[arg(long = "table", value_name = "NAME")]
    tables: Vec<String>,
    /// Rows as INSERT statements, and not as data of COPY
    #[arg(long)]
    inserts: bool,
    /// Definitions, and no rows
    #[arg(long, conflicts_with = "inserts")]
    schema_only: bool,
}

/// Runs `aion admin dump`.
pub fn run(arguments: &DumpArguments, local: &str) -> Result<ExitCode> {
    let arguments = arguments.clone();
    let local = local.to_owned();
    let dump = std::thread::Builder::new()
        .name("aion-dump".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || begin(&arguments, &local))
        .map_err(|error| Error::io("start a thread", error))?;
    dump.join().map_err(|_| Error::internal("the dump panicked"))?
}

fn begin(arguments: &DumpArguments, local: &str) -> Result<ExitCode> {
    let connected = match &arguments.data {
        Some(data) => open(data).map_err(Box::<Complaint>::from),
        None => Connection::connect(arguments.connect.as_deref().unwrap_or(local)),
    };
    let mut connection = match connected {
        Ok(connection) => connection,
        Err(complaint) => return Ok(refused(&complaint)),
    };
    let written = match &arguments.to {
        Some(path) => to_file(&mut connection, arguments, path),
        None => dump(&mut connection, arguments, BufWriter::new(std::io::stdout().lock())),
    };
    connection.close()?;
    match written {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(complaint) => Ok(refused(&complaint)),
    }
}

fn open(data: &Path) -> Result<Connection> {
    check_directory(data)?;
    let options = DatabaseOptions {
        ai_mode: Some(Mode::Off),
        ..DatabaseOptions::default()
    };
    Connection::open(data, options)
}

fn refused(complaint: &Complaint) -> ExitCode {
    if !complaint.is_closed_pipe {
        eprint!("{}", complaint.show("", None, 1));
    }
    ExitCode::FAILURE
}

/// The file appears under its name when it is whole: half a dump restores without an error too.
fn to_file(connection: &mut Connection, arguments: &DumpArguments, path: &Path) -> Result<(), Box<Complaint>> {
    let mut name = path
        .file_name()
        .ok_or_else(|| {
            Error::invalid(
                SqlState::INVALID_NAME,
                format!("{} is no name of a file", path.display()),
            )
        })?
        .to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let failed = |error| Error::io(format_args!("write {}", partial.display()), error);
    let file = File::create(&partial).map_err(failed)?;
    let written = dump(connection, arguments, BufWriter::new(&file));
    let done = written.and_then(|()| {
        file.sync_all().map_err(failed)?;
        std::fs::rename(&partial, path)
            .map_err(|error| Error::io(format_args!("write {}", path.display()), error).into())
    });
    if done.is_err() {
        // What is told is why it failed; the file that is left has a name that says what it is.
        let _ = std::fs::remove_file(&partial);
    }
    done
}

fn dump(connection: &mut Connection, arguments: &DumpArguments, mut out: impl Write) -> Result<(), Box<Complaint>> {
    let runtime = connection.runtime();
    runtime.block_on(async {
        for statement in [
            "SET statement_timeout = 0",
            "SET idle_in_transaction_session_timeout = 0",
            "SET timezone = 'UTC'",
            "SELECT pg_catalog.set_config('search_path', '', false)",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        ] {
            connection.ask(statement).await?;
        }
        let all = catalog::read(connection).await?;
        let chosen = choose(all, arguments)?;
        let format = match arguments.inserts {
            true => data::Format::Inserts,
            false => data::Format::Copy,
        };
        script::before_rows(&chosen, &mut out)?;
        if !arguments.schema_only {
            for table in &chosen.tables {
                data::write(connection, table, format, &mut out).await?;
            }
            let states = catalog::states(connection, &chosen).await?;
            script::states(&states, &mut out)?;
        }
        script::after_rows(&chosen, &mut out)?;
        connection.ask("COMMIT").await?;
        out.flush().map_err(objects::unwritten)?;
        Ok(())
    })
}

fn choose(all: Objects, arguments: &DumpArguments) -> Result<Objects> {
    if arguments.schemas.is_empty() && arguments.tables.is_empty() {
        return Ok(all);
    }
    let selection = Selection::new(&arguments.schemas, &arguments.tables)?;
    let chosen = all.choose(&selection)?;
    Ok(chosen)
}
