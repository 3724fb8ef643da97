//! COPY through real clients: files and streams, what is wrong with them, and loads that are interrupted.

mod binary;
mod errors;
mod files;
mod flights;
mod interrupted;
mod outgrown;
mod streams;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::sql::Server;

/// A server with a client and a directory for files.
struct Bench {
    client: Client,
    server: Server,
    dir: tempfile::TempDir,
}

/// What an error says: SQLSTATE, message, detail.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    state: String,
    message: String,
    detail: String,
}

impl Bench {
    fn new(schema: &str) -> Self {
        let server = Server::start();
        let client = server.connect();
        let bench = Self {
            client,
            server,
            dir: tempfile::tempdir().expect("a directory"),
        };
        bench.run(schema).expect("the schema");
        bench
    }

    /// Runs statements; the rows of the last, cells apart by `|`, or its tag's number.
    fn run(&self, sql: &str) -> Result<Vec<String>, Complaint> {
        let messages = self.server.runtime.block_on(self.client.simple_query(sql));
        let mut lines = Vec::new();
        for message in messages.map_err(|error| complaint(&error))? {
            match message {
                SimpleQueryMessage::RowDescription(_) => lines.clear(),
                SimpleQueryMessage::Row(row) => {
                    let cells: Vec<_> = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect();
                    lines.push(cells.join("|"));
                }
                SimpleQueryMessage::CommandComplete(count) if lines.is_empty() => lines.push(count.to_string()),
                _ => {}
            }
        }
        Ok(lines)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).expect("readable");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }
}

fn complaint(error: &tokio_postgres::Error) -> Complaint {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    Complaint {
        state: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().unwrap_or_default().to_owned(),
    }
}
