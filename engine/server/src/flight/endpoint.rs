//! The calls of Flight SQL, each handed to whoever does it.
//!
//! Here is what the protocol wants of an answer (descriptors, tickets, handles, codes); nothing is done here.

use std::pin::Pin;
use std::sync::Arc;

use aion_base::{Error, Result as AionResult, SqlState};
use aion_catalog::objects::Catalog;
use aion_db::Session;
use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::{DoPutError, FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    ActionEndTransactionRequest, Any, CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas,
    CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes,
    CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate,
    CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult,
    EndTransaction, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, BasicAuth, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightEndpoint,
    FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, PutResult, SchemaAsIpc, Ticket,
};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::caller::{self, Caller};
use super::listener::{Peer, Shared};
use super::seat::{Seat, Turn};
use super::statement::{self, Answer, Source};
use super::status::{status, undecodable};
use super::stream::{self as results, Batches};
use super::transaction::{self, Ending};
use super::{ingest, metadata, types};

type Actions = Pin<Box<dyn Stream<Item = Result<arrow_flight::Result, Status>> + Send>>;
type Puts = Pin<Box<dyn Stream<Item = Result<PutResult, Status>> + Send>>;
type Handshakes = Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>;

/// `CloseSessionResult { status: CLOSED }`.
const SESSION_CLOSED: &[u8] = &[0x08, 0x01];

/// The service.
pub(super) struct Endpoint {
    shared: Arc<Shared>,
}

impl Endpoint {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.caller_of(request.metadata(), request.extensions())
    }

    fn caller_of(&self, metadata: &MetadataMap, extensions: &Extensions) -> Result<Caller, Status> {
        caller::caller(&self.shared, metadata, extensions.get::<Peer>()).map_err(fail)
    }

    /// Starts a statement and says where its rows are.
    async fn start(
        &self,
        caller: &Caller,
        transaction: Option<&Bytes>,
        source: Source,
        descriptor: FlightDescriptor,
    ) -> Result<Response<FlightInfo>, Status> {
        let seat = statement::seat(&self.shared, caller, transaction).map_err(fail)?;
        let answer = statement::start(&self.shared, caller, seat, source)
            .await
            .map_err(fail)?;
        let info = FlightInfo::new().with_descriptor(descriptor);
        let info = match answer {
            Answer::Rows(schema, statement_handle) => {
                let ticket = TicketStatementQuery { statement_handle };
                with_schema(info.with_endpoint(endpoint_of(&ticket)), &schema)?
            }
            // Nothing is there to be fetched.
            Answer::Done(count) => with_schema(info, &Schema::empty())?.with_total_records(count),
        };
        Ok(Response::new(info))
    }

    /// Answers from what a session sees.
    async fn look_up(
        &self,
        caller: &Caller,
        answer: impl FnOnce(&Catalog) -> AionResult<RecordBatch> + Send + 'static,
    ) -> Result<Response<Batches>, Status> {
        let turn = self.turn(caller)?;
        let work = async move {
            let session = turn.take().await;
            answer(&*session.catalog()?)
        };
        let batch = self.shared.work.run(|| {}, work).await.map_err(fail)?;
        Ok(Response::new(results::one(batch)))
    }

    fn turn(&self, caller: &Caller) -> Result<Arc<Turn>, Status> {
        let seat: Arc<Seat> = statement::seat(&self.shared, caller, None).map_err(fail)?;
        Ok(Turn::new(&seat))
    }

    /// Batches that a client sends with a call, within the limit on a message.
    async fn batches(&self, stream: PeekableFlightDataStream) -> Result<Vec<RecordBatch>, Status> {
        let mut stream = stream;
        // A call without parameters sends its command alone.
        if let Some(Ok(first)) = stream.peek().await
            && first.data_header.is_empty()
        {
            return Ok(Vec::new());
        }
        let limits = &self.shared.service.limits;
        let mut batches = Vec::new();
        let mut bytes = 0usize;
        let mut decoded = decoded(stream);
        let gathered = async {
            while let Some(batch) = decoded.try_next().await.map_err(undecodable)? {
                bytes = bytes.saturating_add(batch.get_array_memory_size());
                if bytes > limits.message_bytes_max {
                    return Err(Error::exhausted(
                        SqlState::PROGRAM_LIMIT_EXCEEDED,
                        format!("the parameters have more than {} bytes", limits.message_bytes_max),
                    )
                    .with_hint("Send them in several runs, or ingest the rows."));
                }
                batches.push(batch);
            }
            Ok(batches)
        };
        match tokio::time::timeout(limits.send_timeout, gathered).await {
            Ok(gathered) => gathered.map_err(fail),
            Err(_) => Err(Status::deadline_exceeded("the parameters did not arrive in time")),
        }
    }

    /// Ends what the tickets of a result name; false if none is known.
    fn cancel(&self, info: &FlightInfo) -> bool {
        let mut found = false;
        for endpoint in &info.endpoint {
            let ticket = endpoint
                .ticket
                .as_ref()
                .and_then(|ticket| Any::decode(&*ticket.ticket).ok());
            let ticket = ticket.and_then(|any| any.unpack::<TicketStatementQuery>().ok().flatten());
            let waiting = ticket.and_then(|ticket| self.shared.results.take(&ticket.statement_handle).ok());
            if let Some(waiting) = waiting {
                waiting.cancel();
                found = true;
            }
        }
        found
    }
}

