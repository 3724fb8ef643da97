//! CREATE TABLE, and what a table's columns and constraints are made of, for ALTER TABLE too.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::id::{IndexId, TableId};
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_catalog::descriptor::{
    CheckDescriptor, ColumnDescriptor, ColumnId, Constraint, IndexColumn, IndexDescriptor, NAME_BYTES_MAX,
    TableDescriptor, check_name,
};
use aion_catalog::keys::check_key_type;
use aion_catalog::objects::Catalog;
use aion_catalog::{SqlType, Value, Zone, text};
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::Session;
use super::ddl::Definition;
use super::foreign_key::{self, Wanted};
use super::sequence::{Counted, check_identity_type, serial};
use crate::covering;
use crate::dml::{at, normalize};
use crate::generated::{self, IdentityChange};
use crate::parse;
use crate::planner::sql_type;

/// Columns of an index at most: PostgreSQL's limit.
pub(super) const INDEX_COLUMNS_MAX: usize = 32;

impl Session {
    pub(super) fn create_table(&self, create: &ast::CreateTable, catalog: &Catalog, text: &str) -> Result<Definition> {
        refuse_options(create)?;
        let (schema, name) = self.new_name(&create.name, create.temporary)?;
        let (catalog, schema_changes) = self.with_temporary_schema(&schema, catalog)?;
        let catalog = &*catalog;
        if create.if_not_exists && catalog.object(&schema, &name).is_some() {
            let notice = format!("relation \"{name}\" already exists, skipping");
            return Ok(Definition::nothing("CREATE TABLE", SqlState::DUPLICATE_TABLE, notice));
        }
        // Before the names of its keys are looked for, which lie in the same schema.
        catalog
            .check_new(&schema, &name, "table")
            .map_err(|error| at(error, create.name.span(), text))?;
        let mut table = TableDescriptor::new(schema, name);
        table.options = storage_parameters(&create.table_options)?;
        let mut counted = Vec::new();
        for column in &create.columns {
            counted.extend(add_column(&mut table, column, catalog, text, self.zone())?);
        }
        for constraint in &create.constraints {
            add_constraint(&mut table, constraint, catalog, text)?;
        }
        let wanted = create.columns.iter().flat_map(Wanted::of_column);
        let wanted: Vec<Wanted<'_>> = wanted
            .chain(create.constraints.iter().filter_map(Wanted::of_table))
            .collect();
        self.name_sequences(&mut table, catalog)?;
        self.freeze_table(&mut table, catalog)?;
        self.check_expressions(&table, catalog)?;
        let mut definition = Definition::new("CREATE TABLE", Vec::new());
        table.id = TableId(catalog.next_id(0)?.0);
        if !wanted.is_empty() {
            let known = catalog.with_table(&table, table.clone());
            let parents = wanted
                .iter()
                .map(|wanted| self.add_foreign_key(&mut table, wanted, &known));
            let parents = parents.collect::<Result<Vec<_>>>()?;
            foreign_key::announce(&parents, table.id, catalog, &mut definition);
        }
        self.add_sequences(&mut definition, &mut table, counted, catalog)?;
        table.storage = match self.block.is_some() {
            // What the block loads into it need not wait for the commit.
            true => {
                let (storage, private) = self.engine.storages.private_storage()?;
                definition.keep(private);
                storage
            }
            false => self.engine.storages.allocate()?,
        };
        let (table, changes) = catalog
            .create_table(table)
            .map_err(|error| at(error, create.name.span(), text))?;
        self.note_on_commit(&table, create.on_commit.as_ref())?;
        definition.changes.extend(schema_changes);
        definition.changes.extend(changes);
        Ok(definition)
    }

    /// DEFAULTs must be expressions over nothing, generated columns over the others, CHECKs conditions over the table's columns.
    pub(super) fn check_expressions(&self, table: &TableDescriptor, catalog: &Catalog) -> Result<()> {
        let path = self.search_path()?;
        let names = self.names(catalog, &path);
        names.check_defaults(table)?;
        let shape = names.new_shape(Arc::new(table.clone()));
        for index in &table.indexes {
            shape.formula(index)?;
        }
        for column in &table.columns {
            if let Some(text) = &column.generated {
                names.check_generated(&shape, column, text)?;
            }
        }
        names.row_rules(&shape).map(drop)
    }
}

