//! ALTER TABLE.
//!
//! 1. Each operation changes a draft of the table's descriptor and says what else it takes: a condition that every row must
//!    fulfil, indexes to be filled, or that all rows are written anew. Several of one statement have PostgreSQL's order: what goes goes
//!    first, then come other types, new columns, NOT NULL, keys, and what may need all of these.
//! 2. What does not change the bytes of rows is a change of the descriptor alone: names, defaults, NOT NULL (looked at, not written),
//!    a new column whose default is one value, a column that goes. Rows keep what they have; the descriptor says how to read it.
//! 3. Another type, another primary key, or a default that differs from row to row (`random()`) writes all rows into a new storage.
//! 4. Views and graphs that use the table must still be what they were, or go with it: see `dependents`.
//!
//! A statement that was planned before, and a transaction that read the table, is refused at its commit (40001) and planned again.

mod constraint;
mod generation;
mod identity;

use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_base::{Error, ErrorKind, Result, SqlState};
use aion_catalog::descriptor::{
    ColumnDescriptor, ColumnId, IndexDescriptor, IndexMethod, SequenceDescriptor, TableDescriptor, check_name,
};
use aion_catalog::objects::{Catalog, Object};
use aion_catalog::{SqlType, Value};
use datafusion::arrow::array::Array;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::Session;
use super::ddl::{Breach, Definition, Filling, Rewrite};
use super::dependents::{Alteration, take_column};
use super::foreign_key::{self, Wanted};
use super::materialized::check_operation;
use super::numbered::check_unused;
use super::rewriting::{contains_nulls, converts_by_itself, limited, one, quoted, rename, rewriting, table_item};
use super::sequence::Counted;
use super::table::{add_column, default_text, named_columns, parameters, unqualified};
use crate::alter_words::{self, Carried};
use crate::cells::{Cells, canonical};
use crate::copy::Defaults;
use crate::dml::{assigned_type, at, normalize, reference, select};
use crate::error::translate;
use crate::generated;
use crate::parse;
use crate::planner::sql_type;
use crate::table::TableShape;
use crate::utility::SequenceOption;

/// What becomes of a table.
struct Draft<'a> {
    before: Arc<TableDescriptor>,
    table: TableDescriptor,
    catalog: &'a Catalog,
    text: &'a str,
    /// For columns whose values are computed from the table as it was.
    computed: Vec<(ColumnId, ast::Expr)>,
    /// Columns that go together with whatever needs them.
    cascaded: Vec<ColumnId>,
    /// Constraints that do.
    cascaded_keys: Vec<String>,
    /// Foreign keys to be added.
    wanted: Vec<Wanted<'a>>,
    /// The names of those that were.
    added_keys: Vec<String>,
    /// Columns that get a sequence.
    counted: Vec<Counted>,
    /// Sequences of identity columns, and what is changed of them.
    renumbered: Vec<(Arc<SequenceDescriptor>, Vec<SequenceOption>)>,
    /// The bytes or keys of rows change.
    is_rewritten: bool,
    verified: Vec<(ast::Statement, Breach)>,
    notices: Vec<(SqlState, String)>,
}

