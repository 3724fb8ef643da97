//! ALTER TABLE and generated columns: what goes with the columns that they are computed of, and DROP EXPRESSION.

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::ColumnDescriptor;

use super::super::dependents::{needed, take_column};
use super::super::table::named_columns;
use super::Draft;
use crate::parse;

/// Whether a column is computed of the one with this name.
fn is_computed_of(column: &ColumnDescriptor, name: &str) -> Result<bool> {
    match &column.generated {
        Some(text) => Ok(named_columns(&parse::parse_expression(text)?).contains(name)),
        None => Ok(false),
    }
}

impl Draft<'_> {
    /// The first column that is computed of the one with this name.
    fn first_computed_of(&self, name: &str) -> Result<Option<usize>> {
        for (position, column) in self.table.columns.iter().enumerate() {
            if is_computed_of(column, name)? {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Lets the columns go that are computed of one that goes.
    ///
    /// # Errors
    /// 2BP01 where they are not to go with it.
    pub(super) fn drop_generated_of(&mut self, position: usize, is_cascade: bool) -> Result<()> {
        let column = self.table.columns[position].clone();
        while let Some(of) = self.first_computed_of(&column.name)? {
            let of = &self.table.columns[of];
            if !is_cascade {
                let user = format!("column {} of table {}", of.name, self.table.name);
                return Err(needed(&self.table, &column, &user));
            }
            let told = format!("drop cascades to column {} of table {}", of.name, self.table.name);
            let id = of.id;
            self.notices.push((SqlState::SUCCESSFUL_COMPLETION, told));
            self.cascaded.push(id);
            self.is_rewritten |= self.table.primary_key.contains(&id);
            take_column(&mut self.table, id);
        }
        Ok(())
    }

    /// # Errors
    /// 42601 for a generated column, which has an expression and no default.
    pub(super) fn refuse_default_of_generated(&self, position: usize) -> Result<()> {
        let column = &self.table.columns[position];
        match &column.generated {
            None => Ok(()),
            Some(_) => Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                format!(
                    "column \"{}\" of relation \"{}\" is a generated column",
                    column.name, self.table.name
                ),
            )),
        }
    }

    /// # Errors
    /// 0A000 for a column that others are computed of.
    pub(super) fn refuse_type_of_base(&self, name: &str) -> Result<()> {
        match self.first_computed_of(name)? {
            None => Ok(()),
            Some(of) => Err(
                Error::unsupported("cannot alter type of a column used by a generated column").with_detail(format!(
                    "Column \"{name}\" is used by generated column \"{}\".",
                    self.table.columns[of].name
                )),
            ),
        }
    }

    /// DROP EXPRESSION: the column keeps its values, and is one like any other.
    ///
    /// # Errors
    /// 55000 for a column that is not generated.
    pub(super) fn drop_expression(&mut self, position: usize, if_exists: bool) -> Result<()> {
        let table = self.table.name.clone();
        let column = &mut self.table.columns[position];
        if column.generated.take().is_some() {
            return Ok(());
        }
        let message = format!(
            "column \"{}\" of relation \"{table}\" is not a stored generated column",
            column.name
        );
        if !if_exists {
            return Err(Error::invalid(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        self.notices
            .push((SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping")));
        Ok(())
    }
}
