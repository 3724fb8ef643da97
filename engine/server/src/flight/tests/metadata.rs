//! What a client asks about.

use arrow::array::AsArray;
use arrow::datatypes::Schema;
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetExportedKeys, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo,
    SqlInfo,
};

use super::client::{connect, done, fetch, start, text};
use crate::limits::ServerLimits;

#[tokio::test]
async fn catalogs_schemas_tables_and_keys() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    done(
        &mut client,
        "CREATE TABLE one (b int, a numeric(10,2), v vector(3), PRIMARY KEY (a, b))",
    )
    .await;
    done(&mut client, "CREATE TABLE two (id int)").await;
    let info = client.get_catalogs().await.expect("described");
    assert_eq!(text(&fetch(&mut client, info).await.expect("rows")), ["aion"]);
    let info = client
        .get_db_schemas(CommandGetDbSchemas::default())
        .await
        .expect("described");
    assert!(text(&fetch(&mut client, info).await.expect("rows")).contains(&"aion|public".to_owned()));
    let info = client.get_table_types().await.expect("described");
    assert_eq!(text(&fetch(&mut client, info).await.expect("rows")), ["TABLE", "VIEW"]);

    let like = CommandGetTables {
        table_name_filter_pattern: Some("%o%".into()),
        table_types: vec!["TABLE".into()],
        ..CommandGetTables::default()
    };
    let info = client.get_tables(like).await.expect("described");
    let found = text(&fetch(&mut client, info).await.expect("rows"));
    assert_eq!(found, ["aion|public|one|TABLE", "aion|public|two|TABLE"]);

    let with_columns = CommandGetTables {
        table_name_filter_pattern: Some("one".into()),
        include_schema: true,
        ..CommandGetTables::default()
    };
    let info = client.get_tables(with_columns).await.expect("described");
    let batches = fetch(&mut client, info).await.expect("rows");
    let bytes = batches[0]
        .column_by_name("table_schema")
        .expect("asked for")
        .as_binary::<i32>()
        .value(0)
        .to_vec();
    let schema = Schema::try_from(IpcMessage(bytes.into())).expect("a schema");
    let described: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.metadata()["ARROW:FLIGHT:SQL:TYPE_NAME"]))
        .collect();
    assert_eq!(described, ["b integer", "a numeric(10,2)", "v vector(3)"]);
    assert_eq!(schema.field(1).metadata()["ARROW:FLIGHT:SQL:SCALE"], "2");

    let of_one = CommandGetPrimaryKeys {
        table: "one".into(),
        ..CommandGetPrimaryKeys::default()
    };
    let info = client.get_primary_keys(of_one).await.expect("described");
    let keys = text(&fetch(&mut client, info).await.expect("rows"));
    assert_eq!(keys, ["aion|public|one|a|1|one_pkey", "aion|public|one|b|2|one_pkey"]);
    let exported = CommandGetExportedKeys {
        table: "one".into(),
        ..CommandGetExportedKeys::default()
    };
    let info = client.get_exported_keys(exported).await.expect("described");
    assert!(
        text(&fetch(&mut client, info).await.expect("no rows")).is_empty(),
        "there are no foreign keys"
    );
}

#[tokio::test]
async fn the_server_says_what_it_can_do() {
    let served = start(ServerLimits::default()).await;
    let mut client = connect(&served).await;
    let asked = vec![
        SqlInfo::FlightSqlServerName,
        SqlInfo::FlightSqlServerTransaction,
        SqlInfo::FlightSqlServerCancel,
    ];
    let info = client.get_sql_info(asked).await.expect("described");
    let batches = fetch(&mut client, info).await.expect("rows");
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
    let info = client
        .get_xdbc_type_info(CommandGetXdbcTypeInfo::default())
        .await
        .expect("described");
    let types = text(&fetch(&mut client, info).await.expect("rows"));
    assert_eq!(types.len(), 19);
    assert!(types.iter().any(|line| line.starts_with("numeric|2|38|")), "{types:?}");
}