fn fail(error: Error) -> Status {
    status(&error)
}

fn endpoint_of(ticket: &impl ProstMessageExt) -> FlightEndpoint {
    FlightEndpoint::new().with_ticket(Ticket::new(ticket.as_any().encode_to_vec()))
}

fn with_schema(info: FlightInfo, schema: &Schema) -> Result<FlightInfo, Status> {
    info.try_with_schema(schema)
        .map_err(|error| fail(Error::internal(format!("a schema cannot be encoded: {error}"))))
}

/// Where the answer to a question about metadata is: the question is its own ticket.
fn described(
    command: &impl ProstMessageExt,
    schema: &Schema,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let info = FlightInfo::new()
        .with_endpoint(endpoint_of(command))
        .with_descriptor(request.into_inner());
    Ok(Response::new(with_schema(info, schema)?))
}

fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let message: Result<IpcMessage, _> = SchemaAsIpc::new(schema, &options).try_into();
    let message = message.map_err(|error| fail(Error::internal(format!("a schema cannot be encoded: {error}"))))?;
    Ok(message.0)
}

fn decoded(stream: PeekableFlightDataStream) -> FlightRecordBatchStream {
    FlightRecordBatchStream::new_from_flight_data(stream.map_err(|status| FlightError::Tonic(Box::new(status))))
}

fn unreadable(what: &str) -> Status {
    fail(Error::invalid(SqlState::PROTOCOL_VIOLATION, format!("no {what}")))
}

