//! A change as a query and a target.

use std::cmp::Ordering;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{ColumnDescriptor, TableDescriptor};
use aion_catalog::objects::Object;
use aion_storage::LockMode;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::TableReference;
use datafusion::logical_expr::{LogicalPlan, WriteOp};
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::conflict::OnConflict;
use super::returning::{Others, Returning};
use super::rules::RowRules;
use super::{assignment, identity};
use crate::dialect::current_of;
use crate::functions::{cast_call, is_function};
use crate::parse;
use crate::planner::{Names, Planned, note_parameter};
use crate::references::{Ties, Touched};
use crate::session::columns::make_unique;
use crate::session::{named_columns, refuse_materialized};
use crate::table::{KEY_COLUMN, Table, TableShape};

/// A planned change.
#[derive(Debug)]
pub struct Change {
    /// What it does.
    pub kind: ChangeKind,
    /// The table changed.
    pub shape: Arc<TableShape>,
    /// What its rows must fulfil.
    pub rules: Option<Arc<RowRules>>,
    /// It gives a new value to a column that other rows may refer to.
    pub changes_keys: bool,
    /// The foreign keys that it must follow.
    pub ties: Option<Arc<Ties>>,
    /// What an INSERT does where a key is there already.
    pub conflict: Option<OnConflict>,
    /// What to return of the changed rows.
    pub returning: Option<Returning>,
}

impl Change {
    /// How it locks the rows that it changes: as PostgreSQL does, so that rows may go on referring to one whose keys stay.
    pub fn lock_mode(&self) -> LockMode {
        match self.kind {
            ChangeKind::Update if !self.changes_keys => LockMode::NoKeyUpdate,
            _ => LockMode::Update,
        }
    }
}

/// What a change does with the rows of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// They are the new rows.
    Insert,
    /// They are keys and new values.
    Update,
    /// They are keys.
    Delete,
}

impl ChangeKind {
    /// The command tag of a change of so many rows.
    pub fn tag(self, count: u64) -> String {
        match self {
            Self::Insert => format!("INSERT 0 {count}"),
            Self::Update => format!("UPDATE {count}"),
            Self::Delete => format!("DELETE {count}"),
        }
    }
}

/// The name under which the target is known to the planner of the source; no user can write it.
pub const TARGET: &str = "aion target";

/// Plans a change: its source with what it depends upon, and its target.
///
/// # Errors
/// 42xxx with a place; 0A000 for a clause that we do not do.
pub fn plan_change(
    names: Names<'_>,
    statement: ast::Statement,
    types: Vec<Option<FieldRef>>,
    text: &str,
) -> Result<(Change, Planned)> {
    match statement {
        ast::Statement::Insert(insert) => plan_insert(names, insert, types, text),
        ast::Statement::Update(update) => plan_update(names, update, types, text),
        ast::Statement::Delete(delete) => plan_delete(names, delete, types, text),
        other => Err(Error::internal(format!("no change: {other}"))),
    }
}

