//! What an index is to be made of: columns, expressions, what its entries hold beside these, and for which rows there are any.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{ColumnId, IndexColumn, IndexDescriptor, IndexExpression, IndexMethod, TableDescriptor};
use aion_catalog::keys::check_key_type;
use aion_catalog::objects::Catalog;
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::super::Session;
use super::super::table::{INDEX_COLUMNS_MAX, named_columns, unqualified};
use crate::dml::{at, normalize};
use crate::table::TableShape;

impl Session {
    /// What an index is over.
    pub(super) fn parts(
        &self,
        create: &ast::CreateIndex,
        table: &Arc<TableDescriptor>,
        method: IndexMethod,
        catalog: &Catalog,
        text: &str,
    ) -> Result<(Vec<IndexColumn>, Vec<IndexExpression>)> {
        let is_ordered = method == IndexMethod::Ordered;
        let limit = if is_ordered { INDEX_COLUMNS_MAX } else { 1 };
        if create.columns.len() > limit {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("cannot use more than {limit} columns in the index"),
            ));
        }
        let (mut columns, mut expressions) = (Vec::new(), Vec::new());
        for part in &create.columns {
            let expr = &part.column.expr;
            let place = |error| at(error, expr.span(), text);
            let of_type;
            let column = match stripped(expr) {
                ast::Expr::Identifier(name) => {
                    let name = normalize(name);
                    of_type = table.position(&name).map(|at| table.columns[at].sql_type);
                    column(&name, table, method).map_err(place)?
                }
                _ if !is_ordered => {
                    return Err(place(Error::unsupported(
                        "an hnsw index on an expression is not there yet",
                    )));
                }
                written => {
                    if !matches!(expr, ast::Expr::Nested(_)) && !is_call(expr) {
                        let message = format!("syntax error at or near \"{expr}\"");
                        let error = Error::invalid(SqlState::SYNTAX_ERROR, message);
                        return Err(place(error.with_hint("An index has an expression within parentheses.")));
                    }
                    let expression = self.expression(written, table, catalog, text)?;
                    of_type = Some(expression.sql_type);
                    expressions.push(expression);
                    ColumnId::EXPRESSION
                }
            };
            if let (true, Some(class), Some(sql_type)) = (is_ordered, &part.operator_class, of_type) {
                check_class(class, sql_type).map_err(place)?;
            }
            let is_descending = part.column.options.asc == Some(false);
            columns.push(IndexColumn {
                column,
                is_descending,
                is_nulls_first: part.column.options.nulls_first.unwrap_or(is_descending),
            });
        }
        Ok((columns, expressions))
    }

    fn expression(
        &self,
        expr: &ast::Expr,
        table: &Arc<TableDescriptor>,
        catalog: &Catalog,
        text: &str,
    ) -> Result<IndexExpression> {
        check_columns(expr, table, text)?;
        let written = unqualified(expr, table).to_string();
        let path = self.search_path()?;
        let names = self.names(catalog, &path);
        let sql_type = names.expression_type(&names.shape(table), &written)?;
        check_key_type(sql_type, &written).map_err(|error| at(error, expr.span(), text))?;
        Ok(IndexExpression {
            text: written,
            sql_type,
        })
    }

    /// Whether the condition of an index is one over the rows of its table.
    pub(super) fn check_condition(
        &self,
        create: &ast::CreateIndex,
        table: &Arc<TableDescriptor>,
        index: &IndexDescriptor,
        catalog: &Catalog,
        text: &str,
    ) -> Result<()> {
        let Some(predicate) = &create.predicate else {
            return Ok(());
        };
        if index.method != IndexMethod::Ordered {
            return Err(Error::unsupported("an hnsw index cannot be partial"));
        }
        check_columns(predicate, table, text)?;
        let path = self.search_path()?;
        let names = self.names(catalog, &path);
        let formula = names.formula(&TableShape::new(table.clone()), index);
        formula.map(drop).map_err(|error| match error.state() {
            SqlState::DATATYPE_MISMATCH => at(error, predicate.span(), text),
            _ => error,
        })
    }
}

/// The column that an index has at one place.
fn column(name: &str, table: &TableDescriptor, method: IndexMethod) -> Result<ColumnId> {
    let position = table.position(name).ok_or_else(|| {
        let message = format!("column \"{name}\" does not exist");
        Error::not_found(SqlState::UNDEFINED_COLUMN, message)
    })?;
    let descriptor = &table.columns[position];
    if method == IndexMethod::Ordered {
        check_key_type(descriptor.sql_type, name)?;
    } else if !matches!(descriptor.sql_type, SqlType::Vector(Some(_))) {
        let message = match descriptor.sql_type {
            SqlType::Vector(None) => format!("column \"{name}\" does not have dimensions"),
            other => format!("column \"{name}\" is a {other}; an hnsw index is on a vector"),
        };
        return Err(Error::invalid(SqlState::DATATYPE_MISMATCH, message));
    }
    Ok(descriptor.id)
}

