//! Tables of one session: Arrow batches that the program which holds the session gives a name.
//!
//! **Guarantees.** A table is seen by its session alone, by its bare name, before the catalog's tables of that name. It is
//! read only: INSERT, UPDATE, DELETE, COPY and DROP of the name are refused with 42809, also where the catalog has a table that it hides.
//! Its values are a copy: the program may change or free what it handed over, and no thread of a query ever calls back into the
//! program to free it.
//!
//! 1. [`Session::local_table`] makes an empty table: the columns get the SQL types that hold their values.
//! 2. [`LocalTable::push`] copies a batch into pieces of [`BATCH_ROWS`], so that an operator accounts for what it keeps, and
//!    not for the whole frame. The bytes are taken from the memory of queries, and 53200 says when there are no more.
//! 3. [`Session::register`] names it, [`Session::unregister`] forgets it. A query that reads it meanwhile goes on with what it has.
//!
//! While a session has such tables, its statements by primary key take the planner: what is compiled for them knows the catalog alone.
//!
//! Left out: statistics, keys and indexes. What has no SQL type here (times of day, durations, nested columns) is refused by the
//! column's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use datafusion::arrow::array::{Array, ArrayRef, MutableArrayData, make_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use super::Session;
use crate::cells::{documents_of_texts, values_of_labels};
use crate::dml::TARGET;
use crate::error::translate;
use crate::planner::Names;

/// Rows of a batch, at most: what DataFusion's operators expect.
const BATCH_ROWS: usize = 8192;

/// Tables of a session, at most; 54000 beyond.
const TABLES_MAX: usize = 1_000;

/// A table to be registered with [`Session::register`].
#[derive(Debug)]
pub struct LocalTable {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    reserved: MemoryReservation,
}

impl LocalTable {
    /// Copies the rows of a batch, whose columns are those of the schema the table was made with.
    ///
    /// # Errors
    /// 53200 when the memory of queries does not hold it; 22003 and 22P02 for a value that its SQL type does not take; XX000 for
    /// other columns.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.schema.fields().len() {
            return Err(Error::internal(format!(
                "a batch has {} columns; its table has {}",
                batch.num_columns(),
                self.schema.fields().len()
            )));
        }
        for start in (0..batch.num_rows()).step_by(BATCH_ROWS) {
            let piece = batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start));
            let columns = piece.columns().iter().zip(self.schema.fields()).map(|(column, field)| {
                own(column, field.data_type()).map_err(|error| error.with_column(field.name().clone()))
            });
            let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
            let owned = RecordBatch::try_new(self.schema.clone(), columns)
                .map_err(|error| Error::internal(format!("a batch does not fit its table: {error}")))?;
            self.reserved.try_grow(owned.get_array_memory_size()).map_err(|error| {
                Error::exhausted(
                    SqlState::OUT_OF_MEMORY,
                    format!(
                        "the table needs more memory than queries may hold, after {} bytes",
                        self.reserved.size()
                    ),
                )
                .with_detail(translate(error, "").message().to_owned())
                .with_hint("Open the database with more memory, or load the rows into a table of its own.")
            })?;
            self.batches.push(owned);
        }
        Ok(())
    }
}

/// The array in this type, in buffers of its own.
fn own(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let options = CastOptions {
        // A value out of range is an error, not a NULL.
        safe: false,
        ..CastOptions::default()
    };
    let column = match column.data_type() == data_type {
        true => column.clone(),
        false if *data_type == DataType::LargeBinary => documents_of_texts(column)?,
        false => match SqlType::from_arrow(data_type) {
            Ok(SqlType::Enum(of)) => values_of_labels(column, of)?,
            _ => cast_with_options(column, data_type, &options).map_err(|error| translate(error.into(), ""))?,
        },
    };
    let data = column.to_data();
    let mut copy = MutableArrayData::new(vec![&data], false, column.len());
    copy.try_extend(0, 0, column.len())
        .map_err(|error| translate(error.into(), ""))?;
    Ok(make_array(copy.freeze()))
}

/// The tables of a session, by name.
#[derive(Debug, Default)]
pub(super) struct LocalTables {
    tables: BTreeMap<String, Registered>,
}

#[derive(Debug)]
struct Registered {
    table: Arc<MemTable>,
    /// Given back when the table is forgotten.
    _reserved: MemoryReservation,
}

impl LocalTables {
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Makes them known to a statement.
    pub(super) fn bind(&self, names: &mut Names<'_>) {
        for (name, registered) in &self.tables {
            names.bind(name, registered.table.clone());
        }
    }
}

impl Session {
    /// An empty table with these columns, to be filled and registered.
    ///
    /// # Errors
    /// 0A000 for a column whose type has no SQL type, 42701 for two columns of one name, 42P16 without columns.
    pub fn local_table(&self, schema: &Schema) -> Result<LocalTable> {
        if schema.fields().is_empty() {
            return Err(Error::invalid(
                SqlState::INVALID_TABLE_DEFINITION,
                "a table needs a column",
            ));
        }
        let mut fields = Vec::with_capacity(schema.fields().len());
        for (at, field) in schema.fields().iter().enumerate() {
            let name = field.name();
            if schema.fields()[..at].iter().any(|before| before.name() == name) {
                let message = format!("column \"{name}\" is there more than once");
                return Err(Error::invalid(SqlState::DUPLICATE_COLUMN, message).with_column(name));
            }
            let sql_type = SqlType::from_outer_field(field).map_err(|error| {
                Error::unsupported(format!("column \"{name}\": {}", error.message()))
                    .with_column(name)
                    .with_hint("Convert the column, or leave it out.")
            })?;
            fields.push(sql_type.to_field(name.clone(), true));
        }
        Ok(LocalTable {
            schema: Arc::new(Schema::new(fields)),
            batches: Vec::new(),
            reserved: MemoryConsumer::new("a table of a session")
                .register(&self.engine.state.runtime_env().memory_pool),
        })
    }