fn plan_insert(
    mut names: Names<'_>,
    mut insert: ast::Insert,
    types: Vec<Option<FieldRef>>,
    text: &str,
) -> Result<(Change, Planned)> {
    refuse(insert.output.is_some(), "OUTPUT")?;
    let ast::TableObject::TableName(name) = &insert.table else {
        return Err(Error::unsupported("INSERT writes to a table by its name"));
    };
    let name = name.clone();
    let shape = target(&names, &name, text)?;
    let alias = match insert.table_alias.take() {
        Some(alias) => alias.alias,
        None => last_part(&name)?,
    };
    let conflict = match insert.on.take() {
        Some(on) => Some(OnConflict::new(on, &alias, &names, &shape, text)?),
        None => None,
    };
    let returning = insert
        .returning
        .take()
        .map(|items| Returning::of_insert(items, alias, &shape));
    let passed_over = identity::settle(&mut insert, &shape)?;
    match &mut insert.source {
        Some(source) => {
            if insert.columns.is_empty() {
                insert.columns = first_columns(&names, source, &types, &shape)?;
            }
            check_count(source, insert.columns.len())?;
            settle_literals(source, &insert.columns, &shape, text)?;
            make_unique(source);
        }
        None => (insert.columns, insert.source) = default_values(&shape)?,
    }
    let rules = names.row_rules(&shape)?;
    let ties = match conflict.as_ref().and_then(|conflict| conflict.update.as_ref()) {
        Some(update) => {
            let touched = |position: usize| update.assigns(position);
            Ties::of(&names, &shape, Touched::InsertedOrUpdated(&touched))?
        }
        None => Ties::of(&names, &shape, Touched::Inserted)?,
    };
    names.bind_for_insert(TARGET, &shape)?;
    let defaults = identity::defaults(&names, &shape, &passed_over)?;
    insert.table = ast::TableObject::TableName(ast::ObjectName::from(vec![ast::Ident::with_quote('"', TARGET)]));
    let mut planned = names.plan(ast::Statement::Insert(insert), types, text)?;
    let LogicalPlan::Dml(dml) = planned.plan else {
        return Err(Error::internal("an INSERT was planned as something else"));
    };
    let WriteOp::Insert(datafusion::logical_expr::dml::InsertOp::Append) = dml.op else {
        return Err(Error::unsupported(
            "INSERT OR REPLACE and INSERT OVERWRITE are not PostgreSQL's",
        ));
    };
    let change = Change {
        kind: ChangeKind::Insert,
        changes_keys: false,
        rules,
        ties: ties.map(Arc::new),
        shape,
        conflict,
        returning,
    };
    let source = assignment::fitted(Arc::unwrap_or_clone(dml.input), &dml.target.schema())?;
    assignment::check_source(&source)?;
    planned.plan = identity::put_defaults(source, defaults)?;
    Ok((change, planned))
}

/// The columns that an INSERT without a list of them writes: the first ones, as many as its source has.
fn first_columns(
    names: &Names<'_>,
    source: &ast::Query,
    types: &[Option<FieldRef>],
    shape: &TableShape,
) -> Result<Vec<ast::ObjectName>> {
    let columns = &shape.descriptor.columns;
    let count = match &*source.body {
        ast::SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => names.width(source, types),
    };
    // A source that cannot be planned by itself says what is wrong with it when it is planned as a part of the statement.
    let count = count.unwrap_or(columns.len());
    if count > columns.len() {
        return Err(too_many_expressions());
    }
    let name =
        |column: &ColumnDescriptor| ast::ObjectName::from(vec![ast::Ident::with_quote('"', column.name.clone())]);
    Ok(columns[..count].iter().map(name).collect())
}

/// Whether the rows of VALUES have as many values as there are columns to write.
fn check_count(source: &ast::Query, columns: usize) -> Result<()> {
    let ast::SetExpr::Values(values) = &*source.body else {
        return Ok(());
    };
    let first = values.rows.first().map_or(0, |row| row.content.len());
    if values.rows.iter().any(|row| row.content.len() != first) {
        return Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            "VALUES lists must all be the same length",
        ));
    }
    match first.cmp(&columns) {
        Ordering::Less => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            "INSERT has more target columns than expressions",
        )),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(too_many_expressions()),
    }
}

fn too_many_expressions() -> Error {
    Error::invalid(
        SqlState::SYNTAX_ERROR,
        "INSERT has more expressions than target columns",
    )
}

