//! ALTER TABLE.
//!
//! 1. Each operation changes a draft of the table's descriptor, in order, and says what else it takes: a condition that every row must
//!    fulfil, indexes to be filled, or that all rows are written anew.
//! 2. What does not change the bytes of rows is a change of the descriptor alone: names, defaults, NOT NULL (looked at, not written),
//!    a new column whose default is one value, a column that goes. Rows keep what they have; the descriptor says how to read it.
//! 3. Another type, another primary key, or a default that differs from row to row (`random()`) writes all rows into a new storage.
//! 4. Views and graphs that use the table must still be what they were: they are planned over the draft.
//!
//! A statement that was planned before, and a transaction that read the table, is refused at its commit (40001) and planned again.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_catalog::Value;
use aion_catalog::descriptor::{ColumnDescriptor, ColumnId, DroppedColumn, IndexMethod, TableDescriptor, check_name};
use aion_catalog::keys::IndexKeys;
use aion_catalog::objects::{Catalog, Object, sequence_state_key};
use datafusion::arrow::array::Array;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::Session;
use super::ddl::{Breach, Definition, Rewrite};
use super::sequence::{Counted, identity, options_of};
use super::table::{add_column, add_constraint, named_columns, parameters};
use crate::cells::{Cells, canonical};
use crate::copy::Defaults;
use crate::dml::{at, normalize, reference, select, target_as};
use crate::error::translate;
use crate::parse;
use crate::planner::sql_type;
use crate::table::TableShape;
use crate::views;

/// What becomes of a table.
struct Draft<'a> {
    before: Arc<TableDescriptor>,
    table: TableDescriptor,
    catalog: &'a Catalog,
    text: &'a str,
    /// For columns whose values are computed from the table as it was.
    computed: Vec<(ColumnId, ast::Expr)>,
    /// Columns that get a sequence.
    counted: Vec<Counted>,
    /// The bytes or keys of rows change.
    is_rewritten: bool,
    verified: Vec<(ast::Statement, Breach)>,
    notices: Vec<(SqlState, String)>,
}

