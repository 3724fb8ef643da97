//! CREATE and DROP INDEX.
//!
//! An ordered index is filled while others write, see `online`; in a transaction block in the transaction that creates it: the statement
//! relies upon all rows of the table then, so a row that another transaction commits meanwhile is a conflict (40001), never a row without
//! an entry. Statements that were planned before rely upon the table's descriptor and are refused likewise. A vector index has no
//! entries: it is built in memory from the rows (see `vector`).

mod parts;

use std::sync::Arc;

use aion_base::id::IndexId;
use aion_base::range::KeyRange;
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_catalog::descriptor::{Distance, IndexDescriptor, IndexMethod, IndexState, TableDescriptor};
use aion_catalog::keys::ROWS;
use aion_catalog::objects::{self, Catalog, Object};
use aion_storage::Direction;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::Session;
use super::ddl::Definition;
use super::dependents::Alteration;
use super::foreign_key::detached;
use super::online::Building;
use super::table::{next_index, unqualified};
use crate::cancel::Cancellation;
use crate::dml::{ManyRows, at, normalize, reference};
use crate::system::index_names;
use crate::table::TableShape;
use crate::transaction::Transaction;
use parts::included;

impl Session {
    pub(super) fn create_index(&self, create: &ast::CreateIndex, catalog: &Catalog, text: &str) -> Result<Definition> {
        refuse_options(create)?;
        if create.concurrently && self.block.is_some() {
            return Err(Error::invalid(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "CREATE INDEX CONCURRENTLY cannot run inside a transaction block",
            ));
        }
        let path = self.search_path()?;
        let place = |error| at(error, create.table_name.span(), text);
        let table = match self.names(catalog, &path).resolve(&reference(&create.table_name)?) {
            Ok(Object::Table(table)) => table,
            Ok(_) => {
                let message = format!("\"{}\" is not a table", create.table_name);
                return Err(place(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message)));
            }
            Err(error) => return Err(place(error)),
        };
        let method = method(create)?;
        let mut changed = TableDescriptor::clone(&table);
        // What a block that was rolled back left under an id goes away by and by.
        while self.engine.storages.is_retired(&next_range(&changed))? {
            changed.next_index = next_index(&changed)?;
        }
        let (columns, expressions) = self.parts(create, &table, method, catalog, text)?;
        let mut index = IndexDescriptor {
            is_unique: create.unique,
            is_nulls_equal: create.nulls_distinct == Some(false),
            included: included(create, &table, method, text)?,
            predicate: create
                .predicate
                .as_ref()
                .map(|expr| unqualified(expr, &table).to_string()),
            method,
            expressions,
            state: match (method, &self.block) {
                (IndexMethod::Ordered, None) => IndexState::WriteOnly,
                _ => IndexState::Readable,
            },
            ..IndexDescriptor::new(IndexId(changed.next_index), String::new(), columns)
        };
        self.freeze_index(&mut index, &table, catalog)?;
        index.name = match &create.name {
            Some(name) => last_part(name)?,
            None => free_name(catalog, &table, &index),
        };
        let name = &index.name;
        if create.if_not_exists
            && (catalog.table_of_index(&table.schema, name).is_some() || catalog.object(&table.schema, name).is_some())
        {
            let notice = format!("relation \"{name}\" already exists, skipping");
            return Ok(Definition::nothing("CREATE INDEX", SqlState::DUPLICATE_TABLE, notice));
        }
        catalog
            .check_new(&table.schema, name, "index")
            .map_err(|error| match &create.name {
                Some(name) => at(error, name.span(), text),
                None => error,
            })?;
        self.check_condition(create, &table, &index, catalog, text)?;
        let range = next_range(&changed);
        changed.next_index = next_index(&changed)?;
        changed.indexes.push(index.clone());
        let (changed, changes) = catalog.alter_table(changed);
        let mut definition = Definition::new("CREATE INDEX", changes);
        match method {
            IndexMethod::Ordered if self.block.is_none() => {
                // Nobody begins to load into it.
                definition.required.push(objects::retire(&range).key);
                definition.building = Some(Building {
                    table: changed.id,
                    index: index.id,
                });
            }
            IndexMethod::Ordered => {
                let shape = self.names(catalog, &path).new_shape(changed);
                self.fill_privately(&mut definition, &shape, index);
            }
            IndexMethod::Hnsw { .. } => definition.has_graph = true,
        }
        Ok(definition)
    }

    pub(super) fn drop_indexes(
        &self,
        names: &[ast::ObjectName],
        if_exists: bool,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Definition> {
        let mut definition = Definition::new("DROP INDEX", Vec::new());
        // Several indexes of one table are one change of it.
        let mut changed: Vec<TableDescriptor> = Vec::new();
        for name in names {
            let found = self.find_index(name, catalog);
            let (table, index) = match found {
                Ok(found) => found,
                Err(error) if if_exists && error.kind() == ErrorKind::NotFound => {
                    let notice = format!("index \"{name}\" does not exist, skipping");
                    definition.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
                    continue;
                }
                Err(error) => return Err(at(error, name.span(), text)),
            };
            let at = match changed.iter().position(|there| there.id == table.id) {
                Some(at) => at,
                None => {
                    changed.push(table.as_ref().clone());
                    changed.len() - 1
                }
            };
            if index.constraint.is_some() {
                let message = format!(
                    "cannot drop index {} because constraint {} on table {} requires it",
                    index.name, index.name, table.name
                );
                return Err(crate::dml::at(
                    Error::invalid(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).with_hint(format!(
                        "You can drop constraint {} on table {} instead.",
                        index.name, table.name
                    )),
                    name.span(),
                    text,
                ));
            }
            changed[at].indexes.retain(|there| there.id != index.id);
            if index.method == IndexMethod::Ordered {
                definition.retire(KeyRange::index(table.storage, index.id));
            }
        }
        for table in changed {
            if let Some(before) = catalog.table_by_id(table.id) {
                let alteration = Alteration {
                    before,
                    after: &table,
                    cascaded: &[],
                    cascaded_keys: &[],
                };
                detached(&alteration, catalog)?;
            }
            definition.changes.extend(catalog.alter_table(table).1);
        }
        Ok(definition)
    }

    pub(super) fn find_index(
        &self,
        name: &ast::ObjectName,
        catalog: &Catalog,
    ) -> Result<(Arc<TableDescriptor>, IndexDescriptor)> {
        let (table, wanted) = self.table_of_index(name, catalog)?;
        match table.index(&wanted) {
            Some(index) => Ok((table.clone(), index.clone())),
            None => Err(Error::invalid(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop index {wanted} because constraint {wanted} on table {} requires it",
                    table.name
                ),
            )
            .with_hint(format!(
                "You can drop constraint {wanted} on table {} instead.",
                table.name
            ))),
        }
    }

    /// The table that an index, or a primary key, of that name is of, and the name alone.
    fn table_of_index(&self, name: &ast::ObjectName, catalog: &Catalog) -> Result<(Arc<TableDescriptor>, String)> {
        let wanted = last_part(name)?;
        let schemas = match name.0.len() {
            1 => self.search_path()?,
            _ => vec![self.new_name(name, false)?.0],
        };
        for schema in &schemas {
            let has_it = |table: &&Arc<TableDescriptor>| {
                table.schema == *schema
                    && (table.index(&wanted).is_some() || table.primary_key_name.as_deref() == Some(wanted.as_str()))
            };
            if let Some(table) = catalog.tables().find(has_it) {
                return Ok((table.clone(), wanted));
            }
            if catalog.object(schema, &wanted).is_some() {
                return Err(Error::invalid(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{wanted}\" is not an index"),
                ));
            }
        }
        Err(Error::not_found(
            SqlState::UNDEFINED_OBJECT,
            format!("index \"{wanted}\" does not exist"),
        ))
    }

    /// ALTER INDEX ... RENAME TO: a constraint that it is there for has its name.
    pub(super) fn rename_index(
        &self,
        name: &ast::ObjectName,
        new: &ast::ObjectName,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Definition> {
        let found = self.table_of_index(name, catalog).map_err(|error| {
            let is_missing = error.kind() == ErrorKind::NotFound;
            let message = format!("relation \"{name}\" does not exist");
            let error = match is_missing {
                true => Error::not_found(SqlState::UNDEFINED_TABLE, message),
                false => error,
            };
            at(error, name.span(), text)
        });
        let (table, old) = found?;
        let new_name = last_part(new)?;
        let place = |error| at(error, new.span(), text);
        catalog.check_new(&table.schema, &new_name, "index").map_err(place)?;
        let has_constraint = table.checks.iter().any(|check| check.name == new_name)
            || table.foreign_keys.iter().any(|key| key.name == new_name);
        if has_constraint && table.index(&old).is_none_or(|index| index.constraint.is_some()) {
            let message = format!(
                "constraint \"{new_name}\" for relation \"{}\" already exists",
                table.name
            );
            return Err(place(Error::invalid(SqlState::DUPLICATE_OBJECT, message)));
        }
        let mut changed = TableDescriptor::clone(&table);
        changed.rename_constraint_comment(&old, &new_name);
        match changed.indexes.iter_mut().find(|index| index.name == old) {
            Some(index) => index.name = new_name,
            None => changed.primary_key_name = Some(new_name),
        }
        Ok(Definition::new("ALTER INDEX", catalog.alter_table(changed).1))
    }
}

