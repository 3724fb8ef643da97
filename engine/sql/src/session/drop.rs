//! DROP of tables, views and schemas, with what depends on them, TRUNCATE, and COMMENT ON.

use std::collections::BTreeSet;
use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_catalog::descriptor::{IndexMethod, SequenceDescriptor, TableDescriptor, ViewDescriptor};
use aion_catalog::objects::{Catalog, KeyChange, Object, PUBLIC, SYSTEM_SCHEMAS};
use aion_catalog::stats::TableStatistics;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::Session;
use super::ddl::Definition;
use super::foreign_key::{self, referring};
use super::made_type::drop_enums_of;
use super::materialized::refuse_materialized;
use super::numbered::{self, check_unused};
use crate::dml::{at, normalize, reference};
use crate::sequences::State;
use crate::transaction::Transaction;

/// What goes, in the order in which it was found.
#[derive(Default)]
pub(super) struct Going {
    objects: Vec<Object>,
    names: BTreeSet<(String, String)>,
    /// What nobody asked for by name, as PostgreSQL tells it.
    cascaded: Vec<String>,
    /// Defaults that name sequences which go, by table and position; the columns stay.
    defaults: Vec<(Arc<TableDescriptor>, usize)>,
    /// Foreign keys that refer to what goes, by table and name; the tables stay.
    keys: Vec<(Arc<TableDescriptor>, String)>,
}

impl Going {
    fn add(&mut self, object: Object) -> bool {
        let is_new = self.names.insert(name_of(&object));
        if is_new {
            self.objects.push(object);
        }
        is_new
    }

    /// Whether something of that name goes.
    pub(super) fn has(&self, schema: &str, name: &str) -> bool {
        self.names.contains(&(schema.to_owned(), name.to_owned()))
    }

    /// Adds what goes with something that is no object of its own, and what depends on it.
    pub(super) fn take_along(&mut self, object: Object, catalog: &Catalog) {
        let told = format!("{} {}", kind_of(&object), name_of(&object).1);
        if self.add(object) {
            self.cascaded.push(told);
            self.cascade(catalog);
        }
    }

    /// Adds the sequences that go with tables.
    fn add_sequences(&mut self, catalog: &Catalog) {
        let tables = self.objects.iter().filter_map(|object| match object {
            Object::Table(table) => Some(table.id),
            _ => None,
        });
        let tables: Vec<_> = tables.collect();
        for sequence in catalog.sequences() {
            if tables.iter().any(|table| sequence.is_of(*table, None)) {
                self.add(Object::Sequence(sequence.clone()));
            }
        }
    }

    /// Whether the default of a column goes: with its table, or alone.
    fn has_default(&self, table: &TableDescriptor, position: usize) -> bool {
        let is_it = |(of, at): &(Arc<TableDescriptor>, usize)| of.id == table.id && *at == position;
        self.names.contains(&(table.schema.clone(), table.name.clone())) || self.defaults.iter().any(is_it)
    }

    /// Adds the defaults that name sequences which go; not those of identity columns, which are no defaults to PostgreSQL.
    fn cascade_to_defaults(&mut self, catalog: &Catalog) {
        let mut found = Vec::new();
        for object in &self.objects {
            if let Object::Sequence(sequence) = object {
                found.extend(numbered::users(catalog, sequence));
            }
        }
        for (table, position) in found {
            if table.columns[position].identity.is_none() && !self.has_default(&table, position) {
                self.cascaded.push(numbered::describe(&table, position));
                self.defaults.push((table, position));
            }
        }
    }

    /// A foreign key goes.
    pub(super) fn detach(&mut self, child: Arc<TableDescriptor>, key: String) {
        self.cascaded.push(foreign_key::describe(&child, &key));
        self.keys.push((child, key));
    }

    /// Whether a foreign key goes: with its table, or alone.
    fn has_key(&self, child: &TableDescriptor, key: &str) -> bool {
        let is_it = |(of, name): &(Arc<TableDescriptor>, String)| of.id == child.id && name == key;
        self.names.contains(&(child.schema.clone(), child.name.clone())) || self.keys.iter().any(is_it)
    }

