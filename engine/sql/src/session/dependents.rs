//! What becomes of the views and graphs that use a table, or a view, that is altered.
//!
//! In PostgreSQL a view knows its tables and columns by their numbers. Here it is text, so that
//!
//! 1. a view that needs a column that goes, goes as well (CASCADE) or is in the way, as it is where a column gets another type;
//! 2. a view over something that gets another name, or whose columns do, gets another text: where it names the table, it names the
//!    new one, or a query over it that gives the columns the names that they had. Nothing else of the text changes;
//! 3. the new text must give what the old one gave, by its plan; otherwise the alteration is refused.
//!
//! Whether a view needs a column is asked of the planner: whether it can be planned without, and gives the same.
//!
//! **Left out**: texts with a GRAPH_TABLE, with a table's name that is a common table expression's too, or with a schema before a table's
//! name before a column. These refuse the alteration (2BP01), as graphs do whose tables or columns would get other names.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{
    ColumnDescriptor, ColumnId, DroppedColumn, GraphDescriptor, IndexDescriptor, TableDescriptor, ViewDescriptor,
};
use aion_catalog::objects::{Catalog, KeyChange, Object};
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{self, Spanned, Visit};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token};

use super::Session;
use super::ddl::{Definition, single_name};
use super::drop::Going;
use super::rewriting::quoted;
use super::table::named_columns;
use crate::dml::{normalize, reference};
use crate::planner::Planned;
use crate::{graph, parse, views};

/// How a table changes, as far as it concerns who uses it.
pub(super) struct Alteration<'a> {
    pub before: &'a TableDescriptor,
    pub after: &'a TableDescriptor,
    /// Columns that go together with whatever needs them.
    pub cascaded: &'a [ColumnId],
    /// Constraints that do.
    pub cascaded_keys: &'a [String],
}

/// What becomes of those that use it.
#[derive(Default)]
pub(super) struct Dependents {
    going: Going,
    changes: Vec<KeyChange>,
}

impl Dependents {
    /// Foreign keys go as well.
    pub fn detach(&mut self, keys: Vec<(Arc<TableDescriptor>, String)>) {
        keys.into_iter().for_each(|(child, key)| self.going.detach(child, key));
    }

    pub fn define(self, catalog: &Catalog, definition: &mut Definition) {
        definition.changes.extend(self.changes);
        self.going.define(catalog, definition);
    }
}

/// What becomes of one view that does not go.
enum Fate {
    /// Its text is right as it is.
    Stays,
    Changes(Box<ViewDescriptor>),
    /// It would no longer be what it is, as far as the catalog is known yet.
    Breaks,
}

impl Session {
    /// ALTER TABLE of what is no table: PostgreSQL lets it say who owns a view or sequence, and give a view another name.
    pub(super) fn alter_other(
        &self,
        object: &Object,
        alter: &ast::AlterTable,
        catalog: &Catalog,
    ) -> Result<Definition> {
        use ast::AlterTableOperation as Operation;
        match (object, alter.operations.as_slice()) {
            // There is one role yet that owns things.
            (Object::View(_) | Object::Sequence(_), [Operation::OwnerTo { .. }]) => {
                Ok(Definition::new("ALTER TABLE", Vec::new()))
            }
            (Object::View(view), [Operation::RenameTable { table_name }]) => {
                let (ast::RenameTableNameKind::As(name) | ast::RenameTableNameKind::To(name)) = table_name;
                self.rename_view(view, single_name(name)?, catalog)
            }
            _ => Err(Error::invalid(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a table", alter.name),
            )),
        }
    }

