//! A client of the tests.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, Ticket};
use bytes::Bytes;
use futures::TryStreamExt;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::super::serve;
use crate::limits::ServerLimits;
use crate::testing::Served;

/// A server with these limits.
pub async fn start(limits: ServerLimits) -> Served {
    Served::start(limits, serve).await
}

/// The client of the arrow project, on a connection of its own.
pub async fn connect(served: &Served) -> FlightSqlServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", served.address)).expect("an address");
    FlightSqlServiceClient::new(endpoint.connect().await.expect("it listens"))
}

/// Rows as text, values separated by `|`.
pub fn text(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let rows = batches.iter().flat_map(|batch| {
        let columns = batch.columns().iter();
        let columns: Vec<_> = columns
            .map(|array| ArrayFormatter::try_new(array, &options).expect("printable"))
            .collect();
        (0..batch.num_rows())
            .map(|row| {
                columns
                    .iter()
                    .map(|column| column.value(row).to_string())
                    .collect::<Vec<_>>()
                    .join("|")
            })
            .collect::<Vec<_>>()
    });
    rows.collect()
}

/// What a call failed with.
#[track_caller]
pub fn failure<T: std::fmt::Debug, E: Into<FlightError>>(done: Result<T, E>) -> Status {
    match done.expect_err("it fails").into() {
        FlightError::Tonic(status) => *status,
        other => panic!("no status: {other}"),
    }
}

/// The SQLSTATE of a status.
pub fn state(status: &Status) -> &str {
    status
        .metadata()
        .get("aion-sqlstate")
        .map_or("", |value| value.to_str().expect("ASCII"))
}

/// Fetches what is waiting.
pub async fn fetch(
    client: &mut FlightSqlServiceClient<Channel>,
    info: FlightInfo,
) -> Result<Vec<RecordBatch>, FlightError> {
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let stream = client.do_get(endpoint.ticket.expect("a ticket")).await?;
        batches.extend(stream.try_collect::<Vec<_>>().await?);
    }
    Ok(batches)
}

/// Runs a statement and fetches its rows, as text.
pub async fn rows(
    client: &mut FlightSqlServiceClient<Channel>,
    sql: &str,
    transaction: Option<&Bytes>,
) -> Result<Vec<String>, FlightError> {
    let info = client.execute(sql.to_owned(), transaction.cloned()).await?;
    Ok(text(&fetch(client, info).await?))
}

/// Runs a statement that must not fail.
pub async fn done(client: &mut FlightSqlServiceClient<Channel>, sql: &str) -> i64 {
    client.execute_update(sql.to_owned(), None).await.expect(sql)
}

/// The first ticket.
pub fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().expect("a ticket")
}