/// Adds a column with the constraints that are written behind it.
pub(super) fn add_column(
    table: &mut TableDescriptor,
    definition: &ast::ColumnDef,
    catalog: &Catalog,
    text: &str,
    zone: Zone,
) -> Result<Option<Counted>> {
    let name = normalize(&definition.name);
    let place = |error| at(error, definition.name.span, text);
    check_name(&name, "column").map_err(place)?;
    if table.position(&name).is_some() {
        let message = match table.id.0 {
            0 => format!("column \"{name}\" specified more than once"),
            _ => format!("column \"{name}\" of relation \"{}\" already exists", table.name),
        };
        return Err(place(Error::invalid(SqlState::DUPLICATE_COLUMN, message)));
    }
    let id = ColumnId(table.next_column);
    table.next_column += 1;
    let counter = serial(&definition.data_type);
    let sql_type = counter
        .map_or_else(|| sql_type(&definition.data_type), Ok)
        .map_err(place)?;
    let mut column = ColumnDescriptor::new(id, name.clone(), sql_type);
    column.is_nullable = counter.is_none();
    let mut counted = counter.map(|_| Counted {
        column: id,
        options: Vec::new(),
        name: None,
    });
    let mut constraints = Vec::new();
    for option in &definition.options {
        match &option.option {
            ast::ColumnOption::Null => {}
            ast::ColumnOption::NotNull => column.is_nullable = false,
            ast::ColumnOption::Default(expr) => match generated::carried(expr).map_err(place)? {
                Some(change) => counted = Some(identity(&mut column, change, &table.name).map_err(place)?),
                None if column.default.is_some() => return Err(place(several_defaults(&name, &table.name))),
                None => column.default = Some(default_text(expr, sql_type, zone).map_err(place)?),
            },
            ast::ColumnOption::Generated {
                generation_expr: Some(expr),
                generated_keyword: true,
                ..
            } => {
                if column.generated.is_some() {
                    let what = "multiple generation clauses specified";
                    return Err(place(specified(what, &name, &table.name)));
                }
                // Below, where the columns are known that it may name.
                column.generated = Some(expr.to_string());
            }
            ast::ColumnOption::PrimaryKey(_) | ast::ColumnOption::Unique(_) | ast::ColumnOption::Check(_) => {
                constraints.push(option);
            }
            // The caller adds it when the whole table is known.
            ast::ColumnOption::ForeignKey(_) => {}
            // Text sorts by its bytes here.
            ast::ColumnOption::Collation(collation) if is_bytewise(collation) => {}
            other => {
                return Err(place(Error::unsupported(format!(
                    "column \"{name}\": {other} is not there yet"
                ))));
            }
        }
    }
    check_one_default(&column, counter.is_some(), &table.name).map_err(place)?;
    if let Some(generated) = &mut column.generated {
        *generated = unqualified(&parse::parse_expression(generated)?, table).to_string();
    }
    table.columns.push(column);
    let only = [name.clone()];
    for option in constraints {
        let given = option.name.as_ref();
        let added = match &option.option {
            ast::ColumnOption::PrimaryKey(_) => set_primary_key(table, &only, given, catalog),
            ast::ColumnOption::Unique(unique) => add_unique(table, &only, unique, given, catalog),
            ast::ColumnOption::Check(check) => add_check(table, &check.expr, given, Some(&name)),
            _ => Ok(()),
        };
        added.map_err(place)?;
    }
    Ok(counted)
}

/// Makes a column an identity column, as GENERATED in its definition says.
fn identity(column: &mut ColumnDescriptor, change: IdentityChange, table: &str) -> Result<Counted> {
    let IdentityChange::Add { kind, options, name } = change else {
        return Err(Error::internal("a column is defined by what changes one"));
    };
    check_identity_type(column.sql_type)?;
    if column.identity.replace(kind).is_some() {
        let message = format!(
            "multiple identity specifications for column \"{}\" of table \"{table}\"",
            column.name
        );
        return Err(Error::invalid(SqlState::SYNTAX_ERROR, message));
    }
    column.is_nullable = false;
    Ok(Counted {
        column: column.id,
        options,
        name,
    })
}

