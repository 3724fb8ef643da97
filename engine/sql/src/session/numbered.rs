//! The sequences that DEFAULTs name.
//!
//! PostgreSQL keeps the oid of a sequence in a default such as `nextval('q')`. A descriptor keeps the text, so when the default is
//! defined the name in it is made all of the sequence's name, as in `nextval('"public"."q"')`. From then on
//! 1. it means the same under any search path,
//! 2. the sequence can only be dropped together with the default,
//! 3. a sequence that is renamed is renamed in the defaults, too.
//!
//! Left out: names that are computed (`nextval('q' || 1)`) or cast to text; those are looked up when they are needed, as in PostgreSQL.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{ColumnDescriptor, SequenceDescriptor, TableDescriptor};
use aion_catalog::objects::{Catalog, KeyChange, Object};
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast;

use super::Session;
use crate::dml::normalize;
use crate::parse::parse_expression;
use crate::system::{quoted, split_name};

/// Functions whose first argument is a sequence.
const FUNCTIONS: [&str; 3] = ["nextval", "currval", "setval"];

/// All of a sequence's name, as a default has it.
fn full_name(sequence: &SequenceDescriptor) -> String {
    let quoted = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
    format!("{}.{}", quoted(&sequence.schema), quoted(&sequence.name))
}

/// The default of a column that takes its values from a sequence.
pub(super) fn default_of(sequence: &SequenceDescriptor) -> String {
    format!("nextval('{}')", full_name(sequence).replace('\'', "''"))
}

/// The first argument of a function of sequences.
fn argument(expr: &mut ast::Expr) -> Option<&mut ast::Expr> {
    let ast::Expr::Function(function) = expr else {
        return None;
    };
    let called = function.name.0.last()?.as_ident().map(normalize)?;
    let ast::FunctionArguments::List(list) = &mut function.args else {
        return None;
    };
    match list.args.first_mut()? {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument)) if FUNCTIONS.contains(&called.as_str()) => {
            Some(argument)
        }
        _ => None,
    }
}

/// The name that an argument is, with or without `::regclass`.
fn literal(argument: &ast::Expr) -> Option<&str> {
    let written = match argument {
        ast::Expr::Cast { expr, data_type, .. } => {
            let name = data_type.to_string().to_ascii_lowercase();
            let is_relation = name.strip_prefix("pg_catalog.").unwrap_or(&name) == "regclass";
            is_relation.then_some(&**expr)?
        }
        other => other,
    };
    match written {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(name) => Some(name.as_str()),
            _ => None,
        },
        _ => None,
    }
}

/// A default with other names for the sequences that it names; None where they stay as they are.
fn with_names(default: &str, rename: &mut dyn FnMut(&str) -> Result<Option<String>>) -> Result<Option<String>> {
    let mut expr = parse_expression(default)?;
    let mut is_changed = false;
    let walked = ast::visit_expressions_mut(&mut expr, |expr| {
        let Some(argument) = argument(expr) else {
            return ControlFlow::Continue(());
        };
        match literal(argument).map(&mut *rename) {
            None | Some(Ok(None)) => ControlFlow::Continue(()),
            Some(Ok(Some(name))) => {
                *argument = ast::Expr::Value(ast::Value::SingleQuotedString(name).into());
                is_changed = true;
                ControlFlow::Continue(())
            }
            Some(Err(error)) => ControlFlow::Break(error),
        }
    });
    match walked {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(is_changed.then(|| expr.to_string())),
    }
}

/// Whether a column's default names a sequence.
fn names(column: &ColumnDescriptor, full: &str) -> bool {
    let Some(default) = &column.default else {
        return false;
    };
    // Most defaults are no such, and need not be parsed to know.
    if !default.contains(&full.replace('\'', "''")) {
        return false;
    }
    let mut is_named = false;
    let walked = with_names(default, &mut |name| {
        is_named |= name == full;
        Ok(None)
    });
    walked.is_ok() && is_named
}

/// The columns whose defaults name a sequence, by table and position.
pub(super) fn users(catalog: &Catalog, sequence: &SequenceDescriptor) -> Vec<(Arc<TableDescriptor>, usize)> {
    let full = full_name(sequence);
    let of_table = |table: &Arc<TableDescriptor>| {
        let columns = table.columns.iter().enumerate();
        let users = columns.filter(|(_, column)| names(column, &full));
        users.map(|(position, _)| (table.clone(), position)).collect::<Vec<_>>()
    };
    catalog.tables().flat_map(of_table).collect()
}

