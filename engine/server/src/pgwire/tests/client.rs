//! A client of the tests.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use ::pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Flush, Parse, Sync};
use ::pgwire::messages::response::TransactionStatus;
use ::pgwire::messages::simplequery::Query;
use ::pgwire::messages::startup::Startup;
use ::pgwire::messages::{DecodeContext, Message as _, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use aion_db::{Database, DatabaseOptions};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::super::listener::{Admission, Shared, greet, session};
use crate::limits::ServerLimits;
use crate::service::Service;

/// Bytes that fit between client and server.
const PIPE_BYTES: usize = 256 * 1024;

/// A server without a socket.
pub struct Server {
    shared: Arc<Shared>,
    /// Says true to shut down.
    pub shutdown: watch::Sender<bool>,
    /// Writes of the server, over all its connections.
    pub writes: Arc<AtomicUsize>,
    /// Bytes of its longest write.
    pub longest_write: Arc<AtomicUsize>,
}

impl Server {
    pub async fn new(limits: ServerLimits) -> Self {
        Self::of(database().await, limits)
    }

    pub fn of(database: Arc<Database>, limits: ServerLimits) -> Self {
        let (shutdown, stopping) = watch::channel(false);
        let permits = Arc::new(Semaphore::new(limits.connections_max));
        let shared = Arc::new(Shared {
            service: Service::new(database, limits, stopping),
            cancellers: Arc::default(),
            seats: Arc::default(),
            permits,
        });
        Self {
            shared,
            shutdown,
            writes: Arc::default(),
            longest_write: Arc::default(),
        }
    }

    /// What it serves.
    pub fn service(&self) -> &Service {
        &self.shared.service
    }

    /// A connection of which nothing was sent yet.
    pub fn connect(&self) -> (DuplexStream, JoinHandle<()>) {
        let (client, server) = tokio::io::duplex(PIPE_BYTES);
        let (reader, writer) = tokio::io::split(server);
        let writer = Counting {
            inner: writer,
            writes: Arc::clone(&self.writes),
            longest: Arc::clone(&self.longest_write),
            is_panicking: false,
        };
        let mut stream = tokio::io::join(reader, writer);
        let shared = Arc::clone(&self.shared);
        let from = "127.0.0.1:4711".parse().ok();
        let address = "127.0.0.1:5433".parse().ok();
        let entry = shared.service.access.entry(from, address, false);
        let permit = Arc::clone(&self.shared.permits).try_acquire_owned();
        let permit = permit.expect("a test has no more clients than connections");
        let task = self.shared.service.database.runtime().spawn(async move {
            if let Some((opening, _permit)) = greet(&mut stream, &shared, Admission::Granted(permit)).await {
                let (reader, writer) = stream.into_inner();
                session(reader, writer, opening, shared, entry).await;
            }
        });
        (client, task)
    }

    /// A client that is logged in.
    pub async fn client(&self) -> Client<DuplexStream> {
        let (stream, task) = self.connect();
        let mut client = Client::new(stream);
        client.task = Some(task);
        client.log_in(&[("user", "aion")]).await;
        client
    }
}

/// An empty database in memory.
pub async fn database() -> Arc<Database> {
    // Kept: a database ends its runtime when it goes, which must not happen within one.
    static KEPT: Mutex<Vec<Arc<Database>>> = Mutex::new(Vec::new());
    let options = DatabaseOptions {
        memory_bytes: 256 << 20,
        threads: 1,
        ..DatabaseOptions::default()
    };
    let database = Arc::new(Database::in_memory(options).expect("memory and a thread"));
    KEPT.lock().expect("no panic while pushing").push(Arc::clone(&database));
    database
}

/// Counts the writes of the server.
struct Counting<W> {
    inner: W,
    writes: Arc<AtomicUsize>,
    longest: Arc<AtomicUsize>,
    /// Once.
    is_panicking: bool,
}

/// What the server's side panics over when it writes it for the first time.
pub const PANICS: &str = "write this and panic";

impl<W: AsyncWrite + Unpin> AsyncWrite for Counting<W> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.is_panicking && bytes.windows(PANICS.len()).any(|part| part == PANICS.as_bytes()) {
            self.is_panicking = true;
            panic!("as planted");
        }
        // Counted before the client can see it.
        self.writes.fetch_add(1, Ordering::SeqCst);
        let done = Pin::new(&mut self.inner).poll_write(context, bytes);
        if done.is_ready() {
            self.longest.fetch_max(bytes.len(), Ordering::SeqCst);
        } else {
            self.writes.fetch_sub(1, Ordering::SeqCst);
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A client.
pub struct Client<S> {
    pub stream: S,
    buffer: BytesMut,
    /// Its process id and secret, once logged in.
    pub key: Option<(i32, Bytes)>,
    /// The server's side, where there is no socket.
    pub task: Option<JoinHandle<()>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            key: None,
            task: None,
        }
    }

    /// Logs in; answers what the server said.
    pub async fn log_in(&mut self, parameters: &[(&str, &str)]) -> Vec<String> {
        self.log_in_with(0, parameters).await
    }

    /// Logs in with this minor version of the protocol.
    pub async fn log_in_with(&mut self, minor: u16, parameters: &[(&str, &str)]) -> Vec<String> {
        let mut startup = Startup::new();
        startup.protocol_number_minor = minor;
        for (name, value) in parameters {
            startup.parameters.insert((*name).to_owned(), (*value).to_owned());
        }
        let mut bytes = BytesMut::new();
        startup.encode(&mut bytes).expect("a short packet");
        self.raw(&bytes).await;
        self.until_ready().await
    }

    /// Sends bytes.
    pub async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// Sends messages in one write.
    pub async fn send(&mut self, messages: &[PgWireFrontendMessage]) {
        let mut bytes = BytesMut::new();
        for message in messages {
            message.encode(&mut bytes).expect("a message of a test");
        }
        self.raw(&bytes).await;
    }

    /// The next answer; None at the end.
    pub async fn next(&mut self) -> Option<String> {
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
        context.awaiting_frontend_ssl = false;
        context.awaiting_frontend_startup = false;
        loop {
            match PgWireBackendMessage::decode(&mut self.buffer, &context).expect("the server speaks the protocol") {
                Some(PgWireBackendMessage::BackendKeyData(data)) => {
                    self.key = Some((data.pid, data.secret_key.to_bytes()));
                    return Some("K".to_owned());
                }
                Some(message) => return Some(line(message)),
                None => match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                },
            }
        }
    }

    /// The answers up to ReadyForQuery, or the end.
    pub async fn until_ready(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.next().await {
            let is_last = line.starts_with("Z ");
            lines.push(line);
            if is_last {
                break;
            }
        }
        lines
    }

    /// Sends messages and answers what came up to ReadyForQuery.
    pub async fn ask(&mut self, messages: &[PgWireFrontendMessage]) -> Vec<String> {
        self.send(messages).await;
        self.until_ready().await
    }

    /// Runs a text.
    pub async fn query(&mut self, text: &str) -> Vec<String> {
        self.ask(&[query(text)]).await
    }
}

