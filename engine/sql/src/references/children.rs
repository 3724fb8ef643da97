//! The rows that refer to a row, wherever they are found.

use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::objects::Catalog;
use aion_catalog::row::RowReader;
use aion_storage::{Check, Direction};

use super::tie::{Place, Referred, Tie};
use crate::cancel::Cancellation;
use crate::table::TableShape;
use crate::transaction::{Deferred, Transaction};

/// Rows between two looks whether the statement is to stop.
const ROWS_UNWATCHED: usize = 256;

/// Gives the keys of the rows that refer to a parent's key, until the answer is false.
///
/// # Errors
/// When the rows cannot be read; 57014.
pub fn for_each_child(
    tie: &Tie,
    parent_key: &[u8],
    place: &Place<'_>,
    transaction: &Transaction,
    cancellation: &Cancellation,
    mut each: impl FnMut(&[u8]) -> bool,
) -> Result<()> {
    let child = &tie.child;
    let mut scan = transaction.glance(&place.range, Direction::Forward)?;
    let mut row_key = Vec::new();
    let mut count = 0;
    while scan.advance()? {
        count += 1;
        if usize::is_multiple_of(count, ROWS_UNWATCHED) && cancellation.is_cancelled() {
            return Err(cancellation.error());
        }
        if !place.is_exact {
            let row = RowReader::new(&child.layout, scan.value())?;
            match tie.referred(&row)? {
                Referred::Key(key) if key == parent_key => {}
                _ => continue,
            }
        }
        let key = match place.index {
            None => scan.key(),
            Some(index) => {
                child
                    .keys
                    .row_of_entry(index, &child.layout, scan.key(), scan.value(), &mut row_key)?;
                row_key.as_slice()
            }
        };
        if !each(key) {
            break;
        }
    }
    Ok(())
}

/// Whether rows refer to a parent's key; if none does, none may at the commit.
///
/// # Errors
/// As [`for_each_child`]; 54000 for too many demands.
pub fn has_children(
    tie: &Tie,
    parent_key: &[u8],
    place: &Place<'_>,
    transaction: &Transaction,
    cancellation: &Cancellation,
) -> Result<bool> {
    let mut found = false;
    for_each_child(tie, parent_key, place, transaction, cancellation, |_| {
        found = true;
        false
    })?;
    match place.is_exact {
        _ if found || transaction.is_private(&place.range) => {}
        true => transaction.require(Check::Empty(place.range.clone()))?,
        false => transaction.require_unchanged(place.range.clone())?,
    }
    Ok(found)
}

/// Looks at what a deferred foreign key left for later: the parent must be there now, or nobody that refers to it. Before the end that
/// is not asked of a key that is deferred.
///
/// # Errors
/// 23503; as [`has_children`].
pub fn check_deferred(
    deferred: &Deferred,
    is_end: bool,
    catalog: &Catalog,
    transaction: &Transaction,
    cancellation: &Cancellation,
) -> Result<()> {
    let child = catalog.table_by_id(deferred.child);
    let key = child.and_then(|child| child.foreign_keys.iter().find(|key| key.name == deferred.name));
    // It may be gone since.
    let (Some(child), Some(key)) = (child, key) else {
        return Ok(());
    };
    if !is_end && key.is_deferrable && transaction.is_deferred(child.id, &key.name, key.is_deferred) {
        return Ok(());
    }
    let parent = catalog.table_by_id(key.parent);
    let parent = parent.ok_or_else(|| Error::internal(format!("the table of foreign key \"{}\" is gone", key.name)))?;
    let shapes = [child, parent].map(|table| TableShape::new(Arc::clone(table)));
    let [child, parent] = shapes;
    let tie = Tie::new(key, child, parent, None)?;
    let parent_key = tie.key_of(deferred);
    if transaction.require_existing(&parent_key)? {
        return Ok(());
    }
    let Some(place) = tie.place(&parent_key)? else {
        return Ok(());
    };
    match has_children(&tie, &parent_key, &place, transaction, cancellation)? {
        false => Ok(()),
        true if deferred.is_of_child => Err(tie.missing(&parent_key)),
        true => Err(tie.still_referred_to(&parent_key)),
    }
}
