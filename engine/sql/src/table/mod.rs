//! Tables of the row store, as DataFusion sees them.
//!
//! A [`Table`] says what a table's columns are, chooses the way to its rows ([`access`]) and takes all filters; a
//! [`ScanExec`] reads them through the transaction of the statement that runs it. So a plan holds no
//! snapshot and may be run again.
//!
//! Changes never come this way: DataFusion's own delete and update pass only the filters that survived
//! optimisation (see `dml`).

mod access;
mod bounds;
mod decode;
mod estimate;
mod formula;
mod implied;
mod read;
mod scan;

use std::sync::{Arc, OnceLock};

use aion_base::Error;
use aion_base::key::KeyWriter;
use aion_catalog::descriptor::{IndexDescriptor, TableDescriptor};
use aion_catalog::keys::{ROWS, TableKeys};
use aion_catalog::row::RowLayout;
use aion_catalog::stats::TableStatistics;
use aion_storage::Direction;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::datasource::TableType;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use estimate::Estimator;
use scan::Filter;

pub(crate) use access::{Access, LOOKUP};
pub(crate) use decode::{BatchBuilder, array_of};
pub(crate) use formula::{Expression, Formula, Formulas, computed_columns, has_formulas};
pub(crate) use implied::implied;
pub(crate) use scan::{ScanExec, ScanId, ScanPlan, StatementContext};

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
    /// What is computed for its indexes, once that is planned.
    pub formulas: OnceLock<aion_base::Result<Formulas>>,
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
            layout: RowLayout::of(&descriptor)
                .expect("whoever made the descriptor, or read it, has checked its values"),
            keys: TableKeys::new(&descriptor),
            descriptor,
            schema,
            schema_with_key: Arc::new(Schema::new(fields)),
            formulas: OnceLock::new(),
        })
    }

    /// The same table in another storage.
    pub fn moved(&self, descriptor: Arc<TableDescriptor>) -> Arc<Self> {
        let shape = Self::new(descriptor);
        if let Some(Ok(formulas)) = self.formulas.get() {
            shape.formulas.get_or_init(|| Ok(formulas.clone()));
        }
        shape
    }

    /// What is computed of a row for an index; None where that is nothing.
    ///
    /// # Errors
    /// Where the index's text can no longer be planned.
    pub fn formula(&self, index: &IndexDescriptor) -> aion_base::Result<Option<Arc<Formula>>> {
        if !index.is_computed() {
            return Ok(None);
        }
        match self.formulas.get() {
            Some(Ok(formulas)) => match formulas.get(&index.id) {
                Some(formula) => Ok(Some(formula.clone())),
                None => Err(Error::internal(format!("index \"{}\" has no formula", index.name))),
            },
            Some(Err(error)) => Err(formula::again(error)),
            None => Err(Error::internal(format!("index \"{}\" was not prepared", index.name))),
        }
    }
}

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Table {
    shape: Arc<TableShape>,
    schema: SchemaRef,
    defaults: Vec<Option<Expr>>,
    statistics: Option<Arc<TableStatistics>>,
    /// The keys of the only rows that are read; None for all.
    only: Option<Arc<[Arc<[u8]>]>>,
}

impl Table {
    /// A table to be read.
    pub fn new(shape: Arc<TableShape>, defaults: Vec<Option<Expr>>) -> Self {
        Self {
            schema: shape.schema.clone(),
            shape,
            defaults,
            statistics: None,
            only: None,
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
            statistics: None,
            only: None,
        }
    }