impl Session {
    pub(super) fn alter_table<'a>(
        &self,
        alter: &'a ast::AlterTable,
        catalog: &'a Catalog,
        text: &'a str,
    ) -> Result<Definition> {
        if alter.location.is_some() || alter.on_cluster.is_some() || alter.table_type.is_some() {
            return Err(Error::unsupported("this ALTER TABLE is not PostgreSQL's"));
        }
        let path = self.search_path()?;
        let place = |error| at(error, alter.name.span(), text);
        let before = match self.names(catalog, &path).resolve(&reference(&alter.name)?) {
            Ok(Object::Table(table)) => table,
            Ok(other) => return self.alter_other(&other, alter, catalog).map_err(place),
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
        self.refuse_deferred("ALTER TABLE", &before)?;
        let mut draft = Draft {
            table: TableDescriptor::clone(&before),
            before,
            catalog,
            text,
            computed: Vec::new(),
            cascaded: Vec::new(),
            cascaded_keys: Vec::new(),
            wanted: Vec::new(),
            added_keys: Vec::new(),
            counted: Vec::new(),
            renumbered: Vec::new(),
            is_rewritten: false,
            verified: Vec::new(),
            notices: Vec::new(),
        };
        let mut operations: Vec<&ast::AlterTableOperation> = alter.operations.iter().collect();
        operations.sort_by_key(|operation| pass(operation));
        for operation in operations {
            check_operation(&draft.before, operation)?;
            self.alter(&mut draft, operation)?;
        }
        self.name_sequences(&mut draft.table, catalog)?;
        self.freeze_table(&mut draft.table, catalog)?;
        self.check_expressions(&draft.table, catalog)?;
        let parents = self.add_foreign_keys(&mut draft)?;
        let alteration = Alteration {
            before: &draft.before,
            after: &draft.table,
            cascaded: &draft.cascaded,
            cascaded_keys: &draft.cascaded_keys,
        };
        let detached = foreign_key::detached(&alteration, catalog)?;
        let mut dependents = self.dependents(&alteration, catalog)?;
        let is_own = |child: &TableDescriptor| child.id == draft.before.id;
        let of_itself = detached.iter().filter(|(child, _)| is_own(child));
        let of_itself: Vec<String> = of_itself.map(|(_, key)| key.clone()).collect();
        dependents.detach(detached);
        draft.table.foreign_keys.retain(|key| !of_itself.contains(&key.name));
        let id = draft.before.id;
        let mut definition = self.carry_out(draft)?;
        foreign_key::announce(&parents, id, catalog, &mut definition);
        dependents.define(catalog, &mut definition);
        Ok(definition)
    }

    fn alter<'a>(&self, draft: &mut Draft<'a>, operation: &'a ast::AlterTableOperation) -> Result<()> {
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
                for check in &mut draft.table.checks {
                    // Those of older versions may have the table's name in them.
                    let plain = unqualified(&parse::parse_expression(&check.expression)?, &draft.before);
                    check.expression = plain.to_string();
                }
                draft.table.name = name;
                Ok(())
            }
            Operation::RenameConstraint { old_name, new_name } => draft.rename_constraint(old_name, new_name),
            Operation::AlterColumn { column_name, op } => self.alter_column(draft, column_name, op),
            Operation::AddConstraint { constraint, not_valid } => {
                if *not_valid {
                    let notice = "NOT VALID is not there: the constraint was looked at for all rows".to_owned();
                    draft.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
                }
                self.add_table_constraint(draft, constraint)
            }
            Operation::ValidateConstraint { name } => match draft.table.has_constraint(&normalize(name)) {
                // It was when it was added.
                true => Ok(()),
                false => Err(at(draft.no_constraint(&normalize(name)), name.span, draft.text)),
            },
            Operation::DropConstraint {
                if_exists,
                name,
                drop_behavior,
            } => {
                if *drop_behavior == Some(ast::DropBehavior::Cascade) {
                    draft.cascaded_keys.push(normalize(name));
                }
                draft.drop_constraint(name, *if_exists)
            }
            // There is one role yet that owns things.
            Operation::OwnerTo { .. } => Ok(()),
            Operation::SetOptionsParens { options }
            | Operation::SetTblProperties {
                table_properties: options,
            } => {
                if let Some(carried) = alter_words::carried(options) {
                    return draft.say(carried);
                }
                for (name, value) in parameters(options)? {
                    draft.table.options.retain(|(there, _)| *there != name);
                    draft.table.options.push((name, value));
                }
                Ok(())
            }
            other => Err(Error::unsupported(format!("ALTER TABLE ... {other} is not there yet"))),
        }
    }

    fn add_column<'a>(&self, draft: &mut Draft<'a>, definition: &'a ast::ColumnDef, if_not_exists: bool) -> Result<()> {
        let name = normalize(&definition.name);
        if if_not_exists && draft.table.position(&name).is_some() {
            let notice = format!(
                "column \"{name}\" of relation \"{}\" already exists, skipping",
                draft.table.name
            );
            draft.notices.push((SqlState::DUPLICATE_COLUMN, notice));
            return Ok(());
        }
        draft.wanted.extend(Wanted::of_column(definition));
        let had_key = !draft.table.primary_key.is_empty();
        let checks = draft.table.checks.len();
        let counted = add_column(&mut draft.table, definition, draft.catalog, draft.text, self.zone())?;
        draft.is_rewritten |= !had_key && !draft.table.primary_key.is_empty();
        let column = draft.table.columns.last().expect("it was just added");
        let (id, is_nullable) = (column.id, column.is_nullable);
        if let Some(counted) = counted {
            // Each row gets a number, by the default that the sequence brings.
            draft.counted.push(counted);
            draft.is_rewritten = true;
            return Ok(());
        }
        if column.generated.is_some() {
            // It is computed of what is written.
            draft.is_rewritten = true;
            return Ok(());
        }
        let default = column.default.clone();
        let constant = match &default {
            None => Some(Value::Null),
            Some(_) => self.constant_default(&draft.table, draft.catalog, &name)?,
        };
        match (constant, default) {
            (Some(Value::Null), _) if !is_nullable => {
                // Only a table without rows has none that breaks it.
                let error = contains_nulls(&draft.before, &name);
                let from = vec![draft.from()?];
                draft.verified.push((limited(select(vec![one()], from, None)?)?, error));
            }
            (Some(Value::Null), _) | (None, None) => {}
            (Some(value), _) => {
                let column = draft.table.columns.last_mut().expect("it was just added");
                let mut missing = String::new();
                value.text_out(&column.sql_type, &mut missing);
                column.missing = Some(missing);
            }
            // It differs from row to row.
            (None, Some(default)) => {
                draft.computed.push((id, parse::parse_expression(&default)?));
                draft.is_rewritten = true;
            }
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
        let defaults = Defaults::new(self.state(), vec![(position, sql_type, expr)])?;
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
                if draft.table.columns[position].identity.is_some() {
                    return Err(Error::invalid(
                        SqlState::SYNTAX_ERROR,
                        format!(
                            "column \"{column_name}\" of relation \"{}\" is an identity column",
                            draft.before.name
                        ),
                    ));
                }
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
                if let Some(change) = generated::carried(value)? {
                    return draft.change_identity(position, change);
                }
                draft.refuse_default_of_identity(position)?;
                draft.refuse_default_of_generated(position)?;
                let column = &mut draft.table.columns[position];
                column.default = Some(default_text(value, column.sql_type, self.zone())?);
                Ok(())
            }
            ast::AlterColumnOperation::DropDefault => {
                draft
                    .refuse_default_of_identity(position)
                    .map_err(|error| error.with_hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."))?;
                draft.refuse_default_of_generated(position).map_err(|error| {
                    error.with_hint("Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead.")
                })?;
                draft.table.columns[position].default = None;
                Ok(())
            }
            ast::AlterColumnOperation::SetDataType { data_type, using, .. } => {
                let to = sql_type(data_type)?;
                draft.set_type(position, to, using.as_ref())
            }
            ast::AlterColumnOperation::AddGenerated { .. } => Err(Error::internal("it is carried by SET DEFAULT")),
        }
    }

    /// The draft as a definition.
    fn carry_out(&self, draft: Draft<'_>) -> Result<Definition> {
        let Draft {
            before,
            mut table,
            catalog,
            computed,
            counted,
            renumbered,
            is_rewritten,
            verified,
            notices,
            added_keys,
            ..
        } = draft;
        let mut definition = Definition::new("ALTER TABLE", Vec::new());
        definition.verified = verified;
        definition.notices = notices;
        for (sequence, options) in renumbered {
            let changed = self.change_sequence(&mut definition, &sequence, &options)?;
            definition.changes.extend(catalog.put_sequence(&changed));
        }
        for sequence in identity::without_column(&before, &table, catalog) {
            check_unused(catalog, sequence, &|user, _| user.id == before.id)?;
            definition.changes.extend(catalog.drop_sequence(sequence));
            definition.retire_numbers(sequence);
        }
        self.add_sequences(&mut definition, &mut table, counted, catalog)?;
        let mut built = Vec::new();
        if is_rewritten {
            self.type_expressions(&mut table, catalog)?;
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
        let path = self.search_path()?;
        let shape = self.names(catalog, &path).new_shape(table.clone());
        definition.changes.extend(changes);
        let computed_ids: Vec<ColumnId> = computed.iter().map(|(id, _)| *id).collect();
        definition.tied = foreign_key::to_check(&shape, &added_keys, &computed_ids, catalog)?;
        if is_rewritten {
            definition.rewritten.push(Rewrite {
                from: Filling::Query(Box::new(rewriting(&before, &table, &computed)?), Vec::new(), Vec::new()),
                to: shape.clone(),
            });
        }
        for index in built {
            self.fill_privately(&mut definition, &shape, index);
        }
        Ok(definition)
    }

    /// What indexes are over may have another type, where a column has.
    fn type_expressions(&self, table: &mut TableDescriptor, catalog: &Catalog) -> Result<()> {
        if table.indexes.iter().all(|index| index.expressions.is_empty()) {
            return Ok(());
        }
        let path = self.search_path()?;
        let names = self.names(catalog, &path);
        let shape = TableShape::new(Arc::new(table.clone()));
        for expression in table.indexes.iter_mut().flat_map(|index| &mut index.expressions) {
            expression.sql_type = names.expression_type(&shape, &expression.text)?;
            aion_catalog::keys::check_key_type(expression.sql_type, &expression.text)?;
        }
        Ok(())
    }

    /// An index is to be filled from the rows of its table, where nobody sees it before the commit.
    pub(super) fn fill_privately(&self, definition: &mut Definition, shape: &Arc<TableShape>, index: IndexDescriptor) {
        let storage = shape.descriptor.storage;
        let is_private = match &self.block {
            Some(block) => block.transaction.is_private(&KeyRange::table(storage)),
            None => false,
        };
        if !is_private {
            definition.indexed.push((storage, index.id));
        }
        definition.filled.push((shape.clone(), index));
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
        let id = self.table.columns[position].id;
        if is_cascade {
            self.cascaded.push(id);
        }
        self.drop_generated_of(position, is_cascade)?;
        self.is_rewritten |= self.table.primary_key.contains(&id);
        take_column(&mut self.table, id);
        self.computed.retain(|(computed, _)| *computed != id);
        Ok(())
    }

    fn rename_column(&mut self, old: &ast::Ident, new: &ast::Ident) -> Result<()> {
        let position = self.position(old).map_err(|error| {
            // PostgreSQL says it in other words here.
            let message = format!("column \"{}\" does not exist", normalize(old));
            match error.kind() {
                ErrorKind::NotFound => at(
                    Error::not_found(SqlState::UNDEFINED_COLUMN, message),
                    old.span,
                    self.text,
                ),
                _ => error,
            }
        })?;
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
        let columns = self.table.columns.iter_mut();
        let generated = columns.filter_map(|column| column.generated.as_mut());
        let checks = self.table.checks.iter_mut().map(|check| &mut check.expression);
        let indexes = self.table.indexes.iter_mut();
        for text in generated
            .chain(checks)
            .chain(indexes.flat_map(IndexDescriptor::texts_mut))
        {
            let mut expr = parse::parse_expression(text)?;
            if named_columns(&expr).contains(&old_name) {
                rename(&mut expr, &old_name, &new_name);
                *text = expr.to_string();
            }
        }
        Ok(())
    }

    fn set_type(&mut self, position: usize, to: SqlType, using: Option<&ast::Expr>) -> Result<()> {
        let column = &self.table.columns[position];
        let (id, name) = (column.id, column.name.clone());
        if column.sql_type == to && using.is_none() {
            return Ok(());
        }
        self.check_conversion(column, to, using)?;
        self.refuse_type_of_base(&name)?;
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
        let expr = format!("CAST(({source}) AS {})", assigned_type(to).qualified());
        self.computed.retain(|(there, _)| *there != id);
        self.computed.push((id, parse::parse_expression(&expr)?));
        let column = &mut self.table.columns[position];
        column.sql_type = to;
        // Its rows are written anew, and the value of those without one may be none of the new type.
        column.missing = None;
        self.is_rewritten = true;
        Ok(())
    }

    /// Whether a column, and its default, can have another type.
    ///
    /// # Errors
    /// 42804.
    fn check_conversion(&self, column: &ColumnDescriptor, to: SqlType, using: Option<&ast::Expr>) -> Result<()> {
        let converts = converts_by_itself(column.sql_type, to);
        let mismatch = |what: &str| {
            Error::invalid(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "{what}column \"{}\" cannot be cast automatically to type {to}",
                    column.name
                ),
            )
        };
        if !converts && using.is_none() {
            return Err(mismatch("").with_hint(format!(
                "You might need to specify \"USING {}::{to}\".",
                crate::system::quoted(&column.name)
            )));
        }
        if column.identity.is_some() && !matches!(to, SqlType::SmallInt | SqlType::Integer | SqlType::BigInt) {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                "identity column type must be smallint, integer, or bigint",
            ));
        }
        match column.default {
            Some(_) if !converts => Err(mismatch("default for ")),
            _ => Ok(()),
        }
    }

    /// What sqlparser has no words for.
    fn say(&mut self, carried: Carried) -> Result<()> {
        match carried {
            // How a column is sampled and stored is not the user's to say here.
            Carried::Column(name) => self.position(&name).map(drop),
            Carried::Schema(name) => self.set_schema(normalize(&name)),
        }
    }

    fn set_schema(&mut self, schema: String) -> Result<()> {
        if schema == self.table.schema {
            return Ok(());
        }
        if self
            .catalog
            .sequences()
            .any(|sequence| sequence.is_of(self.table.id, None))
        {
            return Err(Error::unsupported(
                "SET SCHEMA of a table with serial or identity columns is not there yet",
            ));
        }
        self.catalog.check_new(&schema, &self.table.name, "table")?;
        self.table.schema = schema;
        let indexes = self.table.indexes.iter().map(|index| &index.name);
        for name in indexes.chain(&self.table.primary_key_name) {
            self.catalog.check_new(&self.table.schema, name, "index")?;
        }
        Ok(())
    }
}

/// When an operation has its turn, whatever its place in the statement: PostgreSQL's passes.
fn pass(operation: &ast::AlterTableOperation) -> u8 {
    use ast::{AlterColumnOperation as Column, AlterTableOperation as Operation, TableConstraint as Constraint};
    match operation {
        Operation::DropColumn { .. } | Operation::DropConstraint { .. } => 0,
        Operation::AlterColumn { op, .. } => match op {
            Column::DropDefault | Column::DropNotNull => 0,
            Column::SetDataType { .. } => 1,
            Column::SetNotNull => 3,
            Column::SetDefault { .. } | Column::AddGenerated { .. } => 5,
        },
        Operation::AddColumn { .. } => 2,
        Operation::AddConstraint { constraint, .. } => match constraint {
            Constraint::Check(_) | Constraint::ForeignKey(_) => 5,
            _ => 4,
        },
        _ => 6,
    }
}
