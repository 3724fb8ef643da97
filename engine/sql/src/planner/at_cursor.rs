//! The target of a change whose condition is `WHERE CURRENT OF` a cursor.

use aion_base::Result;

use super::Names;
use crate::cursors::Cursors;
use crate::table::Table;

impl<'a> Names<'a> {
    /// With the cursors of the session that runs the statement.
    pub fn with_cursors(mut self, cursors: &'a Cursors) -> Self {
        self.cursors = Some(cursors);
        self
    }

    /// The table with the row alone that a cursor is on.
    ///
    /// # Errors
    /// As [`Cursors::current`].
    pub fn at_cursor(&self, table: Table, cursor: &str) -> Result<Table> {
        match self.cursors {
            Some(cursors) => Ok(cursors.current(cursor, table.descriptor()).map(|key| table.only(key))?),
            None => Ok(table),
        }
    }
}