    /// A table with the column [`KEY_COLUMN`], for planning a change.
    pub fn with_key(shape: Arc<TableShape>) -> Self {
        Self {
            schema: shape.schema_with_key.clone(),
            shape,
            defaults: Vec::new(),
            statistics: None,
            only: None,
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
        let support = |filter: &&Expr| match is_of_rows(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let projection = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.schema().fields().len()).collect(),
        };
        let filter = self.filter(session, filters)?;
        let mut needed = projection.clone();
        needed.extend(filter.iter().flat_map(|filter| filter.columns.iter().copied()));
        let conjuncts: Vec<&Expr> = filters.iter().flat_map(split_conjunction).collect();
        let estimator = self.estimator();
        let (access, cost) = match &self.only {
            Some(keys) => (Access::Keys { keys: keys.clone() }, LOOKUP),
            None => Access::choose(&self.shape, &needed, &conjuncts, &estimator),
        };
        let whole = self.statistics.as_ref().map(|known| known.rows.max(1) as f64);
        let rows = estimator.rows() * estimator.selectivity(conjuncts.iter().copied());
        let statistics = estimator.statistics_of(&self.shape, &projection, rows, limit);
        let schema = Arc::new(self.shape.schema_with_key.project(&projection)?);
        Ok(Arc::new(ScanExec::new(ScanPlan {
            id: ScanId::next(),
            shape: self.shape.clone(),
            projection,
            access,
            cost,
            share: whole.map_or(1.0, |whole| cost / whole),
            filter,
            limit,
            direction: Direction::Forward,
            statistics: Arc::new(statistics),
            known: self.statistics.clone(),
            schema,
        })?))
    }
}

impl Table {
    /// What the table is.
    pub fn descriptor(&self) -> &Arc<TableDescriptor> {
        &self.shape.descriptor
    }

    /// The same table, with the column [`KEY_COLUMN`].
    pub fn keyed(&self) -> Self {
        Self::with_key(self.shape.clone()).with_statistics(self.statistics.clone())
    }

    /// Whether [`Table::only`] some of its rows are read.
    pub fn is_of_some_rows(&self) -> bool {
        self.only.is_some()
    }

    /// The row of that key alone; none at all for one that is of another table, or of its rows before a TRUNCATE.
    pub fn only(mut self, key: Option<Vec<u8>>) -> Self {
        let mut prefix = Vec::new();
        KeyWriter::new(&mut prefix).table(self.shape.descriptor.storage, ROWS);
        let keys = key.into_iter().filter(|key| key.starts_with(&prefix));
        self.only = Some(keys.map(Arc::from).collect());
        self
    }

    /// What ANALYZE knows of it.
    pub fn with_statistics(mut self, statistics: Option<Arc<TableStatistics>>) -> Self {
        self.statistics = statistics;
        self
    }

    /// The columns of its primary key; None for a table without one.
    pub fn primary_key(&self) -> Option<impl Iterator<Item = &str>> {
        let table = &self.shape.descriptor;
        let positions = table.primary_key.iter().filter_map(|&id| table.position_of(id));
        let names = positions.map(|at| table.columns[at].name.as_str());
        (!table.primary_key.is_empty()).then_some(names)
    }

    fn estimator(&self) -> Estimator<'_> {
        Estimator {
            table: &self.shape.descriptor,
            statistics: self.statistics.as_deref(),
        }
    }

    /// The filters as one predicate over the columns that they name.
    fn filter(&self, session: &dyn Session, filters: &[Expr]) -> Result<Option<Filter>> {
        let Some(predicate) = conjunction(filters.iter().cloned()) else {
            return Ok(None);
        };
        let schema = &self.shape.schema_with_key;
        let mut columns = Vec::new();
        for column in predicate.column_refs() {
            columns.push(schema.index_of(&column.name)?);
        }
        columns.sort_unstable();
        let over = DFSchema::try_from(schema.project(&columns)?)?;
        Ok(Some(Filter {
            conjuncts: filters.to_vec(),
            predicate: session.create_physical_expr(predicate, &over)?,
            columns,
        }))
    }
}

/// Whether a filter can be told from a row alone.
fn is_of_rows(filter: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    let has_query = filter.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        ))
    });
    matches!(has_query, Ok(false)) && !filter.is_volatile()
}
