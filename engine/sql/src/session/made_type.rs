//! CREATE TYPE ... AS ENUM, ALTER TYPE, DROP TYPE.
//!
//! 1. A type is a descriptor in the catalog (`aion_catalog::enumeration`); ADD VALUE and RENAME change that alone, and no row.
//! 2. What names a type or a label by its text follows: the texts of defaults, conditions, indexes and views get a type's new name, a default
//!    that is nothing but a label, and the value of an added column, get a label's. A text that has the label elsewhere is in the way (2BP01):
//!    it may mean another type's, or none.
//! 3. DROP TYPE ... CASCADE takes the columns of the type along, each as ALTER TABLE would, and the views, defaults, conditions and indexes
//!    whose texts name it.
//!
//! A label that was added may be used at once, where PostgreSQL waits for the commit: rows and labels become visible together here.
//!
//! **Left out.** Composite types, ranges, domains, SET SCHEMA. A generated column of another type whose text names the type is in the way of
//! DROP, also with CASCADE.

use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{TableDescriptor, ViewDescriptor};
use aion_catalog::enumeration::{EnumDescriptor, EnumType, Place};
use aion_catalog::objects::{Catalog, KeyChange, Object, table_key};
use aion_catalog::{SqlType, Value};
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use super::Session;
use super::ddl::Definition;
use super::drop::Going;
use super::rewriting::quoted;
use crate::dml::{at, normalize};
use crate::parse;
use crate::planner::{find_type, names_type};
use crate::views;

