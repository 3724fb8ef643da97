//! Tickets and prepared statements: how many, how long, whose.

use std::time::Duration;

use arrow_flight::sql::{ActionCancelQueryRequest, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{Action, CancelFlightInfoRequest, Ticket};
use bytes::Bytes;
use futures::TryStreamExt;
use prost::Message;
use tonic::Code;

use super::client::{connect, failure, fetch, rows, start, state, text, ticket};
use crate::limits::ServerLimits;

const ENDLESS: &str = "SELECT id FROM generate_series(1, 1000000000000) AS g(id)";

#[tokio::test]
async fn a_ticket_is_good_for_one_fetch() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    let info = client.execute("SELECT 1".into(), None).await.expect("runs");
    assert_eq!(text(&fetch(&mut client, info.clone()).await.expect("rows")), ["1"]);
    let status = failure(fetch(&mut client, info).await);
    assert_eq!((status.code(), state(&status)), (Code::NotFound, "26000"));
    let invented = TicketStatementQuery {
        statement_handle: Bytes::from_static(b"invented"),
    };
    let invented = Ticket::new(invented.as_any().encode_to_vec());
    assert_eq!(state(&failure(client.do_get(invented).await.map(|_| ()))), "26000");
    let noise = Ticket::new(&b"\xff\xff\xff"[..]);
    assert_eq!(
        failure(client.do_get(noise).await.map(|_| ())).code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn results_that_nobody_fetches_are_counted_and_expire() {
    let served = start(ServerLimits {
        flight_results_max: 2,
        ..ServerLimits::default()
    })
    .await;
    let (mut client, mut other) = (connect(&served).await, connect(&served).await);
    let first = client.execute(ENDLESS.into(), None).await.expect("runs");
    client.execute(ENDLESS.into(), None).await.expect("runs");
    let status = failure(client.execute(ENDLESS.into(), None).await);
    assert_eq!((status.code(), state(&status)), (Code::ResourceExhausted, "54000"));
    other.execute(ENDLESS.into(), None).await.expect("another's share");
    served.clock.advance(Duration::from_secs(60));
    assert_eq!(
        state(&failure(client.do_get(ticket(&first)).await.map(|_| ()))),
        "26000"
    );
    client.execute(ENDLESS.into(), None).await.expect("there is room again");
    assert_eq!(
        served.metric("aion_statements_total{edge=\"flight\",outcome=\"cancelled\"}"),
        "4"
    );
}

#[tokio::test]
async fn prepared_statements_are_counted_and_expire() {
    let served = start(ServerLimits {
        statements_max: 2,
        ..ServerLimits::default()
    })
    .await;
    let mut client = connect(&served).await;
    let mut first = client.prepare("SELECT 1".into(), None).await.expect("prepared");
    let second = client.prepare("SELECT 2".into(), None).await.expect("prepared");
    assert_eq!(
        state(&failure(client.prepare("SELECT 3".into(), None).await.map(|_| ()))),
        "54000"
    );
    second.close().await.expect("closed");
    client
        .prepare("SELECT 3".into(), None)
        .await
        .expect("there is room again");
    served.clock.advance(Duration::from_secs(3_600));
    assert_eq!(state(&failure(first.execute().await)), "26000");
}

/// A client that reconnects for each statement would otherwise leave its handles behind.
#[tokio::test]
async fn what_a_connection_owns_goes_with_it() {
    let served = start(ServerLimits::default()).await;
    let (mut leaving, mut staying) = (connect(&served).await, connect(&served).await);
    let info = leaving.execute(ENDLESS.into(), None).await.expect("runs");
    drop(leaving);
    // Until the server has noticed; a ticket may be shown on another connection before.
    loop {
        match staying.do_get(ticket(&info)).await {
            Err(error) => {
                assert_eq!(state(&failure(Err::<(), _>(error))), "26000");
                break;
            }
            Ok(stream) => drop(stream),
        }
    }
}

#[tokio::test]
async fn cancelling_ends_what_waits_and_what_is_sent() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    for older in [false, true] {
        let info = client.execute(ENDLESS.into(), None).await.expect("runs");
        let mut stream = client.do_get(ticket(&info)).await.expect("rows");
        stream.try_next().await.expect("rows").expect("a batch");
        let action = if older {
            let request = ActionCancelQueryRequest {
                info: info.encode_to_vec().into(),
            };
            Action::new("CancelQuery", request.as_any().encode_to_vec())
        } else {
            Action::new(
                "CancelFlightInfo",
                CancelFlightInfoRequest::new(info.clone()).encode_to_vec(),
            )
        };
        client.do_action(action).await.expect("cancelled");
        let status = loop {
            match stream.try_next().await {
                Ok(Some(_)) => {}
                ended => break failure(ended),
            }
        };
        assert_eq!(status.code(), Code::Cancelled, "{status}");
        assert!(status.message().contains("57014"), "{status}");
        let waiting = client.execute(ENDLESS.into(), None).await.expect("runs");
        let request = CancelFlightInfoRequest::new(waiting.clone()).encode_to_vec();
        client
            .do_action(Action::new("CancelFlightInfo", request))
            .await
            .expect("cancelled");
        assert_eq!(
            state(&failure(client.do_get(ticket(&waiting)).await.map(|_| ()))),
            "26000"
        );
    }
    let unknown = Action::new("NoSuchAction", Vec::new());
    assert_eq!(
        failure(client.do_action(unknown).await.map(|_| ())).code(),
        Code::Unimplemented
    );
    assert_eq!(rows(&mut client, "SELECT 1", None).await.expect("rows"), ["1"]);
}

/// A statement would otherwise run on for a client that has stopped reading.
#[tokio::test]
async fn a_dropped_stream_ends_its_statement() {
    let served = start(ServerLimits {
        flight_statements_max: 1,
        ..ServerLimits::default()
    })
    .await;
    let mut client = connect(&served).await;
    let info = client.execute(ENDLESS.into(), None).await.expect("runs");
    let mut stream = client.do_get(ticket(&info)).await.expect("rows");
    stream.try_next().await.expect("rows").expect("a batch");
    assert_eq!(state(&failure(client.execute("SELECT 1".into(), None).await)), "53300");
    drop(stream);
    while client.execute("SELECT 1".into(), None).await.is_err() {
        tokio::task::yield_now().await;
    }
}