    /// The foreign keys that refer to a table and stay.
    fn keys_in_the_way<'c>(
        &self,
        table: &TableDescriptor,
        catalog: &'c Catalog,
    ) -> Vec<(&'c Arc<TableDescriptor>, String)> {
        let referring = referring(catalog, table.id).into_iter();
        let staying = referring.filter(|(child, key)| !self.has_key(child, &key.name));
        staying.map(|(child, key)| (child, key.name.clone())).collect()
    }

    /// Adds the foreign keys that refer to tables which go.
    fn cascade_to_keys(&mut self, catalog: &Catalog) {
        let tables = self.objects.iter().filter_map(|object| match object {
            Object::Table(table) => Some(table.clone()),
            _ => None,
        });
        for table in tables.collect::<Vec<_>>() {
            for (child, key) in self.keys_in_the_way(&table, catalog) {
                self.detach(child.clone(), key);
            }
        }
    }

    /// Adds what depends on the objects, and on that.
    fn cascade(&mut self, catalog: &Catalog) {
        let mut next = 0;
        while let Some(object) = self.objects.get(next) {
            let (schema, name) = name_of(object);
            for dependent in catalog.dependents(&schema, &name) {
                let told = format!("{} {}", kind_of(&dependent), name_of(&dependent).1);
                if self.add(dependent) {
                    self.cascaded.push(told);
                }
            }
            next += 1;
        }
        self.add_sequences(catalog);
        self.cascade_to_defaults(catalog);
        self.cascade_to_keys(catalog);
    }

    /// That nothing else depends on what goes.
    ///
    /// # Errors
    /// 2BP01, naming what does.
    fn check(&self, catalog: &Catalog) -> Result<()> {
        for object in &self.objects {
            let (schema, name) = name_of(object);
            let dependents = catalog.dependents(&schema, &name).into_iter();
            let kind = kind_of(object);
            let users = dependents
                .filter(|dependent| !self.names.contains(&name_of(dependent)))
                .map(|user| format!("{} {} depends on {kind} {name}", kind_of(&user), name_of(&user).1));
            let mut users: Vec<String> = users.collect();
            if let Object::Table(table) = object {
                let keys = self.keys_in_the_way(table, catalog).into_iter();
                users.extend(keys.map(|(child, key)| {
                    let user = foreign_key::describe(child, &key);
                    format!("{user} depends on {kind} {name}")
                }));
            }
            if let Object::Sequence(sequence) = object {
                check_unused(catalog, sequence, &|table, position| self.has_default(table, position))?;
            }
            if users.is_empty() {
                continue;
            }
            // A table's sequences go along, and nobody asked for them.
            let asked = self.objects.iter().filter(|there| kind_of(there) == kind).count();
            let message = match asked {
                1 => format!("cannot drop {kind} {name} because other objects depend on it"),
                _ => "cannot drop desired object(s) because other objects depend on them".to_owned(),
            };
            return Err(Error::invalid(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .with_detail(users.join("\n"))
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
                .with_schema(schema)
                .with_table(name));
        }
        Ok(())
    }

    /// The tables that stay, without the defaults and foreign keys that go.
    fn remaining(&self) -> Vec<TableDescriptor> {
        let mut changed: Vec<TableDescriptor> = Vec::new();
        let mut place = |table: &Arc<TableDescriptor>| match changed.iter().position(|there| there.id == table.id) {
            Some(at) => at,
            None => {
                changed.push(TableDescriptor::clone(table));
                changed.len() - 1
            }
        };
        let defaults: Vec<_> = self
            .defaults
            .iter()
            .map(|(table, position)| (place(table), *position))
            .collect();
        let keys: Vec<_> = self.keys.iter().map(|(table, key)| (place(table), key)).collect();
        for (at, position) in defaults {
            changed[at].columns[position].default = None;
        }
        for (at, name) in keys {
            changed[at].foreign_keys.retain(|key| key.name != *name);
        }
        changed
    }

    pub(super) fn define(mut self, catalog: &Catalog, definition: &mut Definition) {
        self.add_sequences(catalog);
        for object in &self.objects {
            match object {
                Object::Table(table) => {
                    definition.changes.extend(catalog.drop_table(table));
                    definition.retire(KeyRange::table(table.storage));
                    definition.cleared.push(TableStatistics::key(table.id));
                }
                Object::View(view) => definition.changes.extend(catalog.drop_view(view)),
                Object::Graph(graph) => definition.changes.extend(catalog.drop_graph(graph)),
                Object::Sequence(sequence) => {
                    definition.changes.extend(catalog.drop_sequence(sequence));
                    definition.retire_numbers(sequence);
                }
            }
        }
        for table in self.remaining() {
            definition.changes.extend(catalog.alter_table(table).1);
        }
        let notice = match self.cascaded.as_slice() {
            [] => return,
            [only] => format!("drop cascades to {only}"),
            several => format!(
                "drop cascades to {} other objects: {}",
                several.len(),
                several.join(", ")
            ),
        };
        definition.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
    }
}

