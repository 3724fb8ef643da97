//! ALTER TABLE ADD, RENAME and DROP CONSTRAINT.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{TableDescriptor, check_name};
use datafusion::sql::sqlparser::ast;

use super::super::Session;
use super::super::foreign_key::Wanted;
use super::super::rewriting::{contains_nulls, quoted};
use super::super::table::{add_constraint, check_relation};
use super::Draft;
use crate::dml::{at, normalize, violated_by_some_row};

impl Session {
    pub(super) fn add_table_constraint<'a>(
        &self,
        draft: &mut Draft<'a>,
        constraint: &'a ast::TableConstraint,
    ) -> Result<()> {
        draft.wanted.extend(Wanted::of_table(constraint));
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
            ast::TableConstraint::PrimaryKey(_) | ast::TableConstraint::PrimaryKeyUsingIndex(_) => {
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
            ast::TableConstraint::Check(_) if draft.table.checks.len() > checks => {
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
                    &format!("NOT ({})", added.expression),
                    Box::new(move || violated_by_some_row(&table, &name)),
                )
            }
            _ => Ok(()),
        }
    }

    /// Adds the foreign keys that are wanted. The tables referred to.
    pub(super) fn add_foreign_keys(&self, draft: &mut Draft<'_>) -> Result<Vec<Arc<TableDescriptor>>> {
        let wanted = std::mem::take(&mut draft.wanted);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let known = draft.catalog.with_table(&draft.before, draft.table.clone());
        let mut parents = Vec::new();
        for wanted in &wanted {
            parents.push(self.add_foreign_key(&mut draft.table, wanted, &known)?);
            let added = draft.table.foreign_keys.last().expect("it was just added");
            draft.added_keys.push(added.name.clone());
        }
        Ok(parents)
    }
}

impl Draft<'_> {
    pub(super) fn rename_constraint(&mut self, old: &ast::Ident, new: &ast::Ident) -> Result<()> {
        let (old, new) = (normalize(old), normalize(new));
        check_name(&new, "constraint")?;
        let table = &self.table;
        let is_key = table.primary_key_name.as_ref() == Some(&old)
            || table
                .indexes
                .iter()
                .any(|index| index.constraint.is_some() && index.name == old);
        let is_other =
            table.checks.iter().any(|check| check.name == old) || table.foreign_keys.iter().any(|key| key.name == old);
        if !is_key && !is_other {
            let message = format!("constraint \"{old}\" for table \"{}\" does not exist", table.name);
            return Err(Error::not_found(SqlState::UNDEFINED_OBJECT, message));
        }
        if is_key {
            check_relation(table, &new, self.catalog)?;
        }
        if table.has_constraint(&new) {
            let message = format!("constraint \"{new}\" for relation \"{}\" already exists", table.name);
            return Err(Error::invalid(SqlState::DUPLICATE_OBJECT, message));
        }
        self.table.rename_constraint_comment(&old, &new);
        if self.table.primary_key_name.as_ref() == Some(&old) {
            self.table.primary_key_name = Some(new);
            return Ok(());
        }
        let mut indexes = self.table.indexes.iter_mut();
        match indexes.find(|index| index.constraint.is_some() && index.name == old) {
            Some(index) => index.name = new,
            None => {
                let checks = self.table.checks.iter_mut().map(|check| &mut check.name);
                let keys = self.table.foreign_keys.iter_mut().map(|key| &mut key.name);
                checks
                    .chain(keys)
                    .filter(|name| **name == old)
                    .for_each(|name| name.clone_from(&new));
            }
        }
        Ok(())
    }

    pub(super) fn drop_constraint(&mut self, name: &ast::Ident, if_exists: bool) -> Result<()> {
        let wanted = normalize(name);
        if self.table.primary_key_name.as_ref() == Some(&wanted) {
            self.table.primary_key.clear();
            self.table.primary_key_name = None;
            self.is_rewritten = true;
            return Ok(());
        }
        let count = |table: &TableDescriptor| (table.checks.len(), table.indexes.len(), table.foreign_keys.len());
        let before = count(&self.table);
        self.table.checks.retain(|check| check.name != wanted);
        self.table.foreign_keys.retain(|key| key.name != wanted);
        self.table
            .indexes
            .retain(|index| index.constraint.is_none() || index.name != wanted);
        if before != count(&self.table) {
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

    pub(super) fn no_constraint(&self, name: &str) -> Error {
        Error::not_found(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "constraint \"{name}\" of relation \"{}\" does not exist",
                self.table.name
            ),
        )
    }
}
