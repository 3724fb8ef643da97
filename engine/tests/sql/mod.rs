//! SQL scripts (`slt/*.slt`, the format of SQLite's sqllogictest) against a real server through a real client.
//!
//! Each file has a database of its own, in memory. `statement error` takes a pattern that is found in `SQLSTATE: message`, behind
//! which come the error's fields, those that it has: `DETAIL: ... HINT: ... SCHEMA: ... TABLE: ... COLUMN: ... CONSTRAINT: ...`.
//! What follows the first line of `COPY ... FROM STDIN` is what is copied. Scripts that PostgreSQL is asked as well have
//! `skipif postgresql` where it does otherwise.

mod frozen;
mod graph;
mod intervals;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aion_db::{Database, DatabaseOptions, Mode};
use aion_server::{ServerLimits, Service, pgwire};
use bytes::Bytes;
use futures::SinkExt;
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A server within this process, over a database in memory.
pub struct Server {
    pub address: SocketAddr,
    pub runtime: Arc<Runtime>,
    stop: watch::Sender<bool>,
    serving: Option<JoinHandle<aion_base::Result<()>>>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_in(Mode::Shadow)
    }

    /// With the learned parts in this mode.
    pub fn start_in(mode: Mode) -> Self {
        let options = DatabaseOptions {
            memory_bytes: 256 << 20,
            threads: 2,
            ai_mode: Some(mode),
            ..DatabaseOptions::default()
        };
        let database = Arc::new(Database::in_memory(options).expect("a database"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // Frames of a debug build are large.
            .thread_stack_size(16 << 20)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = watch::channel(false);
        let serving = runtime.spawn(pgwire::serve(
            listener,
            Service::new(database, ServerLimits::default(), stopped),
        ));
        Self {
            address,
            runtime: Arc::new(runtime),
            stop,
            serving: Some(serving),
        }
    }

    pub fn connect(&self) -> Client {
        let text = format!(
            "host={} port={} user=aion dbname=aion",
            self.address.ip(),
            self.address.port()
        );
        self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&text, NoTls).await.expect("connects");
            tokio::spawn(connection);
            client
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(serving) = self.serving.take() {
            let ended = self.runtime.block_on(serving).expect("no panic");
            if !std::thread::panicking() {
                ended.expect("served");
            }
        }
    }
}

struct Connection {
    client: Client,
    runtime: Arc<Runtime>,
}

/// An error as `SQLSTATE: message`.
#[derive(Debug)]
struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(error) => Self(told(error)),
            None => Self(error.to_string()),
        }
    }
}

fn told(error: &DbError) -> String {
    let fields = [
        ("DETAIL", error.detail()),
        ("HINT", error.hint()),
        ("SCHEMA", error.schema()),
        ("TABLE", error.table()),
        ("COLUMN", error.column()),
        ("CONSTRAINT", error.constraint()),
    ];
    let mut told = format!("{}: {}", error.code().code(), error.message());
    for (name, value) in fields {
        if let Some(value) = value {
            told.push_str(&format!(" {name}: {value}"));
        }
    }
    told
}

/// A COPY and what it copies, as the lines behind it; None for any other text.
fn copied(sql: &str) -> Option<(&str, Bytes)> {
    let (statement, lines) = sql.split_once('\n').unwrap_or((sql, ""));
    let statement = statement.trim_end().trim_end_matches(';');
    let words = statement.to_ascii_lowercase();
    (words.starts_with("copy ") && words.contains(" from stdin")).then(|| {
        let end = if lines.is_empty() { "" } else { "\n" };
        (statement, Bytes::from(format!("{lines}{end}")))
    })
}

impl Connection {
    async fn copy(&self, statement: &str, data: Bytes) -> Result<u64, Failure> {
        let sink = self.client.copy_in::<_, Bytes>(statement).await?;
        let mut sink = std::pin::pin!(sink);
        sink.send(data).await?;
        Ok(sink.finish().await?)
    }
}

impl DB for Connection {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        if let Some((statement, data)) = copied(sql) {
            let count = self.runtime.block_on(self.copy(statement, data))?;
            return Ok(DBOutput::StatementComplete(count));
        }
        let messages = self.runtime.block_on(self.client.simple_query(sql))?;
        let (mut rows, mut types, mut count) = (Vec::new(), None, 0);
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    types = Some(vec![DefaultColumnType::Any; columns.len()])
                }
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|at| match row.get(at) {
                        None => "NULL".to_owned(),
                        Some("") => "(empty)".to_owned(),
                        Some(text) => text.to_owned(),
                    });
                    rows.push(cells.collect());
                }
                SimpleQueryMessage::CommandComplete(rows) => count = rows,
                _ => {}
            }
        }
        Ok(match types {
            Some(types) => DBOutput::Rows { types, rows },
            None => DBOutput::StatementComplete(count),
        })
    }
}

/// Scripts that run at once.
const THREADS: usize = 2;

/// Runs a script on a server of its own.
fn run_script(file: &Path, (direct_path, mode): (&str, Mode)) -> Result<(), String> {
    let server = Server::start_in(mode);
    let connect = || {
        let connection = Connection {
            client: server.connect(),
            runtime: server.runtime.clone(),
        };
        let set = format!("SET aion.direct_path = {direct_path}");
        let set = server.runtime.block_on(connection.client.batch_execute(&set));
        async { set.map(|()| connection).map_err(Failure::from) }
    };
    let mut runner = Runner::new(connect);
    let done = runner.run_file(file);
    runner.shutdown();
    done.map_err(|error| format!("direct path {direct_path}, mode {mode}: {}", error.display(false)))
}

#[test]
fn scripts() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
        .expect("scripts")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no script in {}", dir.display());
    // With the direct path and without it, and in each mode of the learned parts: the answers are the same.
    let ways = [
        ("on", Mode::Shadow),
        ("off", Mode::Shadow),
        ("off", Mode::Off),
        ("off", Mode::Advise),
        ("off", Mode::Auto),
    ];
    let runs: Vec<_> = files.iter().flat_map(|file| ways.map(|way| (file, way))).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((file, way)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(failure) = run_script(file, *way) {
                        failures.lock().expect("nobody panics with it").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panicked with it");
    assert!(
        failures.is_empty(),
        "{} runs of {} scripts failed:\n{}",
        failures.len(),
        files.len(),
        failures.join("\n")
    );
    println!("{} scripts, each in {} ways", files.len(), ways.len());
}