pub fn query(text: &str) -> PgWireFrontendMessage {
    PgWireFrontendMessage::Query(Query::new(text.to_owned()))
}

pub fn parse(name: &str, text: &str, oids: &[u32]) -> PgWireFrontendMessage {
    PgWireFrontendMessage::Parse(Parse::new(Some(name.to_owned()), text.to_owned(), oids.to_vec()))
}

/// Binds parameters given as text, for a result as text.
pub fn bind(portal: &str, statement: &str, parameters: &[&str]) -> PgWireFrontendMessage {
    let parameters = parameters
        .iter()
        .map(|value| Some(Bytes::copy_from_slice(value.as_bytes())))
        .collect();
    PgWireFrontendMessage::Bind(Bind::new(
        Some(portal.to_owned()),
        Some(statement.to_owned()),
        vec![],
        parameters,
        vec![],
    ))
}

pub fn describe(target: u8, name: &str) -> PgWireFrontendMessage {
    PgWireFrontendMessage::Describe(Describe::new(target, Some(name.to_owned())))
}

pub fn execute(portal: &str, max_rows: i32) -> PgWireFrontendMessage {
    PgWireFrontendMessage::Execute(Execute::new(Some(portal.to_owned()), max_rows))
}

pub fn close(target: u8, name: &str) -> PgWireFrontendMessage {
    PgWireFrontendMessage::Close(Close::new(target, Some(name.to_owned())))
}

