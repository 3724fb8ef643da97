//! The calls of gRPC.
//!
//! **A stream** is one task. It begins a batch when all before it are answered, but for batches that only put: those are handed to the
//! log one after another, and their answers are waited for together, so that one sync makes many of them durable. They take effect in
//! their order. One that loses against a change of its namespace's definition is refused (40001) and not run again: those behind it may have taken
//! effect already.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aion_base::id::Timestamp;
use aion_base::{Error, Result as AionResult, SqlState};
use aion_db::Cancellation;
use aion_db::kv::{self, BATCH_BYTES_MAX, Outcome, PAGE_BYTES_MAX};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Extensions, Request, Status, Streaming};

use super::face::{Face, Taken, unmet};
use super::proto;
use crate::flight::{code, status};
use crate::metrics::Edge;
use crate::service::{Service, told_to_stop};
use crate::work::Work;

/// Says whether a call may be made at all, by its headers and its connection.
pub(crate) type Admission = Box<dyn Fn(&MetadataMap, &Extensions) -> AionResult<()> + Send + Sync>;

/// A value that was found is told in the trailers up to so many bytes: clients take 8 KiB of them in all.
const FOUND_BYTES_MAX: usize = 2 * 1024;
/// Time that a stream may be silent: it counts against the limit of requests meanwhile.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Entries of a page where the client says nothing.
pub(crate) const PAGE_ENTRIES: u32 = 100;

/// The service's calls.
pub(crate) struct Endpoint {
    face: Arc<Face>,
    work: Arc<Work>,
    admission: Admission,
    /// Batches of a stream on their way at a time.
    batches_max: usize,
    shutdown: watch::Receiver<bool>,
}

impl Endpoint {
    /// A batch with its keys, values and what stands around them.
    pub(super) const REQUEST_BYTES_MAX: usize = BATCH_BYTES_MAX + (4 << 20);
    /// The values of a batch, or a page, with what stands around them.
    pub(super) const ANSWER_BYTES_MAX: usize = BATCH_BYTES_MAX + PAGE_BYTES_MAX;

    /// The calls of a service, as tasks of `work`.
    pub(crate) fn new(service: &Service, work: Arc<Work>, admission: Admission) -> Arc<Self> {
        Arc::new(Self {
            face: Face::new(service, Edge::Flight),
            work,
            admission,
            batches_max: service.limits.kv_stream_batches_max,
            shutdown: service.shutdown.clone(),
        })
    }

    fn admit<T>(&self, request: Request<T>) -> Result<T, Status> {
        let (metadata, extensions, message) = request.into_parts();
        (self.admission)(&metadata, &extensions).map_err(|error| status(&error))?;
        Ok(message)
    }

    /// Runs something as a task that ends when its caller leaves.
    async fn run<T: Send + 'static, F>(&self, work: impl FnOnce(Arc<Face>, Cancellation) -> F) -> Result<T, Status>
    where
        F: Future<Output = AionResult<T>> + Send + 'static,
    {
        let cancellation = Cancellation::default();
        let stop = {
            let cancellation = cancellation.clone();
            move || cancellation.cancel()
        };
        let work = work(self.face.clone(), cancellation);
        self.work.run(stop, work).await.map_err(|error| status(&error))
    }

    pub(super) async fn apply(self: Arc<Self>, request: Request<proto::Batch>) -> Result<proto::Applied, Status> {
        let batch = batch(self.admit(request)?).map_err(|error| status(&error))?;
        let outcome = self
            .run(|face, cancellation| async move { face.apply(&batch, &cancellation).await })
            .await?;
        match outcome {
            Outcome::Applied { timestamp, answers } => Ok(applied(timestamp, answers)),
            Outcome::Unmet(found) => Err(unmet_status(&found)),
        }
    }

    pub(super) fn stream(
        self: Arc<Self>,
        request: Request<Streaming<proto::Batch>>,
    ) -> Result<BoxStream<proto::Answer>, Status> {
        let requests = self.admit(request)?;
        let (answers, answered) = mpsc::channel(self.batches_max);
        let cancellation = Cancellation::default();
        let stream = Stream {
            face: self.face.clone(),
            requests,
            answers,
            pending: VecDeque::new(),
            pending_max: self.batches_max,
            cancellation: cancellation.clone(),
            shutdown: self.shutdown.clone(),
        };
        self.work
            .spawn(move || cancellation.cancel(), stream.run())
            .map_err(|error| status(&error))?;
        Ok(Box::pin(ReceiverStream::new(answered).map(Ok)))
    }