    fn rename_view(&self, view: &ViewDescriptor, name: String, catalog: &Catalog) -> Result<Definition> {
        let mut renamed = view.clone();
        renamed.name = name;
        let mut definition = Definition::new("ALTER TABLE", catalog.drop_view(view));
        definition.changes.extend(catalog.create_view(&renamed, false)?);
        let replacement = full_name(&renamed.schema, &renamed.name);
        let mut changed = catalog.with_view(view, renamed);
        let fate = |user: &ViewDescriptor, changed: &Catalog| -> Result<Fate> {
            self.with_other_text(user, (&view.schema, &view.name), &replacement, catalog, changed)
        };
        let mut users = Vec::new();
        for dependent in catalog.dependents(&view.schema, &view.name) {
            match dependent {
                Object::View(user) => users.push(user),
                Object::Table(table) => users.extend(held(&table)),
                other => return Err(in_the_way(&other, "view", &view.schema, &view.name)),
            }
        }
        let carried = carry_over(users, &mut changed, &fate);
        let carried = carried?.map_err(|user| in_the_way(&Object::View(user), "view", &view.schema, &view.name))?;
        for user in carried {
            definition.changes.extend(catalog.alter_view(&user));
        }
        Ok(definition)
    }

    /// What an alteration of a table makes of those that use it.
    ///
    /// # Errors
    /// 0A000 for another type of a column that a view needs, 2BP01 for what else is in the way.
    pub(super) fn dependents(&self, alteration: &Alteration<'_>, catalog: &Catalog) -> Result<Dependents> {
        let Alteration { before, after, .. } = alteration;
        let mut found = Dependents::default();
        let mut staying = Vec::new();
        for dependent in catalog.dependents(&before.schema, &before.name) {
            match dependent {
                Object::View(view) => match self.goes(alteration, &view, "view", catalog)? {
                    true => found.going.take_along(Object::View(view), catalog),
                    false => staying.push(view),
                },
                Object::Table(table) => {
                    if let Some(view) = held(&table) {
                        match self.goes(alteration, &view, "materialized view", catalog)? {
                            true => found.going.take_along(Object::Table(table.clone()), catalog),
                            false => staying.push(view),
                        }
                    }
                }
                Object::Graph(graph) => {
                    if goes_as_graph(alteration, &graph)? {
                        found.going.take_along(Object::Graph(graph), catalog);
                    }
                }
                Object::Sequence(_) => {}
            }
        }
        let replacement = replacement(before, after);
        let mut changed = catalog.with_table(before, TableDescriptor::clone(after));
        let fate = |view: &ViewDescriptor, changed: &Catalog| -> Result<Fate> {
            if !must_change(before, after, view)? && self.is_same(view, catalog, view, changed)?.is_some() {
                return Ok(Fate::Stays);
            }
            self.with_other_text(view, (&before.schema, &before.name), &replacement, catalog, changed)
        };
        let carried = carry_over(staying, &mut changed, &fate)?;
        let carried = carried.map_err(|view| in_the_way(&Object::View(view), "table", &before.schema, &before.name))?;
        for view in carried {
            found.changes.extend(catalog.alter_view(&view));
        }
        Ok(found)
    }

    /// Whether a view goes with a column.
    fn goes(&self, alteration: &Alteration<'_>, view: &ViewDescriptor, kind: &str, catalog: &Catalog) -> Result<bool> {
        let Alteration {
            before,
            after,
            cascaded,
            ..
        } = alteration;
        let gone = before
            .columns
            .iter()
            .filter(|column| after.position_of(column.id).is_none());
        for column in gone {
            if !self.needs(view, before, column, catalog)? {
                continue;
            }
            if cascaded.contains(&column.id) {
                return Ok(true);
            }
            return Err(needed(before, column, &format!("{kind} {}", view.name)));
        }
        for column in &before.columns {
            let has_other_type = after
                .columns
                .iter()
                .any(|new| new.id == column.id && new.sql_type != column.sql_type);
            if has_other_type && self.needs(view, before, column, catalog)? {
                return Err(
                    Error::unsupported("cannot alter type of a column used by a view or rule").with_detail(format!(
                        "rule _RETURN on {kind} {} depends on column \"{}\"",
                        view.name, column.name
                    )),
                );
            }
        }
        Ok(false)
    }