/// 2BP01 for a schema that has something in it.
fn still_in(schema: &str, told: &str) -> Error {
    Error::invalid(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop schema {schema} because other objects depend on it"),
    )
    .with_detail(format!("{told} depends on schema {schema}"))
    .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

/// Drops schemas and all that is in them, and what depends on that.
///
/// # Errors
/// When the transaction holds no more.
pub(crate) fn drop_schemas_whole(schemas: &[String], catalog: &Catalog, transaction: &Transaction) -> Result<()> {
    let mut definition = Definition::new("DROP SCHEMA", Vec::new());
    let mut going = Going::default();
    for schema in schemas {
        for object in catalog.objects_in(schema) {
            going.add(object);
        }
        definition.changes.extend(drop_enums_of(schema, catalog));
        definition.changes.extend(catalog.drop_schema(schema));
    }
    going.cascade(catalog);
    going.define(catalog, &mut definition);
    super::ddl::write(&definition.changes, transaction)?;
    definition.cleared.iter().try_for_each(|key| transaction.delete(key))
}

/// Schema and name.
fn name_of(object: &Object) -> (String, String) {
    match object {
        Object::Table(table) => (table.schema.clone(), table.name.clone()),
        Object::View(view) => (view.schema.clone(), view.name.clone()),
        Object::Graph(graph) => (graph.schema.clone(), graph.name.clone()),
        Object::Sequence(sequence) => (sequence.schema.clone(), sequence.name.clone()),
    }
}

fn kind_of(object: &Object) -> &'static str {
    match object {
        Object::Table(table) if table.view.is_some() => "materialized view",
        Object::Table(_) => "table",
        Object::View(_) => "view",
        Object::Graph(_) => "property graph",
        Object::Sequence(_) => "sequence",
    }
}

