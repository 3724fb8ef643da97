//! What INSERT ... ON CONFLICT says: which keys decide, and what becomes of a row whose key is there.
//!
//! **Vocabulary.** An *arbiter* is a key, the primary key or a unique index, that a row must be the only one to have. The *existing*
//! row is the one that has it, the *excluded* one is the row that was proposed and is not inserted.
//!
//! The new values of existing rows are those of a query: the existing rows, under the target's name, joined to the excluded ones by the
//! number of the proposed row.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{IndexDescriptor, IndexMethod, TableDescriptor};
use aion_catalog::keys::IndexKeys;
use aion_storage::LockMode;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::TableProvider;
use datafusion::sql::sqlparser::ast;

use super::plan::{
    TARGET, assigned, at, bound_as, column_of, key_positions, new_values, normalize, select, select_item,
};
use crate::planner::{Names, Planned};
use crate::table::TableShape;

/// The column of existing and excluded rows with the number of the proposed row.
pub const ORDINAL: &str = "aion ordinal";

/// The name under which the excluded rows are known to the planner; no user can write it.
const EXCLUDED: &str = "aion excluded";

/// See the module's header.
#[derive(Debug)]
pub struct OnConflict {
    /// The keys that decide.
    pub arbiters: Vec<Arbiter>,
    /// DO UPDATE; None for DO NOTHING.
    pub update: Option<ConflictUpdate>,
}

/// A key that a row must be the only one to have.
#[derive(Debug)]
pub enum Arbiter {
    /// The primary key.
    PrimaryKey,
    /// A unique index.
    Index(IndexKeys),
}

/// DO UPDATE SET ... WHERE ...
#[derive(Debug)]
pub struct ConflictUpdate {
    /// The name that the existing row has in it.
    alias: ast::Ident,
    assigned: Vec<Option<ast::Expr>>,
    selection: Option<ast::Expr>,
    changes_keys: bool,
}

impl OnConflict {
    /// What a clause says of a table that the statement knows by `alias`.
    ///
    /// # Errors
    /// 42P10 where no key is the one that it names, 42703, 42704, 42601.
    pub fn new(on: ast::OnInsert, alias: &ast::Ident, shape: &TableShape, text: &str) -> Result<Self> {
        let ast::OnInsert::OnConflict(on) = on else {
            return Err(Error::unsupported("ON DUPLICATE KEY UPDATE is not PostgreSQL's"));
        };
        let table = &shape.descriptor;
        let arbiters = match on.conflict_target {
            Some(ast::ConflictTarget::Columns(columns)) => by_columns(table, &columns, text)?,
            Some(ast::ConflictTarget::OnConstraint(name)) => vec![by_name(table, &name)?],
            None if matches!(on.action, ast::OnConflictAction::DoNothing) => all(table),
            None => {
                let error = Error::invalid(
                    SqlState::SYNTAX_ERROR,
                    "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                );
                return Err(error.with_hint("For example, ON CONFLICT (column_name)."));
            }
        };
        let update = match on.action {
            ast::OnConflictAction::DoNothing => None,
            ast::OnConflictAction::DoUpdate(update) => {
                let assigned = assigned(shape, update.assignments, text)?;
                let changes_keys = key_positions(shape)
                    .into_iter()
                    .any(|position| assigned[position].is_some());
                Some(ConflictUpdate {
                    alias: alias.clone(),
                    assigned,
                    selection: update.selection,
                    changes_keys,
                })
            }
        };
        Ok(Self { arbiters, update })
    }
}

impl ConflictUpdate {
    /// How it locks the existing rows.
    pub fn lock_mode(&self) -> LockMode {
        match self.changes_keys {
            true => LockMode::Update,
            false => LockMode::NoKeyUpdate,
        }
    }