impl Session {
    pub(super) fn alter_table(&self, alter: &ast::AlterTable, catalog: &Catalog, text: &str) -> Result<Definition> {
        if alter.location.is_some() || alter.on_cluster.is_some() || alter.table_type.is_some() {
            return Err(Error::unsupported("this ALTER TABLE is not PostgreSQL's"));
        }
        let path = self.search_path()?;
        let place = |error| at(error, alter.name.span(), text);
        let before = match self.names(catalog, &path).resolve(&reference(&alter.name)?) {
            Ok(Object::Table(table)) => table,
            Ok(_) => {
                let message = format!("\"{}\" is not a table", alter.name);
                return Err(place(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message)));
            }
            Err(error) if alter.if_exists && error.kind() == ErrorKind::NotFound => {
                let notice = format!("relation \"{}\" does not exist, skipping", alter.name);
                return Ok(Definition::nothing(
                    "ALTER TABLE",
                    SqlState::SUCCESSFUL_COMPLETION,
                    notice,
                ));
            }
            Err(error) => return Err(place(error)),
        };
        let mut draft = Draft {
            table: TableDescriptor::clone(&before),
            before,
            catalog,
            text,
            computed: Vec::new(),
            counted: Vec::new(),
            is_rewritten: false,
            verified: Vec::new(),
            notices: Vec::new(),
        };
        for operation in &alter.operations {
            self.alter(&mut draft, operation)?;
        }
        self.check_expressions(&draft.table, catalog)?;
        self.check_dependents(&draft)?;
        self.carry_out(draft)
    }

    fn alter(&self, draft: &mut Draft<'_>, operation: &ast::AlterTableOperation) -> Result<()> {
        use ast::AlterTableOperation as Operation;
        match operation {
            Operation::AddColumn {
                if_not_exists,
                column_def,
                column_position: None,
                ..
            } => self.add_column(draft, column_def, *if_not_exists),
            Operation::DropColumn {
                column_names,
                if_exists,
                drop_behavior,
                ..
            } => {
                let is_cascade = *drop_behavior == Some(ast::DropBehavior::Cascade);
                column_names
                    .iter()
                    .try_for_each(|name| draft.drop_column(name, *if_exists, is_cascade))
            }
            Operation::RenameColumn {
                old_column_name,
                new_column_name,
            } => draft.rename_column(old_column_name, new_column_name),
            Operation::RenameTable { table_name } => {
                let (ast::RenameTableNameKind::As(name) | ast::RenameTableNameKind::To(name)) = table_name;
                let name = super::ddl::single_name(name)?;
                check_name(&name, "table")?;
                draft.table.name = name;
                Ok(())
            }
            Operation::RenameConstraint { old_name, new_name } => draft.rename_constraint(old_name, new_name),
            Operation::AlterColumn { column_name, op } => self.alter_column(draft, column_name, op),
            Operation::AddConstraint { constraint, not_valid } => {
                if *not_valid {
                    return Err(Error::unsupported(
                        "NOT VALID is not there: a constraint holds for all rows",
                    ));
                }
                self.add_table_constraint(draft, constraint)
            }
            Operation::DropConstraint { if_exists, name, .. } => draft.drop_constraint(name, *if_exists),
            // There is one role yet that owns things.
            Operation::OwnerTo { .. } => Ok(()),
            Operation::SetOptionsParens { options }
            | Operation::SetTblProperties {
                table_properties: options,
            } => {
                for (name, value) in parameters(options)? {
                    draft.table.options.retain(|(there, _)| *there != name);
                    draft.table.options.push((name, value));
                }
                Ok(())
            }
            other => Err(Error::unsupported(format!("ALTER TABLE ... {other} is not there yet"))),
        }
    }

    fn add_column(&self, draft: &mut Draft<'_>, definition: &ast::ColumnDef, if_not_exists: bool) -> Result<()> {
        let name = normalize(&definition.name);
        if if_not_exists && draft.table.position(&name).is_some() {
            let notice = format!(
                "column \"{name}\" of relation \"{}\" already exists, skipping",
                draft.table.name
            );
            draft.notices.push((SqlState::DUPLICATE_COLUMN, notice));
            return Ok(());
        }
        let had_key = !draft.table.primary_key.is_empty();
        let checks = draft.table.checks.len();
        let counted = add_column(&mut draft.table, definition, draft.catalog, draft.text)?;
        draft.is_rewritten |= !had_key && !draft.table.primary_key.is_empty();
        let column = draft.table.columns.last().expect("it was just added");
        let (id, is_nullable) = (column.id, column.is_nullable);
        if let Some(counted) = counted {
            // Each row gets a number, by the default that the sequence brings.
            draft.counted.push(counted);
            draft.is_rewritten = true;
            return Ok(());
        }
        match column.default.clone() {
            None if !is_nullable => {
                // Only a table without rows has none that breaks it.
                let error = contains_nulls(&draft.before, &name);
                let from = vec![draft.from()?];
                draft.verified.push((limited(select(vec![one()], from, None)?)?, error));
            }
            None => {}
            Some(default) => match self.constant_default(&draft.table, draft.catalog, &name)? {
                Some(Value::Null) if !is_nullable => return Err(contains_nulls(&draft.before, &name)()),
                Some(value) => {
                    let column = draft.table.columns.last_mut().expect("it was just added");
                    if value != Value::Null {
                        let mut missing = String::new();
                        value.text_out(&column.sql_type, &mut missing);
                        column.missing = Some(missing);
                    }
                }
                // It differs from row to row.
                None => {
                    draft.computed.push((id, parse::parse_expression(&default)?));
                    draft.is_rewritten = true;
                }
            },
        }
        // A condition on a new column is looked at where its values are known: when the rows are written.
        draft.is_rewritten |= draft.table.checks.len() > checks;
        Ok(())
    }

    /// The value of a column's DEFAULT; None where it may differ from row to row.
    fn constant_default(&self, table: &TableDescriptor, catalog: &Catalog, name: &str) -> Result<Option<Value>> {
        let position = table.position(name).ok_or_else(|| Error::internal("no such column"))?;
        let path = self.search_path()?;
        let defaults = self.names(catalog, &path).defaults(table);
        let defaults: Vec<Option<Expr>> = defaults.map_err(|error| translate(error, ""))?;
        let Some(expr) = defaults.into_iter().nth(position).flatten() else {
            return Ok(Some(Value::Null));
        };
        let sql_type = table.columns[position].sql_type;
        let defaults = Defaults::new(&self.engine.state, vec![(position, sql_type, expr)])?;
        if defaults.differ() {
            return Ok(None);
        }
        let rows = defaults.rows(1)?;
        let array = rows.column(0);
        if array.is_null(0) {
            return Ok(Some(Value::Null));
        }
        let array = canonical(array, sql_type)?;
        let cells = Cells::of(&array, sql_type);
        let cells = cells.ok_or_else(|| Error::internal("a default is not of its column's type"))?;
        let mut text = String::new();
        cells.write_text(0, &mut text);
        Value::text_in(&sql_type, &text).map(Some)
    }

    fn alter_column(
        &self,
        draft: &mut Draft<'_>,
        name: &ast::Ident,
        operation: &ast::AlterColumnOperation,
    ) -> Result<()> {
        let position = draft.position(name)?;
        let column_name = draft.table.columns[position].name.clone();
        match operation {
            ast::AlterColumnOperation::SetNotNull => {
                let column = &mut draft.table.columns[position];
                if !std::mem::replace(&mut column.is_nullable, false) {
                    return Ok(());
                }
                let id = column.id;
                // One that was added here has no rows yet that hold it.
                if let Some(old) = draft.before.position_of(id) {
                    let old = draft.before.columns[old].name.clone();
                    draft.verify(
                        &format!("{} IS NULL", quoted(&old)),
                        contains_nulls(&draft.before, &column_name),
                    )?;
                }
                Ok(())
            }
            ast::AlterColumnOperation::DropNotNull => {
                let id = draft.table.columns[position].id;
                if draft.table.primary_key.contains(&id) {
                    return Err(Error::invalid(
                        SqlState::INVALID_TABLE_DEFINITION,
                        format!("column \"{column_name}\" is in a primary key"),
                    ));
                }
                draft.table.columns[position].is_nullable = true;
                Ok(())
            }
            ast::AlterColumnOperation::SetDefault { value } => {
                draft.table.columns[position].default = Some(value.to_string());
                Ok(())
            }
            ast::AlterColumnOperation::DropDefault => {
                draft.table.columns[position].default = None;
                Ok(())
            }
            ast::AlterColumnOperation::SetDataType { data_type, using, .. } => {
                let to = sql_type(data_type)?;
                draft.set_type(position, to, data_type, using.as_ref())
            }
            ast::AlterColumnOperation::AddGenerated {
                generated_as,
                sequence_options,
            } => {
                let column = &mut draft.table.columns[position];
                if column.default.is_some() || column.is_nullable {
                    let message = match column.is_nullable {
                        true => {
                            format!("column \"{column_name}\" must be declared NOT NULL before identity can be added")
                        }
                        false => format!("column \"{column_name}\" already has a default value"),
                    };
                    return Err(Error::invalid(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
                }
                let kind = generated_as.as_ref().unwrap_or(&ast::GeneratedAs::Always);
                column.identity = identity(kind);
                draft.counted.push(Counted {
                    column: column.id,
                    options: options_of(sequence_options.as_deref().unwrap_or_default())?,
                });
                Ok(())
            }
        }
    }

    fn add_table_constraint(&self, draft: &mut Draft<'_>, constraint: &ast::TableConstraint) -> Result<()> {
        let nullable: Vec<String> = draft
            .table
            .columns
            .iter()
            .filter(|column| column.is_nullable)
            .map(|column| column.name.clone())
            .collect();
        let checks = draft.table.checks.len();
        add_constraint(&mut draft.table, constraint, draft.catalog, draft.text)?;
        match constraint {
            ast::TableConstraint::PrimaryKey(_) => {
                draft.is_rewritten = true;
                let now_not_null: Vec<_> = draft
                    .table
                    .columns
                    .iter()
                    .filter(|column| !column.is_nullable && nullable.contains(&column.name))
                    .map(|column| (column.id, column.name.clone()))
                    .collect();
                for (id, name) in now_not_null {
                    if let Some(old) = draft.before.position_of(id) {
                        let old = draft.before.columns[old].name.clone();
                        draft.verify(
                            &format!("{} IS NULL", quoted(&old)),
                            contains_nulls(&draft.before, &name),
                        )?;
                    }
                }
                Ok(())
            }
            ast::TableConstraint::Check(check) if draft.table.checks.len() > checks => {
                let added = draft.table.checks.last().expect("it was just added").clone();
                let is_old = added.columns.iter().all(|id| {
                    let old = draft.before.position_of(*id).map(|old| &draft.before.columns[old]);
                    let new = draft.table.position_of(*id).map(|new| &draft.table.columns[new]);
                    old.zip(new)
                        .is_some_and(|(old, new)| old.name == new.name && old.sql_type == new.sql_type)
                });
                if !is_old {
                    draft.is_rewritten = true;
                    return Ok(());
                }
                let (table, name) = (draft.before.clone(), added.name);
                draft.verify(
                    &format!("NOT ({})", check.expr),
                    Box::new(move || {
                        let message = format!(
                            "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                            table.name
                        );
                        Error::conflict(SqlState::CHECK_VIOLATION, message)
                            .with_schema(table.schema.clone())
                            .with_table(table.name.clone())
                            .with_constraint(name.clone())
                    }),
                )
            }
            _ => Ok(()),
        }
    }

    /// That the views and graphs that use the table would still be what they are.
    fn check_dependents(&self, draft: &Draft<'_>) -> Result<()> {
        let (before, after) = (&draft.before, &draft.table);
        let dependents = draft.catalog.dependents(&before.schema, &before.name);
        let is_same = |old: &ColumnDescriptor| {
            after
                .columns
                .iter()
                .any(|new| new.id == old.id && new.name == old.name && new.sql_type == old.sql_type)
        };
        let is_harmless = before.name == after.name && before.columns.iter().all(is_same);
        if is_harmless || dependents.is_empty() {
            return Ok(());
        }
        let catalog = draft.catalog.with_table(before, after.clone());
        let path = self.search_path()?;
        for dependent in dependents {
            let breaks = match &dependent {
                Object::View(view) => {
                    let old = views::plan(&self.names(draft.catalog, &path), view);
                    let new = views::plan(&self.names(&catalog, &path), view);
                    match (old, new) {
                        (Ok(old), Ok(new)) => {
                            old.plan.schema().as_arrow().fields() != new.plan.schema().as_arrow().fields()
                        }
                        (Ok(_), Err(_)) => true,
                        (Err(_), _) => false,
                    }
                }
                // A graph names tables and columns.
                _ => true,
            };
            if breaks {
                let user = match &dependent {
                    Object::View(view) => format!("view {}", view.name),
                    Object::Graph(graph) => format!("property graph {}", graph.name),
                    _ => "another object".to_owned(),
                };
                return Err(Error::invalid(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot alter table {} because {user} depends on what it changes",
                        before.name
                    ),
                )
                .with_hint(format!("Drop {user} first, and create it again afterwards."))
                .with_schema(before.schema.clone())
                .with_table(before.name.clone()));
            }
        }
        Ok(())
    }

    /// The draft as a definition.
    fn carry_out(&self, draft: Draft<'_>) -> Result<Definition> {
        let Draft {
            before,
            mut table,
            catalog,
            computed,
            counted,
            is_rewritten,
            verified,
            notices,
            ..
        } = draft;
        let mut definition = Definition::new("ALTER TABLE", Vec::new());
        definition.verified = verified;
        definition.notices = notices;
        self.add_sequences(&mut definition, &mut table, counted, catalog)?;
        for sequence in catalog.sequences() {
            let is_gone = |column: &ColumnDescriptor| {
                sequence.is_of(before.id, Some(column.id)) && table.position_of(column.id).is_none()
            };
            if before.columns.iter().any(is_gone) {
                definition.changes.extend(catalog.drop_sequence(sequence));
                definition.cleared.push(sequence_state_key(sequence.id));
            }
        }
        let mut built = Vec::new();
        if is_rewritten {
            let (storage, private) = self.engine.storages.private_storage()?;
            definition.keep(private);
            definition.retire(KeyRange::table(before.storage));
            table.storage = storage;
            // Rows are written anew: none of them has what was dropped, or lacks what was added.
            table.dropped.clear();
            for column in &mut table.columns {
                column.missing = None;
            }
            definition.has_graph = table.indexes.iter().any(|index| index.method != IndexMethod::Ordered);
        } else {
            for index in &before.indexes {
                if index.method == IndexMethod::Ordered && table.indexes.iter().all(|there| there.id != index.id) {
                    definition.retire(KeyRange::index(before.storage, index.id));
                }
            }
            built.extend(
                table
                    .indexes
                    .iter()
                    .filter(|index| before.indexes.iter().all(|there| there.id != index.id))
                    .cloned(),
            );
        }
        let is_renamed = (&before.schema, &before.name) != (&table.schema, &table.name);
        let (table, changes) = match is_renamed {
            true => catalog.rename_table(&before, table)?,
            false => catalog.alter_table(table),
        };
        let shape = TableShape::new(table.clone());
        definition.changes.extend(changes);
        if is_rewritten {
            definition.rewritten.push(Rewrite {
                query: rewriting(&before, &table, computed)?,
                to: shape.clone(),
            });
        }
        for index in built {
            self.fill_privately(&mut definition, &shape, IndexKeys::new(&table, &index))?;
        }
        Ok(definition)
    }

    /// An index is to be filled from the rows of its table, where nobody sees it before the commit.
    pub(super) fn fill_privately(
        &self,
        definition: &mut Definition,
        shape: &Arc<TableShape>,
        index: IndexKeys,
    ) -> Result<()> {
        let storage = shape.descriptor.storage;
        let is_private = match &self.block {
            Some(block) => block.transaction.is_private(&KeyRange::table(storage)),
            None => false,
        };
        if !is_private {
            definition.keep(self.engine.storages.private_index(storage, index.id())?);
        }
        definition.filled.push((shape.clone(), index));
        Ok(())
    }
}