/// That a column has one default at most, of which a serial column and an identity column have theirs.
fn check_one_default(column: &ColumnDescriptor, is_serial: bool, table: &str) -> Result<()> {
    if column.generated.is_some() {
        return match (column.identity.is_some(), is_serial || column.default.is_some()) {
            (true, _) => Err(specified(
                "both identity and generation expression specified",
                &column.name,
                table,
            )),
            (_, true) => Err(specified(
                "both default and generation expression specified",
                &column.name,
                table,
            )),
            _ => Ok(()),
        };
    }
    match (column.identity.is_some(), is_serial, column.default.is_some()) {
        (true, true, _) | (true, _, true) => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            format!(
                "both default and identity specified for column \"{}\" of table \"{table}\"",
                column.name
            ),
        )),
        (false, true, true) => Err(several_defaults(&column.name, table)),
        _ => Ok(()),
    }
}

fn specified(what: &str, column: &str, table: &str) -> Error {
    Error::invalid(
        SqlState::SYNTAX_ERROR,
        format!("{what} for column \"{column}\" of table \"{table}\""),
    )
}

fn several_defaults(column: &str, table: &str) -> Error {
    Error::invalid(
        SqlState::SYNTAX_ERROR,
        format!("multiple default values specified for column \"{column}\" of table \"{table}\""),
    )
}

fn is_bytewise(collation: &ast::ObjectName) -> bool {
    let last = collation.0.last().and_then(ast::ObjectNamePart::as_ident);
    last.is_some_and(|name| matches!(name.value.as_str(), "C" | "POSIX" | "default" | "ucs_basic"))
}

/// Adds a constraint of the table, but for a foreign key, which the caller adds when the whole table is known.
pub(super) fn add_constraint(
    table: &mut TableDescriptor,
    constraint: &ast::TableConstraint,
    catalog: &Catalog,
    text: &str,
) -> Result<()> {
    let added = match constraint {
        ast::TableConstraint::PrimaryKey(key) => {
            columns_of(&key.columns).and_then(|columns| set_primary_key(table, &columns, key.name.as_ref(), catalog))
        }
        ast::TableConstraint::Unique(unique) => columns_of(&unique.columns)
            .and_then(|columns| add_unique(table, &columns, unique, unique.name.as_ref(), catalog)),
        ast::TableConstraint::Check(check) => add_check(table, &check.expr, check.name.as_ref(), None),
        ast::TableConstraint::ForeignKey(_) => Ok(()),
        ast::TableConstraint::UniqueUsingIndex(using) => unique_using_index(table, using, catalog),
        ast::TableConstraint::PrimaryKeyUsingIndex(using) => primary_key_using_index(table, using, catalog),
        other => Err(Error::unsupported(format!("the constraint {other} is not there yet"))),
    };
    added.map_err(|error| at(error, constraint.span(), text))
}

fn columns_of(columns: &[ast::IndexColumn]) -> Result<Vec<String>> {
    let name = |column: &ast::IndexColumn| match &column.column.expr {
        ast::Expr::Identifier(name) => Ok(normalize(name)),
        other => Err(Error::invalid(SqlState::SYNTAX_ERROR, format!("{other} is no column"))),
    };
    columns.iter().map(name).collect()
}

/// The columns of a key, by their positions; each is there once and can be part of one.
fn key_positions(table: &TableDescriptor, columns: &[String], kind: &str) -> Result<Vec<usize>> {
    let mut positions = Vec::new();
    for name in columns {
        let position = table.position(name).ok_or_else(|| {
            Error::not_found(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" named in key does not exist"),
            )
        })?;
        check_key_type(table.columns[position].sql_type, name)?;
        if positions.contains(&position) {
            return Err(Error::invalid(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" appears twice in {kind} constraint"),
            ));
        }
        positions.push(position);
    }
    if positions.len() > INDEX_COLUMNS_MAX {
        return Err(Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("cannot use more than {INDEX_COLUMNS_MAX} columns in a key"),
        ));
    }
    Ok(positions)
}

pub(super) fn set_primary_key(
    table: &mut TableDescriptor,
    columns: &[String],
    name: Option<&ast::Ident>,
    catalog: &Catalog,
) -> Result<()> {
    if !table.primary_key.is_empty() {
        return Err(Error::invalid(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("multiple primary keys for table \"{}\" are not allowed", table.name),
        ));
    }
    if !covering::split(columns).1.is_empty() {
        let message = "INCLUDE of a primary key is not there: where it is, the row is";
        return Err(Error::unsupported(message));
    }
    let name = key_name(table, name, &[], "pkey", catalog)?;
    for position in key_positions(table, columns, "primary key")? {
        let column = &mut table.columns[position];
        column.is_nullable = false;
        table.primary_key.push(column.id);
    }
    table.primary_key_name = Some(name);
    Ok(())
}

