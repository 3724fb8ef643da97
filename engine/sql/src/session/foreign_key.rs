//! FOREIGN KEY in definitions: how one comes to be, and what becomes of it when the tables at its ends change.
//!
//! 1. A foreign key stands in the descriptor of the table that refers. It is made when all else of that table is known, for it may refer
//!    to its own table.
//! 2. Where one comes, the descriptor of the parent is written anew as well: a change of its rows that was planned without knowing of it
//!    is refused then.
//! 3. A table, column or key that is referred to is in the way of its own end (2BP01), or takes the foreign key with it (CASCADE).
//! 4. Rows that were there before it, or that get other values, are looked at (`references::check_rows`).

use std::collections::BTreeSet;
use std::sync::Arc;

use aion_base::id::TableId;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{Action, ColumnDescriptor, ColumnId, ForeignKey, TableDescriptor};
use aion_catalog::objects::{Catalog, Object};
use datafusion::sql::sqlparser::ast;

use super::Session;
use super::ddl::Definition;
use super::dependents::Alteration;
use super::table::{INDEX_COLUMNS_MAX, free_name, given_name};
use super::temporary;
use crate::dml::{normalize, reference};
use crate::references::{Comparable, Tie, comparable, has_key};
use crate::table::TableShape;

/// A foreign key as it is asked for.
pub(super) struct Wanted<'a> {
    constraint: &'a ast::ForeignKeyConstraint,
    name: Option<&'a ast::Ident>,
    /// The columns that are to refer.
    columns: Vec<String>,
}

impl<'a> Wanted<'a> {
    /// Those that are written behind a column.
    pub fn of_column(column: &'a ast::ColumnDef) -> impl Iterator<Item = Self> + 'a {
        column.options.iter().filter_map(move |option| match &option.option {
            ast::ColumnOption::ForeignKey(constraint) => Some(Self {
                constraint,
                name: option.name.as_ref(),
                columns: vec![normalize(&column.name)],
            }),
            _ => None,
        })
    }

    /// A constraint of a table, if it is one.
    pub fn of_table(constraint: &'a ast::TableConstraint) -> Option<Self> {
        match constraint {
            ast::TableConstraint::ForeignKey(constraint) => Some(Self {
                constraint,
                name: constraint.name.as_ref(),
                columns: constraint.columns.iter().map(normalize).collect(),
            }),
            _ => None,
        }
    }
}

impl Session {
    /// Adds a foreign key to a table, which `known` has as it is to be but for its foreign keys. The table referred to.
    ///
    /// # Errors
    /// 42P01, 42809, 42703, 42704, 42830, 42804, 42710; 0A000 for what is not there yet.
    pub(super) fn add_foreign_key(
        &self,
        table: &mut TableDescriptor,
        wanted: &Wanted<'_>,
        known: &Catalog,
    ) -> Result<Arc<TableDescriptor>> {
        let constraint = wanted.constraint;
        let is_full = is_full(constraint)?;
        let (is_deferrable, is_deferred) = deferral(constraint)?;
        let path = self.search_path()?;
        let parent = match self
            .names(known, &path)
            .resolve(&reference(&constraint.foreign_table)?)?
        {
            Object::Table(parent) if parent.view.is_none() => parent,
            Object::Table(_) | Object::View(_) | Object::Graph(_) | Object::Sequence(_) => {
                let message = format!("referenced relation \"{}\" is not a table", constraint.foreign_table);
                return Err(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message));
            }
        };
        temporary::check_reference(&table.schema, &parent.schema)?;
        let columns = column_ids(table, &wanted.columns)?;
        let parent_columns = match constraint.referred_columns.as_slice() {
            [] => primary_key(&parent)?,
            names => unique_columns(&parent, names)?,
        };
        if columns.len() != parent_columns.len() {
            return Err(Error::invalid(
                SqlState::INVALID_FOREIGN_KEY,
                "number of referencing and referenced columns for foreign key disagree",
            ));
        }
        let name = match wanted.name {
            Some(name) => given_name(table, name)?,
            None => free_name(table, &wanted.columns, "fkey", &|_| false),
        };
        let key = ForeignKey {
            name,
            columns,
            parent: parent.id,
            parent_columns,
            on_delete: action(constraint.on_delete),
            on_update: action(constraint.on_update),
            is_full,
            is_deferrable,
            is_deferred,
        };
        check_types(&key, table, &parent)?;
        check_generated(&key, table)?;
        table.foreign_keys.push(key);
        Ok(parent)
    }
}

