//! Statements, parameters, ingestion.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use futures::stream;
use tonic::Code;

use super::client::{connect, done, failure, fetch, rows, start, state, text};
use crate::limits::ServerLimits;

fn two_columns(ids: Vec<i64>, names: Vec<Option<&str>>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(ids)) as ArrayRef, true),
        ("name", Arc::new(StringArray::from(names)) as ArrayRef, true),
    ])
    .expect("two columns")
}

#[tokio::test]
async fn rows_come_in_batches_and_changes_are_counted() {
    let served = start(ServerLimits {
        flight_batch_bytes: 10_000,
        ..ServerLimits::default()
    })
    .await;
    let mut client = connect(&served).await;
    assert_eq!(
        done(&mut client, "CREATE TABLE t (id int PRIMARY KEY, s text)").await,
        0
    );
    assert_eq!(done(&mut client, "INSERT INTO t VALUES (1, 'ä'), (2, NULL)").await, 2);
    assert_eq!(
        rows(&mut client, "SELECT * FROM t ORDER BY id", None)
            .await
            .expect("rows"),
        ["1|ä", "2|NULL"]
    );
    let info = client
        .execute("SELECT id FROM generate_series(1, 20000) AS g(id)".into(), None)
        .await
        .expect("runs");
    let schema = info.clone().try_decode_schema().expect("a schema");
    assert_eq!(schema.field(0).name(), "id");
    let batches = fetch(&mut client, info).await.expect("rows");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    assert!(batches.len() > 10, "{} batches of at most 10,000 bytes", batches.len());
    assert_eq!(served.metric("aion_rows_sent_total{edge=\"flight\"}"), "20002");
    assert_eq!(
        served.metric("aion_statements_total{edge=\"flight\",outcome=\"ok\"}"),
        "4"
    );
}

/// ADBC executes everything with GetFlightInfo and may never fetch.
#[tokio::test]
async fn what_writes_is_done_before_anything_is_fetched() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    let made = client
        .execute("CREATE TABLE t (id int PRIMARY KEY)".into(), None)
        .await
        .expect("runs");
    assert!(made.endpoint.is_empty(), "nothing is to be fetched");
    let inserted = client
        .execute("INSERT INTO t VALUES (1), (2)".into(), None)
        .await
        .expect("runs");
    assert_eq!(inserted.total_records, 2);
    let returning = client
        .execute("INSERT INTO t VALUES (3) RETURNING id".into(), None)
        .await
        .expect("runs");
    assert_eq!(
        rows(&mut client, "SELECT count(*) FROM t", None).await.expect("rows"),
        ["3"]
    );
    assert_eq!(text(&fetch(&mut client, returning).await.expect("rows")), ["3"]);
}

#[tokio::test]
async fn errors_say_what_and_where() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    for (sql, code, expected) in [
        ("SELEC 1", Code::InvalidArgument, "42601"),
        ("", Code::InvalidArgument, "42601"),
        ("SELECT 1; SELECT 2", Code::InvalidArgument, "42601"),
        ("SELECT * FROM nowhere", Code::NotFound, "42P01"),
        ("COPY (SELECT 1) TO STDOUT", Code::Unimplemented, "0A000"),
    ] {
        let status = failure(client.execute(sql.into(), None).await);
        assert_eq!((status.code(), state(&status)), (code, expected), "{sql}: {status}");
        assert!(status.message().contains(&format!("({expected})")), "{status}");
    }
    let late = "SELECT 1 / (id - 50000) FROM generate_series(1, 100000) AS g(id)";
    let status = failure(rows(&mut client, late, None).await);
    assert!(
        status.message().contains("22012"),
        "in the middle of the rows: {status}"
    );
    let long = format!("SELECT '{}'", "x".repeat(17 << 20));
    assert_eq!(state(&failure(client.execute(long, None).await)), "54000");
    assert_eq!(
        rows(&mut client, "SELECT 1", None).await.expect("rows"),
        ["1"],
        "the connection goes on"
    );
    assert_eq!(
        served.metric("aion_statements_total{edge=\"flight\",outcome=\"error\"}"),
        "2"
    );
}

