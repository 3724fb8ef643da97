//! RETURNING: what a change gives back of the rows that it changed.
//!
//! **Vocabulary.** The *others* are the tables, subqueries and functions that UPDATE has in FROM and DELETE in USING.
//!
//! 1. A list is a query over the changed rows, as they are now, for DELETE as they were.
//! 2. Where it may name a column of the others, or `*`, the source of the change gives all their columns behind its own
//!    ([`Others::of`]), and the change notes which rows of the source it took: of several that name one row, one.
//! 3. The list is then a query over the changed rows joined with those ([`Returning::from`]); a number beside each row, which no user
//!    can name, is what they are joined by. So names are resolved as in any join.
//!
//! `xmax` in the list of an INSERT is 0 for a row that is new, and another number for one that ON CONFLICT updated, which is what
//! programs ask it for.
//!
//! Left out: `xmax` anywhere else, and other system columns.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::{Error, Result};
use datafusion::arrow::array::{Int64Array, UInt64Array};
use datafusion::arrow::compute::interleave_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::datasource::MemTable;
use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};

use super::plan::{TARGET, bound_as, column_of, last_part, normalize, select_item};
use super::write::Written;
use crate::error::translate;
use crate::parse;
use crate::planner::Names;
use crate::table::TableShape;

/// The number of a row of the target; no user can write it.
const ROW: &str = "aion returned";

const XMAX: &str = "xmax";

/// That of a row of the others; no name is there twice, so that it is never asked which one is meant.
fn row_of(other: usize) -> String {
    format!("{ROW} {other}")
}

/// The RETURNING list.
#[derive(Clone, Debug)]
pub struct Returning {
    /// What to compute, in which `*` stands for columns only where there are no others.
    pub items: Vec<ast::SelectItem>,
    /// The name that the target has in it.
    alias: ast::Ident,
    others: Vec<Other>,
    /// The list names it.
    has_xmax: bool,
}

/// A table, a subquery or a function that the target was joined with.
#[derive(Clone, Debug)]
struct Other {
    alias: ast::Ident,
    /// Its columns.
    schema: SchemaRef,
}

/// The others of a change whose columns the list may name, before the source is planned.
pub struct Others(Vec<ast::Ident>);

impl Others {
    /// Those in `from`; none where the list names columns of the target alone.
    pub fn of(from: &[ast::TableWithJoins], items: Option<&[ast::SelectItem]>, alias: &ast::Ident) -> Result<Self> {
        let mut aliases = Vec::new();
        let Some(items) = items.filter(|_| !from.is_empty()) else {
            return Ok(Self(aliases));
        };
        let mut named = NamesOthers { alias };
        let items = items.iter();
        let mut of_target = items.map(|item| Visit::visit(item, &mut named).is_continue() && !is_wildcard(item, alias));
        if !of_target.all(|is_so| is_so) {
            from.iter().try_for_each(|item| aliases_of(item, &mut aliases))?;
        }
        Ok(Self(aliases))
    }

    /// What the source is to give of them.
    pub fn projection(&self) -> impl Iterator<Item = ast::SelectItem> {
        self.0.iter().map(|alias| {
            let name = ast::ObjectName::from(vec![alias.clone()]);
            let kind = ast::SelectItemQualifiedWildcardKind::ObjectName(name);
            ast::SelectItem::QualifiedWildcard(kind, ast::WildcardAdditionalOptions::default())
        })
    }
}

/// Finds a name that may be one of the others'.
struct NamesOthers<'a> {
    alias: &'a ast::Ident,
}

impl Visitor for NamesOthers<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        let is_target = match expr {
            // The others may have one of the same name: then it is ambiguous.
            ast::Expr::Identifier(_) => false,
            ast::Expr::CompoundIdentifier(parts) => {
                let relation = parts.iter().rev().nth(1);
                relation.is_some_and(|relation| normalize(relation) == normalize(self.alias))
            }
            _ => true,
        };
        match is_target {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }
}

/// Finds `xmax`.
struct NamesXmax;