fn add_unique(
    table: &mut TableDescriptor,
    columns: &[String],
    unique: &ast::UniqueConstraint,
    name: Option<&ast::Ident>,
    catalog: &Catalog,
) -> Result<()> {
    if let Some(characteristics) = &unique.characteristics
        && (characteristics.deferrable == Some(true) || characteristics.initially.is_some())
    {
        return Err(Error::unsupported(
            "a UNIQUE constraint that is DEFERRABLE is not there yet",
        ));
    }
    let (key, included) = covering::split(columns);
    let positions = key_positions(table, key, "unique")?;
    let included = included.iter().map(|name| match table.position(name) {
        Some(position) => Ok(table.columns[position].id),
        None => Err(Error::not_found(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" named in key does not exist"),
        )),
    });
    let included: Vec<ColumnId> = included.collect::<Result<_>>()?;
    let names: Vec<String> = columns
        .iter()
        .filter(|&name| table.position(name).is_some())
        .cloned()
        .collect();
    let name = key_name(table, name, &names, "key", catalog)?;
    let columns = positions.into_iter().map(|position| IndexColumn {
        column: table.columns[position].id,
        is_descending: false,
        is_nulls_first: false,
    });
    let index = IndexDescriptor {
        is_unique: true,
        is_nulls_equal: unique.nulls_distinct == ast::NullsDistinctOption::NotDistinct,
        included,
        constraint: Some(Constraint::Unique),
        ..IndexDescriptor::new(IndexId(table.next_index), name, columns.collect())
    };
    table.next_index = next_index(table)?;
    table.indexes.push(index);
    Ok(())
}

/// The index id after the next one.
pub(super) fn next_index(table: &TableDescriptor) -> Result<u16> {
    table.next_index.checked_add(1).ok_or_else(|| {
        Error::exhausted(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("table \"{}\" has had as many indexes as it can", table.name),
        )
    })
}

fn add_check(
    table: &mut TableDescriptor,
    expr: &ast::Expr,
    name: Option<&ast::Ident>,
    column: Option<&String>,
) -> Result<()> {
    let expr = unqualified(expr, table);
    let columns: Vec<String> = named_columns(&expr).into_iter().collect();
    let name = match name {
        Some(name) => given_name(table, name)?,
        None => {
            // PostgreSQL names it after the only column that it is about.
            let about = match (column, columns.as_slice()) {
                (Some(column), _) | (None, [column]) => std::slice::from_ref(column),
                _ => &[],
            };
            free_name(table, about, "check", &|_| false)
        }
    };
    let ids = columns
        .iter()
        .filter_map(|name| Some(table.columns[table.position(name)?].id));
    table.checks.push(CheckDescriptor {
        name,
        expression: expr.to_string(),
        columns: ids.collect(),
    });
    Ok(())
}

/// ADD UNIQUE USING INDEX: an index of the table is the constraint's from now on.
fn unique_using_index(table: &mut TableDescriptor, using: &ast::ConstraintUsingIndex, catalog: &Catalog) -> Result<()> {
    let position = usable_index(table, &normalize(&using.index_name))?;
    if let Some(given) = &using.name
        && normalize(given) != table.indexes[position].name
    {
        table.indexes[position].name = key_name(table, Some(given), &[], "key", catalog)?;
    }
    table.indexes[position].constraint = Some(Constraint::Unique);
    Ok(())
}

/// ADD PRIMARY KEY USING INDEX: rows lie in the order of their primary key, so that the index is not needed beside it.
fn primary_key_using_index(
    table: &mut TableDescriptor,
    using: &ast::ConstraintUsingIndex,
    catalog: &Catalog,
) -> Result<()> {
    let position = usable_index(table, &normalize(&using.index_name))?;
    let index = table.indexes.remove(position);
    let columns = index.columns.iter().filter_map(|part| {
        let position = table.position_of(part.column)?;
        Some(table.columns[position].name.clone())
    });
    let columns: Vec<String> = columns.collect();
    let name = using.name.as_ref().unwrap_or(&using.index_name);
    set_primary_key(table, &columns, Some(name), catalog)
}

