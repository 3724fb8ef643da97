//! ANALYZE: statistics of tables from a sample of their rows.
//!
//! 1. Read the whole table once, through the statement's transaction, without relying on it: statistics only steer plans,
//!    so a row that changes meanwhile is no conflict.
//! 2. Keep a random sample of [`SAMPLE_ROWS`] rows (Vitter, "Random sampling with a reservoir", 1985, algorithm R), with a seed
//!    that is the table's id: the same rows give the same statistics.
//! 3. Store what [`ColumnStatistics::compute`] makes of it, and raise the catalog's version, so that plans are made anew.

use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_base::rng::SeededRng;
use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_catalog::descriptor::TableDescriptor;
use aion_catalog::keys::ROWS;
use aion_catalog::objects::{Catalog, Object, SYSTEM_SCHEMAS, is_temporary};
use aion_catalog::row::RowReader;
use aion_catalog::stats::{ColumnStatistics, StatisticsOptions, TableStatistics};
use aion_storage::Direction;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::Session;
use crate::cancel::Cancellation;
use crate::dml::{at, reference};
use crate::response::Response;
use crate::table::TableShape;
use crate::transaction::Transaction;

/// Rows of a table that are looked at: PostgreSQL's 300 for each most common value.
const SAMPLE_ROWS: usize = 30_000;

/// Bytes of sampled rows that are kept at most; beyond, the sample is smaller.
const SAMPLE_BYTES: usize = 64 << 20;

impl Session {
    pub(super) async fn analyze(
        &mut self,
        analyze: &ast::Analyze,
        text: &str,
        cancellation: &Cancellation,
    ) -> Result<Response> {
        if analyze.partitions.is_some() || analyze.for_columns || !analyze.columns.is_empty() || analyze.noscan {
            return Err(Error::unsupported("ANALYZE of columns or partitions is not there yet"));
        }
        let transaction = self.transaction(true)?;
        let catalog = self.catalog_of(&transaction)?;
        let tables = self.analyzed_tables(analyze, &catalog, text)?;
        let limit = self.time_limit(cancellation);
        transaction.save();
        let gathered = store_statistics(&self.engine, &transaction, &catalog, &tables, cancellation).await;
        drop(limit);
        if let Err(error) = gathered {
            transaction.restore();
            return Err(error);
        }
        match &mut self.block {
            Some(block) => block.has_changed_catalog = true,
            None => self.commit(&transaction).await?,
        }
        Ok(Response::Done {
            tag: "ANALYZE".to_owned(),
        })
    }

    fn analyzed_tables(
        &self,
        analyze: &ast::Analyze,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Vec<Arc<TableDescriptor>>> {
        let Some(name) = &analyze.table_name else {
            let own = self.temporary.schema();
            let is_users = |table: &&Arc<TableDescriptor>| {
                let schema = table.schema.as_str();
                !SYSTEM_SCHEMAS.contains(&schema) && (!is_temporary(schema) || own == Some(schema))
            };
            return Ok(catalog.tables().filter(is_users).cloned().collect());
        };
        let path = self.search_path()?;
        let found = self.names(catalog, &path).resolve(&reference(name)?);
        match found.map_err(|error| at(error, name.span(), text))? {
            Object::Table(table) => Ok(vec![table]),
            _ => Err(at(
                Error::invalid(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a table")),
                name.span(),
                text,
            )),
        }
    }
}

async fn store_statistics(
    engine: &crate::Engine,
    transaction: &Transaction,
    catalog: &Catalog,
    tables: &[Arc<TableDescriptor>],
    cancellation: &Cancellation,
) -> Result<()> {
    for table in tables {
        let statistics = gather(&engine.shapes.of(table), transaction, cancellation).await?;
        put(transaction, &TableStatistics::key(table.id), &statistics.encode())?;
    }
    let renewed = catalog.renew();
    put(transaction, &renewed.key, &renewed.value.unwrap_or_default())
}

fn put(transaction: &Transaction, key: &[u8], value: &[u8]) -> Result<()> {
    match transaction.get(key)? {
        Some(_) => transaction.update(key, value),
        None => transaction.insert(key, value).map(drop),
    }
}

/// The statistics of a table as the transaction sees it.
async fn gather(shape: &TableShape, transaction: &Transaction, cancellation: &Cancellation) -> Result<TableStatistics> {
    let table = &shape.descriptor;
    let mut random = SeededRng::new(u64::from(table.id.0));
    let mut sample: Vec<Vec<u8>> = Vec::new();
    let mut sample_max = SAMPLE_ROWS;
    let (mut bytes, mut rows) = (0, 0_u64);
    let mut scan = transaction.glance(&KeyRange::index(table.storage, ROWS), Direction::Forward)?;
    while scan.advance()? {
        rows += 1;
        let place = match sample.len() < sample_max {
            true => Some(sample.len()),
            false => usize::try_from(random.below(rows))
                .ok()
                .filter(|&place| place < sample_max),
        };
        match place {
            Some(place) if place == sample.len() => {
                bytes += scan.value().len();
                sample.push(scan.value().to_vec());
                if bytes > SAMPLE_BYTES {
                    sample_max = sample.len();
                }
            }
            Some(place) => {
                bytes -= sample[place].len();
                bytes += scan.value().len();
                sample[place].clear();
                sample[place].extend_from_slice(scan.value());
            }
            None => {}
        }
        cancellation.watch(rows).await?;
    }
    let readers = sample.iter().map(|bytes| RowReader::new(&shape.layout, bytes));
    let readers: Vec<RowReader<'_>> = readers.collect::<Result<_>>()?;
    let mut columns = Vec::with_capacity(table.columns.len());
    for (position, column) in table.columns.iter().enumerate() {
        // Column by column, so that only one column's values are in memory beside the rows.
        let values: Vec<Value> = readers.iter().map(|row| row.value(position)).collect::<Result<_>>()?;
        columns.push(ColumnStatistics::compute(
            column.id,
            &column.sql_type,
            &values,
            rows,
            &StatisticsOptions::default(),
        ));
        tokio::task::yield_now().await;
    }
    Ok(TableStatistics {
        rows,
        sampled_rows: sample.len() as u64,
        columns,
    })
}
