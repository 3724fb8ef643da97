//! What the shell talks to: a database in this process, or a server.
//!
//! Both run one statement at a time and hand the rows to the printer as texts, while they come. From a server they come by the
//! simple protocol, which names columns and not their types; so a statement that gives rows is prepared first, to learn
//! them.

use std::path::Path;
use std::pin::pin;

use aion_base::{Error, Result, SqlState};
use aion_db::{
    Canceller, Cells, CopyDirection, Database, DatabaseOptions, Response, Rows, Session, SessionOptions, canonical,
};
use futures::StreamExt;
use tokio::runtime::{Handle, Runtime};
use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::{AsyncMessage, CancelToken, Client, NoTls, SimpleQueryMessage};

use super::complain::Complaint;
use super::print::{Head, Kind, Printer};

/// Where results go.
pub type Out = Printer<std::io::BufWriter<std::io::Stdout>>;

/// See the module's header.
pub enum Connection {
    /// A database in this process.
    Embedded {
        session: Box<Session>,
        /// Dropped after the session.
        database: Box<Database>,
    },
    /// A server.
    Remote { client: Box<Client>, runtime: Runtime },
}

/// Ends what a connection runs.
#[derive(Clone)]
pub enum Stopper {
    Embedded(Canceller),
    Remote(CancelToken),
}

impl Stopper {
    /// Ends the running statement with 57014.
    pub async fn stop(&self) {
        match self {
            Self::Embedded(canceller) => canceller.cancel(),
            // A server that cannot be asked will not answer the statement either.
            Self::Remote(token) => drop(token.cancel_query(NoTls).await),
        }
    }
}

impl Connection {
    /// Opens the database in a directory.
    ///
    /// # Errors
    /// 55006, with who holds it and how to connect there, while a server does.
    pub fn open(data: &Path, options: DatabaseOptions) -> Result<Self> {
        let database = Database::open(data, options)?;
        let options = SessionOptions {
            application: "aion sql".to_owned(),
            ..SessionOptions::default()
        };
        Ok(Self::Embedded {
            session: Box::new(database.session(options)),
            database: Box::new(database),
        })
    }

