//! What ALTER TABLE asks of the rows that a table has: queries over it, and what is said of a row that does not fit.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{ColumnId, TableDescriptor};
use datafusion::sql::sqlparser::ast;

use super::ddl::Breach;
use crate::dml::{assigned_type, normalize, target_as};
use crate::parse;

/// The query that gives the columns of a table from the table as it was.
pub(super) fn rewriting(
    before: &TableDescriptor,
    after: &TableDescriptor,
    computed: &[(ColumnId, ast::Expr)],
) -> Result<ast::Statement> {
    let mut items = Vec::new();
    for column in &after.columns {
        let given = computed
            .iter()
            .find(|(id, _)| *id == column.id)
            .map(|(_, expr)| expr.to_string());
        let old = before
            .position_of(column.id)
            .map(|old| quoted(&before.columns[old].name));
        let source = given
            .or(old)
            .or_else(|| column.default.clone())
            .unwrap_or_else(|| "NULL".to_owned());
        let item = format!(
            "CAST(({source}) AS {}) AS {}",
            assigned_type(column.sql_type).qualified(),
            quoted(&column.name)
        );
        items.push(item);
    }
    if items.is_empty() {
        // A table may have no columns, and SELECT must give some.
        items.push("1".to_owned());
    }
    let text = format!(
        "SELECT {} FROM {}.{}",
        items.join(", "),
        quoted(&before.schema),
        quoted(&before.name)
    );
    let parsed = parse::parse(&text)?.pop().map(|statement| statement.ast);
    parsed.ok_or_else(|| Error::internal("a SELECT is a statement"))
}

pub(super) fn table_item(table: &TableDescriptor) -> Result<ast::TableWithJoins> {
    let mut item = target_as(&ast::Ident::with_quote('"', table.name.clone()))?;
    if let ast::TableFactor::Table { name, .. } = &mut item.relation {
        let parts = [&table.schema, &table.name].map(|part| ast::Ident::with_quote('"', part.clone()));
        *name = ast::ObjectName::from(parts.to_vec());
    }
    Ok(item)
}

pub(super) fn one() -> ast::SelectItem {
    ast::SelectItem::UnnamedExpr(ast::Expr::Value(ast::Value::Number("1".to_owned(), false).into()))
}

/// The first row is enough.
pub(super) fn limited(query: ast::Statement) -> Result<ast::Statement> {
    let parsed = parse::parse(&format!("{query} LIMIT 1"))?
        .pop()
        .map(|statement| statement.ast);
    parsed.ok_or_else(|| Error::internal("a SELECT is a statement"))
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn contains_nulls(table: &Arc<TableDescriptor>, column: &str) -> Breach {
    let (table, column) = (table.clone(), column.to_owned());
    Box::new(move || {
        Error::conflict(
            SqlState::NOT_NULL_VIOLATION,
            format!(
                "column \"{column}\" of relation \"{}\" contains null values",
                table.name
            ),
        )
        .with_schema(table.schema.clone())
        .with_table(table.name.clone())
        .with_column(column.clone())
    })
}

/// Gives a column another name in an expression over its table.
pub(super) fn rename(expr: &mut ast::Expr, old: &str, new: &str) {
    let renamed = ast::Ident::with_quote('"', new);
    let _: ControlFlow<()> = ast::visit_expressions_mut(expr, |expr| {
        match expr {
            ast::Expr::Identifier(name) if normalize(name) == old => *name = renamed.clone(),
            ast::Expr::CompoundIdentifier(parts) => {
                if let Some(last) = parts.last_mut()
                    && normalize(last) == old
                {
                    *last = renamed.clone();
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
}

/// Whether PostgreSQL gives values of one type another one where nobody asks for it with a cast: in an assignment.
pub(crate) fn converts_by_itself(from: SqlType, to: SqlType) -> bool {
    use SqlType as S;
    let is_number = |sql_type: SqlType| {
        matches!(
            sql_type,
            S::SmallInt | S::Integer | S::BigInt | S::Real | S::Double | S::Numeric { .. }
        )
    };
    let is_moment = |sql_type: SqlType| matches!(sql_type, S::Date | S::Timestamp(_) | S::TimestampTz(_));
    if let (S::Array(from), S::Array(to)) = (from, to) {
        return converts_by_itself(from.sql_type(), to.sql_type());
    }
    if from.made().is_some() || to.made().is_some() {
        return from == to || matches!(to, S::Text | S::Varchar(_) | S::Char(_));
    }
    from.base_name() == to.base_name()
        || matches!(to, S::Text | S::Varchar(_) | S::Char(_))
        || matches!((from, to), (S::Json, S::Jsonb) | (S::Jsonb, S::Json))
        || (is_number(from) && is_number(to))
        || (is_moment(from) && is_moment(to))
        || matches!(
            (from, to),
            (S::Timestamp(_) | S::TimestampTz(_) | S::Interval, S::Time(_)) | (S::Time(_), S::Interval)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cast_by_nobody_but_the_user() {
        use SqlType as S;
        for (from, to) in [
            (S::Integer, S::BigInt),
            (S::Double, S::SmallInt),
            (S::Uuid, S::Text),
            (S::TIMESTAMPTZ, S::Date),
            (S::Json, S::Jsonb),
            (S::NUMERIC, S::Integer),
        ] {
            assert!(converts_by_itself(from, to), "{from} to {to}");
        }
        for (from, to) in [(S::Text, S::Integer), (S::Boolean, S::Integer), (S::Text, S::Jsonb)] {
            assert!(!converts_by_itself(from, to), "{from} to {to}");
        }
    }
}