    /// Plans the new values: the rows' keys, all of their columns, and the number of the proposed row. `existing` has the columns of the
    /// table, the key and the number, `excluded` the columns and the number.
    ///
    /// # Errors
    /// 42xxx, with a place in `text`.
    pub fn plan(
        &self,
        mut names: Names<'_>,
        shape: &TableShape,
        (existing, excluded): (Arc<dyn TableProvider>, Arc<dyn TableProvider>),
        mut types: Vec<Option<FieldRef>>,
        text: &str,
    ) -> Result<Planned> {
        names.bind(TARGET, existing);
        names.bind(EXCLUDED, excluded);
        let excluded = ast::Ident::new("excluded");
        let mut projection = new_values(shape, &self.alias, self.assigned.clone(), &mut types)?;
        projection.push(select_item(column_of(&excluded, ORDINAL)));
        let from = vec![bound_as(TARGET, &self.alias)?, bound_as(EXCLUDED, &excluded)?];
        let mut selection = operation(
            column_of(&self.alias, ORDINAL),
            ast::BinaryOperator::Eq,
            column_of(&excluded, ORDINAL),
        );
        if let Some(condition) = self.selection.clone() {
            let condition = ast::Expr::Nested(Box::new(condition));
            selection = operation(selection, ast::BinaryOperator::And, condition);
        }
        names.plan(select(projection, from, Some(selection))?, types, text)
    }
}

fn operation(left: ast::Expr, op: ast::BinaryOperator, right: ast::Expr) -> ast::Expr {
    ast::Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

/// The unique indexes of a table.
fn unique(table: &TableDescriptor) -> impl Iterator<Item = &IndexDescriptor> {
    let indexes = table.indexes.iter();
    indexes.filter(|index| index.is_unique && index.method == IndexMethod::Ordered && index.predicate.is_none())
}

fn all(table: &TableDescriptor) -> Vec<Arbiter> {
    let primary = (!table.primary_key.is_empty()).then_some(Arbiter::PrimaryKey);
    let others = unique(table).map(|index| Arbiter::Index(IndexKeys::new(table, index)));
    primary.into_iter().chain(others).collect()
}

/// The keys over exactly these columns, in whatever order.
fn by_columns(table: &TableDescriptor, columns: &[ast::Ident], text: &str) -> Result<Vec<Arbiter>> {
    let positions = columns.iter().map(|column| {
        table.position(&normalize(column)).ok_or_else(|| {
            let error = Error::not_found(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", normalize(column)),
            );
            at(error, column.span, text)
        })
    });
    let mut wanted: Vec<usize> = positions.collect::<Result<_>>()?;
    wanted.sort_unstable();
    wanted.dedup();
    let is_wanted = |mut positions: Vec<usize>| {
        positions.sort_unstable();
        positions == wanted
    };
    let mut found = Vec::new();
    if is_wanted(table.primary_key_positions()) {
        found.push(Arbiter::PrimaryKey);
    }
    for index in unique(table) {
        let keys = IndexKeys::new(table, index);
        if is_wanted(keys.columns().iter().map(|&(position, _)| position).collect()) {
            found.push(Arbiter::Index(keys));
        }
    }
    match found.is_empty() {
        false => Ok(found),
        true => Err(Error::invalid(
            SqlState::INVALID_COLUMN_REFERENCE,
            "there is no unique or exclusion constraint matching the ON CONFLICT specification",
        )),
    }
}

/// The key of a constraint.
fn by_name(table: &TableDescriptor, name: &ast::ObjectName) -> Result<Arbiter> {
    let name = match name.0.as_slice() {
        [part] => part.as_ident().map(normalize),
        _ => None,
    };
    let name =
        name.ok_or_else(|| Error::invalid(SqlState::SYNTAX_ERROR, "a constraint has a name without a schema"))?;
    if table.primary_key_name.as_ref() == Some(&name) {
        return Ok(Arbiter::PrimaryKey);
    }
    let index = unique(table).find(|index| index.constraint.is_some() && index.name == name);
    if let Some(index) = index {
        return Ok(Arbiter::Index(IndexKeys::new(table, index)));
    }
    if table.has_constraint(&name) && table.index(&name).is_none() {
        return Err(Error::invalid(
            SqlState::WRONG_OBJECT_TYPE,
            "constraint in ON CONFLICT clause has no associated index",
        ));
    }
    Err(Error::not_found(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{name}\" for table \"{}\" does not exist", table.name),
    ))
}