/// The position of an index that a constraint may be made of.
fn usable_index(table: &TableDescriptor, name: &str) -> Result<usize> {
    let position = table.indexes.iter().position(|index| index.name == name);
    let position = position
        .ok_or_else(|| Error::not_found(SqlState::UNDEFINED_OBJECT, format!("index \"{name}\" does not exist")))?;
    let index = &table.indexes[position];
    if index.constraint.is_some() {
        return Err(Error::invalid(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("index \"{name}\" is already associated with a constraint"),
        ));
    }
    let is_plain = |part: &IndexColumn| !part.is_descending && !part.is_nulls_first;
    let what = match index {
        index if !index.is_unique => Some("is not a unique index"),
        index if !index.expressions.is_empty() => {
            let message = format!("index \"{name}\" contains expressions");
            return Err(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message)
                .with_detail("Cannot create a primary key or unique constraint using such an index."));
        }
        index if index.predicate.is_some() => Some("is a partial index"),
        index if !index.columns.iter().all(is_plain) => Some("does not have default sorting behavior"),
        _ => None,
    };
    match what {
        Some(what) => Err(
            Error::invalid(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" {what}"))
                .with_detail("Cannot create a primary key or unique constraint using such an index."),
        ),
        None => Ok(position),
    }
}

/// A condition without the table's own name before its columns: the table may get another one.
pub(crate) fn unqualified(expr: &ast::Expr, table: &TableDescriptor) -> ast::Expr {
    let mut expr = expr.clone();
    let _: ControlFlow<()> = ast::visit_expressions_mut(&mut expr, |expr| {
        if let ast::Expr::CompoundIdentifier(parts) = expr {
            let is_own = match parts.as_slice() {
                [of, _] => normalize(of) == table.name,
                [schema, of, _] => normalize(schema) == table.schema && normalize(of) == table.name,
                _ => false,
            };
            if is_own && let Some(column) = parts.pop() {
                *expr = ast::Expr::Identifier(column);
            }
        }
        ControlFlow::Continue(())
    });
    expr
}

/// The text of a DEFAULT: an expression over nothing. A literal in quotes must be a value of the column's type; a moment is written with its
/// offset in a zone.
///
/// # Errors
/// 0A000 for a column or query in it; 22P02 and its like.
pub(super) fn default_text(expr: &ast::Expr, sql_type: SqlType, zone: Zone) -> Result<String> {
    const WORDS: [&str; 6] = [
        "current_catalog",
        "current_role",
        "current_schema",
        "current_user",
        "session_user",
        "user",
    ];
    let found = ast::visit_expressions(expr, |expr| match expr {
        ast::Expr::Identifier(name) if name.quote_style.is_none() && WORDS.contains(&normalize(name).as_str()) => {
            ControlFlow::Continue(())
        }
        ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) => ControlFlow::Break("column reference"),
        ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. } => {
            ControlFlow::Break("subquery")
        }
        _ => ControlFlow::Continue(()),
    });
    if let ControlFlow::Break(what) = found {
        return Err(Error::unsupported(format!("cannot use {what} in DEFAULT expression")));
    }
    let mut literal = expr;
    while let ast::Expr::Nested(inner) = literal {
        literal = inner;
    }
    if let ast::Expr::Value(value) = literal
        && let ast::Value::SingleQuotedString(text) = &value.value
    {
        // How long it may be, and how many digits it may have, is asked when a row gets it.
        let read_as = match sql_type {
            SqlType::Varchar(_) => SqlType::Text,
            SqlType::Numeric { .. } => SqlType::NUMERIC,
            SqlType::Vector(_) => SqlType::Vector(None),
            other => other.with_all_digits(),
        };
        let value = Value::text_in_zone(&read_as, text, zone)?;
        if let (SqlType::TimestampTz(_), Value::Timestamp(moment)) = (sql_type, value) {
            let mut written = String::new();
            text::write_timestamptz_in(moment, zone, &mut written);
            return Ok(format!("'{written}'"));
        }
    }
    Ok(expr.to_string())
}