impl Draft<'_> {
    fn position(&self, name: &ast::Ident) -> Result<usize> {
        let column = normalize(name);
        self.table.position(&column).ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{}\" does not exist", self.table.name);
            at(
                Error::not_found(SqlState::UNDEFINED_COLUMN, message),
                name.span,
                self.text,
            )
        })
    }

    /// The table as it was, as an item of FROM under its own name.
    fn from(&self) -> Result<ast::TableWithJoins> {
        table_item(&self.before)
    }

    /// No row of the table as it was may fulfil a condition.
    fn verify(&mut self, condition: &str, breach: Breach) -> Result<()> {
        let condition = parse::parse_expression(condition)?;
        let query = select(vec![one()], vec![self.from()?], Some(condition))?;
        self.verified.push((limited(query)?, breach));
        Ok(())
    }

    fn drop_column(&mut self, name: &ast::Ident, if_exists: bool, is_cascade: bool) -> Result<()> {
        let position = match self.position(name) {
            Ok(position) => position,
            Err(error) if if_exists && error.kind() == ErrorKind::NotFound => {
                let notice = format!("{}, skipping", error.message());
                self.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let _ = is_cascade; // Views and graphs that need it are found by what they would be without it.
        let column = self.table.columns.remove(position);
        self.table.dropped.push(DroppedColumn {
            id: column.id,
            sql_type: column.sql_type,
        });
        if self.table.primary_key.contains(&column.id) {
            self.table.primary_key.clear();
            self.table.primary_key_name = None;
            self.is_rewritten = true;
        }
        let uses = |id: &ColumnId| *id == column.id;
        self.table
            .indexes
            .retain(|index| !index.columns.iter().any(|part| uses(&part.column)));
        self.table.checks.retain(|check| !check.columns.iter().any(uses));
        self.computed.retain(|(id, _)| !uses(id));
        Ok(())
    }

    fn rename_column(&mut self, old: &ast::Ident, new: &ast::Ident) -> Result<()> {
        let position = self.position(old)?;
        let new_name = normalize(new);
        check_name(&new_name, "column").map_err(|error| at(error, new.span, self.text))?;
        if self.table.position(&new_name).is_some() {
            let message = format!(
                "column \"{new_name}\" of relation \"{}\" already exists",
                self.table.name
            );
            return Err(at(
                Error::invalid(SqlState::DUPLICATE_COLUMN, message),
                new.span,
                self.text,
            ));
        }
        let old_name = std::mem::replace(&mut self.table.columns[position].name, new_name.clone());
        for check in &mut self.table.checks {
            let mut expr = parse::parse_expression(&check.expression)?;
            if named_columns(&expr).contains(&old_name) {
                rename(&mut expr, &old_name, &new_name);
                check.expression = expr.to_string();
            }
        }
        Ok(())
    }

    fn rename_constraint(&mut self, old: &ast::Ident, new: &ast::Ident) -> Result<()> {
        let (old, new) = (normalize(old), normalize(new));
        check_name(&new, "constraint")?;
        if self.table.has_constraint(&new) {
            return Err(Error::invalid(
                SqlState::DUPLICATE_OBJECT,
                format!(
                    "constraint \"{new}\" for relation \"{}\" already exists",
                    self.table.name
                ),
            ));
        }
        if self.table.primary_key_name.as_ref() == Some(&old) {
            self.table.primary_key_name = Some(new);
            return Ok(());
        }
        let of_index = self
            .table
            .indexes
            .iter_mut()
            .find(|index| index.constraint.is_some() && index.name == old);
        let of_check = self.table.checks.iter_mut().find(|check| check.name == old);
        match (of_index, of_check) {
            (Some(index), _) => index.name = new,
            (None, Some(check)) => check.name = new,
            (None, None) => return Err(self.no_constraint(&old)),
        }
        Ok(())
    }

    fn drop_constraint(&mut self, name: &ast::Ident, if_exists: bool) -> Result<()> {
        let wanted = normalize(name);
        if self.table.primary_key_name.as_ref() == Some(&wanted) {
            self.table.primary_key.clear();
            self.table.primary_key_name = None;
            self.is_rewritten = true;
            return Ok(());
        }
        let before = (self.table.checks.len(), self.table.indexes.len());
        self.table.checks.retain(|check| check.name != wanted);
        self.table
            .indexes
            .retain(|index| index.constraint.is_none() || index.name != wanted);
        if before != (self.table.checks.len(), self.table.indexes.len()) {
            return Ok(());
        }
        let error = self.no_constraint(&wanted);
        match if_exists {
            true => {
                let notice = format!("{}, skipping", error.message());
                self.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
                Ok(())
            }
            false => Err(at(error, name.span, self.text)),
        }
    }

    fn no_constraint(&self, name: &str) -> Error {
        Error::not_found(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "constraint \"{name}\" of relation \"{}\" does not exist",
                self.table.name
            ),
        )
    }

    fn set_type(
        &mut self,
        position: usize,
        to: aion_catalog::SqlType,
        written: &ast::DataType,
        using: Option<&ast::Expr>,
    ) -> Result<()> {
        let column = &self.table.columns[position];
        let (id, name) = (column.id, column.name.clone());
        if column.sql_type == to && using.is_none() {
            return Ok(());
        }
        let is_in_key = self.table.primary_key.contains(&id)
            || self.table.indexes.iter().any(|index| {
                index.method == IndexMethod::Ordered && index.columns.iter().any(|part| part.column == id)
            });
        if is_in_key {
            aion_catalog::keys::check_key_type(to, &name)?;
        }
        let Some(old) = self.before.position_of(id) else {
            return Err(Error::unsupported(
                "a column is given another type in the statement that adds it",
            ));
        };
        let source = match using {
            Some(using) => using.clone(),
            None => parse::parse_expression(&quoted(&self.before.columns[old].name))?,
        };
        let expr = format!("CAST(({source}) AS {written})");
        self.computed.retain(|(there, _)| *there != id);
        self.computed.push((id, parse::parse_expression(&expr)?));
        let column = &mut self.table.columns[position];
        column.sql_type = to;
        self.is_rewritten = true;
        Ok(())
    }
}

