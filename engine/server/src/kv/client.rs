//! A client, for benchmarks and tests.

use aion_base::{Error, Result, SqlState};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{IntoRequest, IntoStreamingRequest, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::proto::{
    Answer, Applied, Batch, Created, Dropped, ListRequest, Namespace, Namespaces, Page, Refused, ScanRequest,
};

/// Bytes of an answer that it takes.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// A connection; its clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    grpc: Grpc<Channel>,
}

/// The answers of a stream, in the order of its batches.
#[derive(Debug)]
pub struct Answers(Streaming<Answer>);

impl Client {
    /// Connects to the Flight SQL port of a server, such as `127.0.0.1:50051`.
    ///
    /// # Errors
    /// 08000.
    pub async fn connect(address: &str) -> Result<Self> {
        let failed = |error: tonic::transport::Error| {
            Error::unavailable(
                SqlState::CONNECTION_EXCEPTION,
                format!("could not connect to {address}: {error}"),
            )
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(failed)?;
        let channel = endpoint.tcp_nodelay(true).connect().await.map_err(failed)?;
        Ok(Self {
            grpc: Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX),
        })
    }

    /// Runs a batch.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn apply(&mut self, batch: Batch) -> Result<Applied, Box<Refused>> {
        self.call("/aion.kv.v1.Kv/Apply", batch).await
    }

    /// Reads a page.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn scan(&mut self, scan: ScanRequest) -> Result<Page, Box<Refused>> {
        self.call("/aion.kv.v1.Kv/Scan", scan).await
    }

    /// Makes a namespace; false where it is there.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn create_namespace(&mut self, name: &str) -> Result<bool, Box<Refused>> {
        let name = Namespace { name: name.to_owned() };
        let created: Created = self.call("/aion.kv.v1.Kv/CreateNamespace", name).await?;
        Ok(created.created)
    }

    /// Drops a namespace; false where there is none.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn drop_namespace(&mut self, name: &str) -> Result<bool, Box<Refused>> {
        let name = Namespace { name: name.to_owned() };
        let dropped: Dropped = self.call("/aion.kv.v1.Kv/DropNamespace", name).await?;
        Ok(dropped.dropped)
    }

    /// The names of all namespaces.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn list_namespaces(&mut self) -> Result<Vec<String>, Box<Refused>> {
        let listed: Namespaces = self.call("/aion.kv.v1.Kv/ListNamespaces", ListRequest {}).await?;
        Ok(listed.names)
    }

    /// Begins a stream; `room` batches may wait to be sent. It ends when the sender is dropped, after the answers.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn stream(&mut self, room: usize) -> Result<(mpsc::Sender<Batch>, Answers), Box<Refused>> {
        let (sender, batches) = mpsc::channel(room);
        self.ready().await?;
        let path = PathAndQuery::from_static("/aion.kv.v1.Kv/Stream");
        let codec = ProstCodec::<Batch, Answer>::default();
        let requests = ReceiverStream::new(batches).into_streaming_request();
        let answers = self.grpc.streaming(requests, path, codec).await;
        match answers {
            Ok(answers) => Ok((sender, Answers(answers.into_inner()))),
            Err(status) => Err(refused(&status)),
        }
    }

    async fn call<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A, Box<Refused>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.ready().await?;
        let codec = ProstCodec::<Q, A>::default();
        let request: Request<Q> = request.into_request();
        let answered = self.grpc.unary(request, PathAndQuery::from_static(path), codec).await;
        answered
            .map(tonic::Response::into_inner)
            .map_err(|status| refused(&status))
    }

    async fn ready(&mut self) -> Result<(), Box<Refused>> {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| refused(&Status::unavailable(format!("the connection is broken: {error}"))))
    }
}

impl Answers {
    /// The next; None when the stream is over.
    ///
    /// # Errors
    /// When it broke.
    pub async fn next(&mut self) -> Result<Option<Answer>, Box<Refused>> {
        self.0.message().await.map_err(|status| refused(&status))
    }
}

/// A status with its trailers.
fn refused(status: &Status) -> Box<Refused> {
    let metadata = status.metadata();
    let text = |name| metadata.get(name).and_then(|value| value.to_str().ok());
    let bytes = |name| metadata.get_bin(name).and_then(|value| value.to_bytes().ok());
    let words = |name| {
        let bytes = bytes(name).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Box::new(Refused {
        code: status.code() as i32,
        sqlstate: text("aion-sqlstate").unwrap_or_default().to_owned(),
        message: status.message().to_owned(),
        detail: words("aion-detail-bin"),
        hint: words("aion-hint-bin"),
        operation: text("aion-operation").and_then(|number| number.parse().ok()),
        found: bytes("aion-found-bin"),
        timestamp: text("aion-timestamp")
            .and_then(|number| number.parse().ok())
            .unwrap_or_default(),
    })
}