impl Session {
    /// DROP of what is no type, schema or index: the tag says of which kind.
    pub(super) fn drop_objects(
        &self,
        tag: &'static str,
        names: &[ast::ObjectName],
        if_exists: bool,
        is_cascade: bool,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Definition> {
        let kind = match tag {
            "DROP VIEW" => "view",
            "DROP MATERIALIZED VIEW" => "materialized view",
            "DROP PROPERTY GRAPH" => "property graph",
            "DROP SEQUENCE" => "sequence",
            _ => "table",
        };
        let mut definition = Definition::new(tag, Vec::new());
        let mut going = Going::default();
        let path = self.search_path()?;
        for name in names {
            let place = |error| at(error, name.span(), text);
            match self.names(catalog, &path).resolve(&reference(name)?) {
                Ok(object) if kind_of(&object) == kind => {
                    let mut alone = Going::default();
                    alone.add(object.clone());
                    alone.add_sequences(catalog);
                    // With those that go with it the check is made again below; here it has the name's place.
                    if !is_cascade && names.len() == 1 {
                        alone.check(catalog).map_err(place)?;
                    }
                    going.add(object);
                }
                Ok(other) => {
                    let error = Error::invalid(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a {kind}"));
                    let is = kind_of(&other);
                    let hint = format!("Use DROP {} to remove a {is}.", is.to_uppercase());
                    return Err(place(error.with_hint(hint)));
                }
                Err(error) if if_exists && error.kind() == ErrorKind::NotFound => {
                    let notice = format!("{kind} \"{name}\" does not exist, skipping");
                    definition.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
                }
                Err(error) => return Err(place(missing(error, name, kind))),
            }
        }
        match is_cascade {
            true => going.cascade(catalog),
            false => going.add_sequences(catalog),
        }
        going.check(catalog)?;
        going.define(catalog, &mut definition);
        Ok(definition)
    }

    pub(super) fn drop_schemas(
        &self,
        names: &[ast::ObjectName],
        if_exists: bool,
        is_cascade: bool,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Definition> {
        let mut definition = Definition::new("DROP SCHEMA", Vec::new());
        let mut going = Going::default();
        let mut types = Vec::new();
        for name in names {
            let place = |error| at(error, name.span(), text);
            let schema = super::ddl::single_name(name).map_err(place)?;
            if SYSTEM_SCHEMAS.contains(&schema.as_str()) || schema == PUBLIC {
                return Err(place(Error::denied(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    format!("cannot drop schema \"{schema}\": it is always there"),
                )));
            }
            if !catalog.has_schema(&schema) {
                let message = format!("schema \"{schema}\" does not exist");
                if !if_exists {
                    return Err(place(Error::not_found(SqlState::INVALID_SCHEMA_NAME, message)));
                }
                let notice = (SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                definition.notices.push(notice);
                continue;
            }
            if !is_cascade && let Some(of) = catalog.enums().find(|of| of.descriptor().schema == schema) {
                return Err(place(still_in(&schema, &format!("type {of}"))));
            }
            for object in catalog.objects_in(&schema) {
                let told = format!("{} {}", kind_of(&object), name_of(&object).1);
                if !is_cascade {
                    return Err(place(still_in(&schema, &told)));
                }
                if going.add(object) {
                    going.cascaded.push(told);
                }
            }
            types.extend(catalog.enums().filter(|of| of.descriptor().schema == schema));
            definition.changes.extend(catalog.drop_schema(&schema));
        }
        going.cascade(catalog);
        going.cascaded.extend(types.iter().map(|of| format!("type {of}")));
        if !types.is_empty() {
            let objects = std::mem::take(&mut going.objects);
            self.take_types(&types, true, &objects, catalog, &mut definition)?;
            going.objects = objects;
        }
        going.define(catalog, &mut definition);
        Ok(definition)
    }

    pub(super) fn truncate(&self, truncate: &ast::Truncate, catalog: &Catalog, text: &str) -> Result<Definition> {
        if truncate.partitions.is_some() || truncate.on_cluster.is_some() || truncate.if_exists {
            return Err(Error::unsupported("this TRUNCATE is not PostgreSQL's"));
        }
        let mut definition = Definition::new("TRUNCATE TABLE", Vec::new());
        let path = self.search_path()?;
        let mut met = BTreeSet::new();
        let mut tables = Vec::new();
        for target in &truncate.table_names {
            let place = |error| at(error, target.name.span(), text);
            let resolved = self.names(catalog, &path).resolve(&reference(&target.name)?);
            let Object::Table(table) = resolved.map_err(place)? else {
                let message = format!("\"{}\" is not a table", target.name);
                return Err(place(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message)));
            };
            refuse_materialized(&table, "truncate").map_err(place)?;
            if met.insert(table.id) {
                tables.push(table);
            }
        }
        let is_cascade = truncate.cascade == Some(ast::CascadeOption::Cascade);
        let mut next = 0;
        while let Some(table) = tables.get(next).cloned() {
            next += 1;
            for (child, _) in referring(catalog, table.id) {
                if met.contains(&child.id) {
                    continue;
                }
                if !is_cascade {
                    return Err(still_referred_to(&table, child));
                }
                let notice = format!("truncate cascades to table \"{}\"", child.name);
                definition.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
                met.insert(child.id);
                tables.push(child.clone());
            }
        }
        for table in tables {
            self.refuse_deferred("TRUNCATE", &table)?;
            self.empty(&table, catalog, &mut definition)?;
            if truncate.identity == Some(ast::TruncateIdentityOption::Restart) {
                for sequence in catalog.sequences().filter(|sequence| sequence.is_of(table.id, None)) {
                    let mut again = SequenceDescriptor::clone(sequence);
                    let start = State {
                        last: again.start,
                        is_called: false,
                    };
                    self.restart(&mut definition, &mut again, start)?;
                    definition.changes.extend(catalog.put_sequence(&again));
                }
            }
        }
        Ok(definition)
    }

    /// Gives a table another storage, with nothing in it.
    fn empty(&self, table: &TableDescriptor, catalog: &Catalog, definition: &mut Definition) -> Result<()> {
        let mut changed = table.clone();
        changed.storage = match self.block.is_some() {
            // What the block loads into it need not wait for the commit.
            true => {
                let (storage, private) = self.engine.storages.private_storage()?;
                definition.keep(private);
                storage
            }
            false => self.engine.storages.allocate()?,
        };
        let indexes = &changed.indexes;
        definition.has_graph |= indexes.iter().any(|index| index.method != IndexMethod::Ordered);
        definition.changes.extend(catalog.alter_table(changed).1);
        definition.retire(KeyRange::table(table.storage));
        Ok(())
    }

    pub(super) fn comment(
        &self,
        kind: ast::CommentObject,
        name: &ast::ObjectName,
        comment: Option<&str>,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Definition> {
        let tag = "COMMENT";
        let place = |error| at(error, name.span(), text);
        let path = self.search_path()?;
        let object =
            |name: &ast::ObjectName| -> Result<Object> { self.names(catalog, &path).resolve(&reference(name)?) };
        let is_not = |what: &str| {
            place(Error::invalid(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not {what}"),
            ))
        };
        let comment = comment.filter(|comment| !comment.is_empty()).map(str::to_owned);
        let changes = match kind {
            ast::CommentObject::Table | ast::CommentObject::MaterializedView => {
                let is_view = matches!(kind, ast::CommentObject::MaterializedView);
                let table = match object(name).map_err(place)? {
                    Object::Table(table) if table.view.is_some() == is_view => table,
                    _ if is_view => return Err(is_not("a materialized view")),
                    _ => return Err(is_not("a table")),
                };
                let mut changed = TableDescriptor::clone(&table);
                changed.comment = comment;
                catalog.alter_table(changed).1
            }
            ast::CommentObject::View => {
                let Object::View(view) = object(name).map_err(place)? else {
                    return Err(is_not("a view"));
                };
                let mut changed = ViewDescriptor::clone(&view);
                changed.comment = comment;
                catalog.create_view(&changed, true)?
            }
            ast::CommentObject::Sequence => {
                let Object::Sequence(sequence) = object(name).map_err(place)? else {
                    return Err(is_not("a sequence"));
                };
                let mut changed = SequenceDescriptor::clone(&sequence);
                changed.comment = comment;
                catalog.put_sequence(&changed)
            }
            ast::CommentObject::Column => {
                let Some((ast::ObjectNamePart::Identifier(column), of)) = name.0.split_last() else {
                    return Err(place(Error::invalid(SqlState::SYNTAX_ERROR, "no column is named")));
                };
                let of = object(&ast::ObjectName(of.to_vec())).map_err(place)?;
                comment_column(&of, normalize(column), comment, catalog).map_err(place)?
            }
            ast::CommentObject::Index => {
                let (table, index) = self.find_index(name, catalog).map_err(place)?;
                let mut changed = TableDescriptor::clone(&table);
                for there in changed.indexes.iter_mut().filter(|there| there.id == index.id) {
                    there.comment.clone_from(&comment);
                }
                catalog.alter_table(changed).1
            }
            // What pg_dump says of what is always here.
            ast::CommentObject::Extension | ast::CommentObject::Schema | ast::CommentObject::Database => {
                return Ok(Definition::new(tag, Vec::new()));
            }
            other => {
                return Err(place(Error::unsupported(format!(
                    "COMMENT ON {other} is not there yet"
                ))));
            }
        };
        Ok(Definition::new(tag, changes))
    }

    /// COMMENT ON CONSTRAINT. Errors have no place: the statement is carried (see `utility`).
    pub(super) fn comment_constraint(
        &self,
        constraint: &ast::Ident,
        table: &ast::ObjectName,
        comment: Option<String>,
        catalog: &Catalog,
    ) -> Result<Definition> {
        let path = self.search_path()?;
        let Object::Table(table) = self.names(catalog, &path).resolve(&reference(table)?)? else {
            let message = format!("\"{table}\" is not a table");
            return Err(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message));
        };
        let name = normalize(constraint);
        let is_index = table.index(&name).is_some_and(|index| index.constraint.is_none());
        if !table.has_constraint(&name) || is_index {
            let message = format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
            return Err(Error::not_found(SqlState::UNDEFINED_OBJECT, message));
        }
        let mut changed = TableDescriptor::clone(&table);
        changed.constraint_comments.retain(|(there, _)| *there != name);
        let comment = comment.filter(|comment| !comment.is_empty());
        changed
            .constraint_comments
            .extend(comment.map(|comment| (name, comment)));
        Ok(Definition::new("COMMENT", catalog.alter_table(changed).1))
    }
}

/// 0A000 for a TRUNCATE that would leave rows without what they refer to.
fn still_referred_to(table: &TableDescriptor, child: &TableDescriptor) -> Error {
    Error::unsupported("cannot truncate a table referenced in a foreign key constraint")
        .with_detail(format!("Table \"{}\" references \"{}\".", child.name, table.name))
        .with_hint(format!(
            "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
            child.name
        ))
}

/// COMMENT ON COLUMN, of a table or view.
fn comment_column(of: &Object, column: String, comment: Option<String>, catalog: &Catalog) -> Result<Vec<KeyChange>> {
    let missing = |relation: &str| {
        Error::not_found(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{column}\" of relation \"{relation}\" does not exist"),
        )
    };
    match of {
        Object::Table(table) => {
            let mut changed = TableDescriptor::clone(table);
            let position = changed.position(&column).ok_or_else(|| missing(&table.name))?;
            changed.columns[position].comment = comment;
            Ok(catalog.alter_table(changed).1)
        }
        Object::View(view) => {
            if !view.columns.contains(&column) {
                return Err(missing(&view.name));
            }
            let mut changed = ViewDescriptor::clone(view);
            changed.column_comments.retain(|(there, _)| *there != column);
            changed
                .column_comments
                .extend(comment.map(|comment| (column.clone(), comment)));
            catalog.create_view(&changed, true)
        }
        Object::Graph(_) | Object::Sequence(_) => {
            let message = format!("\"{}\" is not a table or view", name_of(of).1);
            Err(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message))
        }
    }
}

fn missing(error: Error, name: &ast::ObjectName, kind: &str) -> Error {
    match name.0.as_slice() {
        [ast::ObjectNamePart::Identifier(part)] if error.state() == SqlState::UNDEFINED_TABLE => {
            let name = normalize(part);
            Error::not_found(SqlState::UNDEFINED_TABLE, format!("{kind} \"{name}\" does not exist")).with_table(name)
        }
        _ => error,
    }
}
