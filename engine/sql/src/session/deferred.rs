//! SET CONSTRAINTS, and foreign keys that are looked at when a transaction commits.

use aion_base::id::TableId;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::TableDescriptor;
use aion_catalog::objects::{self, Catalog};
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast;

use super::Session;
use crate::cancel::Cancellation;
use crate::dml::reference;
use crate::references::check_deferred;
use crate::response::Response;
use crate::transaction::Transaction;

impl Session {
    /// SET CONSTRAINTS.
    pub(super) fn set_constraints(
        &mut self,
        names: Option<&[ast::ObjectName]>,
        is_deferred: bool,
        cancellation: &Cancellation,
    ) -> Result<Response> {
        let tag = "SET CONSTRAINTS".to_owned();
        let Some(block) = &self.block else {
            self.notice(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET CONSTRAINTS can only be used in transaction blocks",
            );
            return Ok(Response::Done { tag });
        };
        let transaction = block.transaction.clone();
        let catalog = self.catalog_of(&transaction)?;
        let keys = match names {
            None => None,
            Some(names) => {
                let mut keys = Vec::new();
                for name in names {
                    keys.extend(self.deferrable(name, &catalog)?);
                }
                Some(keys)
            }
        };
        transaction.set_deferred(keys, is_deferred);
        self.check_deferred(&transaction, false, cancellation)?;
        Ok(Response::Done { tag })
    }

    /// The foreign keys of a name in the first schema that has some.
    fn deferrable(&self, name: &ast::ObjectName, catalog: &Catalog) -> Result<Vec<(TableId, String)>> {
        let (schemas, wanted) = match reference(name)? {
            TableReference::Bare { table } => (self.search_path()?, table.to_string()),
            TableReference::Partial { schema, table } | TableReference::Full { schema, table, .. } => {
                (vec![schema.to_string()], table.to_string())
            }
        };
        for schema in &schemas {
            let mut tables = catalog
                .tables()
                .filter(|table| table.schema == *schema && table.has_constraint(&wanted))
                .peekable();
            if tables.peek().is_none() {
                continue;
            }
            let keys = tables.flat_map(|table| table.foreign_keys.iter().map(|key| (table.id, key)));
            let keys = keys.filter(|(_, key)| key.name == wanted && key.is_deferrable);
            let keys: Vec<_> = keys.map(|(table, key)| (table, key.name.clone())).collect();
            return match keys.is_empty() {
                true => Err(Error::invalid(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("constraint \"{wanted}\" is not deferrable"),
                )),
                false => Ok(keys),
            };
        }
        Err(Error::not_found(
            SqlState::UNDEFINED_OBJECT,
            format!("constraint \"{wanted}\" does not exist"),
        ))
    }

    /// Looks at what deferred foreign keys left for later: all of it at the end, before it that of keys that are no longer deferred.
    ///
    /// # Errors
    /// 23503.
    pub(super) fn check_deferred(
        &self,
        transaction: &Transaction,
        is_end: bool,
        cancellation: &Cancellation,
    ) -> Result<()> {
        let deferred = transaction.deferred();
        if deferred.is_empty() {
            return Ok(());
        }
        if is_end {
            // What others have committed meanwhile may be what was missing.
            transaction.begin_statement();
        }
        let catalog = match transaction.own_keys(&objects::range()).is_empty() {
            true => self.engine.catalog_of(transaction)?,
            false => self.engine.catalog_in(transaction)?,
        };
        for deferred in &deferred {
            check_deferred(deferred, is_end, &catalog, transaction, cancellation)?;
        }
        Ok(())
    }

    /// That nothing is left for later at a table that is to be defined anew.
    ///
    /// # Errors
    /// 55006.
    pub(super) fn refuse_deferred(&self, statement: &str, table: &TableDescriptor) -> Result<()> {
        match &self.block {
            Some(block) if block.transaction.has_deferred(table.id) => Err(Error::conflict(
                SqlState::OBJECT_IN_USE,
                format!(
                    "cannot {statement} \"{}\" because it has pending trigger events",
                    table.name
                ),
            )),
            _ => Ok(()),
        }
    }
}
