//! A load that outgrows its transaction.
//!
//! What a COPY brings is not known before it ends, and a transaction holds only so much. A table that was empty needs no room in it: it is given another
//! storage, which nobody else knows of; what was written so far moves there, and the rest is loaded beside the transaction (see
//! [`super::many`]). It is what TRUNCATE does before a load, decided while the rows come.
//!
//! **Guarantee.** The commit is refused if anybody wrote into the storage that is left behind, or changed the table's definition: the table
//! was empty when the load began, and has nobody else's rows when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aion_base::Result;
use aion_base::range::KeyRange;
use aion_catalog::descriptor::{IndexMethod, TableDescriptor};
use aion_catalog::objects::{self, Catalog};

use crate::session::write_definitions;
use crate::storages::Storages;
use crate::table::TableShape;
use crate::transaction::Transaction;

/// Keys and values in the transaction beyond which an empty table is loaded beside it.
pub const BYTES_MAX: usize = 2 << 20;

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Outgrown {
    storages: Arc<Storages>,
    catalog: Arc<Catalog>,
    has_moved: Arc<AtomicBool>,
}

impl Outgrown {
    /// For a table as the catalog has it; None where it stays where it is: it has rows, or indexes that are searched in memory.
    ///
    /// # Errors
    /// When the table cannot be looked into.
    pub fn new(
        storages: &Arc<Storages>,
        catalog: &Arc<Catalog>,
        table: &TableDescriptor,
        transaction: &Transaction,
    ) -> Result<Option<Self>> {
        let is_ordered = table.indexes.iter().all(|index| index.method == IndexMethod::Ordered);
        let range = KeyRange::table(table.storage);
        if !is_ordered || transaction.is_private(&range) || !transaction.last_committed_key(&range)?.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            storages: storages.clone(),
            catalog: catalog.clone(),
            has_moved: Arc::default(),
        }))
    }

    /// Whether the transaction has changed the table's definition.
    pub fn has_moved(&self) -> bool {
        self.has_moved.load(Ordering::Acquire)
    }

    /// Gives the table its storage. Waits for a commit.
    ///
    /// # Errors
    /// As a commit, and as writing into the transaction.
    pub fn move_out(&self, from: &TableShape, transaction: &Transaction) -> Result<Arc<TableShape>> {
        let old = KeyRange::table(from.descriptor.storage);
        let (storage, private) = self.storages.private_storage()?;
        let mut table = TableDescriptor::clone(&from.descriptor);
        table.storage = storage;
        let (table, mut changes) = self.catalog.alter_table(table);
        changes.push(private.keep());
        changes.push(objects::retire(&old));
        transaction.adopt(private);
        transaction.require_unchanged(old)?;
        write_definitions(&changes, transaction)?;
        self.has_moved.store(true, Ordering::Release);
        Ok(from.moved(table))
    }
}
