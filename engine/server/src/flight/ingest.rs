//! Ingestion: Arrow batches into a table.
//!
//! 1. The table is found, made, emptied of its past (replace) or refused, as the client's options say; a new table's
//!    columns have the types of the batches' columns.
//! 2. Rows are gathered in a table of the session, and go from there through INSERT, so that they are cast, checked and
//!    indexed as any others. Lists of numbers become vectors; text becomes what the table's column is.
//! 3. All of it is one transaction: the caller's, or one of its own.
//!
//! **Whose transaction.** ADBC's driver (1.13) begins a transaction and then ingests without naming it, and a client
//! that rolls back must not find the rows there. So an ingestion that names none belongs to the only transaction that
//! its caller has open; a caller with several has to name one.
//!
//! Left out: temporary tables.

use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::TableDescriptor;
use aion_db::{LocalTable, Session};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::StreamExt;

use super::caller::Caller;
use super::listener::Shared;
use super::parameters;
use super::seat::{Seat, Seated, Turn};
use super::statement;
use super::status::undecodable;
use crate::metrics::Edge;
use crate::service::NAME;

/// The session's table that rows are gathered in. A name with a space: none that a client would think of.
const GATHERED: &str = "aion ingested rows";
/// Rows, and bytes, that are gathered before they are written.
const GATHERED_ROWS: usize = 64 * 1024;
const GATHERED_BYTES: usize = 16 << 20;

/// Puts the rows of batches into a table; answers how many.
///
/// # Errors
/// 42P07 and 42P01 where the options want so, the errors of CREATE TABLE and INSERT, those of the batches.
pub(super) async fn ingest(
    shared: &Arc<Shared>,
    seat: Arc<Seat>,
    command: CommandStatementIngest,
    batches: FlightRecordBatchStream,
) -> Result<i64> {
    let target = Target::new(&command)?;
    let turn = Turn::new(&seat);
    let stopped = Arc::clone(&turn);
    let timed = shared.service.metrics.statement(Edge::Flight);
    let receive_timeout = shared.service.limits.send_timeout;
    let work = async move {
        let mut session = turn.take().await;
        session.begin_implicit();
        let done = load(&mut session, &target, batches, receive_timeout).await;
        if done.is_err() {
            session.fail();
        }
        let ended = session.end_implicit().await;
        done.and_then(|count| ended.map(|()| count))
    };
    let done = shared.work.run(move || stopped.stop(), work).await;
    timed.ended(&done);
    done
}

/// The session that an ingestion runs in.
///
/// # Errors
/// 26000 for a transaction that is not there.
pub(super) fn seat(shared: &Shared, caller: &Caller, command: &CommandStatementIngest) -> Result<Arc<Seat>> {
    let named = command.transaction_id.as_ref().filter(|id| !id.is_empty());
    match (named, shared.transactions.only_one_of(&caller.owner)) {
        (None, Some(seat)) => Ok(seat),
        (named, _) => statement::seat(shared, caller, named),
    }
}

/// Where the rows go.
struct Target {
    schema: Option<String>,
    table: String,
    if_exists: TableExistsOption,
    if_not_exist: TableNotExistOption,
}