    /// Gives a table a name in this session, in the place of one that had it. The name is taken as it is: a statement that
    /// writes it without quotes finds it in lower case.
    ///
    /// # Errors
    /// 42602 for a name that is empty or ours, 54000 beyond the limit of tables.
    pub fn register(&mut self, name: &str, table: LocalTable) -> Result<()> {
        if name.is_empty() || name == TARGET {
            return Err(Error::invalid(
                SqlState::INVALID_NAME,
                format!("\"{name}\" is no name for a table"),
            ));
        }
        let tables = &mut self.local.tables;
        if tables.len() >= TABLES_MAX && !tables.contains_key(name) {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("the session has {TABLES_MAX} registered tables, which is the limit"),
            )
            .with_hint("Unregister some."));
        }
        let LocalTable {
            schema,
            batches,
            reserved,
        } = table;
        let table = MemTable::try_new(schema, vec![batches]).map_err(|error| translate(error, ""))?;
        let registered = Registered {
            table: Arc::new(table),
            _reserved: reserved,
        };
        tables.insert(name.to_owned(), registered);
        self.forget_choices();
        Ok(())
    }

    /// Forgets a registered table.
    ///
    /// # Errors
    /// 42P01 when there is none of the name.
    pub fn unregister(&mut self, name: &str) -> Result<()> {
        match self.local.tables.remove(name) {
            Some(_) => {
                self.forget_choices();
                Ok(())
            }
            None => Err(Error::not_found(
                SqlState::UNDEFINED_TABLE,
                format!("no table \"{name}\" is registered in this session"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use aion_catalog::Value;
    use aion_storage::{Store, StoreOptions};
    use datafusion::arrow::array::{AsArray, Int64Array};
    use datafusion::arrow::datatypes::{DataType, Field, Int64Type};

    use super::*;
    use crate::engine::{Engine, EngineOptions};
    use crate::response::Response;
    use crate::session::{Prepared, SessionOptions};

    fn session() -> Session {
        let options = EngineOptions {
            memory_bytes: 64 << 20,
            partitions: 1,
            copy_dir: None,
            index_dir: None,
            observer: None,
            pipeline: None,
        };
        let store = Arc::new(Store::in_memory(&StoreOptions::default()));
        Session::new(
            Engine::new(store, options).expect("an engine"),
            SessionOptions::default(),
        )
    }

    async fn prepare(session: &mut Session, sql: &str) -> Arc<Prepared> {
        let statement = session.parse(sql).expect("parsed").pop().expect("a statement");
        session.prepare(&statement, &[]).await.expect("prepared")
    }

    /// The one number of the one row.
    async fn number(session: &mut Session, prepared: &Arc<Prepared>, values: &[Value]) -> i64 {
        match session.execute(prepared, values).await.expect("executed") {
            Response::Done { tag } => tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0),
            Response::Rows(mut rows) => {
                let batch = rows.next().await.expect("read").expect("a batch");
                batch.column(0).as_primitive::<Int64Type>().value(0)
            }
        }
    }

    fn table(session: &Session, values: Vec<i64>) -> LocalTable {
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("v", DataType::Int64, true),
        ]));
        let ids = Int64Array::from_iter_values(1..=i64::try_from(values.len()).expect("few"));
        let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(Int64Array::from(values))];
        let mut table = session.local_table(&schema).expect("a table");
        let batch = RecordBatch::try_new(schema, columns).expect("a batch");
        table.push(&batch).expect("memory");
        table
    }

    async fn run() {
        let mut session = session();
        for sql in [
            "CREATE TABLE t (id bigint PRIMARY KEY, v bigint)",
            "INSERT INTO t VALUES (1, 10)",
        ] {
            let prepared = prepare(&mut session, sql).await;
            number(&mut session, &prepared, &[]).await;
        }
        let by_key = prepare(&mut session, "SELECT v FROM t WHERE id = $1").await;
        let all = prepare(&mut session, "SELECT sum(v)::bigint FROM t").await;
        let one = [Value::I64(1)];
        assert_eq!(number(&mut session, &by_key, &one).await, 10);
        assert_eq!(number(&mut session, &all, &[]).await, 10);
        let hides = table(&session, vec![7, 8]);
        session.register("t", hides).expect("registered");
        assert_eq!(number(&mut session, &by_key, &one).await, 7);
        assert_eq!(number(&mut session, &all, &[]).await, 15);
        session.unregister("t").expect("it was there");
        assert_eq!(number(&mut session, &by_key, &one).await, 10);
        assert_eq!(number(&mut session, &all, &[]).await, 10);
    }

    /// Statements by primary key are compiled, and plans are kept: both once knew only that the catalog had not changed, and went on
    /// reading the table that a registered one hides.
    #[test]
    fn what_was_prepared_before_reads_what_is_registered() {
        let thread = std::thread::Builder::new().stack_size(32 << 20).spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(run());
        });
        if let Err(panic) = thread.expect("a thread").join() {
            std::panic::resume_unwind(panic);
        }
    }

    #[test]
    fn a_forgotten_table_gives_its_memory_back() {
        let mut session = session();
        let pool = session.engine.state.runtime_env().memory_pool.clone();
        let before = pool.reserved();
        let made = table(&session, vec![1; 100_000]);
        session.register("t", made).expect("registered");
        assert!(pool.reserved() >= before + 1_600_000, "{}", pool.reserved());
        session.unregister("t").expect("it was there");
        assert_eq!(pool.reserved(), before);
    }
}
