//! Tables of the row store, as DataFusion sees them.
//!
//! A [`Table`] says what a table's columns are and turns filters on its primary key into a range of keys; a
//! [`ScanExec`] reads that range through the transaction of the statement that runs it. So a plan holds no
//! snapshot and may be run again.
//!
//! Changes never come this way: DataFusion's own delete and update pass only the filters that survived
//! optimisation (see `dml`).

mod bounds;
mod decode;
mod scan;

use std::sync::Arc;

use aion_catalog::descriptor::TableDescriptor;
use aion_catalog::keys::TableKeys;
use aion_catalog::row::RowLayout;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::TableType;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

pub(crate) use decode::BatchBuilder;
pub(crate) use scan::{ScanExec, StatementContext};

/// The name of the column that holds a row's key, in tables that a change is planned on.
pub(crate) const KEY_COLUMN: &str = "aion_row_key";

/// A table's layout and keys, computed once for a descriptor.
#[derive(Debug)]
pub(crate) struct TableShape {
    pub descriptor: Arc<TableDescriptor>,
    pub layout: RowLayout,
    pub keys: TableKeys,
    /// The columns; and the key, last.
    pub schema: SchemaRef,
    pub schema_with_key: SchemaRef,
}

impl TableShape {
    pub fn new(descriptor: Arc<TableDescriptor>) -> Arc<Self> {
        let mut fields: Vec<Field> = descriptor
            .columns
            .iter()
            .map(|column| column.sql_type.to_field(column.name.clone(), column.is_nullable))
            .collect();
        let schema = Arc::new(Schema::new(fields.clone()));
        fields.push(Field::new(KEY_COLUMN, DataType::Binary, false));
        Arc::new(Self {
            layout: RowLayout::new(&descriptor.types()),
            keys: TableKeys::new(&descriptor),
            descriptor,
            schema,
            schema_with_key: Arc::new(Schema::new(fields)),
        })
    }
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Table {
    shape: Arc<TableShape>,
    schema: SchemaRef,
    defaults: Vec<Option<Expr>>,
}

impl Table {
    /// A table to be read.
    pub fn new(shape: Arc<TableShape>, defaults: Vec<Option<Expr>>) -> Self {
        Self {
            schema: shape.schema.clone(),
            shape,
            defaults,
        }
    }

    /// A table to be inserted into: every column takes NULL, because the check, with the column's name, is ours.
    pub fn for_insert(shape: Arc<TableShape>, defaults: Vec<Option<Expr>>) -> Self {
        let fields: Vec<Field> = shape
            .schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            shape,
            defaults,
        }
    }

    /// A table with the column [`KEY_COLUMN`], for planning a change.
    pub fn with_key(shape: Arc<TableShape>) -> Self {
        Self {
            schema: shape.schema_with_key.clone(),
            shape,
            defaults: Vec::new(),
        }
    }
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        let position = self.shape.descriptor.position(column)?;
        self.defaults.get(position)?.as_ref()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // The range is computed from them; the filter stays above it.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let range = bounds::primary_key_range(&self.shape, filters);
        let projection = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.schema().fields().len()).collect(),
        };
        // A limit holds for all rows of the range only if no filter takes some away.
        let limit = limit.filter(|_| filters.is_empty());
        Ok(Arc::new(ScanExec::new(self.shape.clone(), projection, range, limit)?))
    }
}