/// That no action gives a value to a column that is computed.
///
/// # Errors
/// 42601.
fn check_generated(key: &ForeignKey, table: &TableDescriptor) -> Result<()> {
    let mut columns = key.columns.iter().filter_map(|id| table.position_of(*id));
    if !columns.any(|position| table.columns[position].generated.is_some()) {
        return Ok(());
    }
    let sets = |action| matches!(action, Action::SetNull | Action::SetDefault);
    let which = match (
        sets(key.on_delete),
        sets(key.on_update) || key.on_update == Action::Cascade,
    ) {
        (_, true) => "ON UPDATE",
        (true, _) => "ON DELETE",
        _ => return Ok(()),
    };
    Err(Error::invalid(
        SqlState::SYNTAX_ERROR,
        format!("invalid {which} action for foreign key constraint containing generated column"),
    ))
}

/// Whether it may be looked at later, and whether it is if nothing else is said.
fn deferral(constraint: &ast::ForeignKeyConstraint) -> Result<(bool, bool)> {
    let Some(characteristics) = &constraint.characteristics else {
        return Ok((false, false));
    };
    if characteristics.enforced == Some(false) {
        return Err(Error::unsupported("a foreign key that is NOT ENFORCED is not there"));
    }
    let is_deferred = characteristics.initially == Some(ast::DeferrableInitial::Deferred);
    match characteristics.deferrable {
        Some(false) if is_deferred => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            "constraint declared INITIALLY DEFERRED must be DEFERRABLE",
        )),
        said => Ok((said.unwrap_or(is_deferred), is_deferred)),
    }
}

/// MATCH FULL.
fn is_full(constraint: &ast::ForeignKeyConstraint) -> Result<bool> {
    match constraint.match_kind {
        None | Some(ast::ConstraintReferenceMatchKind::Simple) => Ok(false),
        Some(ast::ConstraintReferenceMatchKind::Full) => Ok(true),
        Some(ast::ConstraintReferenceMatchKind::Partial) => {
            Err(Error::unsupported("MATCH PARTIAL not yet implemented"))
        }
    }
}

fn action(action: Option<ast::ReferentialAction>) -> Action {
    match action {
        None | Some(ast::ReferentialAction::NoAction) => Action::NoAction,
        Some(ast::ReferentialAction::Restrict) => Action::Restrict,
        Some(ast::ReferentialAction::Cascade) => Action::Cascade,
        Some(ast::ReferentialAction::SetNull) => Action::SetNull,
        Some(ast::ReferentialAction::SetDefault) => Action::SetDefault,
    }
}

fn column_ids(table: &TableDescriptor, names: &[String]) -> Result<Vec<ColumnId>> {
    if names.len() > INDEX_COLUMNS_MAX {
        return Err(Error::exhausted(
            SqlState::TOO_MANY_COLUMNS,
            format!("cannot have more than {INDEX_COLUMNS_MAX} keys in a foreign key"),
        ));
    }
    let id = |name: &String| {
        let position = table.position(name).ok_or_else(|| {
            let message = format!("column \"{name}\" referenced in foreign key constraint does not exist");
            Error::not_found(SqlState::UNDEFINED_COLUMN, message)
        })?;
        Ok(table.columns[position].id)
    };
    names.iter().map(id).collect()
}

fn primary_key(parent: &TableDescriptor) -> Result<Vec<ColumnId>> {
    match parent.primary_key.is_empty() {
        true => Err(Error::not_found(
            SqlState::UNDEFINED_OBJECT,
            format!("there is no primary key for referenced table \"{}\"", parent.name),
        )),
        false => Ok(parent.primary_key.clone()),
    }
}