    pub(super) async fn scan(self: Arc<Self>, request: Request<proto::ScanRequest>) -> Result<proto::Page, Status> {
        let request = self.admit(request)?;
        let scan = kv::Scan {
            namespace: request.namespace.into(),
            prefix: request.prefix,
            start: request.start,
            end: request.end,
            is_reverse: request.reverse,
            limit: match request.limit {
                0 => PAGE_ENTRIES,
                limit => limit,
            } as usize,
            cursor: request.cursor,
            after: Timestamp(request.after_timestamp),
        };
        let page = self
            .run(|face, cancellation| async move { face.scan(&scan, &cancellation).await })
            .await?;
        let entries = page.entries.into_iter();
        Ok(proto::Page {
            entries: entries.map(|(key, value)| proto::Entry { key, value }).collect(),
            cursor: page.cursor.unwrap_or_default(),
            timestamp: page.timestamp.0,
        })
    }

    pub(super) async fn create(self: Arc<Self>, request: Request<proto::Namespace>) -> Result<proto::Created, Status> {
        let name = self.admit(request)?.name;
        let created = self.run(|face, _| async move { face.kv.create(&name).await }).await?;
        Ok(proto::Created { created })
    }

    pub(super) async fn drop_namespace(
        self: Arc<Self>,
        request: Request<proto::Namespace>,
    ) -> Result<proto::Dropped, Status> {
        let name = self.admit(request)?.name;
        let dropped = self
            .run(|face, _| async move { face.kv.drop_namespace(&name).await })
            .await?;
        Ok(proto::Dropped { dropped })
    }

    pub(super) async fn list(
        self: Arc<Self>,
        request: Request<proto::ListRequest>,
    ) -> Result<proto::Namespaces, Status> {
        self.admit(request)?;
        let names = self.run(|face, _| async move { face.kv.list() }).await?;
        Ok(proto::Namespaces { names })
    }
}

/// One stream of batches.
struct Stream {
    face: Arc<Face>,
    requests: Streaming<proto::Batch>,
    answers: mpsc::Sender<proto::Answer>,
    /// Batches on their way, the oldest first.
    pending: VecDeque<JoinHandle<AionResult<Outcome>>>,
    pending_max: usize,
    cancellation: Cancellation,
    shutdown: watch::Receiver<bool>,
}

/// Its client has left.
struct Gone;

impl Stream {
    async fn run(mut self) {
        // Whoever left need not be told so.
        let _ = self.serve().await;
    }

    async fn serve(&mut self) -> Result<(), Gone> {
        let cancellation = self.cancellation.clone();
        loop {
            let has_room = self.pending.len() < self.pending_max;
            tokio::select! {
                biased;
                outcome = ended(&mut self.pending) => self.answer(outcome).await?,
                () = cancellation.cancelled() => break,
                // What is on its way is still answered.
                () = told_to_stop(&mut self.shutdown) => break,
                request = self.requests.message(), if has_room => match request {
                    Ok(Some(request)) => self.take(request).await?,
                    // The end, or a connection that broke.
                    Ok(None) | Err(_) => break,
                },
                () = tokio::time::sleep(IDLE_MAX), if self.pending.is_empty() => break,
            }
        }
        self.drain().await
    }

    async fn take(&mut self, request: proto::Batch) -> Result<(), Gone> {
        let enqueued = match batch(request) {
            Ok(batch) => self.face.enqueue(batch, &self.cancellation).await,
            Err(error) => Err(error),
        };
        match enqueued {
            Ok(Taken::Enqueued(pending)) => {
                let face = self.face.clone();
                // A task of its own: its locks go when it is done, whoever waits for what meanwhile.
                self.pending
                    .push_back(tokio::spawn(async move { face.finish(pending).await }));
                Ok(())
            }
            Ok(Taken::Other(batch)) => {
                self.drain().await?;
                let outcome = self.face.apply(&batch, &self.cancellation).await;
                self.answer(outcome).await
            }
            Err(error) => {
                self.drain().await?;
                self.answer(Err(error)).await
            }
        }
    }