    /// Whether a view would not be what it is without a column.
    fn needs(
        &self,
        view: &ViewDescriptor,
        table: &TableDescriptor,
        column: &ColumnDescriptor,
        catalog: &Catalog,
    ) -> Result<bool> {
        let mut without = table.clone();
        take_column(&mut without, column.id);
        let changed = catalog.with_table(table, without);
        Ok(self.is_same(view, catalog, view, &changed)?.is_none())
    }

    /// The plan of a view, if it gives what another one gives over another catalog. What could not be planned before need not be now.
    fn is_same(
        &self,
        old: &ViewDescriptor,
        catalog: &Catalog,
        new: &ViewDescriptor,
        changed: &Catalog,
    ) -> Result<Option<Option<Planned>>> {
        let path = self.search_path()?;
        let Ok(old) = views::plan(&self.names(catalog, &path), old) else {
            return Ok(Some(None));
        };
        let Ok(new) = views::plan(&self.names(changed, &path), new) else {
            return Ok(None);
        };
        let is_same = old.plan.schema().as_arrow().fields() == new.plan.schema().as_arrow().fields();
        Ok(is_same.then_some(Some(new)))
    }

    /// A view whose text names something else where it named `of`.
    fn with_other_text(
        &self,
        view: &ViewDescriptor,
        of: (&str, &str),
        replacement: &str,
        catalog: &Catalog,
        changed: &Catalog,
    ) -> Result<Fate> {
        let Some(query) = replaced(view, of, replacement, catalog)? else {
            return Ok(Fate::Breaks);
        };
        let mut carried = view.clone();
        carried.query = query;
        Ok(match self.is_same(view, catalog, &carried, changed)? {
            None => Fate::Breaks,
            Some(None) => Fate::Stays,
            Some(Some(planned)) => {
                carried.uses = planned.named.into_iter().collect();
                Fate::Changes(Box::new(carried))
            }
        })
    }
}

/// What a table is made of that is a materialized view.
fn held(table: &TableDescriptor) -> Option<Arc<ViewDescriptor>> {
    table.view.as_deref().map(|view| Arc::new(view.clone()))
}

/// Takes a column out of a table, with what cannot be without it.
pub(super) fn take_column(table: &mut TableDescriptor, id: ColumnId) {
    let Some(position) = table.position_of(id) else {
        return;
    };
    let column = table.columns.remove(position);
    table.dropped.push(DroppedColumn {
        id,
        sql_type: column.sql_type,
    });
    if table.primary_key.contains(&id) {
        table.primary_key.clear();
        table.primary_key_name = None;
    }
    table.indexes.retain(|index| !index_names(index, id, &column.name));
    table.checks.retain(|check| !check.columns.contains(&id));
    table.foreign_keys.retain(|key| !key.columns.contains(&id));
}

/// Whether an index has the column in its key, beside it or in its texts. Of a text that cannot be read it is not known, and said.
fn index_names(index: &IndexDescriptor, id: ColumnId, name: &str) -> bool {
    let is_in_text = |text: &String| match parse::parse_expression(text) {
        Ok(expr) => named_columns(&expr).contains(name),
        Err(_) => true,
    };
    index.columns.iter().any(|part| part.column == id) || index.included.contains(&id) || index.texts().any(is_in_text)
}

/// Lets one view after the other be what `fate` says of it, those that others stand on before these. The views that change, or the
/// first that cannot stay.
fn carry_over(
    mut views: Vec<Arc<ViewDescriptor>>,
    changed: &mut Catalog,
    fate: &dyn Fn(&ViewDescriptor, &Catalog) -> Result<Fate>,
) -> Result<Result<Vec<ViewDescriptor>, Arc<ViewDescriptor>>> {
    let mut carried = Vec::new();
    loop {
        let count = views.len();
        let mut left = Vec::new();
        for view in views {
            match fate(&view, changed)? {
                Fate::Stays => {}
                Fate::Changes(new) => {
                    *changed = changed.with_view(&view, ViewDescriptor::clone(&new));
                    carried.push(*new);
                }
                Fate::Breaks => left.push(view),
            }
        }
        match left.first() {
            None => return Ok(Ok(carried)),
            Some(first) if left.len() == count => return Ok(Err(first.clone())),
            Some(_) => views = left,
        }
    }
}