/// One row of defaults: one column is named with its default, rather one that is no identity column, and the others get theirs for not
/// being named.
fn default_values(shape: &TableShape) -> Result<(Vec<ast::ObjectName>, Option<Box<ast::Query>>)> {
    let columns = &shape.descriptor.columns;
    let plain = columns
        .iter()
        .find(|column| column.identity.is_none() && column.generated.is_none());
    let Some(column) = plain.or(columns.first()) else {
        return Err(Error::unsupported("a row of a table without columns"));
    };
    let default = column.default.as_deref().unwrap_or("NULL");
    let mut template = parse::parse(&format!("VALUES ({default})"))?;
    match template.pop().map(|statement| statement.ast) {
        Some(ast::Statement::Query(query)) if template.is_empty() => {
            let name = ast::Ident::with_quote('"', column.name.clone());
            Ok((vec![ast::ObjectName::from(vec![name])], Some(query)))
        }
        _ => Err(Error::internal("the template is a query")),
    }
}

/// Refuses literals in VALUES that their columns do not take, and makes text what they hold, where DataFusion would refuse the cast.
fn settle_literals(source: &mut ast::Query, columns: &[ast::ObjectName], shape: &TableShape, text: &str) -> Result<()> {
    let ast::SetExpr::Values(values) = &mut *source.body else {
        return Ok(());
    };
    let descriptor = &shape.descriptor;
    let positions: Vec<Option<usize>> = match columns {
        [] => (0..descriptor.columns.len()).map(Some).collect(),
        names => {
            let position = |name: &ast::ObjectName| descriptor.position(&normalize(&last_part(name).ok()?));
            names.iter().map(position).collect()
        }
    };
    for (at, position) in positions.into_iter().enumerate() {
        let Some(column) = position.map(|position| &descriptor.columns[position]) else {
            continue;
        };
        for expr in values.rows.iter().filter_map(|row| row.content.get(at)) {
            assignment::check_literal(expr, column, text)?;
        }
        let sql_type = column.sql_type;
        if !is_function(sql_type) {
            continue;
        }
        for row in &mut values.rows {
            if let Some(expr) = row.content.get_mut(at)
                && let ast::Expr::Value(value) = expr
                && matches!(value.value, ast::Value::SingleQuotedString(_) | ast::Value::Null)
            {
                *expr = cast_call(expr.clone(), sql_type)?;
            }
        }
    }
    Ok(())
}

fn plan_update(
    mut names: Names<'_>,
    update: ast::Update,
    mut types: Vec<Option<FieldRef>>,
    text: &str,
) -> Result<(Change, Planned)> {
    refuse(update.or.is_some(), "UPDATE OR")?;
    refuse(update.output.is_some(), "OUTPUT")?;
    refuse(
        !update.order_by.is_empty() || update.limit.is_some(),
        "ORDER BY and LIMIT in UPDATE",
    )?;
    refuse(!update.table.joins.is_empty(), "a join as the target of UPDATE")?;
    let (cursor, selection) = cursor_or_condition(update.selection);
    let (shape, target_item, alias) = target_item(&mut names, update.table.relation, cursor.as_deref(), text)?;
    let assigned = assigned(&shape, update.assignments, text)?;
    let is_assigned = |position: usize| assigned[position].is_some();
    let changes_keys = key_positions(&shape).into_iter().any(is_assigned);
    let ties = Ties::of(&names, &shape, Touched::Updated(&is_assigned))?;
    let mut projection = new_values(&shape, &alias, assigned, &mut types)?;
    let others = match update.from {
        Some(ast::UpdateTableFromKind::AfterSet(others)) => others,
        Some(ast::UpdateTableFromKind::BeforeSet(_)) => return Err(Error::unsupported("FROM before SET is not there")),
        None => Vec::new(),
    };
    let first = projection.len();
    let returned = Others::of(&others, update.returning.as_deref(), &alias)?;
    projection.extend(returned.projection());
    let mut from = vec![target_item];
    from.extend(others);
    let rules = names.row_rules(&shape)?;
    let planned = names.plan(select(projection, from, selection)?, types, text)?;
    assignment::check_update(&planned.plan, &shape.descriptor.columns)?;
    let returning = update.returning;
    let returning = returning.map(|items| Returning::new(items, alias, returned, &shape, planned.plan.schema(), first));
    let returning = returning.transpose()?;
    Ok((
        Change {
            kind: ChangeKind::Update,
            changes_keys,
            rules,
            ties: ties.map(Arc::new),
            shape,
            conflict: None,
            returning,
        },
        planned,
    ))
}

