//! What a client asks about: catalogs, schemas, tables, keys, types, and what the server can do.
//!
//! The catalog is read as the caller's session sees it. Batches have the schemas that Flight SQL prescribes; a column
//! of a table carries its SQL type's name and digits in the metadata that JDBC reads. There are no foreign keys, so the
//! three commands that ask for them are answered with no rows.

use std::collections::HashMap;
use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::SqlType;
use aion_catalog::objects::Catalog;
use aion_db::{SERVER_VERSION, Session, TEXT_BYTES_MAX};
use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTableTypes, CommandGetTables, SqlInfo,
    SqlNullOrdering, SqlSupportedCaseSensitivity, SqlSupportedGroupBy, SqlSupportedTransaction,
    SqlTransactionIsolationLevel,
};

use super::types::precision;
use crate::service::NAME;

/// What the kinds of relations are called.
const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";

fn no_batch(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("metadata do not make a batch: {error}"))
}

/// The one catalog.
pub(super) fn catalogs(command: CommandGetCatalogs) -> Result<RecordBatch> {
    let mut builder = command.into_builder();
    builder.append(NAME);
    builder.build().map_err(no_batch)
}

/// The schemas.
pub(super) fn schemas(command: CommandGetDbSchemas, catalog: &Catalog) -> Result<RecordBatch> {
    let mut builder = command.into_builder();
    for schema in catalog.schemas() {
        builder.append(NAME, schema);
    }
    builder.build().map_err(no_batch)
}

/// The kinds of relations.
pub(super) fn table_types(command: CommandGetTableTypes) -> Result<RecordBatch> {
    let mut builder = command.into_builder();
    builder.append(TABLE);
    builder.append(VIEW);
    builder.build().map_err(no_batch)
}

/// Tables and views, with their columns where the command wants them.
pub(super) async fn tables(command: CommandGetTables, session: &mut Session) -> Result<RecordBatch> {
    let catalog = session.catalog()?;
    let wants_columns = command.include_schema;
    let mut builder = command.into_builder();
    for table in catalog.tables() {
        let columns = table.columns.iter();
        let columns = columns.map(|column| (column.name.as_str(), column.sql_type, column.is_nullable));
        let schema = described(&table.schema, &table.name, columns);
        let appended = builder.append(NAME, &table.schema, &table.name, TABLE, &schema);
        appended.map_err(no_batch)?;
    }
    for view in catalog.views() {
        let schema = if wants_columns {
            view_columns(&view.schema, &view.name, session).await?
        } else {
            Schema::empty()
        };
        let appended = builder.append(NAME, &view.schema, &view.name, VIEW, &schema);
        appended.map_err(no_batch)?;
    }
    builder.build().map_err(no_batch)
}

/// The columns of a view; none where it cannot be planned any more, so that the others can still be listed.
async fn view_columns(schema: &str, name: &str, session: &mut Session) -> Result<Schema> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let text = format!("SELECT * FROM {}.{}", quoted(schema), quoted(name));
    let mut columns = None;
    for statement in session.parse(&text)? {
        let planned = session.prepare(&statement, &[]).await.ok();
        columns = planned.and_then(|plan| plan.columns().cloned());
    }
    let columns = columns.iter().flat_map(|columns| columns.iter());
    Ok(described(
        schema,
        name,
        columns.map(|column| (column.name.as_str(), column.sql_type, true)),
    ))
}