/// The sequence of an identity column.
pub(super) fn of_identity<'a>(catalog: &'a Catalog, column: &ColumnDescriptor) -> Option<&'a Arc<SequenceDescriptor>> {
    column.identity?;
    catalog.sequences().find(|sequence| names(column, &full_name(sequence)))
}

/// How PostgreSQL calls a default.
pub(super) fn describe(table: &TableDescriptor, position: usize) -> String {
    format!(
        "default value for column {} of table {}",
        quoted(&table.columns[position].name),
        quoted(&table.name)
    )
}

/// That no default needs a sequence that goes, but for those of which it is known that they go with it.
///
/// # Errors
/// 2BP01, naming what needs it.
pub(super) fn check_unused(
    catalog: &Catalog,
    sequence: &SequenceDescriptor,
    goes_too: &dyn Fn(&TableDescriptor, usize) -> bool,
) -> Result<()> {
    let users = users(catalog, sequence);
    let Some((table, position)) = users.iter().find(|(table, position)| !goes_too(table, *position)) else {
        return Ok(());
    };
    let (name, column) = (quoted(&sequence.name), &table.columns[*position]);
    let depends = |message: String| Error::invalid(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message);
    if column.identity.is_some() {
        let user = format!("column {} of table {}", quoted(&column.name), quoted(&table.name));
        let error = depends(format!("cannot drop sequence {name} because {user} requires it"));
        return Err(error.with_hint(format!("You can drop {user} instead.")));
    }
    let message = format!("cannot drop sequence {name} because other objects depend on it");
    Err(depends(message)
        .with_detail(format!("{} depends on sequence {name}", describe(table, *position)))
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too."))
}

/// The changes that give a sequence its new name in the defaults that name it.
///
/// # Errors
/// Internal: each of them was parsed before.
pub(super) fn rename_in_defaults(
    catalog: &Catalog,
    before: &SequenceDescriptor,
    after: &SequenceDescriptor,
) -> Result<Vec<KeyChange>> {
    let (old, new) = (full_name(before), full_name(after));
    let mut renamed: Vec<TableDescriptor> = Vec::new();
    for (table, position) in users(catalog, before) {
        if renamed.last().is_none_or(|last| last.id != table.id) {
            renamed.push(TableDescriptor::clone(&table));
        }
        let last = renamed
            .last_mut()
            .expect("there is at least the one that was just added");
        if let Some(default) = &mut last.columns[position].default
            && let Some(text) = with_names(default, &mut |name| Ok((name == old).then(|| new.clone())))?
        {
            *default = text;
        }
    }
    let changes = renamed.into_iter().flat_map(|table| catalog.alter_table(table).1);
    Ok(changes.collect())
}

impl Session {
    /// Gives the sequences that a table's defaults name all of their names.
    ///
    /// # Errors
    /// 42P01 for one that is not there.
    pub(super) fn name_sequences(&self, table: &mut TableDescriptor, catalog: &Catalog) -> Result<()> {
        let path = self.search_path()?;
        let known = self.names(catalog, &path);
        for column in &mut table.columns {
            let Some(default) = &column.default else { continue };
            let named = with_names(default, &mut |name| {
                let parts = split_name(name).unwrap_or_default();
                let reference = match parts.as_slice() {
                    [name] => TableReference::bare(name.as_str()),
                    [schema, name] | [_, schema, name] => TableReference::partial(schema.as_str(), name.as_str()),
                    _ => {
                        let message = format!("invalid name syntax: \"{name}\"");
                        return Err(Error::invalid(SqlState::INVALID_NAME, message));
                    }
                };
                match known.resolve(&reference)? {
                    Object::Sequence(sequence) => Ok(Some(full_name(&sequence)).filter(|full| full != name)),
                    _ => Ok(None),
                }
            })?;
            if let Some(named) = named {
                column.default = Some(named);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_a_name_and_what_is_computed_is_none() {
        for (default, wanted) in [
            ("nextval('q')", Some("nextval('\"p\".\"q\"')")),
            ("nextval('q'::regclass)", Some("nextval('\"p\".\"q\"')")),
            (
                "'n' || pg_catalog.nextval('q')",
                Some("'n' || pg_catalog.nextval('\"p\".\"q\"')"),
            ),
            ("nextval('q'::text)", None),
            ("nextval('q' || '1')", None),
            ("upper('q')", None),
        ] {
            let renamed = with_names(default, &mut |name| Ok((name == "q").then(|| "\"p\".\"q\"".to_owned())));
            assert_eq!(renamed.expect("valid").as_deref(), wanted, "{default}");
        }
    }
}