pub fn sync() -> PgWireFrontendMessage {
    PgWireFrontendMessage::Sync(Sync::new())
}

pub fn flush() -> PgWireFrontendMessage {
    PgWireFrontendMessage::Flush(Flush::new())
}

fn line(message: PgWireBackendMessage) -> String {
    use PgWireBackendMessage as M;
    match message {
        M::Authentication(_) => "R".to_owned(),
        M::ParameterStatus(status) => format!("S {}={}", status.name, status.value),
        M::NegotiateProtocolVersion(_) => "v".to_owned(),
        M::ParseComplete(_) => "1".to_owned(),
        M::BindComplete(_) => "2".to_owned(),
        M::CloseComplete(_) => "3".to_owned(),
        M::PortalSuspended(_) => "s".to_owned(),
        M::CommandComplete(complete) => format!("C {}", complete.tag),
        M::EmptyQueryResponse(_) => "I".to_owned(),
        M::ReadyForQuery(ready) => match ready.status {
            TransactionStatus::Idle => "Z I".to_owned(),
            TransactionStatus::Transaction => "Z T".to_owned(),
            TransactionStatus::Error => "Z E".to_owned(),
        },
        M::ErrorResponse(error) => format!("E {}", problem(&error.fields)),
        M::NoticeResponse(notice) => format!("N {}", problem(&notice.fields)),
        M::ParameterDescription(description) => {
            let types: Vec<String> = description.types.iter().map(u32::to_string).collect();
            format!("t {}", types.join(" "))
        }
        M::RowDescription(description) => {
            let names: Vec<&str> = description.fields.iter().map(|field| field.name.as_str()).collect();
            format!("T {}", names.join(" "))
        }
        M::DataRow(row) => {
            let mut data = row.data;
            let mut values = Vec::new();
            for _ in 0..row.field_count {
                values.push(match usize::try_from(data.get_i32()) {
                    Ok(length) => data.split_to(length).escape_ascii().to_string(),
                    Err(_) => "NULL".to_owned(),
                });
            }
            format!("D {}", values.join(" "))
        }
        M::NoData(_) => "n".to_owned(),
        M::CopyInResponse(response) => format!("G {}", copied(response.format, &response.column_formats)),
        M::CopyOutResponse(response) => format!("H {}", copied(response.format, &response.column_formats)),
        M::CopyData(data) => format!("d {}", data.data.escape_ascii()),
        M::CopyDone(_) => "c".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The columns of a COPY, and their formats where they are not all text.
fn copied(format: i8, columns: &[i16]) -> String {
    match format {
        0 if columns.iter().all(|&column| column == 0) => columns.len().to_string(),
        _ => format!("{} format {format} {columns:?}", columns.len()),
    }
}

fn problem(fields: &[(u8, String)]) -> String {
    let field = |code: u8| {
        fields
            .iter()
            .find(|(found, _)| *found == code)
            .map(|(_, text)| text.as_str())
    };
    let mut line = String::new();
    if field(b'V') == Some("FATAL") {
        line.push_str("FATAL ");
    }
    line.push_str(field(b'C').unwrap_or("?"));
    if let Some(position) = field(b'P') {
        line.push('@');
        line.push_str(position);
    }
    line.push(' ');
    line.push_str(field(b'M').unwrap_or("?"));
    if let Some(hint) = field(b'H') {
        line.push_str(" | ");
        line.push_str(hint);
    }
    line
}