impl Session {
    pub(super) fn create_type(
        &self,
        name: &ast::ObjectName,
        representation: Option<&ast::UserDefinedTypeRepresentation>,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Definition> {
        let place = |error| at(error, name.span(), text);
        let Some(ast::UserDefinedTypeRepresentation::Enum { labels }) = representation else {
            return Err(place(
                Error::unsupported("of types that users make there are enums only")
                    .with_hint("CREATE TYPE name AS ENUM ('label', ...)"),
            ));
        };
        let labels = labels.iter().map(label).collect::<Result<Vec<_>>>()?;
        let (schema, bare) = self.new_name(name, false)?;
        let (catalog, schema_changes) = self.with_temporary_schema(&schema, catalog)?;
        let made = EnumDescriptor::new(schema, bare, &labels)?;
        let changes = catalog.create_enum(made).map_err(place)?;
        let changes = schema_changes.into_iter().chain(changes);
        Ok(Definition::new("CREATE TYPE", changes.collect()))
    }

    pub(super) fn alter_type(&self, alter: &ast::AlterType, catalog: &Catalog, text: &str) -> Result<Definition> {
        let place = |error| at(error, alter.name.span(), text);
        let of = self.existing_type(&alter.name, catalog).map_err(place)?;
        let descriptor = of.descriptor();
        let mut definition = Definition::new("ALTER TYPE", Vec::new());
        match &alter.operation {
            ast::AlterTypeOperation::AddValue(added) => {
                let value = label(&added.value)?;
                if added.if_not_exists && of.find(&value).is_some() {
                    let notice = format!("enum label \"{value}\" already exists, skipping");
                    return Ok(Definition::nothing("ALTER TYPE", SqlState::DUPLICATE_OBJECT, notice));
                }
                let neighbour = match &added.position {
                    None => None,
                    Some(
                        ast::AlterTypeAddValuePosition::Before(neighbour)
                        | ast::AlterTypeAddValuePosition::After(neighbour),
                    ) => Some(label(neighbour)?),
                };
                let place = match (&added.position, &neighbour) {
                    (Some(ast::AlterTypeAddValuePosition::Before(_)), Some(neighbour)) => Place::Before(neighbour),
                    (_, Some(neighbour)) => Place::After(neighbour),
                    (_, None) => Place::End,
                };
                let more = descriptor.with_label(&value, place)?;
                definition.changes = catalog.alter_enum(of, &more)?;
            }
            ast::AlterTypeOperation::RenameValue(renamed) => {
                let (old, new) = (label(&renamed.from)?, label(&renamed.to)?);
                let after = descriptor.with_renamed(&old, &new)?;
                definition.changes = catalog.alter_enum(of, &after)?;
                let renaming = Renaming {
                    of,
                    after: EnumType::of(&after)?,
                    old: &old,
                    new: &new,
                };
                self.rename_label(&renaming, catalog, &mut definition)?;
            }
            ast::AlterTypeOperation::Rename(renamed) => {
                let after = EnumDescriptor {
                    name: normalize(&renamed.new_name),
                    ..descriptor.clone()
                };
                definition.changes = catalog.alter_enum(of, &after).map_err(place)?;
                let replacement = EnumType::of(&after)?.qualified();
                self.rename_type(of, replacement, catalog, &mut definition)?;
            }
        }
        Ok(definition)
    }

    pub(super) fn drop_types(
        &self,
        names: &[ast::ObjectName],
        if_exists: bool,
        is_cascade: bool,
        catalog: &Catalog,
        text: &str,
    ) -> Result<Definition> {
        let mut definition = Definition::new("DROP TYPE", Vec::new());
        let mut types = Vec::new();
        for name in names {
            let place = |error| at(error, name.span(), text);
            match self.existing_type(name, catalog) {
                Ok(of) if types.contains(&of) => {}
                Ok(of) => types.push(of),
                Err(error) if if_exists && error.state() == SqlState::UNDEFINED_OBJECT => {
                    let notice = format!("{}, skipping", error.message());
                    definition.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
                }
                Err(error) => return Err(place(error)),
            }
        }
        self.take_types(&types, is_cascade, &[], catalog, &mut definition)?;
        Ok(definition)
    }

    /// Takes types away, with the columns that are of them where that is said. Tables that go in any case are no hindrance.
    ///
    /// # Errors
    /// 2BP01, naming what is in the way.
    pub(super) fn take_types(
        &self,
        types: &[EnumType],
        is_cascade: bool,
        going: &[Object],
        catalog: &Catalog,
        definition: &mut Definition,
    ) -> Result<()> {
        let goes = |schema: &str, name: &str| {
            going.iter().any(|object| match object {
                Object::Table(table) => table.schema == schema && table.name == name,
                Object::View(view) => view.schema == schema && view.name == name,
                Object::Graph(_) | Object::Sequence(_) => false,
            })
        };
        let mut views = Going::default();
        let mut altered: Vec<(&TableDescriptor, Vec<&str>)> = Vec::new();
        for &of in types {
            let mut users = Vec::new();
            for table in catalog.tables().filter(|table| !goes(&table.schema, &table.name)) {
                let is_of = |sql_type: SqlType| sql_type.made().is_some_and(|made| made.id() == of.id());
                let columns = table.columns.iter().filter(|column| is_of(column.sql_type));
                let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
                if table.view.is_some() {
                    // It is what its query gives: it goes as a whole.
                    if !columns.is_empty() {
                        users.push(format!("materialized view {}", table.name));
                        if is_cascade {
                            views.take_along(Object::Table(table.clone()), catalog);
                        }
                    }
                    continue;
                }
                users.extend(
                    columns
                        .iter()
                        .map(|column| format!("column {column} of table {}", table.name)),
                );
                match altered.iter_mut().find(|(there, _)| there.id == table.id) {
                    Some((_, there)) => there.extend(columns),
                    None if columns.is_empty() => {}
                    None => altered.push((&**table, columns)),
                }
            }
            let named_by = self.texts_with(of, catalog)?;
            let named_by = named_by.into_iter();
            for (_, what) in named_by.filter(|(table, _)| !goes(&table.schema, &table.name)) {
                if !users.contains(&what) {
                    users.push(what);
                }
            }
            for view in catalog.queries().filter(|view| !goes(&view.schema, &view.name)) {
                if let Some(object) = catalog.object(&view.schema, &view.name)
                    && self.view_names(view, of, catalog)?
                {
                    let user = match &object {
                        Object::Table(_) => format!("materialized view {}", view.name),
                        _ => format!("view {}", view.name),
                    };
                    if !users.contains(&user) {
                        users.push(user);
                    }
                    if is_cascade {
                        views.take_along(object, catalog);
                    }
                }
            }
            if !is_cascade && !users.is_empty() {
                return Err(
                    in_the_way(of, &users, "drop").with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
                );
            }
            let columns = users.iter().filter(|user| user.starts_with("column "));
            for column in columns {
                let notice = format!("drop cascades to {column}");
                definition.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
            }
        }
        let is_taken =
            |table: &TableDescriptor| goes(&table.schema, &table.name) || views.has(&table.schema, &table.name);
        let staying: Vec<_> = catalog.tables().filter(|table| !is_taken(table)).collect();
        views.define(catalog, definition);
        let mut known = catalog.clone();
        for table in staying {
            let (bare, ranges) = self.without_texts(table, types, catalog)?;
            if bare == **table {
                continue;
            }
            known = known.with_table(table, bare.clone());
            ranges.into_iter().for_each(|range| definition.retire(range));
            if !altered.iter().any(|(there, _)| there.id == table.id) {
                definition.changes.extend(catalog.alter_table(bare).1);
            }
        }
        for (table, columns) in &altered {
            let operations = columns
                .iter()
                .map(|column| format!("DROP COLUMN {} CASCADE", quoted(column)));
            let text = format!(
                "ALTER TABLE {}.{} {}",
                quoted(&table.schema),
                quoted(&table.name),
                operations.collect::<Vec<_>>().join(", ")
            );
            let Some(ast::Statement::AlterTable(alter)) = parse::parse(&text)?.pop().map(|statement| statement.ast)
            else {
                return Err(Error::internal("an ALTER TABLE is one"));
            };
            let mut taken = self.alter_table(&alter, &known, &text)?;
            // Each of the others loses its own columns, and with them its foreign keys to this one.
            let others = altered.iter().filter(|(other, _)| other.id != table.id);
            let others: Vec<Vec<u8>> = others.map(|(other, _)| table_key(&other.schema, &other.name)).collect();
            taken.changes.retain(|change| !others.contains(&change.key));
            definition.absorb(taken);
        }
        for &of in types {
            definition.changes.extend(catalog.drop_enum(of));
        }
        Ok(())
    }

    /// A table without what names types in its texts and goes with these: defaults, conditions, indexes. And the ranges of the indexes.
    ///
    /// # Errors
    /// 2BP01 for a column of another type that is generated with one of them.
    fn without_texts(
        &self,
        table: &TableDescriptor,
        types: &[EnumType],
        catalog: &Catalog,
    ) -> Result<(TableDescriptor, Vec<KeyRange>)> {
        let path = self.search_path()?;
        let named = |text: &String| -> Result<Option<EnumType>> {
            let mut found = None;
            names_type(&mut parse::parse_expression(text)?, &mut |name| {
                let of = find_type(catalog, &path, name).filter(|of| types.contains(of));
                found = found.or(of);
                of.is_some()
            });
            Ok(found)
        };
        let mut bare = table.clone();
        for column in &mut bare.columns {
            if let Some(text) = &column.default
                && named(text)?.is_some()
            {
                column.default = None;
            }
            // One of such a type goes itself.
            let goes = column.sql_type.made().is_some_and(|of| types.contains(&of));
            if let Some(text) = &column.generated
                && let Some(of) = named(text)?
                && !goes
            {
                let user = format!("column {} of table {}", column.name, table.name);
                return Err(in_the_way(of, &[user], "drop").with_hint("Drop that first."));
            }
        }
        for check in std::mem::take(&mut bare.checks) {
            if named(&check.expression)?.is_none() {
                bare.checks.push(check);
            }
        }
        let mut ranges = Vec::new();
        for index in std::mem::take(&mut bare.indexes) {
            let mut is_named = false;
            for text in index.texts() {
                is_named |= named(text)?.is_some();
            }
            match is_named {
                true => ranges.push(KeyRange::index(bare.storage, index.id)),
                false => bare.indexes.push(index),
            }
        }
        Ok((bare, ranges))
    }

    /// The type of a name.
    ///
    /// # Errors
    /// 42704 for one that is not there, or that no user made.
    fn existing_type(&self, name: &ast::ObjectName, catalog: &Catalog) -> Result<EnumType> {
        let path = self.search_path()?;
        if let Some(of) = find_type(catalog, &path, name) {
            return Ok(of);
        }
        let shown: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(normalize)
            .collect();
        Err(Error::not_found(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{}\" does not exist", shown.join(".")),
        ))
    }