impl Visitor for NamesXmax {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        let name = match expr {
            ast::Expr::Identifier(name) => Some(name),
            ast::Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        match name.is_some_and(|name| normalize(name) == XMAX) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Whether an item is `*`, or that of another table.
fn is_wildcard(item: &ast::SelectItem, alias: &ast::Ident) -> bool {
    match item {
        ast::SelectItem::Wildcard(_) => true,
        ast::SelectItem::QualifiedWildcard(..) => !is_wildcard_of(item, alias),
        _ => false,
    }
}

fn is_wildcard_of(item: &ast::SelectItem, alias: &ast::Ident) -> bool {
    match item {
        ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            last_part(name).is_ok_and(|name| normalize(&name) == normalize(alias))
        }
        _ => false,
    }
}

fn aliases_of(item: &ast::TableWithJoins, aliases: &mut Vec<ast::Ident>) -> Result<()> {
    for factor in std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation)) {
        let (alias, name) = match factor {
            ast::TableFactor::Table { name, alias, .. } | ast::TableFactor::Function { name, alias, .. } => {
                (alias, Some(last_part(name)?))
            }
            ast::TableFactor::Derived { alias, .. } => (alias, None),
            ast::TableFactor::TableFunction { alias, .. } => (alias, None),
            ast::TableFactor::UNNEST { alias, .. } => (alias, Some(ast::Ident::new("unnest"))),
            ast::TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => {
                aliases_of(table_with_joins, aliases)?;
                continue;
            }
            ast::TableFactor::NestedJoin { alias, .. } => (alias, None),
            _ => (&None, None),
        };
        aliases.extend(alias.as_ref().map(|alias| alias.name.clone()).or(name));
    }
    Ok(())
}

impl Returning {
    /// A list over the changed rows alone.
    pub fn of_target(items: Vec<ast::SelectItem>, alias: ast::Ident) -> Self {
        Self {
            items,
            alias,
            others: Vec::new(),
            has_xmax: false,
        }
    }

    /// The list of an INSERT.
    pub fn of_insert(items: Vec<ast::SelectItem>, alias: ast::Ident, shape: &TableShape) -> Self {
        let mut returning = Self::of_target(items, alias);
        if shape.descriptor.position(XMAX).is_none() {
            let mut named = NamesXmax;
            let mut items = returning.items.iter();
            returning.has_xmax = items.any(|item| Visit::visit(item, &mut named).is_break());
            if returning.has_xmax {
                returning.spell_out(shape);
            }
        }
        returning
    }

    /// A list over the changed rows, and the columns of `source` from `first` on, which are those of the others.
    ///
    /// # Errors
    /// 0A000 where the planner does not tell whose a column is.
    pub fn new(
        items: Vec<ast::SelectItem>,
        alias: ast::Ident,
        others: Others,
        shape: &TableShape,
        source: &DFSchema,
        first: usize,
    ) -> Result<Self> {
        let mut fields: Vec<_> = source.iter().skip(first).collect();
        fields.reverse();
        let mut returning = Self::of_target(items, alias);
        for (at, alias) in others.0.into_iter().enumerate() {
            let name = normalize(&alias);
            let mut own = Vec::new();
            while fields
                .last()
                .is_some_and(|(qualifier, _)| qualifier.is_some_and(|qualifier| qualifier.table() == name))
            {
                own.extend(fields.pop().map(|(_, field)| field.clone()));
            }
            own.push(Arc::new(Field::new(row_of(at), DataType::UInt64, false)));
            returning.others.push(Other {
                alias,
                schema: Arc::new(Schema::new(own)),
            });
        }
        if !fields.is_empty() {
            return Err(Error::unsupported(
                "RETURNING names columns of the other tables, and one of these has no name",
            ));
        }
        if !returning.others.is_empty() {
            returning.spell_out(shape);
        }
        Ok(returning)
    }

    /// Puts columns in the place of `*`, which is not to give the numbers of rows.
    fn spell_out(&mut self, shape: &TableShape) {
        let target = shape.descriptor.columns.iter().map(|column| column.name.as_str());
        let mut tables = vec![(self.alias.clone(), target.map(str::to_owned).collect::<Vec<_>>())];
        for other in &self.others {
            let fields = other.schema.fields().iter().map(|field| field.name().clone());
            let own = fields.take(other.schema.fields().len() - 1);
            tables.push((other.alias.clone(), own.collect()));
        }
        let items = std::mem::take(&mut self.items);
        for item in items {
            let is_meant = |alias: &ast::Ident| match item {
                ast::SelectItem::Wildcard(_) => true,
                _ => is_wildcard_of(&item, alias),
            };
            let meant = tables.iter().filter(|(alias, _)| is_meant(alias));
            let columns: Vec<_> = meant
                .flat_map(|(alias, columns)| columns.iter().map(|column| select_item(column_of(alias, column))))
                .collect();
            match columns.is_empty() {
                true => self.items.push(item),
                false => self.items.extend(columns),
            }
        }
    }

