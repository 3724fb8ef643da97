//! Paths of gRPC, and the method behind each. What `tonic-build` would write.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use prost::Message;
use tonic::codegen::{Body, BoxFuture, BoxStream, Service, StdError, http};
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::grpc::Endpoint;
use super::proto::{Answer, Batch};

/// The service, for a server of tonic.
#[derive(Clone)]
pub(crate) struct KvServer {
    endpoint: Arc<Endpoint>,
}

impl KvServer {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint }
    }

    fn grpc<Q: Message + Default + 'static, A: Message + 'static>(&self) -> Grpc<ProstCodec<A, Q>> {
        Grpc::new(ProstCodec::default())
            .apply_max_message_size_config(Some(Endpoint::REQUEST_BYTES_MAX), Some(Endpoint::ANSWER_BYTES_MAX))
    }
}

impl NamedService for KvServer {
    const NAME: &'static str = "aion.kv.v1.Kv";
}

impl<B> Service<http::Request<B>> for KvServer
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let this = self.clone();
        let endpoint = this.endpoint.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/aion.kv.v1.Kv/Apply" => {
                    let method = Unary(move |batch| endpoint.clone().apply(batch));
                    this.grpc().unary(method, request).await
                }
                "/aion.kv.v1.Kv/Stream" => this.grpc().streaming(Streamed(endpoint), request).await,
                "/aion.kv.v1.Kv/Scan" => {
                    let method = Unary(move |scan| endpoint.clone().scan(scan));
                    this.grpc().unary(method, request).await
                }
                "/aion.kv.v1.Kv/CreateNamespace" => {
                    let method = Unary(move |name| endpoint.clone().create(name));
                    this.grpc().unary(method, request).await
                }
                "/aion.kv.v1.Kv/DropNamespace" => {
                    let method = Unary(move |name| endpoint.clone().drop_namespace(name));
                    this.grpc().unary(method, request).await
                }
                "/aion.kv.v1.Kv/ListNamespaces" => {
                    let method = Unary(move |list| endpoint.clone().list(list));
                    this.grpc().unary(method, request).await
                }
                _ => Status::unimplemented("the service aion.kv.v1.Kv has no such method").into_http(),
            })
        })
    }
}

/// A call with one message and one answer.
struct Unary<F>(F);

impl<Q, A, F, R> UnaryService<Q> for Unary<F>
where
    F: FnMut(Request<Q>) -> R,
    R: Future<Output = Result<A, Status>> + Send + 'static,
{
    type Response = A;
    type Future = BoxFuture<Response<A>, Status>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let answer = (self.0)(request);
        Box::pin(async move { answer.await.map(Response::new) })
    }
}

/// A call with many of both.
struct Streamed(Arc<Endpoint>);

impl StreamingService<Batch> for Streamed {
    type Response = Answer;
    type ResponseStream = BoxStream<Answer>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<Batch>>) -> Self::Future {
        let endpoint = self.0.clone();
        Box::pin(async move { endpoint.stream(request).map(Response::new) })
    }
}