/// Adds the entries of all rows of a table to an index of it.
///
/// # Errors
/// 23505 when two rows have the same values in a unique index; 54000 for a key or a transaction beyond a limit; 57014.
pub async fn fill(
    shape: &Arc<TableShape>,
    index: &IndexDescriptor,
    transaction: &Arc<Transaction>,
    cancellation: &Cancellation,
) -> Result<()> {
    let duplicated = |error| not_unique(error, shape);
    let mut writes = ManyRows::of_index(shape, index, transaction)?;
    let mut rows = transaction.scan(&KeyRange::index(shape.descriptor.storage, ROWS), Direction::Forward)?;
    let mut count = 0;
    while rows.advance()? {
        count += 1;
        cancellation.watch(count).await?;
        writes.index(rows.key(), rows.value()).map_err(duplicated)?;
    }
    writes.finish().map_err(duplicated)
}

/// What is said of a duplicate among rows that were there before their index, or before their key.
pub(super) fn not_unique(error: Error, shape: &TableShape) -> Error {
    if error.state() != SqlState::UNIQUE_VIOLATION {
        return error;
    }
    let name = error.constraint().unwrap_or_default().to_owned();
    let told = Error::conflict(
        SqlState::UNIQUE_VIOLATION,
        format!("could not create unique index \"{name}\""),
    )
    .with_schema(shape.descriptor.schema.clone())
    .with_table(shape.descriptor.name.clone())
    .with_constraint(name);
    match error.detail() {
        Some(detail) => told.with_detail(detail.replace("already exists", "is duplicated")),
        None => told,
    }
}

