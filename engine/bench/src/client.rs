//! A client of the PostgreSQL protocol, for either server.

use aion_base::{Error, Result, SqlState};
use tokio::runtime::Runtime;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// A connection.
pub struct Client {
    client: tokio_postgres::Client,
    runtime: Runtime,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects as `aion` to a server of this machine.
    ///
    /// # Errors
    /// 08000 where nobody listens.
    pub fn connect(port: u16, database: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io("start a runtime", error))?;
        let text = format!("host=127.0.0.1 port={port} user=aion dbname={database}");
        let connected = runtime.block_on(tokio_postgres::connect(&text, NoTls));
        let (client, connection) = connected.map_err(|error| {
            Error::unavailable(
                SqlState::CONNECTION_EXCEPTION,
                format!("cannot connect to port {port}: {error}"),
            )
        })?;
        runtime.spawn(connection);
        Ok(Self { client, runtime })
    }

    /// Runs statements.
    ///
    /// # Errors
    /// What the server answered, as XX000.
    pub fn run(&mut self, sql: &str) -> Result<()> {
        let done = self.runtime.block_on(self.client.batch_execute(sql));
        done.map_err(|error| failed(sql, &error))
    }

    /// Rows as text; None is NULL.
    ///
    /// # Errors
    /// What the server answered, as XX000.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let messages = self.runtime.block_on(self.client.simple_query(sql));
        let messages = messages.map_err(|error| failed(sql, &error))?;
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                let cells = 0..row.len();
                Some(cells.map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        };
        Ok(messages.iter().filter_map(row).collect())
    }
}

fn failed(sql: &str, error: &tokio_postgres::Error) -> Error {
    let said = match error.as_db_error() {
        Some(error) => format!("{}: {}", error.code().code(), error.message()),
        None => error.to_string(),
    };
    let sql: String = sql.chars().take(100).collect();
    Error::internal(format!("{said} ({sql})"))
}