    /// What names a type in the texts of tables, beside those of columns of the type.
    fn texts_with<'c>(&self, of: EnumType, catalog: &'c Catalog) -> Result<Vec<(&'c TableDescriptor, String)>> {
        let path = self.search_path()?;
        let mut found = Vec::new();
        for table in catalog.tables() {
            for (what, text) in texts_of(table) {
                let mut expr = parse::parse_expression(text)?;
                if names_type(&mut expr, &mut |name| find_type(catalog, &path, name) == Some(of)) {
                    found.push((&**table, format!("{what} of table {}", table.name)));
                }
            }
        }
        Ok(found)
    }

    /// Whether the text of a view names a type.
    fn view_names(&self, view: &ViewDescriptor, of: EnumType, catalog: &Catalog) -> Result<bool> {
        let mut query = views::parse_query(&view.query)?;
        Ok(names_type(&mut query, &mut |name| {
            find_type(catalog, &view.search_path, name) == Some(of)
        }))
    }

    /// Gives a type's new name to the texts that name it.
    fn rename_type(
        &self,
        of: EnumType,
        replacement: &str,
        catalog: &Catalog,
        definition: &mut Definition,
    ) -> Result<()> {
        let path = self.search_path()?;
        for table in catalog.tables() {
            let mut renamed = TableDescriptor::clone(table);
            let mut is_changed = false;
            for text in texts_mut(&mut renamed) {
                let mut expr = parse::parse_expression(text)?;
                let mut places = Vec::new();
                names_type(&mut expr, &mut |name| {
                    let is_it = find_type(catalog, &path, name) == Some(of);
                    if is_it {
                        places.push((name.span(), replacement.to_owned()));
                    }
                    is_it
                });
                if let Some(new) = replaced(text, places)? {
                    *text = new;
                    is_changed = true;
                }
            }
            if let Some(view) = &table.view
                && let Some(new) = self.renamed_view(view, of, replacement, catalog)?
            {
                renamed.view = Some(Box::new(new));
                is_changed = true;
            }
            if is_changed {
                definition.changes.extend(catalog.alter_table(renamed).1);
            }
        }
        for view in catalog.views() {
            if let Some(new) = self.renamed_view(view, of, replacement, catalog)? {
                definition.changes.extend(catalog.alter_view(&new));
            }
        }
        Ok(())
    }

    /// A view whose query names a type by another name; None where it does not name it.
    fn renamed_view(
        &self,
        view: &ViewDescriptor,
        of: EnumType,
        replacement: &str,
        catalog: &Catalog,
    ) -> Result<Option<ViewDescriptor>> {
        let mut query = views::parse_query(&view.query)?;
        let mut places = Vec::new();
        names_type(&mut query, &mut |name| {
            let is_it = find_type(catalog, &view.search_path, name) == Some(of);
            if is_it {
                places.push((name.span(), replacement.to_owned()));
            }
            is_it
        });
        Ok(replaced(&view.query, places)?.map(|query| ViewDescriptor { query, ..view.clone() }))
    }

    /// Gives a label's new text to what has nothing but the label.
    fn rename_label(&self, renaming: &Renaming<'_>, catalog: &Catalog, definition: &mut Definition) -> Result<()> {
        let Renaming { of, old, .. } = *renaming;
        let named_by = self.texts_with(of, catalog)?;
        let mut users = Vec::new();
        for table in catalog.tables() {
            let is_of = table.has_type(of.id());
            if !is_of && !named_by.iter().any(|(there, _)| there.id == table.id) {
                continue;
            }
            let mut renamed = TableDescriptor::clone(table);
            if is_of {
                renaming.rename_values(&mut renamed)?;
            }
            for (what, text) in texts_of(&renamed) {
                if has_literal(&parse::parse_expression(text)?, old) {
                    users.push(format!("{what} of table {}", table.name));
                }
            }
            if renamed != **table {
                definition.changes.extend(catalog.alter_table(renamed).1);
            }
        }
        for view in catalog.queries() {
            let query = views::parse_query(&view.query)?;
            if has_literal(&query, old) && (self.view_names(view, of, catalog)? || leads_to(view, of, catalog)) {
                users.push(format!("view {}", view.name));
            }
        }
        match users.is_empty() {
            true => Ok(()),
            false => Err(in_the_way(of, &users, "rename a label of")
                .with_hint("Drop that first, and create it again with the new label.")),
        }
    }
}