/// Columns by which no two rows are the same.
fn unique_columns(parent: &TableDescriptor, names: &[ast::Ident]) -> Result<Vec<ColumnId>> {
    let names: Vec<String> = names.iter().map(normalize).collect();
    let columns = column_ids(parent, &names)?;
    let distinct: BTreeSet<ColumnId> = columns.iter().copied().collect();
    if distinct.len() != columns.len() {
        return Err(Error::invalid(
            SqlState::INVALID_FOREIGN_KEY,
            "foreign key referenced-columns list must not contain duplicates",
        ));
    }
    match has_key(parent, &columns) {
        true => Ok(columns),
        false => Err(Error::invalid(
            SqlState::INVALID_FOREIGN_KEY,
            format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                parent.name
            ),
        )),
    }
}

/// That the columns of a foreign key can be compared with those that they refer to.
fn check_types(key: &ForeignKey, child: &TableDescriptor, parent: &TableDescriptor) -> Result<()> {
    let column = |table: &TableDescriptor, id: ColumnId| table.columns.iter().find(|there| there.id == id).cloned();
    for (own, referred) in key.columns.iter().zip(&key.parent_columns) {
        let (Some(own), Some(referred)) = (column(child, *own), column(parent, *referred)) else {
            continue;
        };
        let detail = |how: &str| {
            format!(
                "Key columns \"{}\" and \"{}\" are of {how}: {} and {}.",
                own.name,
                referred.name,
                own.sql_type.base_name(),
                referred.sql_type.base_name()
            )
        };
        let message = format!("foreign key constraint \"{}\" cannot be implemented", key.name);
        match comparable(own.sql_type, referred.sql_type) {
            Comparable::Yes => {}
            Comparable::NotYet => {
                return Err(Error::unsupported(message).with_detail(detail("types that are not compared yet")));
            }
            Comparable::No => {
                let error = Error::invalid(SqlState::DATATYPE_MISMATCH, message);
                return Err(error.with_detail(detail("incompatible types")));
            }
        }
    }
    Ok(())
}

/// The foreign keys of other tables that refer to one, those of the oldest table first.
pub(super) fn referring(catalog: &Catalog, parent: TableId) -> Vec<(&Arc<TableDescriptor>, &ForeignKey)> {
    let mut found: Vec<_> = catalog
        .tables()
        .filter(|child| child.id != parent)
        .flat_map(|child| child.foreign_keys.iter().map(move |key| (child, key)))
        .filter(|(_, key)| key.parent == parent)
        .collect();
    found.sort_by_key(|(child, _)| child.id.0);
    found
}

/// A foreign key as messages name it.
pub(super) fn describe(child: &TableDescriptor, key: &str) -> String {
    format!("constraint {key} on table {}", child.name)
}

/// Lets the parents of new foreign keys of a table know.
pub(super) fn announce(
    parents: &[Arc<TableDescriptor>],
    child: TableId,
    catalog: &Catalog,
    definition: &mut Definition,
) {
    let mut told = BTreeSet::from([child.0]);
    for parent in parents {
        if told.insert(parent.id.0) {
            let (_, changes) = catalog.alter_table(TableDescriptor::clone(parent));
            definition.changes.extend(changes);
        }
    }
}

/// What a foreign key refers to and an alteration takes away.
#[derive(Clone, PartialEq, Eq)]
enum Lost {
    Column(String),
    /// The name of a constraint.
    Key(String),
    /// The name of a unique index that is no constraint.
    Index(String),
}

/// The foreign keys, of whatever table, that go with what an alteration takes away.
///
/// # Errors
/// 2BP01 where they do not go.
pub(super) fn detached(alteration: &Alteration<'_>, catalog: &Catalog) -> Result<Vec<(Arc<TableDescriptor>, String)>> {
    let Alteration { before, after, .. } = alteration;
    let own: Arc<TableDescriptor> = Arc::new(TableDescriptor::clone(after));
    let of_itself = own.foreign_keys.iter().filter(|key| key.parent == own.id);
    let of_itself = of_itself.map(|key| (&own, key));
    let mut gone = Vec::new();
    let mut kept: Option<Lost> = None;
    let mut users = Vec::new();
    for (child, key) in of_itself.chain(referring(catalog, before.id)) {
        let Some((lost, is_cascaded)) = lost(alteration, key) else {
            continue;
        };
        if is_cascaded {
            gone.push((child.clone(), key.name.clone()));
        } else if kept.as_ref().is_none_or(|kept| *kept == lost) {
            let on = match &lost {
                Lost::Column(name) => format!("column {name} of table {}", before.name),
                Lost::Key(name) | Lost::Index(name) => format!("index {name}"),
            };
            users.push(format!("{} depends on {on}", describe(child, &key.name)));
            kept = Some(lost);
        }
    }
    let what = match kept {
        None => return Ok(gone),
        Some(Lost::Column(name)) => format!("column {name} of table {}", before.name),
        Some(Lost::Key(name)) => format!("constraint {name} on table {}", before.name),
        Some(Lost::Index(name)) => format!("index {name}"),
    };
    Err(Error::invalid(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop {what} because other objects depend on it"),
    )
    .with_detail(users.join("\n"))
    .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
    .with_schema(before.schema.clone())
    .with_table(before.name.clone()))
}