fn method(create: &ast::CreateIndex) -> Result<IndexMethod> {
    match &create.using {
        // What a hash finds an ordered index finds, too.
        None | Some(ast::IndexType::BTree | ast::IndexType::Hash) => {
            if !create.with.is_empty() {
                return Err(Error::unsupported("WITH is for hnsw indexes"));
            }
            Ok(IndexMethod::Ordered)
        }
        Some(ast::IndexType::Custom(name)) if normalize(name) == "hnsw" => hnsw(create),
        Some(other) => Err(Error::not_found(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{}\" does not exist", other.to_string().to_lowercase()),
        )
        .with_hint("There are btree and hnsw, and hash, which is btree.")),
    }
}

fn hnsw(create: &ast::CreateIndex) -> Result<IndexMethod> {
    if create.unique {
        return Err(Error::unsupported("an hnsw index cannot be unique"));
    }
    let (mut m, mut ef_construction) = (16, 64);
    for option in &create.with {
        let ast::Expr::BinaryOp {
            left,
            op: ast::BinaryOperator::Eq,
            right,
        } = option
        else {
            return Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                format!("WITH ({option}) is no name = value"),
            ));
        };
        let (target, range) = match left.to_string().to_ascii_lowercase().as_str() {
            "m" => (&mut m, 2..=100),
            "ef_construction" => (&mut ef_construction, 4..=1000),
            other => {
                return Err(Error::not_found(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized parameter \"{other}\""),
                )
                .with_hint("An hnsw index has m and ef_construction."));
            }
        };
        let value = right.to_string().trim_matches('\'').parse().ok();
        *target = value.filter(|value| range.contains(value)).ok_or_else(|| {
            Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "{left} = {right}: it is a number from {} to {}",
                    range.start(),
                    range.end()
                ),
            )
        })?;
    }
    if ef_construction < 2 * m {
        return Err(Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            "ef_construction must be greater than or equal to 2 * m",
        ));
    }
    let class = create.columns.first().and_then(|column| column.operator_class.as_ref());
    let distance = match class.map(last_part).transpose()?.as_deref() {
        Some("vector_l2_ops") | None => Distance::L2,
        Some("vector_cosine_ops") => Distance::Cosine,
        Some("vector_ip_ops") => Distance::InnerProduct,
        Some(other) => {
            return Err(Error::not_found(
                SqlState::UNDEFINED_OBJECT,
                format!("operator class \"{other}\" does not exist for access method \"hnsw\""),
            )
            .with_hint("There are vector_l2_ops, vector_cosine_ops and vector_ip_ops."));
        }
    };
    Ok(IndexMethod::Hnsw {
        m,
        ef_construction,
        distance,
    })
}

/// The entries of the next index of a table.
fn next_range(table: &TableDescriptor) -> KeyRange {
    KeyRange::index(table.storage, IndexId(table.next_index))
}

fn last_part(name: &ast::ObjectName) -> Result<String> {
    match name.0.last() {
        Some(ast::ObjectNamePart::Identifier(part)) => Ok(normalize(part)),
        _ => Err(Error::invalid(SqlState::SYNTAX_ERROR, format!("{name} is no name"))),
    }
}

/// The name that PostgreSQL gives: table, columns, `idx`, and a number where that is taken.
fn free_name(catalog: &Catalog, table: &TableDescriptor, index: &IndexDescriptor) -> String {
    let mut base = format!("{}_{}_idx", table.name, index_names(table, index).join("_"));
    // Room for the number, within the limit of names.
    let mut end = base.len().min(58);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    base.truncate(end);
    let is_free = |name: &str| catalog.check_new(&table.schema, name, "index").is_ok();
    if is_free(&base) {
        return base;
    }
    (1..)
        .map(|number| format!("{base}{number}"))
        .find(|name| is_free(name))
        .expect("the catalog has fewer names than there are numbers")
}

fn refuse_options(create: &ast::CreateIndex) -> Result<()> {
    let what = [
        (!create.index_options.is_empty(), "this option of CREATE INDEX"),
        (!create.alter_options.is_empty(), "this option of CREATE INDEX"),
    ];
    match what.iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => Err(Error::unsupported(format!("{what} is not there yet"))),
        None => Ok(()),
    }
}