/// What becomes of a label.
struct Renaming<'a> {
    of: EnumType,
    after: EnumType,
    old: &'a str,
    new: &'a str,
}

impl Renaming<'_> {
    /// The defaults of columns of the type that are the label, and the values of those that were added.
    fn rename_values(&self, table: &mut TableDescriptor) -> Result<()> {
        let is_it = |sql_type: SqlType| sql_type.made().is_some_and(|of| of.id() == self.of.id());
        for column in table.columns.iter_mut().filter(|column| is_it(column.sql_type)) {
            if let Some(missing) = &mut column.missing {
                let value = Value::text_in(&column.sql_type, missing)?;
                missing.clear();
                value.text_out(&column.sql_type.remade(self.after), missing);
            }
            if let Some(default) = &mut column.default {
                let mut expr = parse::parse_expression(default)?;
                if let Some(literal) = only_literal(&mut expr)
                    && literal.as_str() == self.old
                {
                    self.new.clone_into(literal);
                    *default = expr.to_string();
                }
            }
        }
        Ok(())
    }
}

/// The literal that an expression is, through parentheses and casts.
fn only_literal(expr: &mut ast::Expr) -> Option<&mut String> {
    match expr {
        ast::Expr::Nested(inner) | ast::Expr::Cast { expr: inner, .. } => only_literal(inner),
        ast::Expr::Value(value) => match &mut value.value {
            ast::Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a text stands somewhere as a literal.
fn has_literal(node: &impl ast::Visit, wanted: &str) -> bool {
    use std::ops::ControlFlow;
    let found = ast::visit_expressions(node, |expr| match expr {
        ast::Expr::Value(value) if matches!(&value.value, ast::Value::SingleQuotedString(text) if text == wanted) => {
            ControlFlow::Break(())
        }
        ast::Expr::TypedString(typed) if matches!(&typed.value.value, ast::Value::SingleQuotedString(text) if text == wanted) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Whether a view reads a table with the type, also through other views.
fn leads_to(view: &ViewDescriptor, of: EnumType, catalog: &Catalog) -> bool {
    let mut left: Vec<(String, String)> = view.uses.clone();
    let mut seen = std::collections::BTreeSet::new();
    while let Some((schema, name)) = left.pop() {
        if !seen.insert((schema.clone(), name.clone())) {
            continue;
        }
        match catalog.object(&schema, &name) {
            Some(Object::Table(table)) if table.has_type(of.id()) => return true,
            Some(Object::View(view)) => left.extend(view.uses.clone()),
            // What a graph shows is not looked through.
            Some(Object::Graph(_)) => return true,
            _ => {}
        }
    }
    false
}

/// The texts of a table, and what they are.
fn texts_of(table: &TableDescriptor) -> Vec<(String, &String)> {
    let mut texts = Vec::new();
    for column in &table.columns {
        let default = column.default.iter();
        texts.extend(default.map(|text| (format!("default value for column {}", column.name), text)));
        let generated = column.generated.iter();
        texts.extend(generated.map(|text| (format!("column {}", column.name), text)));
    }
    let checks = table.checks.iter();
    texts.extend(checks.map(|check| (format!("constraint {}", check.name), &check.expression)));
    for index in &table.indexes {
        texts.extend(index.texts().map(|text| (format!("index {}", index.name), text)));
    }
    texts
}

fn texts_mut(table: &mut TableDescriptor) -> impl Iterator<Item = &mut String> {
    let columns = table.columns.iter_mut();
    let of_columns = columns.flat_map(|column| column.default.iter_mut().chain(&mut column.generated));
    let checks = table.checks.iter_mut().map(|check| &mut check.expression);
    let indexes = table.indexes.iter_mut();
    of_columns
        .chain(checks)
        .chain(indexes.flat_map(aion_catalog::descriptor::IndexDescriptor::texts_mut))
}

/// An expression in which each name of a type has its schema, so that it means the same along any search path.
///
/// # Errors
/// 42601 for a text that is none.
pub(super) fn qualify(text: &mut String, catalog: &Catalog, path: &[String]) -> Result<()> {
    if catalog.enums().next().is_none() {
        return Ok(());
    }
    let mut expr = parse::parse_expression(text)?;
    let mut places = Vec::new();
    names_type(&mut expr, &mut |name| {
        let found = find_type(catalog, path, name);
        if let Some(of) = found {
            places.push((name.span(), of.qualified().to_owned()));
        }
        found.is_some()
    });
    // What has no place of its own is a word of SQL's, and found along the path.
    places.retain(|(span, _)| *span != Span::empty());
    if let Some(qualified) = replaced(text, places)? {
        *text = qualified;
    }
    Ok(())
}

/// A text with something else at some places; None where there are none.
fn replaced(text: &str, mut places: Vec<(Span, String)>) -> Result<Option<String>> {
    if places.is_empty() {
        return Ok(None);
    }
    places.sort_by_key(|(span, _)| span.start);
    let (mut rewritten, mut done) = (String::new(), Location::new(1, 1));
    for (span, replacement) in places {
        if span == Span::empty() {
            return Err(Error::unsupported(
                "a type whose name is a word of SQL's is not renamed where a text names it",
            ));
        }
        rewritten.push_str(parse::slice(text, Span::new(done, span.start)));
        rewritten.push_str(&replacement);
        done = span.end;
    }
    rewritten.push_str(parse::slice(text, Span::new(done, Location::new(u64::MAX, 1))));
    Ok(Some(rewritten))
}

/// A label, which stands in quotes.
fn label(ident: &ast::Ident) -> Result<String> {
    match ident.quote_style {
        Some('\'') => Ok(ident.value.clone()),
        _ => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            format!(
                "syntax error at or near \"{}\": a label is a text in quotes",
                ident.value
            ),
        )),
    }
}

fn in_the_way(of: EnumType, users: &[String], what: &str) -> Error {
    let message = format!("cannot {what} type {of} because other objects depend on it");
    let details: Vec<String> = users
        .iter()
        .map(|user| format!("{user} depends on type {of}"))
        .collect();
    Error::invalid(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).with_detail(details.join("\n"))
}

/// The changes that take the enums of a schema away, once nothing is of them.
pub(super) fn drop_enums_of(schema: &str, catalog: &Catalog) -> Vec<KeyChange> {
    let enums = catalog.enums().filter(|of| of.descriptor().schema == schema);
    enums.flat_map(|of| catalog.drop_enum(of)).collect()
}