    /// The FROM that the list is planned over, its tables bound to names: with the rows that were changed, or without any.
    ///
    /// # Errors
    /// Internal, if a template does not parse or rows do not fit.
    pub fn from(
        &self,
        names: &mut Names<'_>,
        shape: &TableShape,
        written: Option<Written>,
    ) -> Result<Vec<ast::TableWithJoins>> {
        let (rows, others, updated) = match written {
            Some(written) => (written.rows, written.others, written.updated),
            None => (None, None, Vec::new()),
        };
        if self.has_xmax {
            names.bind(TARGET, with_xmax(shape, rows, &updated)?);
            return Ok(vec![bound_as(TARGET, &self.alias)?]);
        }
        if self.others.is_empty() {
            names.bind(TARGET, table(shape.schema.clone(), rows)?);
            return Ok(vec![bound_as(TARGET, &self.alias)?]);
        }
        let mut fields = shape.schema.fields().to_vec();
        fields.push(Arc::new(Field::new(ROW, DataType::UInt64, false)));
        let mut bound = vec![(TARGET.to_owned(), self.alias.clone())];
        let schema = Arc::new(Schema::new(fields));
        let columns = rows.as_ref().map(|rows| rows.columns().to_vec());
        names.bind(TARGET, numbered(schema, columns)?);
        let mut first = 0;
        for (at, other) in self.others.iter().enumerate() {
            let name = format!("aion other {at}");
            let count = other.schema.fields().len() - 1;
            let columns = others
                .as_ref()
                .map(|others| others.columns()[first..][..count].to_vec());
            names.bind(&name, numbered(other.schema.clone(), columns)?);
            bound.push((name, other.alias.clone()));
            first += count;
        }
        joined(&bound)
    }

    /// What the list is ordered by: the rows are to come as they were changed.
    pub fn order(&self) -> Option<ast::Expr> {
        (!self.others.is_empty()).then(|| column_of(&self.alias, ROW))
    }
}

/// The tables of these names and aliases, joined by the numbers of their rows.
fn joined(bound: &[(String, ast::Ident)]) -> Result<Vec<ast::TableWithJoins>> {
    let mut text = String::from("SELECT 1 FROM ");
    for (at, (name, alias)) in bound.iter().enumerate() {
        match at {
            0 => text.push_str(&format!("\"{name}\" AS {alias}")),
            _ => text.push_str(&format!(
                " JOIN \"{name}\" AS {alias} ON {}.\"{ROW}\" = {alias}.\"{}\"",
                bound[0].1,
                row_of(at - 1)
            )),
        }
    }
    let mut template = parse::parse(&text)?;
    let Some(ast::Statement::Query(query)) = template.pop().map(|statement| statement.ast) else {
        return Err(Error::internal("the template is a query"));
    };
    match *query.body {
        ast::SetExpr::Select(select) => Ok(select.from),
        _ => Err(Error::internal("the template is a SELECT")),
    }
}

fn table(schema: SchemaRef, rows: Option<RecordBatch>) -> Result<Arc<dyn TableProvider>> {
    let table = MemTable::try_new(schema, vec![rows.into_iter().collect()]);
    Ok(Arc::new(table.map_err(|error| translate(error, ""))?))
}

/// Rows with what tells the new ones from those that were there.
fn with_xmax(shape: &TableShape, rows: Option<RecordBatch>, updated: &[bool]) -> Result<Arc<dyn TableProvider>> {
    let mut fields = shape.schema.fields().to_vec();
    fields.push(Arc::new(Field::new(XMAX, DataType::Int64, false)));
    let schema = Arc::new(Schema::new(fields));
    let rows = rows.map(|rows| {
        let is_updated = |row: usize| i64::from(updated.get(row).copied().unwrap_or(false));
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(Int64Array::from_iter_values(
            (0..rows.num_rows()).map(is_updated),
        )));
        RecordBatch::try_new(schema.clone(), columns)
            .map_err(|error| Error::internal(format!("rows of a change do not fit: {error}")))
    });
    table(schema.clone(), rows.transpose()?)
}

/// Rows with their numbers as their last column.
fn numbered(
    schema: SchemaRef,
    columns: Option<Vec<datafusion::arrow::array::ArrayRef>>,
) -> Result<Arc<dyn TableProvider>> {
    let rows = columns.map(|mut columns| {
        let count = columns.first().map_or(0, |column| column.len()) as u64;
        columns.push(Arc::new(UInt64Array::from_iter_values(0..count)));
        RecordBatch::try_new(schema.clone(), columns)
            .map_err(|error| Error::internal(format!("rows of a change do not fit: {error}")))
    });
    table(schema.clone(), rows.transpose()?)
}

/// The columns from `first` on of the rows of a source that a change took.
///
/// # Errors
/// Internal, for rows that are not there.
pub fn taken(source: &[RecordBatch], first: usize, rows: &[(usize, usize)]) -> Result<Option<RecordBatch>> {
    let failed = |error| translate(datafusion::error::DataFusionError::from(error), "");
    let others = |batch: &RecordBatch| batch.project(&(first..batch.num_columns()).collect::<Vec<_>>());
    let batches: Vec<_> = source
        .iter()
        .map(others)
        .collect::<std::result::Result<_, _>>()
        .map_err(failed)?;
    match batches.first().is_some_and(|batch| batch.num_columns() > 0) {
        true => {
            let batches: Vec<&RecordBatch> = batches.iter().collect();
            Ok(Some(interleave_record_batch(&batches, rows).map_err(failed)?))
        }
        false => Ok(None),
    }
}