impl Target {
    fn new(command: &CommandStatementIngest) -> Result<Self> {
        if command.temporary {
            return Err(Error::unsupported("temporary tables are not there yet"));
        }
        if command.table.is_empty() {
            return Err(Error::invalid(
                SqlState::INVALID_NAME,
                "the table to ingest into has no name",
            ));
        }
        if let Some(catalog) = command
            .catalog
            .as_deref()
            .filter(|name| !name.is_empty() && *name != NAME)
        {
            return Err(Error::not_found(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{catalog}\" does not exist"),
            ));
        }
        let options = command.table_definition_options.unwrap_or_default();
        Ok(Self {
            schema: command.schema.clone().filter(|name| !name.is_empty()),
            table: command.table.clone(),
            if_exists: options.if_exists(),
            if_not_exist: options.if_not_exist(),
        })
    }

    /// The name as it stands in a statement.
    fn name(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.table)),
            None => quoted(&self.table),
        }
    }

    /// Where the name may be found.
    fn schemas(&self, session: &Session) -> Result<Vec<String>> {
        if let Some(schema) = &self.schema {
            return Ok(vec![schema.clone()]);
        }
        let path = session.setting("search_path")?;
        let names = path.split(',').map(|name| name.trim().trim_matches('"'));
        Ok(names
            .map(|name| if name == "$user" { NAME } else { name }.to_owned())
            .collect())
    }

    fn exists(&self, session: &Session) -> Result<bool> {
        let catalog = session.catalog()?;
        let schemas = self.schemas(session)?;
        Ok(schemas
            .iter()
            .any(|schema| catalog.object(schema, &self.table).is_some()))
    }

    fn find(&self, session: &Session) -> Result<Option<Arc<TableDescriptor>>> {
        let catalog = session.catalog()?;
        let schemas = self.schemas(session)?;
        Ok(schemas
            .iter()
            .find_map(|schema| catalog.table(schema, &self.table).cloned()))
    }

    /// Sees to it that the table is there, as the options say.
    async fn prepare(&self, session: &mut Seated<'_>, schema: &Schema) -> Result<()> {
        let name = self.name();
        if schema.fields().is_empty() {
            return Err(Error::invalid(
                SqlState::INVALID_TABLE_DEFINITION,
                "the batches to ingest have no columns",
            ));
        }
        if self.exists(session)? {
            match self.if_exists {
                TableExistsOption::Append => return Ok(()),
                TableExistsOption::Replace => {
                    session.run_text(&format!("DROP TABLE {name}")).await?;
                }
                TableExistsOption::Unspecified | TableExistsOption::Fail => {
                    return Err(Error::conflict(
                        SqlState::DUPLICATE_TABLE,
                        format!("relation \"{}\" already exists", self.table),
                    )
                    .with_hint("Ingest with mode \"append\" or \"replace\"."));
                }
            }
        } else if self.if_not_exist != TableNotExistOption::Create {
            return Err(Error::not_found(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", self.table),
            )
            .with_hint("Ingest with mode \"create\" or \"create_append\"."));
        }
        let columns = schema.fields().iter().map(|field| {
            let sql_type = SqlType::from_outer_field(field).map_err(|error| {
                let hint = "Cast the column before ingesting it.";
                Error::unsupported(format!("column \"{}\": {}", field.name(), error.message())).with_hint(hint)
            })?;
            Ok(format!("{} {sql_type}", quoted(field.name())))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?.join(", ");
        session.run_text(&format!("CREATE TABLE {name} ({columns})")).await?;
        Ok(())
    }

    /// An INSERT of what is gathered. Text goes in as what the table's column is; as a text of some length it would be cut, not refused.
    fn insert(&self, session: &Session, schema: &Schema) -> Result<String> {
        let found = self.find(session)?;
        let values = schema.fields().iter().map(|field| {
            let name = quoted(field.name());
            let wanted = found.as_ref().and_then(|table| {
                let position = table.position(field.name())?;
                Some(table.columns[position].sql_type)
            });
            match (SqlType::from_outer_field(field), wanted) {
                (Ok(SqlType::Text), Some(wanted)) if !is_text(wanted) => format!("CAST({name} AS {wanted})"),
                _ => name,
            }
        });
        let values: Vec<String> = values.collect();
        let columns: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
        Ok(format!(
            "INSERT INTO {} ({}) SELECT {} FROM {}",
            self.name(),
            columns.join(","),
            values.join(","),
            quoted(GATHERED)
        ))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn load(
    session: &mut Seated<'_>,
    target: &Target,
    mut batches: FlightRecordBatchStream,
    receive_timeout: Duration,
) -> Result<i64> {
    let mut count = 0;
    let mut is_ready = false;
    let mut gathered: Option<Gathered> = None;
    loop {
        let next = tokio::time::timeout(receive_timeout, batches.next()).await;
        let batch = match next {
            Ok(Some(batch)) => vectors_in(batch.map_err(undecodable)?)?,
            Ok(None) => break,
            Err(_) => {
                let message = format!("no batch arrived within {receive_timeout:?}");
                return Err(Error::unavailable(SqlState::QUERY_CANCELED, message));
            }
        };
        if !is_ready {
            target.prepare(session, &batch.schema()).await?;
            is_ready = true;
        }
        let current = match &mut gathered {
            Some(current) => current,
            None => gathered.insert(Gathered::new(session, &batch)?),
        };
        current.push(&batch)?;
        if current.is_full() {
            count += write(session, target, gathered.take()).await?;
        }
    }
    count += write(session, target, gathered).await?;
    // A table without rows is a table.
    if let (false, Some(schema)) = (is_ready, batches.schema()) {
        let empty = vectors_in(RecordBatch::new_empty(schema.clone()))?;
        target.prepare(session, &empty.schema()).await?;
    }
    Ok(count)
}

/// Rows that wait to be written.
struct Gathered {
    table: LocalTable,
    schema: SchemaRef,
    rows: usize,
    bytes: usize,
}

impl Gathered {
    fn new(session: &Session, batch: &RecordBatch) -> Result<Self> {
        Ok(Self {
            table: session.local_table(&batch.schema())?,
            schema: batch.schema(),
            rows: 0,
            bytes: 0,
        })
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.table.push(batch)
    }

    fn is_full(&self) -> bool {
        self.rows >= GATHERED_ROWS || self.bytes >= GATHERED_BYTES
    }
}

/// Writes what is gathered; answers how many rows.
async fn write(session: &mut Seated<'_>, target: &Target, gathered: Option<Gathered>) -> Result<i64> {
    let Some(gathered) = gathered.filter(|gathered| gathered.rows > 0) else {
        return Ok(0);
    };
    let insert = target.insert(session, &gathered.schema)?;
    session.register(GATHERED, gathered.table)?;
    let done = session.run_text(&insert).await;
    session.unregister(GATHERED)?;
    done?;
    Ok(i64::try_from(gathered.rows).unwrap_or(i64::MAX))
}

/// The batch with its lists of numbers as vectors.
fn vectors_in(batch: RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let mut fields = Vec::with_capacity(schema.fields().len());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if parameters::is_list(field.data_type()) && SqlType::from_field(field).is_err() {
            let cast = parameters::vectors(&format!("column \"{}\"", field.name()), column)?;
            fields.push(Field::new(field.name(), cast.data_type().clone(), true));
            columns.push(cast);
        } else {
            fields.push(Field::clone(field));
            columns.push(column.clone());
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|error| Error::internal(format!("a batch does not fit its columns: {error}")))
}

fn is_text(sql_type: SqlType) -> bool {
    matches!(sql_type, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        let target = Target::new(&CommandStatementIngest {
            table: "t\"; DROP TABLE x; --".into(),
            schema: Some("s".into()),
            ..CommandStatementIngest::default()
        })
        .expect("a target");
        assert_eq!(target.name(), "\"s\".\"t\"\"; DROP TABLE x; --\"");
    }
}