/// What SET gives each column of a table; None for those that stay.
///
/// # Errors
/// 42703 and 42601, with a place.
pub fn assigned(shape: &TableShape, assignments: Vec<ast::Assignment>, text: &str) -> Result<Vec<Option<ast::Expr>>> {
    let mut assigned: Vec<Option<ast::Expr>> = vec![None; shape.descriptor.columns.len()];
    for (name, value) in one_by_one(assignments)? {
        let column = last_part(&name)?;
        let position = shape.descriptor.position(&normalize(&column)).ok_or_else(|| {
            at(
                Error::not_found(
                    SqlState::UNDEFINED_COLUMN,
                    format!(
                        "column \"{column}\" of relation \"{}\" does not exist",
                        shape.descriptor.name
                    ),
                ),
                column.span,
                text,
            )
        })?;
        if assigned[position].is_some() {
            let error = Error::invalid(
                SqlState::SYNTAX_ERROR,
                format!("column \"{column}\" is set more than once"),
            );
            return Err(at(error, column.span, text));
        }
        assignment::check_literal(&value, &shape.descriptor.columns[position], text)?;
        identity::check_assigned(&shape.descriptor.columns[position], &value)?;
        assigned[position] = Some(with_default(value, shape, position)?);
    }
    // What is computed of a column changes with it; what it becomes is computed when the row is known.
    for (position, column) in shape.descriptor.columns.iter().enumerate() {
        let Some(generated) = &column.generated else { continue };
        let bases = named_columns(&parse::parse_expression(generated)?);
        let is_changed = |name: &String| shape.descriptor.position(name).is_some_and(|at| assigned[at].is_some());
        assigned[position] = match bases.iter().any(is_changed) {
            true => Some(parse::parse_expression("NULL")?),
            false => None,
        };
    }
    Ok(assigned)
}

/// Columns with their new values, also of `(a, b) = (1, 2)`.
fn one_by_one(assignments: Vec<ast::Assignment>) -> Result<Vec<(ast::ObjectName, ast::Expr)>> {
    let mut pairs = Vec::with_capacity(assignments.len());
    for assignment in assignments {
        match (assignment.target, assignment.value) {
            (ast::AssignmentTarget::ColumnName(name), value) => pairs.push((name, value)),
            (ast::AssignmentTarget::Tuple(names), ast::Expr::Tuple(values)) => {
                if names.len() != values.len() {
                    return Err(Error::invalid(
                        SqlState::SYNTAX_ERROR,
                        "number of columns does not match number of values",
                    ));
                }
                pairs.extend(names.into_iter().zip(values));
            }
            (ast::AssignmentTarget::Tuple(names), ast::Expr::Subquery(query)) => {
                let values = (0..names.len()).map(|at| column_of_row(&query, at, names.len()));
                let values = values.collect::<Result<Vec<_>>>()?;
                pairs.extend(names.into_iter().zip(values));
            }
            _ => {
                return Err(Error::unsupported(
                    "what is set to several columns is a list of values or a subquery",
                ));
            }
        }
    }
    Ok(pairs)
}

/// A column of the row that a subquery gives.
///
/// # Errors
/// 42601 where the subquery has a list of another length.
fn column_of_row(query: &ast::Query, at: usize, count: usize) -> Result<ast::Expr> {
    if let ast::SetExpr::Select(select) = &*query.body {
        let is_plain = |item: &ast::SelectItem| {
            matches!(
                item,
                ast::SelectItem::UnnamedExpr(_) | ast::SelectItem::ExprWithAlias { .. }
            )
        };
        if select.projection.iter().all(is_plain) && select.projection.len() != count {
            return Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                "number of columns does not match number of values",
            ));
        }
    }
    let names: Vec<String> = (0..count).map(|at| format!("\"aion set {at}\"")).collect();
    let template = format!(
        "(SELECT {} FROM (SELECT 1) AS \"aion row\" ({}))",
        names[at],
        names.join(", ")
    );
    let mut expr = parse::parse_expression(&template)?;
    if let ast::Expr::Subquery(outer) = &mut expr
        && let ast::SetExpr::Select(select) = &mut *outer.body
        && let Some(ast::TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation)
    {
        **subquery = query.clone();
        return Ok(expr);
    }
    Err(Error::internal("the template is a subquery over one"))
}