/// The query that gives the columns of a table from the table as it was.
fn rewriting(
    before: &TableDescriptor,
    after: &TableDescriptor,
    computed: Vec<(ColumnId, ast::Expr)>,
) -> Result<ast::Statement> {
    let mut items = Vec::new();
    for column in &after.columns {
        let given = computed
            .iter()
            .find(|(id, _)| *id == column.id)
            .map(|(_, expr)| expr.to_string());
        let old = before
            .position_of(column.id)
            .map(|old| quoted(&before.columns[old].name));
        let source = given
            .or(old)
            .or_else(|| column.default.clone())
            .unwrap_or_else(|| "NULL".to_owned());
        let item = format!("CAST(({source}) AS {}) AS {}", column.sql_type, quoted(&column.name));
        items.push(item);
    }
    let text = format!(
        "SELECT {} FROM {}.{}",
        items.join(", "),
        quoted(&before.schema),
        quoted(&before.name)
    );
    let parsed = parse::parse(&text)?.pop().map(|statement| statement.ast);
    parsed.ok_or_else(|| Error::internal("a SELECT is a statement"))
}

fn table_item(table: &TableDescriptor) -> Result<ast::TableWithJoins> {
    let mut item = target_as(&ast::Ident::with_quote('"', table.name.clone()))?;
    if let ast::TableFactor::Table { name, .. } = &mut item.relation {
        let parts = [&table.schema, &table.name].map(|part| ast::Ident::with_quote('"', part.clone()));
        *name = ast::ObjectName::from(parts.to_vec());
    }
    Ok(item)
}