/// Whether the text of a view may mean something else, even if it can be planned as it is: what it names is another column's name now,
/// or no longer this one's.
fn must_change(before: &TableDescriptor, after: &TableDescriptor, view: &ViewDescriptor) -> Result<bool> {
    if (&before.schema, &before.name) != (&after.schema, &after.name) {
        return Ok(true);
    }
    let (mut names, mut names_all) = (BTreeSet::new(), false);
    for token in parse::tokens(&view.query, &view.query)? {
        match token.token {
            Token::Word(word) => {
                names_all |= word.value.eq_ignore_ascii_case("natural");
                names.insert(match word.quote_style {
                    Some(_) => word.value,
                    None => word.value.to_lowercase(),
                });
            }
            Token::Mul => names_all = true,
            _ => {}
        }
    }
    Ok(after.columns.iter().any(|new| match before.position_of(new.id) {
        Some(old) => {
            let old = &before.columns[old].name;
            *old != new.name && (names_all || names.contains(old) || names.contains(&new.name))
        }
        None => names.contains(&new.name),
    }))
}

fn full_name(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// What stands for a table in FROM, so that it has the columns that it had.
fn replacement(before: &TableDescriptor, after: &TableDescriptor) -> String {
    let full = full_name(&after.schema, &after.name);
    let columns = before.columns.iter().filter_map(|old| {
        let new = &after.columns[after.position_of(old.id)?];
        Some((new.name.as_str(), old.name.as_str()))
    });
    let columns: Vec<(&str, &str)> = columns.collect();
    let has_the_same = columns.len() == after.columns.len() && columns.iter().all(|(new, old)| new == old);
    if has_the_same || columns.is_empty() {
        return full;
    }
    let items = columns.iter().map(|(new, old)| match new == old {
        true => quoted(new),
        false => format!("{} AS {}", quoted(new), quoted(old)),
    });
    format!("(SELECT {} FROM {full})", items.collect::<Vec<_>>().join(", "))
}

/// Where a query names a table in FROM, and whether with an alias; and the names of its common table expressions.
struct Places<'a> {
    is_it: &'a dyn Fn(&ast::ObjectName) -> bool,
    found: Vec<(Span, bool)>,
    common: BTreeSet<String>,
}

impl ast::Visitor for Places<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.common.extend(tables.map(|table| normalize(&table.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
        if let ast::TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } = factor
            && (self.is_it)(name)
        {
            self.found.push((name.span(), alias.is_some()));
        }
        ControlFlow::Continue(())
    }
}

/// The text of a view with something else where it names `of` in FROM; None where that cannot be told.
fn replaced(view: &ViewDescriptor, of: (&str, &str), replacement: &str, catalog: &Catalog) -> Result<Option<String>> {
    let text = view.query.as_str();
    if graph::is_mentioned(text) {
        return Ok(None);
    }
    let query = views::parse_query(text)?;
    let is_it = |name: &ast::ObjectName| match reference(name) {
        Ok(TableReference::Bare { table }) => {
            let path = std::iter::once("pg_catalog").chain(view.search_path.iter().map(String::as_str));
            let schema = path.into_iter().find(|schema| catalog.object(schema, &table).is_some());
            (schema, &*table) == (Some(of.0), of.1)
        }
        Ok(TableReference::Partial { schema, table } | TableReference::Full { schema, table, .. }) => {
            (&*schema, &*table) == of
        }
        Err(_) => false,
    };
    let mut places = Places {
        is_it: &is_it,
        found: Vec::new(),
        common: BTreeSet::new(),
    };
    let _: ControlFlow<()> = query.visit(&mut places);
    if places.found.is_empty() || places.common.contains(of.1) {
        return Ok(None);
    }
    places.found.sort_by_key(|(span, _)| span.start);
    let mut rewritten = String::new();
    let mut done = Location::new(1, 1);
    for (span, has_alias) in places.found {
        rewritten.push_str(parse::slice(text, Span::new(done, span.start)));
        rewritten.push_str(replacement);
        if !has_alias {
            rewritten.push_str(&format!(" AS {}", quoted(of.1)));
        }
        done = span.end;
    }
    rewritten.push_str(parse::slice(text, Span::new(done, Location::new(u64::MAX, 1))));
    Ok(Some(rewritten))
}