/// The key of a row and the new values of all its columns, as a SELECT list over the target. Each has a name of its own, which
/// DataFusion asks for, whatever the expressions are.
///
/// # Errors
/// Internal, if a template does not parse.
pub fn new_values(
    shape: &TableShape,
    alias: &ast::Ident,
    assigned: Vec<Option<ast::Expr>>,
    types: &mut Vec<Option<FieldRef>>,
) -> Result<Vec<ast::SelectItem>> {
    let mut projection = vec![select_item(column_of(alias, KEY_COLUMN))];
    for (position, (column, assigned)) in shape.descriptor.columns.iter().zip(assigned).enumerate() {
        let value = assigned.unwrap_or_else(|| column_of(alias, &column.name));
        note_parameter(&value, column.sql_type, types);
        projection.push(ast::SelectItem::ExprWithAlias {
            expr: cast(value, &assigned_type(column.sql_type).qualified())?,
            alias: ast::Ident::with_quote('"', format!("aion value {position}")),
        });
    }
    Ok(projection)
}

/// What a value is cast to where it is assigned: a cast to a text of some length would shorten it, and an assignment refuses what is too long.
pub fn assigned_type(sql_type: SqlType) -> SqlType {
    match sql_type {
        SqlType::Varchar(_) | SqlType::Char(_) => SqlType::Text,
        other => other,
    }
}

fn plan_delete(
    mut names: Names<'_>,
    delete: ast::Delete,
    types: Vec<Option<FieldRef>>,
    text: &str,
) -> Result<(Change, Planned)> {
    refuse(delete.output.is_some(), "OUTPUT")?;
    refuse(!delete.tables.is_empty(), "DELETE of several tables")?;
    refuse(
        !delete.order_by.is_empty() || delete.limit.is_some(),
        "ORDER BY and LIMIT in DELETE",
    )?;
    let (ast::FromTable::WithFromKeyword(mut from) | ast::FromTable::WithoutKeyword(mut from)) = delete.from;
    let (Some(table), true) = (from.pop(), from.is_empty()) else {
        return Err(Error::unsupported("DELETE has one target"));
    };
    refuse(!table.joins.is_empty(), "a join as the target of DELETE")?;
    let (cursor, selection) = cursor_or_condition(delete.selection);
    let (shape, target_item, alias) = target_item(&mut names, table.relation, cursor.as_deref(), text)?;
    let others = delete.using.unwrap_or_default();
    let mut projection = vec![select_item(column_of(&alias, KEY_COLUMN))];
    let returned = Others::of(&others, delete.returning.as_deref(), &alias)?;
    projection.extend(returned.projection());
    let mut from = vec![target_item];
    from.extend(others);
    let ties = Ties::of(&names, &shape, Touched::Deleted)?;
    let planned = names.plan(select(projection, from, selection)?, types, text)?;
    let returning = delete.returning;
    let returning = returning.map(|items| Returning::new(items, alias, returned, &shape, planned.plan.schema(), 1));
    let returning = returning.transpose()?;
    Ok((
        Change {
            kind: ChangeKind::Delete,
            changes_keys: true,
            rules: None,
            ties: ties.map(Arc::new),
            shape,
            conflict: None,
            returning,
        },
        planned,
    ))
}