fn one() -> ast::SelectItem {
    ast::SelectItem::UnnamedExpr(ast::Expr::Value(ast::Value::Number("1".to_owned(), false).into()))
}

/// The first row is enough.
fn limited(query: ast::Statement) -> Result<ast::Statement> {
    let parsed = parse::parse(&format!("{query} LIMIT 1"))?
        .pop()
        .map(|statement| statement.ast);
    parsed.ok_or_else(|| Error::internal("a SELECT is a statement"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn contains_nulls(table: &Arc<TableDescriptor>, column: &str) -> Breach {
    let (table, column) = (table.clone(), column.to_owned());
    Box::new(move || {
        Error::conflict(
            SqlState::NOT_NULL_VIOLATION,
            format!(
                "column \"{column}\" of relation \"{}\" contains null values",
                table.name
            ),
        )
        .with_schema(table.schema.clone())
        .with_table(table.name.clone())
        .with_column(column.clone())
    })
}

/// Gives a column another name in an expression over its table.
fn rename(expr: &mut ast::Expr, old: &str, new: &str) {
    let renamed = ast::Ident::with_quote('"', new);
    let _: ControlFlow<()> = ast::visit_expressions_mut(expr, |expr| {
        match expr {
            ast::Expr::Identifier(name) if normalize(name) == old => *name = renamed.clone(),
            ast::Expr::CompoundIdentifier(parts) => {
                if let Some(last) = parts.last_mut()
                    && normalize(last) == old
                {
                    *last = renamed.clone();
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
}