    /// Answers all that are on their way.
    async fn drain(&mut self) -> Result<(), Gone> {
        while !self.pending.is_empty() {
            let outcome = ended(&mut self.pending).await;
            self.answer(outcome).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, outcome: AionResult<Outcome>) -> Result<(), Gone> {
        let outcome = match outcome {
            Ok(Outcome::Applied { timestamp, answers }) => proto::Outcome::Applied(applied(timestamp, answers)),
            Ok(Outcome::Unmet(found)) => proto::Outcome::Refused(proto::Refused {
                code: Code::FailedPrecondition as i32,
                operation: u32::try_from(found.operation).ok(),
                timestamp: found.timestamp.0,
                found: found.found.clone(),
                ..refused(&unmet(&found))
            }),
            Err(error) => proto::Outcome::Refused(refused(&error)),
        };
        let answer = proto::Answer { outcome: Some(outcome) };
        self.answers.send(answer).await.map_err(|_| Gone)
    }
}

/// What became of the oldest batch; never where there is none.
async fn ended(pending: &mut VecDeque<JoinHandle<AionResult<Outcome>>>) -> AionResult<Outcome> {
    let Some(oldest) = pending.front_mut() else {
        return std::future::pending().await;
    };
    let outcome = oldest.await;
    pending.pop_front();
    outcome.map_err(|error| Error::internal(format!("a batch's task failed: {error}")))?
}

/// What a client asks for.
///
/// # Errors
/// 08P01 for an operation that says nothing.
fn batch(request: proto::Batch) -> AionResult<kv::Batch> {
    let namespace: Arc<str> = request.namespace.into();
    let operations = request.operations.into_iter();
    let operations = operations.map(|operation| {
        Ok(kv::Operation {
            namespace: match operation.namespace.is_empty() {
                true => namespace.clone(),
                false => operation.namespace.into(),
            },
            key: operation.key,
            what: match operation.what {
                Some(proto::What::Get(_)) => kv::What::Get,
                Some(proto::What::Put(put)) => kv::What::Put(put.value),
                Some(proto::What::Delete(_)) => kv::What::Delete,
                Some(proto::What::CompareAndSet(set)) => kv::What::CompareAndSet {
                    expected: set.expected,
                    value: set.value,
                },
                None => {
                    return Err(Error::invalid(
                        SqlState::PROTOCOL_VIOLATION,
                        "an operation is none of get, put, delete and compare_and_set",
                    ));
                }
            },
        })
    });
    Ok(kv::Batch {
        operations: operations.collect::<AionResult<_>>()?,
        after: Timestamp(request.after_timestamp),
        wait: (request.timeout_ms > 0).then(|| Duration::from_millis(request.timeout_ms.into())),
    })
}

fn applied(timestamp: Timestamp, answers: Vec<kv::Answer>) -> proto::Applied {
    let results = answers.into_iter().map(|answer| match answer {
        kv::Answer::Got(value) => proto::Result { value, existed: false },
        kv::Answer::Deleted(existed) => proto::Result { value: None, existed },
        kv::Answer::Put | kv::Answer::Set => proto::Result::default(),
    });
    proto::Applied {
        timestamp: timestamp.0,
        results: results.collect(),
    }
}

fn refused(error: &Error) -> proto::Refused {
    proto::Refused {
        code: code(error) as i32,
        sqlstate: error.state().as_str().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().unwrap_or_default().to_owned(),
        hint: error.hint().unwrap_or_default().to_owned(),
        ..proto::Refused::default()
    }
}

/// FAILED_PRECONDITION, with what was found in the trailers.
fn unmet_status(found: &kv::Unmet) -> Status {
    let of_error = status(&unmet(found));
    let mut metadata = of_error.metadata().clone();
    metadata.insert("aion-operation", MetadataValue::from(found.operation));
    metadata.insert("aion-timestamp", MetadataValue::from(found.timestamp.0));
    if let Some(value) = &found.found {
        metadata.insert("aion-found-bytes", MetadataValue::from(value.len()));
        if value.len() <= FOUND_BYTES_MAX {
            metadata.insert_bin("aion-found-bin", MetadataValue::from_bytes(value));
        }
    }
    Status::with_metadata(Code::FailedPrecondition, of_error.message(), metadata)
}
