//! Rows that refer, and whether what they refer to is there.
//!
//! A key is looked up once in a statement. What is not there may come later in it, when the table refers to itself or an action of
//! another tie brings it, so it is looked up again at the end; the first row that still refers to nothing is told. Of very many keys it
//! is not demanded one by one that they stay, but that nothing of the parent changes.

use std::collections::HashSet;
use std::sync::Arc;

use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::keys::ROWS;
use aion_catalog::row::RowReader;
use aion_storage::Direction;

use super::tie::{Referred, Tie};
use crate::cancel::Cancellation;
use crate::transaction::Transaction;

/// Keys of one tie that are demanded one by one.
const KEYS_MAX: usize = 65_536;
/// Bytes of keys that are not there yet.
const AWAITED_BYTES_MAX: usize = 64 << 20;

/// See the module's header.
#[derive(Debug)]
pub struct Referring {
    ties: Vec<Followed>,
    awaited_bytes: usize,
    /// The row that is looked at, counted from 0.
    row: u64,
    /// Deferred foreign keys are looked at at once as well.
    is_immediate: bool,
    /// By row and tie.
    violations: Vec<(u64, usize, Error)>,
}

#[derive(Debug)]
struct Followed {
    tie: Arc<Tie>,
    /// Keys that are there.
    known: HashSet<Vec<u8>>,
    /// Nothing of the parent may change.
    is_whole: bool,
    /// Keys that are not there yet, with the row that was the first.
    awaited: Vec<(u64, Vec<u8>)>,
    awaited_keys: HashSet<Vec<u8>>,
}

impl Referring {
    /// Rows of a table with these ties.
    pub fn new(ties: &[Arc<Tie>]) -> Self {
        let followed = |tie: &Arc<Tie>| Followed {
            tie: tie.clone(),
            known: HashSet::new(),
            is_whole: false,
            awaited: Vec::new(),
            awaited_keys: HashSet::new(),
        };
        Self {
            ties: ties.iter().map(followed).collect(),
            awaited_bytes: 0,
            row: 0,
            is_immediate: false,
            violations: Vec::new(),
        }
    }

    /// A row that is new, or replaces `old`. What it breaks is told at the end.
    ///
    /// # Errors
    /// When the rows cannot be read; 54000 for too many keys that are not there.
    pub fn meet(&mut self, bytes: &[u8], old: Option<&[u8]>, transaction: &Transaction) -> Result<()> {
        let row_number = self.row;
        self.row += 1;
        for at in 0..self.ties.len() {
            let followed = &mut self.ties[at];
            let layout = &followed.tie.child.layout;
            let row = RowReader::new(layout, bytes)?;
            let referred = followed.tie.referred(&row)?;
            if let Some(old) = old
                && followed.tie.referred(&RowReader::new(layout, old)?)? == referred
            {
                continue;
            }
            let violation = match referred {
                Referred::Nothing => continue,
                Referred::Mixed => followed.tie.mixed(),
                Referred::Nowhere => followed.tie.missing_to(&row),
                Referred::Key(key) => {
                    if followed.is_there(&key, transaction)? || followed.awaited_keys.contains(&key) {
                        continue;
                    }
                    self.awaited_bytes += 2 * key.len();
                    followed.awaited_keys.insert(key.clone());
                    followed.awaited.push((row_number, key));
                    self.check_awaited(at, transaction)?;
                    continue;
                }
            };
            // One is told: the first.
            if self.violations.is_empty() {
                self.violations.push((row_number, at, violation));
            }
        }
        Ok(())
    }

    /// A key may be there no longer.
    pub fn forget(&mut self, key: &[u8]) {
        for followed in &mut self.ties {
            followed.known.remove(key);
        }
    }

    /// That not too much is waited for: only a table that refers to itself can bring it.
    fn check_awaited(&self, at: usize, transaction: &Transaction) -> Result<()> {
        if self.awaited_bytes <= AWAITED_BYTES_MAX {
            return Ok(());
        }
        let followed = &self.ties[at];
        match followed.awaited.first() {
            Some((_, key)) if !followed.tie.is_of_itself() && !followed.tie.is_deferred(transaction) => {
                Err(followed.tie.missing(key))
            }
            _ => Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("the rows refer to more than {AWAITED_BYTES_MAX} bytes of keys that come behind them"),
            )
            .with_hint("Put rows behind those that they refer to.")),
        }
    }

    /// All rows are there.
    ///
    /// # Errors
    /// 23503 for the first that refers to nothing.
    pub fn finish(mut self, transaction: &Transaction) -> Result<()> {
        for (at, followed) in self.ties.iter_mut().enumerate() {
            let is_deferred = !self.is_immediate && followed.tie.is_deferred(transaction);
            for (row, key) in std::mem::take(&mut followed.awaited) {
                if followed.is_there(&key, transaction)? {
                    continue;
                }
                if is_deferred {
                    transaction.defer(followed.tie.later(&key, true))?;
                } else {
                    self.violations.push((row, at, followed.tie.missing(&key)));
                    break;
                }
            }
        }
        let first = self.violations.into_iter().min_by_key(|(row, at, _)| (*row, *at));
        first.map_or(Ok(()), |(_, _, violation)| Err(violation))
    }
}

impl Followed {
    fn is_there(&mut self, key: &[u8], transaction: &Transaction) -> Result<bool> {
        if self.known.contains(key) {
            return Ok(true);
        }
        if self.known.len() >= KEYS_MAX {
            self.known.clear();
            if !std::mem::replace(&mut self.is_whole, true) {
                let parents = self.tie.parent_keys();
                if !transaction.is_private(&parents) {
                    transaction.require_unchanged(parents)?;
                }
            }
        }
        let is_there = match self.is_whole {
            true => transaction.has(key)?,
            false => transaction.require_existing(key)?,
        };
        if is_there {
            self.known.insert(key.to_vec());
        }
        Ok(is_there)
    }
}

/// Whether all rows of a child, which may have been there before the tie, refer to something; and they must be those that are there at
/// the commit.
///
/// # Errors
/// 23503, 57014.
pub async fn check_rows(tie: &Arc<Tie>, transaction: &Transaction, cancellation: &Cancellation) -> Result<()> {
    let range = KeyRange::index(tie.child.descriptor.storage, ROWS);
    if !transaction.is_private(&range) {
        transaction.require_unchanged(range.clone())?;
    }
    let mut referring = Referring::new(std::slice::from_ref(tie));
    referring.is_immediate = true;
    let mut rows = transaction.glance(&range, Direction::Forward)?;
    let mut count = 0;
    while rows.advance()? {
        count += 1;
        cancellation.watch(count).await?;
        referring.meet(rows.value(), None, transaction)?;
    }
    drop(rows);
    referring.finish(transaction)
}