/// Whether an expression may stand in an index without parentheses around it: what is written as a call of a function.
fn is_call(expr: &ast::Expr) -> bool {
    use ast::Expr as E;
    match expr {
        E::Function(_) | E::Extract { .. } | E::Substring { .. } | E::Trim { .. } | E::Position { .. } => true,
        E::Ceil { .. } | E::Floor { .. } | E::Overlay { .. } => true,
        E::Cast { kind, .. } => *kind == ast::CastKind::Cast,
        _ => false,
    }
}

/// What stands within parentheses.
fn stripped(expr: &ast::Expr) -> &ast::Expr {
    match expr {
        ast::Expr::Nested(inner) => stripped(inner),
        other => other,
    }
}

/// Whether all columns that an expression names are the table's.
fn check_columns(expr: &ast::Expr, table: &TableDescriptor, text: &str) -> Result<()> {
    let named = named_columns(expr);
    let Some(missing) = named.iter().find(|name| table.position(name).is_none()) else {
        return Ok(());
    };
    let message = format!("column \"{missing}\" does not exist");
    let error = Error::not_found(SqlState::UNDEFINED_COLUMN, message);
    Err(match span_of(expr, missing) {
        Some(span) => at(error, span, text),
        None => error,
    })
}

/// The columns of INCLUDE.
pub(super) fn included(
    create: &ast::CreateIndex,
    table: &TableDescriptor,
    method: IndexMethod,
    text: &str,
) -> Result<Vec<ColumnId>> {
    if create.include.is_empty() {
        return Ok(Vec::new());
    }
    if method != IndexMethod::Ordered {
        return Err(Error::unsupported(
            "access method \"hnsw\" does not support included columns",
        ));
    }
    if create.columns.len() + create.include.len() > INDEX_COLUMNS_MAX {
        return Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("cannot use more than {INDEX_COLUMNS_MAX} columns in an index"),
        ));
    }
    let columns = create.include.iter().map(|ident| {
        let name = normalize(ident);
        let position = table.position(&name).ok_or_else(|| {
            let message = format!("column \"{name}\" does not exist");
            at(Error::not_found(SqlState::UNDEFINED_COLUMN, message), ident.span, text)
        })?;
        Ok(table.columns[position].id)
    });
    columns.collect()
}

/// Where a column is named in an expression.
fn span_of(expr: &ast::Expr, column: &str) -> Option<Span> {
    let found = ast::visit_expressions(expr, |expr| match expr {
        ast::Expr::Identifier(name) if normalize(name) == column => ControlFlow::Break(name.span),
        ast::Expr::CompoundIdentifier(parts) if parts.last().map(normalize).as_deref() == Some(column) => {
            ControlFlow::Break(expr.span())
        }
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(span) => Some(span),
        ControlFlow::Continue(()) => None,
    }
}

/// Refuses an operator class that does not order values of a type as an index does here: texts are ordered by their bytes, which is what the
/// classes for patterns ask for.
fn check_class(class: &ast::ObjectName, sql_type: SqlType) -> Result<()> {
    let name = class.0.last().and_then(ast::ObjectNamePart::as_ident).map(normalize);
    let name = name.unwrap_or_default();
    let is_text = matches!(sql_type, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_));
    let takes = match name.as_str() {
        "text_ops"
        | "varchar_ops"
        | "bpchar_ops"
        | "text_pattern_ops"
        | "varchar_pattern_ops"
        | "bpchar_pattern_ops" => is_text,
        "int2_ops" => sql_type == SqlType::SmallInt,
        "int4_ops" => sql_type == SqlType::Integer,
        "int8_ops" => sql_type == SqlType::BigInt,
        "float4_ops" => sql_type == SqlType::Real,
        "float8_ops" => sql_type == SqlType::Double,
        "numeric_ops" => matches!(sql_type, SqlType::Numeric { .. }),
        "bool_ops" => sql_type == SqlType::Boolean,
        "bytea_ops" => sql_type == SqlType::Bytea,
        "date_ops" => sql_type == SqlType::Date,
        "time_ops" => matches!(sql_type, SqlType::Time(_)),
        "timestamp_ops" => matches!(sql_type, SqlType::Timestamp(_)),
        "timestamptz_ops" => matches!(sql_type, SqlType::TimestampTz(_)),
        "interval_ops" => sql_type == SqlType::Interval,
        "uuid_ops" => sql_type == SqlType::Uuid,
        "jsonb_ops" => sql_type == SqlType::Jsonb,
        "array_ops" => matches!(sql_type, SqlType::Array(_)),
        "enum_ops" => matches!(sql_type, SqlType::Enum(_)),
        _ => {
            return Err(Error::not_found(
                SqlState::UNDEFINED_OBJECT,
                format!("operator class \"{name}\" does not exist for access method \"btree\""),
            ));
        }
    };
    match takes {
        true => Ok(()),
        false => Err(Error::invalid(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "operator class \"{name}\" does not accept data type {}",
                sql_type.base_name()
            ),
        )),
    }
}
