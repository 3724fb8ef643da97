//! Keys and values against the real program: gRPC by the client of `aion-server`, HTTP by curl, SQL by tokio-postgres.

mod concurrency;
mod http;
mod operations;
mod pages;
mod sql;
mod streams;

use aion_server::kv::Client;
use aion_server::kv::proto::{Applied, Batch, CompareAndSet, Delete, Get, Operation, Put, Refused, What};
use bytes::Bytes;
use tokio_postgres::NoTls;

use crate::wire::Process;

/// google.rpc.Code
const INVALID_ARGUMENT: i32 = 3;
const NOT_FOUND: i32 = 5;
const FAILED_PRECONDITION: i32 = 9;
const ABORTED: i32 = 10;
const UNIMPLEMENTED: i32 = 12;
const UNAVAILABLE: i32 = 14;

/// A server with all its edges.
struct Server {
    process: Process,
    data: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let process = Process::start_with_edges(&data.path().join("data"));
        Self { process, data }
    }

    /// Kills it, and starts another one over its data.
    fn kill_and_start(&mut self) {
        self.process.signal("-KILL");
        self.process = Process::start_with_edges(&self.data.path().join("data"));
    }

    async fn client(&self) -> Client {
        let port = self.process.flight.expect("Flight SQL is on");
        Client::connect(&format!("127.0.0.1:{port}")).await.expect("it listens")
    }

    async fn sql(&self) -> tokio_postgres::Client {
        let config = format!("host=127.0.0.1 port={} user=aion", self.process.port);
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("connected");
        tokio::spawn(connection);
        client
    }
}

fn block_on(test: impl AsyncFnOnce(Server)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(test(Server::start()));
}

fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

fn operation(key: impl AsRef<[u8]>, what: What) -> Operation {
    Operation {
        namespace: String::new(),
        key: bytes(key),
        what: Some(what),
    }
}

fn get(key: impl AsRef<[u8]>) -> Operation {
    operation(key, What::Get(Get {}))
}

fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Operation {
    operation(key, What::Put(Put { value: bytes(value) }))
}

fn delete(key: impl AsRef<[u8]>) -> Operation {
    operation(key, What::Delete(Delete {}))
}

/// None is that there is nothing.
fn set(key: impl AsRef<[u8]>, expected: Option<&str>, value: Option<&str>) -> Operation {
    let set = CompareAndSet {
        expected: expected.map(bytes),
        value: value.map(bytes),
    };
    operation(key, What::CompareAndSet(set))
}

/// Operations on the namespace `n`.
fn batch(operations: impl IntoIterator<Item = Operation>) -> Batch {
    Batch {
        operations: operations.into_iter().collect(),
        namespace: "n".to_owned(),
        after_timestamp: 0,
        timeout_ms: 0,
    }
}

async fn done(client: &mut Client, operations: impl IntoIterator<Item = Operation>) -> Applied {
    let batch = batch(operations);
    client.apply(batch).await.unwrap_or_else(|error| panic!("{error:?}"))
}

async fn refused(client: &mut Client, batch: Batch) -> Box<Refused> {
    client.apply(batch).await.expect_err("it is refused")
}

/// Code and SQLSTATE.
fn told(refused: &Refused) -> (i32, &str) {
    (refused.code, &refused.sqlstate)
}

/// The value of a key, as text.
async fn value(client: &mut Client, key: impl AsRef<[u8]>) -> Option<String> {
    let mut applied = done(client, [get(key)]).await;
    let value = applied.results.pop().expect("one result").value?;
    Some(String::from_utf8(value.to_vec()).expect("UTF-8"))
}

/// A client, and the namespace `n`.
async fn with_namespace(server: &Server) -> Client {
    let mut client = server.client().await;
    client.create_namespace("n").await.expect("made");
    client
}