#[tonic::async_trait]
impl FlightSqlService for Endpoint {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Handshakes>, Status> {
        let (mut headers, extensions, mut stream) = request.into_parts();
        if !headers.contains_key("authorization") {
            // Older clients send the same in a message.
            let wait = self.shared.service.limits.login_timeout;
            let first = tokio::time::timeout(wait, stream.next()).await;
            let first = first.map_err(|_| Status::deadline_exceeded("canceling authentication due to timeout"))?;
            let payload = first.transpose()?.map(|message| message.payload).unwrap_or_default();
            if !payload.is_empty() {
                let basic = BasicAuth::decode(payload).map_err(|_| unreadable("user name and password"))?;
                caller::check_role(&basic.username).map_err(fail)?;
            }
        }
        // A token that has expired must not stand in the way of a new login.
        let is_bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
        if is_bearer.is_some_and(|value| value.starts_with("Bearer ")) {
            headers.remove("authorization");
        }
        let caller = self.caller_of(&headers, &extensions)?;
        let token = caller::to_hex(&transaction::log_in(&self.shared, &caller).map_err(fail)?);
        let message = HandshakeResponse {
            protocol_version: 0,
            payload: token.clone().into(),
        };
        let answer: Handshakes = Box::pin(stream::iter([Ok(message)]));
        let mut response = Response::new(answer);
        let header = format!("Bearer {token}").parse();
        let header = header.map_err(|_| Status::internal("a token is not a header"))?;
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = self.caller(&request)?;
        let source = Source::Text(query.query);
        self.start(&caller, query.transaction_id.as_ref(), source, request.into_inner())
            .await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = self.caller(&request)?;
        let prepared = self
            .shared
            .statements
            .get(&query.prepared_statement_handle)
            .map_err(fail)?;
        let source = Source::Prepared(Arc::clone(&prepared));
        self.start(&caller, prepared.transaction(), source, request.into_inner())
            .await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        described(&query, &query.into_builder().schema(), request)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        described(&query, &query.clone().into_builder().schema(), request)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        described(&query, &query.clone().into_builder().schema(), request)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        described(&query, &query.into_builder().schema(), request)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        let info = metadata::sql_info().map_err(fail)?;
        described(&query, &info.schema(), request)
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        described(&query, &metadata::primary_keys_schema(), request)
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        described(&query, &metadata::foreign_keys_schema(), request)
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        described(&query, &metadata::foreign_keys_schema(), request)
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        described(&query, &metadata::foreign_keys_schema(), request)
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request)?;
        let info = types::type_info().map_err(fail)?;
        described(&query, &info.schema(), request)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.caller(&request)?;
        let batches = results::send(&self.shared, ticket.statement_handle).map_err(fail)?;
        Ok(Response::new(batches))
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let caller = self.caller(&request)?;
        let prepared = self
            .shared
            .statements
            .get(&query.prepared_statement_handle)
            .map_err(fail)?;
        let seat = statement::seat(&self.shared, &caller, prepared.transaction()).map_err(fail)?;
        let source = Source::Prepared(prepared);
        match statement::start(&self.shared, &caller, seat, source)
            .await
            .map_err(fail)?
        {
            Answer::Rows(_, handle) => Ok(Response::new(results::send(&self.shared, handle).map_err(fail)?)),
            Answer::Done(_) => {
                let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
                Ok(Response::new(results::one(batch)))
            }
        }
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.caller(&request)?;
        Ok(Response::new(results::one(metadata::catalogs(query).map_err(fail)?)))
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let caller = self.caller(&request)?;
        self.look_up(&caller, |catalog| metadata::schemas(query, catalog)).await
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let caller = self.caller(&request)?;
        let turn = self.turn(&caller)?;
        let work = async move {
            let mut session = turn.take().await;
            let session: &mut Session = &mut session;
            metadata::tables(query, session).await
        };
        let batch = self.shared.work.run(|| {}, work).await.map_err(fail)?;
        Ok(Response::new(results::one(batch)))
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.caller(&request)?;
        Ok(Response::new(results::one(metadata::table_types(query).map_err(fail)?)))
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.caller(&request)?;
        let info = metadata::sql_info().map_err(fail)?;
        let batch = query.into_builder(&info).build();
        let batch = batch.map_err(|error| fail(Error::internal(format!("no batch: {error}"))))?;
        Ok(Response::new(results::one(batch)))
    }

    async fn do_get_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        let caller = self.caller(&request)?;
        self.look_up(&caller, move |catalog| metadata::primary_keys(&query, catalog))
            .await
    }

    async fn do_get_exported_keys(
        &self,
        _query: CommandGetExportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.caller(&request)?;
        let none = RecordBatch::new_empty(metadata::foreign_keys_schema());
        Ok(Response::new(results::one(none)))
    }

    async fn do_get_imported_keys(
        &self,
        _query: CommandGetImportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.caller(&request)?;
        let none = RecordBatch::new_empty(metadata::foreign_keys_schema());
        Ok(Response::new(results::one(none)))
    }

    async fn do_get_cross_reference(
        &self,
        _query: CommandGetCrossReference,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.caller(&request)?;
        let none = RecordBatch::new_empty(metadata::foreign_keys_schema());
        Ok(Response::new(results::one(none)))
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<Ticket>,
    ) -> Result<Response<Batches>, Status> {
        self.caller(&request)?;
        let info = types::type_info().map_err(fail)?;
        let batch = query.into_builder(&info).build();
        let batch = batch.map_err(|error| fail(Error::internal(format!("no batch: {error}"))))?;
        Ok(Response::new(results::one(batch)))
    }

    async fn do_put_error_callback(
        &self,
        request: Request<PeekableFlightDataStream>,
        error: DoPutError,
    ) -> Result<Response<Puts>, Status> {
        self.caller(&request)?;
        let what = match error {
            // ADBC's driver does so for a table without rows.
            DoPutError::MissingCommand => "nothing was sent: neither a command nor batches",
            DoPutError::MissingFlightDescriptor => "the first message has no command",
        };
        Err(fail(Error::invalid(SqlState::PROTOCOL_VIOLATION, what)))
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = self.caller(&request)?;
        let seat = statement::seat(&self.shared, &caller, command.transaction_id.as_ref()).map_err(fail)?;
        statement::update(&self.shared, seat, Source::Text(command.query))
            .await
            .map_err(fail)
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = self.caller(&request)?;
        let seat = ingest::seat(&self.shared, &caller, &command).map_err(fail)?;
        let batches = decoded(request.into_inner());
        ingest::ingest(&self.shared, seat, command, batches).await.map_err(fail)
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        self.caller(&request)?;
        let prepared = self
            .shared
            .statements
            .get(&query.prepared_statement_handle)
            .map_err(fail)?;
        let batches = self.batches(request.into_inner()).await?;
        let bytes = prepared.bytes_with(&batches);
        let resized = self.shared.statements.resize(&query.prepared_statement_handle, bytes);
        resized.map_err(fail)?;
        prepared.bind(batches);
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(query.prepared_statement_handle),
        })
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = self.caller(&request)?;
        let prepared = self
            .shared
            .statements
            .get(&query.prepared_statement_handle)
            .map_err(fail)?;
        let seat = statement::seat(&self.shared, &caller, prepared.transaction()).map_err(fail)?;
        let batches = self.batches(request.into_inner()).await?;
        // Some clients send a batch of no columns where there are no parameters.
        let batches: Vec<_> = batches.into_iter().filter(|batch| batch.num_columns() > 0).collect();
        let source = if batches.is_empty() {
            Source::Prepared(prepared)
        } else {
            Source::PreparedWith(prepared, batches)
        };
        statement::update(&self.shared, seat, source).await.map_err(fail)
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let caller = self.caller(&request)?;
        let prepared = statement::prepare(&self.shared, &caller, query.query, query.transaction_id).await;
        let (prepared_statement_handle, prepared) = prepared.map_err(fail)?;
        let (parameters, result) = prepared.schemas();
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle,
            dataset_schema: match result {
                Some(schema) => schema_bytes(&schema)?,
                None => Bytes::new(),
            },
            parameter_schema: schema_bytes(&parameters)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.caller(&request)?;
        // One that has expired is as good as closed.
        let _ = self.shared.statements.take(&query.prepared_statement_handle);
        Ok(())
    }

    async fn do_action_begin_transaction(
        &self,
        _query: ActionBeginTransactionRequest,
        request: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        let caller = self.caller(&request)?;
        let transaction_id = transaction::begin(&self.shared, &caller).await.map_err(fail)?;
        Ok(ActionBeginTransactionResult { transaction_id })
    }

    async fn do_action_end_transaction(
        &self,
        query: ActionEndTransactionRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.caller(&request)?;
        let ending = match query.action() {
            EndTransaction::Commit => Ending::Commit,
            EndTransaction::Rollback => Ending::Rollback,
            EndTransaction::Unspecified => return Err(unreadable("COMMIT or ROLLBACK to end the transaction with")),
        };
        transaction::end(&self.shared, &query.transaction_id, ending)
            .await
            .map_err(fail)
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        self.caller(&request)?;
        let info = FlightInfo::decode(query.info).map_err(|_| unreadable("FlightInfo to cancel"))?;
        let status = if self.cancel(&info) {
            CancelStatus::Cancelled
        } else {
            CancelStatus::NotCancellable
        };
        // The older action's results have the same numbers.
        Ok(ActionCancelQueryResult { result: status as i32 })
    }

    async fn do_action_fallback(&self, request: Request<Action>) -> Result<Response<Actions>, Status> {
        let caller = self.caller(&request)?;
        let action = request.into_inner();
        let body = match action.r#type.as_str() {
            "CancelFlightInfo" => {
                let cancel = CancelFlightInfoRequest::decode(action.body);
                let info = cancel.ok().and_then(|cancel| cancel.info);
                let info = info.ok_or_else(|| unreadable("FlightInfo to cancel"))?;
                let status = if self.cancel(&info) {
                    CancelStatus::Cancelled
                } else {
                    CancelStatus::NotCancellable
                };
                CancelFlightInfoResult::new(status).encode_to_vec().into()
            }
            "CloseSession" => {
                self.shared.drop_owner(&caller.owner);
                if let super::held::Owner::Login(token) = &caller.owner {
                    let _ = self.shared.logins.take(token);
                }
                Bytes::from_static(SESSION_CLOSED)
            }
            other => return Err(fail(Error::unsupported(format!("the action \"{other}\" is not there")))),
        };
        let answer: Actions = Box::pin(stream::iter([Ok(arrow_flight::Result { body })]));
        Ok(Response::new(answer))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
