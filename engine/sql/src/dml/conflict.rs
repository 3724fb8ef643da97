//! What INSERT ... ON CONFLICT says: which keys decide, and what becomes of a row whose key is there.
//!
//! **Vocabulary.** An *arbiter* is a key, the primary key or a unique index, that a row must be the only one to have. The *existing*
//! row is the one that has it, the *excluded* one is the row that was proposed and is not inserted.
//!
//! The new values of existing rows are those of a query: the existing rows, under the target's name, joined to the excluded ones by the
//! number of the proposed row.

use std::sync::Arc;

use aion_base::id::IndexId;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{ColumnId, IndexDescriptor, IndexMethod, IndexState, TableDescriptor};
use aion_storage::LockMode;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast;

use super::plan::{
    TARGET, assigned, at, bound_as, column_of, key_positions, new_values, normalize, select, select_item,
};
use crate::inference;
use crate::planner::{Names, Planned};
use crate::session::unqualified;
use crate::table::{TableShape, implied};

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
    Index(IndexId),
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
    pub fn new(
        on: ast::OnInsert,
        alias: &ast::Ident,
        names: &Names<'_>,
        shape: &Arc<TableShape>,
        text: &str,
    ) -> Result<Self> {
        let ast::OnInsert::OnConflict(on) = on else {
            return Err(Error::unsupported("ON DUPLICATE KEY UPDATE is not PostgreSQL's"));
        };
        let table = &shape.descriptor;
        let arbiters = match on.conflict_target {
            Some(ast::ConflictTarget::Columns(columns)) => by_columns(names, shape, &columns, text)?,
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
    /// Whether it gives a column a new value.
    pub fn assigns(&self, position: usize) -> bool {
        self.assigned.get(position).is_some_and(Option::is_some)
    }

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
    // One that is being filled does not know all rows yet.
    let is_usable =
        |index: &&IndexDescriptor| index.method == IndexMethod::Ordered && index.state == IndexState::Readable;
    indexes.filter(|index| index.is_unique).filter(is_usable)
}

fn all(table: &TableDescriptor) -> Vec<Arbiter> {
    let primary = (!table.primary_key.is_empty()).then_some(Arbiter::PrimaryKey);
    let others = unique(table).map(|index| Arbiter::Index(index.id));
    primary.into_iter().chain(others).collect()
}

/// What a key is over at one place.
#[derive(PartialEq)]
enum Element {
    Column(usize),
    Expression(Expr),
}

/// The keys over exactly these columns and expressions, in whatever order. Of partial indexes those that have all rows that fulfil the
/// condition.
fn by_columns(names: &Names<'_>, shape: &Arc<TableShape>, columns: &[ast::Ident], text: &str) -> Result<Vec<Arbiter>> {
    let table = &shape.descriptor;
    let mut condition = Vec::new();
    let mut wanted = Vec::new();
    match inference::carried(columns)? {
        None => {
            for column in columns {
                wanted.push(Element::Column(position(table, column, text)?));
            }
        }
        Some(inference) => {
            for element in inference.elements {
                wanted.push(match stripped(&element) {
                    ast::Expr::Identifier(column) => Element::Column(position(table, column, text)?),
                    expr => match names.normal(shape, &unqualified(expr, table).to_string())? {
                        Some(normal) => Element::Expression(normal),
                        None => return Err(no_key()),
                    },
                });
            }
            if let Some(expr) = inference.condition {
                condition = names.conjuncts(shape, &unqualified(&expr, table).to_string())?;
            }
        }
    }
    let condition: Vec<&Expr> = condition.iter().collect();
    let is_wanted = |parts: Vec<Element>| {
        parts.iter().all(|part| wanted.contains(part)) && wanted.iter().all(|element| parts.contains(element))
    };
    let mut found = Vec::new();
    let primary_key = table.primary_key_positions().into_iter();
    if is_wanted(primary_key.map(Element::Column).collect()) {
        found.push(Arbiter::PrimaryKey);
    }
    for index in unique(table) {
        let formula = shape.formula(index)?;
        let has_all_rows = formula
            .as_ref()
            .is_none_or(|formula| implied(&formula.conjuncts, &condition).is_some());
        let mut expressions = formula.iter().flat_map(|formula| &formula.expressions);
        let parts = index.columns.iter().map(|part| match part.column {
            ColumnId::EXPRESSION => expressions.next()?.normal.clone().map(Element::Expression),
            id => table.position_of(id).map(Element::Column),
        });
        let parts: Option<Vec<_>> = parts.collect();
        if has_all_rows && parts.is_some_and(&is_wanted) {
            found.push(Arbiter::Index(index.id));
        }
    }
    match found.is_empty() {
        false => Ok(found),
        true => Err(no_key()),
    }
}

fn no_key() -> Error {
    Error::invalid(
        SqlState::INVALID_COLUMN_REFERENCE,
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
    )
}

/// An expression without parentheses around it.
fn stripped(expr: &ast::Expr) -> &ast::Expr {
    match expr {
        ast::Expr::Nested(inner) => stripped(inner),
        other => other,
    }
}

fn position(table: &TableDescriptor, column: &ast::Ident, text: &str) -> Result<usize> {
    table.position(&normalize(column)).ok_or_else(|| {
        let message = format!("column \"{}\" does not exist", normalize(column));
        at(Error::not_found(SqlState::UNDEFINED_COLUMN, message), column.span, text)
    })
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
        return Ok(Arbiter::Index(index.id));
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