    /// Connects to a server.
    ///
    /// # Errors
    /// 08000 where there is none, and what it refuses with.
    pub fn connect(url: &str) -> Result<Self, Box<Complaint>> {
        let mut config: tokio_postgres::Config = url.parse().map_err(|error| {
            Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("\"{url}\" is no address of a server: {error}"),
            )
            .with_hint("Write postgresql://aion@127.0.0.1:5433/aion.")
        })?;
        if config.get_user().is_none() {
            config.user("aion");
        }
        if config.get_application_name().is_none() {
            config.application_name("aion sql");
        }
        // As psql takes it: in the address everybody on this machine could read it.
        if let Ok(password) = std::env::var("PGPASSWORD")
            && config.get_password().is_none()
        {
            config.password(password);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Error::io("start the network's thread", error))?;
        let client = runtime.block_on(async {
            let (client, mut connection) = config.connect(NoTls).await.map_err(|error| remote(&error))?;
            tokio::spawn(async move {
                while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                    match message {
                        Ok(AsyncMessage::Notice(notice)) => notify(&database_error(&notice)),
                        Ok(_) => {}
                        // The statement that waits for its answer says so.
                        Err(_) => return,
                    }
                }
            });
            Ok::<_, Box<Complaint>>(client)
        })?;
        Ok(Self::Remote {
            client: Box::new(client),
            runtime,
        })
    }

    /// What statements run on.
    pub fn runtime(&self) -> Handle {
        match self {
            Self::Embedded { database, .. } => database.runtime().clone(),
            Self::Remote { runtime, .. } => runtime.handle().clone(),
        }
    }

    /// What ends a running statement.
    pub fn stopper(&self) -> Stopper {
        match self {
            Self::Embedded { session, .. } => Stopper::Embedded(session.canceller()),
            Self::Remote { client, .. } => Stopper::Remote(client.cancel_token()),
        }
    }

    /// Runs a statement and prints what it gives.
    ///
    /// # Errors
    /// The statement's; the connection's, which is fatal.
    pub async fn run(&mut self, statement: &str, out: &mut Out) -> Result<(), Box<Complaint>> {
        match self {
            Self::Embedded { session, .. } => {
                let ran = embedded(session, statement, out).await;
                if ran.is_err() {
                    session.fail();
                }
                for notice in session.take_notices() {
                    notify(&Complaint::new("NOTICE", &notice));
                }
                ran
            }
            Self::Remote { client, .. } => remote_statement(client, statement, out).await,
        }
    }

    /// Rows of texts, for the shell itself.
    ///
    /// # Errors
    /// The statement's.
    pub async fn ask(&mut self, statement: &str) -> Result<Vec<Vec<Option<String>>>, Box<Complaint>> {
        let mut answer = Vec::new();
        match self {
            Self::Embedded { session, .. } => {
                let statements = session.parse(statement)?;
                for statement in &statements {
                    let prepared = session.prepare(statement, &[]).await?;
                    if let Response::Rows(mut rows) = session.execute(&prepared, &[]).await? {
                        let keep = |cells: &[Option<&str>]| {
                            answer.push(cells.iter().map(|cell| cell.map(str::to_owned)).collect());
                            Ok(())
                        };
                        each_row(&mut rows, keep).await?;
                    }
                }
            }
            Self::Remote { client, .. } => {
                for message in client.simple_query(statement).await.map_err(|error| remote(&error))? {
                    if let SimpleQueryMessage::Row(row) = message {
                        answer.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
                    }
                }
            }
        }
        Ok(answer)
    }

    /// The names of the columns that a query gives.
    ///
    /// # Errors
    /// The query's.
    pub async fn columns(&mut self, query: &str) -> Result<Vec<String>, Box<Complaint>> {
        match self {
            Self::Embedded { session, .. } => {
                let statements = session.parse(query)?;
                let statement = statements
                    .first()
                    .ok_or_else(|| Error::internal("a query is a statement"))?;
                let prepared = session.prepare(statement, &[]).await?;
                let columns = prepared.columns().into_iter().flat_map(|columns| columns.iter());
                Ok(columns.map(|column| column.name.clone()).collect())
            }
            Self::Remote { client, .. } => {
                let prepared = client.prepare(query).await.map_err(|error| remote(&error))?;
                Ok(prepared
                    .columns()
                    .iter()
                    .map(|column| column.name().to_owned())
                    .collect())
            }
        }
    }

    /// The data of a COPY TO STDOUT, in pieces that end anywhere.
    ///
    /// # Errors
    /// The statement's; what `each` says.
    pub async fn copy_out(
        &mut self,
        statement: &str,
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), Box<Complaint>> {
        match self {
            Self::Embedded { session, .. } => {
                let statements = session.parse(statement)?;
                let statement = statements
                    .first()
                    .ok_or_else(|| Error::internal("a COPY is a statement"))?;
                let prepared = session.prepare(statement, &[]).await?;
                let mut copy = session.copy_out(&prepared).await?;
                while let Some(lines) = copy.next().await? {
                    lines.iter().try_for_each(&mut *each)?;
                }
            }
            Self::Remote { client, .. } => {
                let stream = client.copy_out(statement).await.map_err(|error| remote(&error))?;
                let mut stream = pin!(stream);
                while let Some(piece) = stream.next().await {
                    each(&piece.map_err(|error| remote(&error))?)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the connection.
    ///
    /// # Errors
    /// When the directory cannot be closed; what was committed is durable all the same.
    pub fn close(self) -> Result<()> {
        match self {
            Self::Embedded { session, database } => {
                drop(session);
                database.close()
            }
            Self::Remote { client, runtime } => {
                drop(client);
                runtime.shutdown_background();
                Ok(())
            }
        }
    }
}

async fn embedded(session: &mut Session, text: &str, out: &mut Out) -> Result<(), Box<Complaint>> {
    for statement in session.parse(text)? {
        let prepared = session.prepare(&statement, &[]).await?;
        if prepared.copy_direction() == Some(CopyDirection::Out) {
            let mut copy = session.copy_out(&prepared).await?;
            while let Some(lines) = copy.next().await? {
                lines.iter().try_for_each(|line| out.raw(line))?;
            }
            out.flush()?;
            continue;
        }
        match session.execute(&prepared, &[]).await? {
            Response::Done { tag } => out.done(&tag)?,
            Response::Rows(mut rows) => {
                let heads = rows.columns().iter().map(|column| Head {
                    name: column.name.clone(),
                    kind: Kind::of_oid(column.sql_type.oid()),
                });
                out.begin(heads.collect())?;
                rows.show_in_zone();
                each_row(&mut rows, |cells| out.row(cells)).await?;
                out.end()?;
            }
        }
    }
    Ok(())
}

/// The rows of a result as texts, one after another.
async fn each_row(rows: &mut Rows, mut each: impl FnMut(&[Option<&str>]) -> Result<()>) -> Result<()> {
    let columns = rows.columns().clone();
    let mut text = String::new();
    let mut ends: Vec<Option<usize>> = Vec::new();
    while let Some(batch) = rows.next().await? {
        let arrays = batch.columns().iter().zip(&*columns);
        let arrays = arrays.map(|(array, column)| canonical(array, column.sql_type));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let cells = arrays.iter().zip(&*columns);
        let cells: Vec<Cells<'_>> = cells
            .filter_map(|(array, column)| Cells::of(array, column.sql_type))
            .collect();
        assert_eq!(cells.len(), columns.len(), "the arrays are canonical");
        for row in 0..batch.num_rows() {
            text.clear();
            ends.clear();
            for cell in &cells {
                let is_null = cell.is_null(row);
                if !is_null {
                    cell.write_text(row, &mut text);
                }
                ends.push((!is_null).then_some(text.len()));
            }
            let mut start = 0;
            let shown: Vec<Option<&str>> = ends
                .iter()
                .map(|end| {
                    let end = (*end)?;
                    let cell = &text[start..end];
                    start = end;
                    Some(cell)
                })
                .collect();
            each(&shown)?;
        }
    }
    Ok(())
}

async fn remote_statement(client: &Client, statement: &str, out: &mut Out) -> Result<(), Box<Complaint>> {
    let words = first_words(statement);
    match copy_of(statement) {
        Some(CopyDirection::In) => {
            return Err(Error::unsupported("COPY FROM STDIN needs a client that has the data")
                .with_hint("Use psql's \\copy, or name a file of the server: COPY t FROM '/path/file'.")
                .into());
        }
        Some(CopyDirection::Out) => {
            let stream = client.copy_out(statement).await.map_err(|error| remote(&error))?;
            let mut stream = pin!(stream);
            while let Some(lines) = stream.next().await {
                out.raw(&lines.map_err(|error| remote(&error))?)?;
            }
            return Ok(out.flush()?);
        }
        None => {}
    }
    let gives_rows = matches!(
        words.first().map(String::as_str),
        Some("SELECT" | "WITH" | "VALUES" | "TABLE" | "SHOW" | "EXPLAIN" | "(")
    ) || statement.to_ascii_uppercase().contains("RETURNING");
    let kinds: Vec<Kind> = match gives_rows {
        // What is wrong with it is told by its run.
        true => client.prepare(statement).await.map_or_else(
            |_| Vec::new(),
            |prepared| {
                let columns = prepared.columns().iter();
                columns.map(|column| Kind::of_oid(column.type_().oid())).collect()
            },
        ),
        false => Vec::new(),
    };
    let stream = client
        .simple_query_raw(statement)
        .await
        .map_err(|error| remote(&error))?;
    let mut stream = pin!(stream);
    let mut has_rows = false;
    while let Some(message) = stream.next().await {
        match message.map_err(|error| remote(&error))? {
            SimpleQueryMessage::RowDescription(columns) => {
                let heads = columns.iter().enumerate().map(|(at, column)| Head {
                    name: column.name().to_owned(),
                    kind: kinds.get(at).copied().unwrap_or(Kind::Text),
                });
                out.begin(heads.collect())?;
                has_rows = true;
            }
            SimpleQueryMessage::Row(row) => {
                let cells: Vec<_> = (0..row.len()).map(|at| row.get(at)).collect();
                out.row(&cells)?;
            }
            SimpleQueryMessage::CommandComplete(_) if std::mem::take(&mut has_rows) => out.end()?,
            SimpleQueryMessage::CommandComplete(count) => out.done(&tag(&words, count))?,
            _ => {}
        }
    }
    Ok(())
}

/// The first two words of a statement, in capitals, comments left out.
fn first_words(statement: &str) -> Vec<String> {
    let mut words = Vec::new();
    let lines = statement
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    for line in lines {
        for word in line.split(|character: char| character.is_whitespace() || character == ';') {
            if !word.is_empty() {
                let word = if word.starts_with('(') { "(" } else { word };
                words.push(word.to_ascii_uppercase());
            }
            if words.len() == 2 {
                return words;
            }
        }
    }
    words
}

/// Which way a COPY of the client's data goes; None for other statements.
fn copy_of(statement: &str) -> Option<CopyDirection> {
    if first_words(statement).first().is_none_or(|first| first != "COPY") {
        return None;
    }
    let is_word = |wanted: &str| {
        statement
            .split(|character: char| !character.is_alphanumeric() && character != '_' && character != '\'')
            .any(|word| word.eq_ignore_ascii_case(wanted))
    };
    match (is_word("stdin"), is_word("stdout")) {
        (true, _) => Some(CopyDirection::In),
        (_, true) => Some(CopyDirection::Out),
        _ => None,
    }
}

/// The command tag, of which the driver keeps the count alone.
fn tag(words: &[String], count: u64) -> String {
    match words.first().map(String::as_str) {
        None => String::new(),
        Some("INSERT") => format!("INSERT 0 {count}"),
        Some(verb @ ("UPDATE" | "DELETE" | "COPY")) => format!("{verb} {count}"),
        Some("CREATE" | "DROP" | "ALTER" | "TRUNCATE") => words.join(" "),
        Some(verb) => verb.to_owned(),
    }
}

fn notify(notice: &Complaint) {
    eprint!("{}", notice.show("", None, 1));
}

fn remote(error: &tokio_postgres::Error) -> Box<Complaint> {
    if let Some(error) = error.as_db_error() {
        return Box::new(database_error(error));
    }
    let cause = std::error::Error::source(error).map_or(String::new(), |cause| format!(": {cause}"));
    let gone = Error::unavailable(SqlState::CONNECTION_EXCEPTION, format!("{error}{cause}"));
    let gone = gone.with_hint("Is the server running? Start it with: aion serve --data DIR");
    Box::new(Complaint {
        is_fatal: true,
        ..Complaint::new("FATAL", &gone)
    })
}

fn database_error(error: &DbError) -> Complaint {
    let position = error.position().and_then(|position| match position {
        ErrorPosition::Original(position) => usize::try_from(*position).ok(),
        ErrorPosition::Internal { .. } => None,
    });
    Complaint {
        severity: error.severity().to_owned(),
        state: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        hint: error.hint().map(str::to_owned),
        position,
        is_fatal: error.severity() == "FATAL",
        is_closed_pipe: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_recognised_by_their_words() {
        assert_eq!(tag(&first_words("-- x\ncreate  table t (a int);"), 0), "CREATE TABLE");
        assert_eq!(tag(&first_words("insert into t values (1)"), 3), "INSERT 0 3");
        assert_eq!(tag(&first_words(" ; "), 0), "");
        assert_eq!(first_words("(select 1)")[0], "(");
        assert_eq!(copy_of("copy t to stdout;"), Some(CopyDirection::Out));
        assert_eq!(copy_of("COPY t FROM\nSTDIN(FORMAT csv)"), Some(CopyDirection::In));
        assert_eq!(copy_of("COPY t FROM 'stdin'"), None);
        assert_eq!(copy_of("SELECT stdin FROM t"), None);
    }
}