#[tokio::test]
async fn prepared_statements_run_once_for_each_row_of_parameters() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    done(&mut client, "CREATE TABLE t (id int PRIMARY KEY, name text)").await;
    let mut insert = client
        .prepare("INSERT INTO t VALUES ($1, $2)".into(), None)
        .await
        .expect("prepared");
    let schema = insert.parameter_schema().expect("a schema");
    assert_eq!(
        schema
            .fields()
            .iter()
            .map(|field| field.data_type().to_string())
            .collect::<Vec<_>>(),
        ["Int32", "Utf8"]
    );
    // Sent as bigint, for a column of integers.
    insert
        .set_parameters(two_columns(vec![1, 2], vec![Some("a"), None]))
        .expect("bound");
    assert_eq!(insert.execute_update().await.expect("runs"), 2);
    insert
        .set_parameters(two_columns(vec![3, 1], vec![None, None]))
        .expect("bound");
    assert_eq!(state(&failure(insert.execute_update().await)), "23505");
    insert
        .set_parameters(two_columns(vec![1 << 40], vec![None]))
        .expect("bound");
    assert_eq!(state(&failure(insert.execute_update().await)), "22003");
    assert_eq!(
        rows(&mut client, "SELECT id FROM t", None).await.expect("rows"),
        ["1", "2"],
        "all or nothing"
    );

    let mut select = client
        .prepare("SELECT name FROM t WHERE id = $1 OR name = $2".into(), None)
        .await
        .expect("prepared");
    assert_eq!(select.dataset_schema().expect("a schema").field(0).name(), "name");
    select
        .set_parameters(two_columns(vec![1, 2], vec![None, None]))
        .expect("bound");
    let info = select.execute().await.expect("runs");
    assert_eq!(
        text(&fetch(&mut client, info).await.expect("rows")),
        ["a", "NULL"],
        "one result after the other"
    );
    let many = two_columns(vec![1; 101], vec![None; 101]);
    select.set_parameters(many).expect("bound");
    assert_eq!(state(&failure(select.execute().await)), "54000");
    let one = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).expect("a column");
    select.set_parameters(one).expect("bound");
    assert_eq!(state(&failure(select.execute().await)), "08P01");
    select.close().await.expect("closed");
}

fn into(table: &str, if_exists: TableExistsOption, if_not_exist: TableNotExistOption) -> CommandStatementIngest {
    CommandStatementIngest {
        table: table.to_owned(),
        table_definition_options: Some(TableDefinitionOptions {
            if_exists: if_exists as i32,
            if_not_exist: if_not_exist as i32,
        }),
        ..CommandStatementIngest::default()
    }
}

#[tokio::test]
async fn ingestion_makes_extends_and_replaces_tables() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    let batch = || {
        two_columns(
            (0..2_000).collect(),
            (0..2_000).map(|id| (id % 2 == 0).then_some("even")).collect(),
        )
    };
    let new = into("t", TableExistsOption::Fail, TableNotExistOption::Create);
    let made = client
        .execute_ingest(new.clone(), stream::iter([Ok(batch()), Ok(batch())]))
        .await;
    assert_eq!(made.expect("made"), 4_000);
    assert_eq!(
        state(&failure(client.execute_ingest(new, stream::iter([Ok(batch())])).await)),
        "42P07"
    );
    let counted = "SELECT count(*), count(name), sum(id) FROM t";
    assert_eq!(
        rows(&mut client, counted, None).await.expect("rows"),
        ["4000|2000|3998000"]
    );

    let append = into("t", TableExistsOption::Append, TableNotExistOption::Fail);
    let more = two_columns(vec![-1], vec![Some("more")]);
    assert_eq!(
        client
            .execute_ingest(append, stream::iter([Ok(more.clone())]))
            .await
            .expect("added"),
        1
    );
    let missing = into("missing", TableExistsOption::Append, TableNotExistOption::Fail);
    assert_eq!(
        state(&failure(
            client.execute_ingest(missing, stream::iter([Ok(more.clone())])).await
        )),
        "42P01"
    );
    let replace = into("t", TableExistsOption::Replace, TableNotExistOption::Create);
    assert_eq!(
        client
            .execute_ingest(replace, stream::iter([Ok(more)]))
            .await
            .expect("replaced"),
        1
    );
    assert_eq!(
        rows(&mut client, "SELECT * FROM t", None).await.expect("rows"),
        ["-1|more"]
    );
}

/// Half of a load would be worse than none.
#[tokio::test]
async fn an_ingestion_that_fails_leaves_nothing() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    done(&mut client, "CREATE TABLE t (id bigint PRIMARY KEY, name varchar(3))").await;
    let good = two_columns((0..1_000).collect(), vec![None; 1_000]);
    let append = || into("t", TableExistsOption::Append, TableNotExistOption::Fail);
    for (bad, expected) in [
        (two_columns(vec![5_000, 7], vec![None, None]), "23505"),
        (two_columns(vec![5_000], vec![Some("too long")]), "22001"),
    ] {
        let batches = stream::iter([Ok(good.clone()), Ok(bad)]);
        let status = failure(client.execute_ingest(append(), batches).await);
        assert_eq!(state(&status), expected, "{status}");
    }
    assert_eq!(
        rows(&mut client, "SELECT count(*) FROM t", None).await.expect("rows"),
        ["0"]
    );
}