/// Whether a graph goes with a column.
fn goes_as_graph(alteration: &Alteration<'_>, graph: &GraphDescriptor) -> Result<bool> {
    let Alteration {
        before,
        after,
        cascaded,
        ..
    } = alteration;
    let is_renamed = (&before.schema, &before.name) != (&after.schema, &after.name);
    for column in &before.columns {
        let new = after.position_of(column.id).map(|position| &after.columns[position]);
        let is_same = new.is_some_and(|new| new.name == column.name && new.sql_type == column.sql_type);
        if is_same || !graph_needs(graph, before, &column.name) {
            continue;
        }
        match new {
            None if cascaded.contains(&column.id) => return Ok(true),
            None => return Err(needed(before, column, &format!("property graph {}", graph.name))),
            Some(_) => {
                return Err(in_the_way(
                    &Object::Graph(Arc::new(graph.clone())),
                    "table",
                    &before.schema,
                    &before.name,
                ));
            }
        }
    }
    match is_renamed {
        true => Err(in_the_way(
            &Object::Graph(Arc::new(graph.clone())),
            "table",
            &before.schema,
            &before.name,
        )),
        false => Ok(false),
    }
}

/// Whether a graph names a column of a table. One without a list of properties has all columns.
fn graph_needs(graph: &GraphDescriptor, table: &TableDescriptor, column: &str) -> bool {
    let is_of = |schema: &String, name: &String| *schema == table.schema && *name == table.name;
    let has = |columns: &[String]| columns.iter().any(|there| there == column);
    let of_vertices = graph.vertices.iter().any(|vertex| {
        let shows = vertex
            .properties
            .as_ref()
            .is_none_or(|properties| properties.iter().any(|property| property.column == column));
        is_of(&vertex.schema, &vertex.table) && (shows || has(&vertex.key))
    });
    let of_edges = graph.edges.iter().any(|edge| {
        let shows = edge
            .properties
            .as_ref()
            .is_none_or(|properties| properties.iter().any(|property| property.column == column));
        let is_own = is_of(&edge.schema, &edge.table);
        let refers = has(&edge.source_columns) || has(&edge.destination_columns);
        (is_own && (shows || has(&edge.key) || has(&edge.source_key) || has(&edge.destination_key))) || refers
    });
    of_vertices || of_edges
}

/// 2BP01 for a column that something needs.
pub(super) fn needed(table: &TableDescriptor, column: &ColumnDescriptor, user: &str) -> Error {
    let what = format!("column {} of table {}", column.name, table.name);
    Error::invalid(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop {what} because other objects depend on it"),
    )
    .with_detail(format!("{user} depends on {what}"))
    .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
    .with_schema(table.schema.clone())
    .with_table(table.name.clone())
}

/// 2BP01 for what would no longer be what it is.
fn in_the_way(user: &Object, kind: &str, schema: &str, name: &str) -> Error {
    let user = match user {
        Object::View(view) => format!("view {}", view.name),
        Object::Graph(graph) => format!("property graph {}", graph.name),
        Object::Table(table) => format!("table {}", table.name),
        Object::Sequence(sequence) => format!("sequence {}", sequence.name),
    };
    Error::invalid(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot alter {kind} {name} because {user} depends on what it changes"),
    )
    .with_hint(format!("Drop {user} first, and create it again afterwards."))
    .with_schema(schema)
    .with_table(name)
}
