//! ALTER COLUMN of identity columns: ADD GENERATED, SET GENERATED, SET of an option, RESTART, DROP IDENTITY.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{ColumnDescriptor, ColumnId, SequenceDescriptor, TableDescriptor};
use aion_catalog::objects::Catalog;

use super::super::numbered::of_identity;
use super::super::sequence::{Counted, check_identity_type};
use super::Draft;
use crate::generated::IdentityChange;

impl Draft<'_> {
    pub(super) fn change_identity(&mut self, position: usize, change: IdentityChange) -> Result<()> {
        match change {
            IdentityChange::Add { kind, options, name } => {
                self.check_can_count(position)?;
                let column = &mut self.table.columns[position];
                column.identity = Some(kind);
                self.counted.push(Counted {
                    column: column.id,
                    options,
                    name,
                });
                Ok(())
            }
            IdentityChange::Set { kind, options } => {
                let column = &mut self.table.columns[position];
                if column.identity.is_none() {
                    return Err(is_no_identity(&self.table, position));
                }
                if kind.is_some() {
                    column.identity = kind;
                }
                if options.is_empty() {
                    return Ok(());
                }
                let sequence = of_identity(self.catalog, &self.table.columns[position]).ok_or_else(|| {
                    Error::unsupported("an identity column is added and changed by one statement")
                        .with_hint("Change it by a statement of its own.")
                })?;
                match self.renumbered.iter_mut().find(|(there, _)| there.id == sequence.id) {
                    Some((_, there)) => there.extend(options),
                    None => self.renumbered.push((sequence.clone(), options)),
                }
                Ok(())
            }
            IdentityChange::Drop { if_exists } => self.drop_identity(position, if_exists),
            IdentityChange::DropExpression { if_exists } => self.drop_expression(position, if_exists),
        }
    }

    /// That a column which is there can become an identity column.
    fn check_can_count(&self, position: usize) -> Result<()> {
        let column = &self.table.columns[position];
        check_identity_type(column.sql_type)?;
        let what = match (column.is_nullable, column.identity, &column.default) {
            (true, ..) => "must be declared NOT NULL before identity can be added",
            (_, Some(_), _) => "is already an identity column",
            (_, _, Some(_)) => "already has a default value",
            _ => return Ok(()),
        };
        Err(Error::invalid(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("column \"{}\" of relation \"{}\" {what}", column.name, self.table.name),
        ))
    }

    /// The sequence goes with it, see [`without_column`].
    fn drop_identity(&mut self, position: usize, if_exists: bool) -> Result<()> {
        if self.table.columns[position].identity.is_none() {
            let error = is_no_identity(&self.table, position);
            if !if_exists {
                return Err(error);
            }
            let notice = format!("{}, skipping", error.message());
            self.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
            return Ok(());
        }
        let column = &mut self.table.columns[position];
        column.identity = None;
        column.default = None;
        let id = column.id;
        // One that the same statement would have added.
        self.counted.retain(|counted| counted.column != id);
        if let Some(sequence) = of_column(&self.before, id).and_then(|column| of_identity(self.catalog, column)) {
            self.renumbered.retain(|(there, _)| there.id != sequence.id);
        }
        Ok(())
    }

    /// # Errors
    /// 42601 for an identity column: its values come from its sequence.
    pub(super) fn refuse_default_of_identity(&self, position: usize) -> Result<()> {
        let column = &self.table.columns[position];
        match column.identity {
            None => Ok(()),
            Some(_) => Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                format!(
                    "column \"{}\" of relation \"{}\" is an identity column",
                    column.name, self.table.name
                ),
            )),
        }
    }
}

/// The sequences that go with columns of a table which are gone, or are no identity columns any more. Those that are to be added have
/// no default yet.
pub(super) fn without_column<'a>(
    before: &'a TableDescriptor,
    after: &'a TableDescriptor,
    catalog: &'a Catalog,
) -> impl Iterator<Item = &'a Arc<SequenceDescriptor>> {
    let goes = move |column: &ColumnDescriptor, sequence: &SequenceDescriptor| match of_column(after, column.id) {
        None => sequence.is_of(before.id, Some(column.id)),
        Some(now) => {
            now.default != column.default
                && of_identity(catalog, column).is_some_and(|of_identity| of_identity.id == sequence.id)
        }
    };
    catalog
        .sequences()
        .filter(move |sequence| before.columns.iter().any(|column| goes(column, sequence)))
}

fn of_column(table: &TableDescriptor, id: ColumnId) -> Option<&ColumnDescriptor> {
    table.position_of(id).map(|position| &table.columns[position])
}

fn is_no_identity(table: &TableDescriptor, position: usize) -> Error {
    Error::invalid(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "column \"{}\" of relation \"{}\" is not an identity column",
            table.columns[position].name, table.name
        ),
    )
}