/// The columns of a table that tell its rows apart, by its primary key or a unique index.
pub fn key_positions(shape: &TableShape) -> Vec<usize> {
    let table = &shape.descriptor;
    let unique = table.indexes.iter();
    let unique = unique.filter(|index| index.is_unique && !index.is_computed());
    let unique = unique.flat_map(|index| {
        index
            .columns
            .iter()
            .filter_map(|column| table.position_of(column.column))
    });
    table.primary_key_positions().into_iter().chain(unique).collect()
}

/// The table that a change names.
fn target(names: &Names<'_>, name: &ast::ObjectName, text: &str) -> Result<Arc<TableShape>> {
    let reference = reference(name)?;
    let place = |error| at(error, name.span(), text);
    match names.resolve(&reference).map_err(place)? {
        Object::Table(table) => {
            refuse_materialized(&table, "change").map_err(place)?;
            names.meet(&table);
            Ok(names.shape(&table))
        }
        Object::View(_) => {
            let error = Error::invalid(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot change view \"{name}\""),
            );
            Err(place(error.with_hint(
                "Views are read only: change the tables that it is made of.",
            )))
        }
        Object::Graph(_) | Object::Sequence(_) => {
            let error = Error::invalid(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a table"));
            Err(place(error.with_hint("Change the tables that it is made of.")))
        }
    }
}

/// The cursor of `WHERE CURRENT OF`, or else the condition.
fn cursor_or_condition(selection: Option<ast::Expr>) -> (Option<String>, Option<ast::Expr>) {
    match selection.as_ref().and_then(current_of) {
        Some(cursor) => (Some(normalize(cursor)), None),
        None => (None, selection),
    }
}

/// The target as an item of FROM under its reserved name, and the name that the statement knows it by. Of its rows the one that a
/// `cursor` is on, where there is one.
pub(super) fn target_item(
    names: &mut Names<'_>,
    factor: ast::TableFactor,
    cursor: Option<&str>,
    text: &str,
) -> Result<(Arc<TableShape>, ast::TableWithJoins, ast::Ident)> {
    let ast::TableFactor::Table {
        name,
        alias,
        args: None,
        ..
    } = factor
    else {
        return Err(Error::unsupported("the target of a change is a table by its name"));
    };
    let shape = target(names, &name, text)?;
    let table = Table::with_key(shape.clone());
    let table = match cursor {
        Some(cursor) => names.at_cursor(table, cursor)?,
        None => table,
    };
    names.bind(TARGET, Arc::new(table));
    let alias = match alias {
        Some(alias) if !alias.columns.is_empty() => {
            return Err(Error::unsupported("the target's alias names no columns"));
        }
        Some(alias) => alias.name,
        None => last_part(&name)?,
    };
    Ok((shape, target_as(&alias)?, alias))
}

/// The target, under its reserved name, as an item of FROM with this alias.
///
/// # Errors
/// Internal, if the template does not parse.
pub fn target_as(alias: &ast::Ident) -> Result<ast::TableWithJoins> {
    bound_as(TARGET, alias)
}

/// A table that is bound to a name, as an item of FROM with this alias.
///
/// # Errors
/// Internal, if the template does not parse.
pub fn bound_as(name: &str, alias: &ast::Ident) -> Result<ast::TableWithJoins> {
    let mut template = parse::parse(&format!("SELECT 1 FROM \"{name}\" AS {alias}"))?;
    let Some(ast::Statement::Query(mut query)) = template.pop().map(|statement| statement.ast) else {
        return Err(Error::internal("the template is a query"));
    };
    match &mut *query.body {
        ast::SetExpr::Select(select) if select.from.len() == 1 => Ok(select.from.remove(0)),
        _ => Err(Error::internal("the template has a FROM")),
    }
}