/// What a foreign key loses by an alteration of its parent, and whether it is to go with it.
fn lost(alteration: &Alteration<'_>, key: &ForeignKey) -> Option<(Lost, bool)> {
    let Alteration { before, after, .. } = alteration;
    let is_lost =
        |column: &&ColumnDescriptor| key.parent_columns.contains(&column.id) && after.position_of(column.id).is_none();
    if let Some(column) = before.columns.iter().find(is_lost) {
        let is_cascaded = alteration.cascaded.contains(&column.id);
        return Some((Lost::Column(column.name.clone()), is_cascaded));
    }
    if has_key(after, &key.parent_columns) {
        return None;
    }
    let wanted: BTreeSet<ColumnId> = key.parent_columns.iter().copied().collect();
    let is_over = |columns: &mut dyn Iterator<Item = ColumnId>| columns.collect::<BTreeSet<_>>() == wanted;
    let lost = match &before.primary_key_name {
        Some(name) if is_over(&mut before.primary_key.iter().copied()) => Lost::Key(name.clone()),
        _ => {
            let mut unique = before.indexes.iter().filter(|index| index.is_unique);
            let index = unique.find(|index| is_over(&mut index.columns.iter().map(|part| part.column)))?;
            match index.constraint {
                Some(_) => Lost::Key(index.name.clone()),
                None => Lost::Index(index.name.clone()),
            }
        }
    };
    let is_cascaded = match &lost {
        Lost::Key(name) => alteration.cascaded_keys.contains(name),
        Lost::Column(_) | Lost::Index(_) => false,
    };
    Some((lost, is_cascaded))
}

/// The foreign keys of a table, and those that refer to it, whose rows must be looked at when it was altered: new ones, and those with a
/// column whose values are computed.
///
/// # Errors
/// 42804 where a column has another type that cannot be compared.
pub(super) fn to_check(
    after: &Arc<TableShape>,
    added: &[String],
    computed: &[ColumnId],
    catalog: &Catalog,
) -> Result<Vec<Arc<Tie>>> {
    let table = &after.descriptor;
    let is_computed = |columns: &[ColumnId]| columns.iter().any(|column| computed.contains(column));
    let mut ties = Vec::new();
    for key in &table.foreign_keys {
        let is_of_itself = key.parent == table.id;
        let is_touched = is_computed(&key.columns) || (is_of_itself && is_computed(&key.parent_columns));
        if !is_touched && !added.contains(&key.name) {
            continue;
        }
        let parent = match is_of_itself {
            true => after.clone(),
            false => {
                let parent = catalog.table_by_id(key.parent);
                let parent = parent
                    .ok_or_else(|| Error::internal(format!("the table of foreign key \"{}\" is gone", key.name)))?;
                TableShape::new(parent.clone())
            }
        };
        check_types(key, table, &parent.descriptor)?;
        ties.push(Arc::new(Tie::new(key, after.clone(), parent, None)?));
    }
    for (child, key) in referring(catalog, table.id) {
        // One that has lost its key goes.
        if is_computed(&key.parent_columns) && has_key(table, &key.parent_columns) {
            check_types(key, child, table)?;
            let child = TableShape::new(child.clone());
            ties.push(Arc::new(Tie::new(key, child, after.clone(), None)?));
        }
    }
    Ok(ties)
}