fn described<'a>(schema: &str, table: &str, columns: impl Iterator<Item = (&'a str, SqlType, bool)>) -> Schema {
    let fields = columns.map(|(name, sql_type, is_nullable)| {
        let field = sql_type.to_outer_field(name, is_nullable);
        let mut metadata: HashMap<String, String> = field.metadata().clone();
        let mut note = |key: &str, value: String| metadata.insert(format!("ARROW:FLIGHT:SQL:{key}"), value);
        note("CATALOG_NAME", NAME.to_owned());
        note("DB_SCHEMA_NAME", schema.to_owned());
        note("TABLE_NAME", table.to_owned());
        note("TYPE_NAME", sql_type.to_string());
        if let Some(digits) = precision(&sql_type) {
            note("PRECISION", digits.to_string());
        }
        if let SqlType::Numeric { scale, .. } = sql_type {
            note("SCALE", scale.to_string());
        }
        note("IS_AUTO_INCREMENT", "0".to_owned());
        field.with_metadata(metadata)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// The primary key of a table; no rows where it has none, or does not exist.
pub(super) fn primary_keys(command: &CommandGetPrimaryKeys, catalog: &Catalog) -> Result<RecordBatch> {
    let is_ours = command.catalog.as_deref().is_none_or(|name| name == NAME);
    let tables = catalog.tables().filter(|table| {
        is_ours
            && table.name == command.table
            && command.db_schema.as_deref().is_none_or(|schema| schema == table.schema)
    });
    let mut rows: Vec<(&str, &str, &str, i32, Option<&str>)> = Vec::new();
    for table in tables {
        for (at, position) in table.primary_key_positions().into_iter().enumerate() {
            let number = i32::try_from(at + 1).unwrap_or(i32::MAX);
            let column = &table.columns[position].name;
            rows.push((
                &table.schema,
                &table.name,
                column,
                number,
                table.primary_key_name.as_deref(),
            ));
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![NAME; rows.len()])),
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.3))),
        Arc::new(rows.iter().map(|row| row.4).collect::<StringArray>()),
    ];
    RecordBatch::try_new(primary_keys_schema(), columns).map_err(no_batch)
}

/// The columns of [`primary_keys`].
pub(super) fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

/// The columns of the foreign keys that a table has, or that point to it.
pub(super) fn foreign_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

/// What the server can do.
///
/// # Errors
/// XX000 if it does not make a batch.
pub(super) fn sql_info() -> Result<SqlInfoData> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Aion");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.5");
    info.append(SqlInfo::FlightSqlServerReadOnly, false);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(
        SqlInfo::FlightSqlServerTransaction,
        SqlSupportedTransaction::Transaction as i32,
    );
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, true);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, true);
    info.append(SqlInfo::SqlDdlTable, true);
    info.append(
        SqlInfo::SqlIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32,
    );
    info.append(
        SqlInfo::SqlQuotedIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i32,
    );
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    info.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlExtraNameCharacters, "$");
    info.append(SqlInfo::SqlSupportsColumnAliasing, true);
    info.append(SqlInfo::SqlNullPlusNullIsNull, true);
    info.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    info.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    info.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    info.append(
        SqlInfo::SqlSupportedGroupBy,
        1 << SqlSupportedGroupBy::SqlGroupByUnrelated as i32 | 1 << SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32,
    );
    info.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlCatalogTerm, "database");
    info.append(SqlInfo::SqlSelectForUpdateSupported, false);
    info.append(SqlInfo::SqlStoredProceduresSupported, false);
    info.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    info.append(
        SqlInfo::SqlMaxStatementLength,
        i64::try_from(TEXT_BYTES_MAX).unwrap_or(0),
    );
    info.append(
        SqlInfo::SqlDefaultTransactionIsolation,
        i64::from(SqlTransactionIsolationLevel::SqlTransactionSerializable as i32),
    );
    info.append(SqlInfo::SqlTransactionsSupported, true);
    info.append(
        SqlInfo::SqlSupportedTransactionsIsolationLevels,
        1 << SqlTransactionIsolationLevel::SqlTransactionSerializable as i32,
    );
    info.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    info.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    info.append(SqlInfo::SqlBatchUpdatesSupported, true);
    info.append(SqlInfo::SqlSavepointsSupported, false);
    // What it is like, for those who know PostgreSQL; a number of our own.
    info.append(AION_POSTGRESQL_VERSION, SERVER_VERSION);
    info.build().map_err(no_batch)
}

/// Numbers from 10,000 on are the server's own.
const AION_POSTGRESQL_VERSION: u32 = 10_000;