/// `SELECT projection FROM from WHERE selection`.
///
/// # Errors
/// Internal, if the template does not parse.
pub fn select(
    projection: Vec<ast::SelectItem>,
    from: Vec<ast::TableWithJoins>,
    selection: Option<ast::Expr>,
) -> Result<ast::Statement> {
    // Parsing a template keeps us out of the many fields that have nothing to say here.
    let mut statements = parse::parse("SELECT 1")?;
    let Some(ast::Statement::Query(mut query)) = statements.pop().map(|statement| statement.ast) else {
        return Err(Error::internal("the template is a query"));
    };
    let ast::SetExpr::Select(select) = &mut *query.body else {
        return Err(Error::internal("the template is a SELECT"));
    };
    select.projection = projection;
    select.from = from;
    select.selection = selection;
    Ok(ast::Statement::Query(query))
}

/// `SET column = DEFAULT` takes the column's default, or NULL.
fn with_default(value: ast::Expr, shape: &TableShape, position: usize) -> Result<ast::Expr> {
    match identity::is_default(&value) {
        true => identity::default_of(&shape.descriptor.columns[position]),
        false => Ok(value),
    }
}

pub(super) fn cast(expr: ast::Expr, sql_type: &str) -> Result<ast::Expr> {
    let mut template = parse::parse_expression(&format!("CAST(NULL AS {sql_type})"))?;
    match &mut template {
        ast::Expr::Cast { expr: inner, .. } => **inner = expr,
        other => return Err(Error::internal(format!("no cast: {other}"))),
    }
    Ok(template)
}

/// A column of what has an alias in FROM.
pub fn column_of(alias: &ast::Ident, column: &str) -> ast::Expr {
    ast::Expr::CompoundIdentifier(vec![alias.clone(), ast::Ident::with_quote('"', column)])
}

/// An expression as an item of a SELECT list.
pub fn select_item(expr: ast::Expr) -> ast::SelectItem {
    ast::SelectItem::UnnamedExpr(expr)
}

/// An identifier as PostgreSQL folds it.
pub fn normalize(ident: &ast::Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

pub(super) fn last_part(name: &ast::ObjectName) -> Result<ast::Ident> {
    let part = name.0.last().and_then(ast::ObjectNamePart::as_ident);
    part.cloned()
        .ok_or_else(|| Error::unsupported(format!("\"{name}\" is not a name")))
}

/// A table's name as a reference.
///
/// # Errors
/// 42601 for a name of more than three parts.
pub fn reference(name: &ast::ObjectName) -> Result<TableReference> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(normalize)).collect();
    match parts.as_deref() {
        Some([table]) => Ok(TableReference::bare(table.as_str())),
        Some([schema, table]) => Ok(TableReference::partial(schema.as_str(), table.as_str())),
        Some([database, schema, table]) => Ok(TableReference::full(database.as_str(), schema.as_str(), table.as_str())),
        _ => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            format!("improper relation name: {name}"),
        )),
    }
}

pub(super) fn refuse(is_there: bool, what: &str) -> Result<()> {
    if is_there {
        Err(Error::unsupported(format!("{what} is not there")))
    } else {
        Ok(())
    }
}

/// The positions of columns that a statement names, in its order.
///
/// # Errors
/// 42703 for one that is not there, 42701 for one that is named twice.
pub fn positions_of(table: &TableDescriptor, columns: &[ast::Ident], text: &str) -> Result<Vec<usize>> {
    let mut positions = Vec::with_capacity(columns.len());
    for column in columns {
        let name = normalize(column);
        let position = table.position(&name).ok_or_else(|| {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            at(Error::not_found(SqlState::UNDEFINED_COLUMN, message), column.span, text)
        })?;
        if positions.contains(&position) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(at(
                Error::invalid(SqlState::DUPLICATE_COLUMN, message),
                column.span,
                text,
            ));
        }
        positions.push(position);
    }
    Ok(positions)
}

/// Adds the place of a span to an error.
pub fn at(error: Error, span: Span, text: &str) -> Error {
    match parse::position(text, span.start.line, span.start.column) {
        Some(position) => error.with_position(position),
        None => error,
    }
}