/// The names in an expression that may be columns.
pub(crate) fn named_columns(expr: &ast::Expr) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let _: ControlFlow<()> = ast::visit_expressions(expr, |expr| {
        match expr {
            ast::Expr::Identifier(name) => drop(found.insert(normalize(name))),
            ast::Expr::CompoundIdentifier(parts) => found.extend(parts.last().map(normalize)),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    found
}

/// The name that a user gives to a constraint; no other of the table has it.
pub(super) fn given_name(table: &TableDescriptor, name: &ast::Ident) -> Result<String> {
    let name = normalize(name);
    check_name(&name, "constraint")?;
    match table.has_constraint(&name) {
        true => Err(Error::invalid(
            SqlState::DUPLICATE_OBJECT,
            format!("constraint \"{name}\" for relation \"{}\" already exists", table.name),
        )),
        false => Ok(name),
    }
}

/// The name of a key, which its index has too, so that no other relation of the schema may have it.
fn key_name(
    table: &TableDescriptor,
    given: Option<&ast::Ident>,
    columns: &[String],
    kind: &str,
    catalog: &Catalog,
) -> Result<String> {
    match given {
        Some(given) => {
            check_relation(table, &normalize(given), catalog)?;
            given_name(table, given)
        }
        None => Ok(free_name(table, columns, kind, &|name| {
            is_relation(table, name, catalog)
        })),
    }
}

/// That no relation has the name that a key of the table is to get.
///
/// # Errors
/// 42P07.
pub(super) fn check_relation(table: &TableDescriptor, name: &str, catalog: &Catalog) -> Result<()> {
    match is_relation(table, name, catalog) {
        true => Err(Error::new(
            ErrorKind::Conflict,
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{name}\" already exists"),
        )
        .with_schema(table.schema.clone())
        .with_table(name)),
        false => Ok(()),
    }
}

/// Whether a relation has the name. Of the table itself, which changes, the catalog does not say which names it has given up.
fn is_relation(table: &TableDescriptor, name: &str, catalog: &Catalog) -> bool {
    let has_key =
        |table: &TableDescriptor| table.index(name).is_some() || table.primary_key_name.as_deref() == Some(name);
    if table.name == name || has_key(table) {
        return true;
    }
    let was_its_own = catalog.table_by_id(table.id).is_some_and(|before| has_key(before));
    !was_its_own && catalog.has_relation(&table.schema, name)
}

/// The name that PostgreSQL gives to a constraint: table, columns, kind, and a number where that is taken.
pub(super) fn free_name(
    table: &TableDescriptor,
    columns: &[String],
    kind: &str,
    is_taken: &dyn Fn(&str) -> bool,
) -> String {
    let parts = std::iter::once(table.name.as_str()).chain(columns.iter().map(String::as_str));
    let mut base = parts.collect::<Vec<_>>().join("_");
    // Room for the kind and a number, within the limit of names.
    let mut end = base.len().min(NAME_BYTES_MAX - kind.len() - 5);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    base.truncate(end);
    let base = format!("{base}_{kind}");
    let numbered = (1..).map(|number| format!("{base}{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    names
        .find(|name| !table.has_constraint(name) && !is_taken(name))
        .expect("the catalog has fewer names than there are numbers")
}

/// What WITH says of a table: nothing that changes what it holds, so it is kept and shown.
fn storage_parameters(options: &ast::CreateTableOptions) -> Result<Vec<(String, String)>> {
    match options {
        ast::CreateTableOptions::None => Ok(Vec::new()),
        ast::CreateTableOptions::With(options) | ast::CreateTableOptions::Options(options) => parameters(options),
        _ => Err(Error::unsupported("these options of CREATE TABLE are not there")),
    }
}

/// Storage parameters of PostgreSQL, by name.
pub(super) fn parameters(options: &[ast::SqlOption]) -> Result<Vec<(String, String)>> {
    let mut kept = Vec::new();
    for option in options {
        let ast::SqlOption::KeyValue { key, value } = option else {
            return Err(Error::unsupported(format!("the option {option} is not there")));
        };
        let key = normalize(key);
        let is_known = key == "fillfactor"
            || key == "parallel_workers"
            || key == "user_catalog_table"
            || key.starts_with("autovacuum_")
            || key.starts_with("toast")
            || key.starts_with("vacuum_");
        if !is_known {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized parameter \"{key}\""),
            ));
        }
        kept.push((key, value.to_string().trim_matches('\'').to_owned()));
    }
    Ok(kept)
}

fn refuse_options(create: &ast::CreateTable) -> Result<()> {
    let what = [
        (create.or_replace, "CREATE OR REPLACE TABLE"),
        (create.external, "an external table"),
        (create.query.is_some(), "CREATE TABLE AS"),
        (create.like.is_some(), "CREATE TABLE ... LIKE"),
        (create.clone.is_some(), "CREATE TABLE ... CLONE"),
        (create.inherits.is_some(), "INHERITS"),
        (
            create.partition_by.is_some() || create.partition_of.is_some(),
            "a partitioned table",
        ),
    ];
    match what.iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => Err(Error::unsupported(format!("{what} is not there yet"))),
        None => Ok(()),
    }
}
