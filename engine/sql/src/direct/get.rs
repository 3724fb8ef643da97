//! Rows by their keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::sql::sqlparser::ast;

use super::keys::Keys;
use super::shape::{Select, Target, identifier};
use super::source::Parameters;
use crate::response::Column;
use crate::session::{columns, conform, origins, result_schema};
use crate::table::{BatchBuilder, TableShape};

/// A SELECT of columns of rows by their keys.
#[derive(Debug)]
pub(crate) struct Get {
    pub keys: Keys,
    pub output: Output,
}

impl Get {
    pub fn compile(
        query: &ast::Query,
        select: &Select<'_>,
        shape: &Arc<TableShape>,
        parameters: &mut Parameters<'_>,
    ) -> Option<Self> {
        Some(Self {
            output: Output::compile(query, select, shape)?,
            keys: Keys::compile(select.selection, &select.target, shape, parameters)?,
        })
    }

    pub fn shape(&self) -> &TableShape {
        &self.keys.shape
    }

    /// The rows with these bytes; None for none.
    ///
    /// # Errors
    /// Corrupt for a damaged row.
    pub fn batch<'a>(&self, rows: impl ExactSizeIterator<Item = &'a [u8]>) -> Result<Option<RecordBatch>> {
        if rows.len() == 0 {
            return Ok(None);
        }
        let mut batch = self.output.batch(self.shape(), rows.len());
        for row in rows {
            batch.push(row)?;
        }
        batch.finish().map(Some)
    }
}

/// What a SELECT gives of each row: some of its columns.
#[derive(Debug)]
pub(crate) struct Output {
    pub columns: Arc<[Column]>,
    pub schema: SchemaRef,
    /// The schema of the columns as the table has them: a jsonb is its bytes there.
    read: SchemaRef,
    projection: Vec<usize>,
}

impl Output {
    pub fn compile(query: &ast::Query, select: &Select<'_>, shape: &Arc<TableShape>) -> Option<Self> {
        let mut projection = Vec::new();
        let mut fields = Vec::new();
        for item in select.items {
            let (column, alias) = match item {
                ast::SelectItem::UnnamedExpr(expr) => (select.target.column(expr)?, None),
                ast::SelectItem::ExprWithAlias { expr, alias } => {
                    (select.target.column(expr)?, Some(identifier(alias)?))
                }
                ast::SelectItem::Wildcard(options) => {
                    all(&select.target, None, options, shape, &mut projection, &mut fields)?;
                    continue;
                }
                ast::SelectItem::QualifiedWildcard(kind, options) => {
                    all(&select.target, Some(kind), options, shape, &mut projection, &mut fields)?;
                    continue;
                }
                ast::SelectItem::ExprWithAliases { .. } => return None,
            };
            let position = shape.descriptor.position(&column)?;
            projection.push(position);
            let field = shape.schema.field(position).clone();
            fields.push(field.with_name(alias.unwrap_or(column)));
        }
        // The planner has rules of its own for columns of one name.
        let names: BTreeSet<_> = fields.iter().map(Field::name).collect();
        if projection.is_empty() || names.len() != fields.len() {
            return None;
        }
        let read: SchemaRef = Arc::new(Schema::new(fields));
        let columns = columns::of_query(query, &read).ok()?;
        let origins = projection.iter().map(|&at| origins::of_table(&shape.descriptor, at));
        let columns = columns::with_origins(&columns, origins);
        Some(Self {
            schema: result_schema(&columns),
            read,
            columns,
            projection,
        })
    }

    /// Whether a name means the table's column of that name, or none, also where the names of the output come first.
    pub fn keeps_name(&self, position: usize, name: &str) -> bool {
        let mut named = self.columns.iter().zip(&self.projection);
        named.all(|(column, at)| column.name != name || *at == position)
    }

    /// For about so many rows.
    pub fn batch<'a>(&'a self, shape: &'a TableShape, rows: usize) -> OutputBatch<'a> {
        OutputBatch {
            shape,
            schema: &self.schema,
            builder: BatchBuilder::with_capacity(&shape.layout, &self.projection, self.read.clone(), rows),
        }
    }
}

/// Rows as they are gathered.
pub(crate) struct OutputBatch<'a> {
    shape: &'a TableShape,
    schema: &'a SchemaRef,
    builder: BatchBuilder,
}

impl OutputBatch<'_> {
    /// Adds the row with these bytes.
    ///
    /// # Errors
    /// Corrupt for a damaged row.
    pub fn push(&mut self, row: &[u8]) -> Result<()> {
        self.builder.push(&self.shape.layout, &[], row).map_err(|error| {
            Error::new(error.kind(), SqlState::DATA_CORRUPTED, error.message())
                .with_table(self.shape.descriptor.name.clone())
        })
    }

    /// All of them.
    ///
    /// # Errors
    /// Internal, if the columns do not fit together.
    pub fn finish(mut self) -> Result<RecordBatch> {
        conform(self.builder.finish()?, self.schema)
    }
}

/// All columns, for a `*` that says nothing else.
fn all(
    target: &Target<'_>,
    kind: Option<&ast::SelectItemQualifiedWildcardKind>,
    options: &ast::WildcardAdditionalOptions,
    shape: &TableShape,
    projection: &mut Vec<usize>,
    fields: &mut Vec<Field>,
) -> Option<()> {
    let ast::WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike: None,
        opt_exclude: None,
        opt_except: None,
        opt_replace: None,
        opt_rename: None,
        opt_alias: None,
    } = options
    else {
        return None;
    };
    match kind {
        None => {}
        Some(ast::SelectItemQualifiedWildcardKind::ObjectName(name)) => match name.0.as_slice() {
            [part] if target.is_wildcard_qualifier(part.as_ident()?) => {}
            _ => return None,
        },
        Some(ast::SelectItemQualifiedWildcardKind::Expr(_)) => return None,
    }
    for (position, field) in shape.schema.fields().iter().enumerate() {
        projection.push(position);
        fields.push(field.as_ref().clone());
    }
    Some(())
}
