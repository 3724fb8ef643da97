//! Snapshots and iterators that own their database.
//!
//! The crate's snapshot borrows the database, but a result stream must be `'static`. This module, and no other, extends
//! the borrow:
//!
//! - Invariant: the `'static` values here borrow from the `Db` behind an `Arc` held in the same struct. The `Arc` keeps
//!   the `Db` at its address (it is never moved out), and fields drop in the order they are declared, so the
//!   borrower goes first.
//! - An iterator borrows the snapshot too, and holds its `Arc`.
//! - No `'static` value leaves this module: every access goes through `&self` or `&mut self`.

#![allow(unsafe_code, reason = "the audited place; see the header")]

use std::sync::Arc;

use rocksdb::{
    ColumnFamily, DBRawIteratorWithThreadMode, DBWithThreadMode, ReadOptions, SingleThreaded, SnapshotWithThreadMode,
};

/// Column families are fixed when the database is opened, so the handles need no lock.
pub type Db = DBWithThreadMode<SingleThreaded>;

/// A snapshot, with the options that read through it.
pub struct OwnedSnapshot {
    // Order matters: options and snapshot go before the database.
    options: ReadOptions,
    snapshot: SnapshotWithThreadMode<'static, Db>,
    db: Arc<Db>,
}

impl OwnedSnapshot {
    pub fn new(db: Arc<Db>) -> Self {
        let snapshot = SnapshotWithThreadMode::new(&*db);
        // Safety: `db` is stored beside the snapshot, outlives it, and stays where it is; see the header.
        let snapshot: SnapshotWithThreadMode<'static, Db> = unsafe { std::mem::transmute(snapshot) };
        let mut options = ReadOptions::default();
        options.set_snapshot(&snapshot);
        Self { options, snapshot, db }
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Options that read through this snapshot.
    pub fn options(&self) -> &ReadOptions {
        &self.options
    }
}

/// An iterator over one column family through a snapshot.
pub struct OwnedIterator {
    // Order matters: the iterator goes before the snapshot.
    iterator: DBRawIteratorWithThreadMode<'static, Db>,
    _snapshot: Arc<OwnedSnapshot>,
}

impl OwnedIterator {
    /// `options` carry bounds and such; the snapshot is set here.
    pub fn new(snapshot: Arc<OwnedSnapshot>, family: &ColumnFamily, mut options: ReadOptions) -> Self {
        options.set_snapshot(&snapshot.snapshot);
        let iterator = snapshot.db.raw_iterator_cf_opt(family, options);
        // Safety: the snapshot, and through it the database, is stored beside the iterator and outlives it; see the header.
        let iterator: DBRawIteratorWithThreadMode<'static, Db> = unsafe { std::mem::transmute(iterator) };
        Self {
            iterator,
            _snapshot: snapshot,
        }
    }

    pub fn get(&self) -> &DBRawIteratorWithThreadMode<'_, Db> {
        &self.iterator
    }

    pub fn seek_to_first(&mut self) {
        self.iterator.seek_to_first();
    }

    pub fn seek_to_last(&mut self) {
        self.iterator.seek_to_last();
    }

    /// To the first key that is not below this one.
    pub fn seek(&mut self, key: &[u8]) {
        self.iterator.seek(key);
    }

    /// To the last key that is not above this one.
    pub fn seek_for_prev(&mut self, key: &[u8]) {
        self.iterator.seek_for_prev(key);
    }

    pub fn next(&mut self) {
        self.iterator.next();
    }

    pub fn prev(&mut self) {
        self.iterator.prev();
    }
}
