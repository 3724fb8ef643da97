//! Rows that others may refer to, when they go or their keys change.
//!
//! 1. Each row that goes, or gets another key, is a *departure* for each tie that leads to it. They wait in a queue until the statement
//!    has written all of its rows.
//! 2. They are settled in their order. An action changes the rows that refer, whose own departures go to the end of the queue, as in
//!    PostgreSQL; so no depth of rows is a depth of calls.
//! 3. When the queue is empty, all rows that were written must refer to something.
//!
//! A row that an action is to change is locked as it is for a statement. Where somebody else has it, or has changed it since it was seen,
//! all stops: the caller takes the statement back, waits for the lock, and begins again ([`Busy`]).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use aion_base::id::TableId;
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_catalog::descriptor::Action;
use aion_catalog::row::{RowReader, RowWriter};
use aion_storage::LockMode;

use super::children::{for_each_child, has_children};
use super::key::as_type;
use super::referring::Referring;
use super::tie::{Place, Tie};
use super::ties::{Tied, Ties};
use crate::dml::{ColumnEncoder, RowEncoder, RowWrites, failing_row, null_violation};
use crate::table::BatchBuilder;
use crate::transaction::{Deferred, Transaction, Waiting};

/// Actions that follow from each other: beyond, they go round in a circle.
const DEPTH_MAX: u32 = 100_000;
/// Departures between two looks whether the statement is to stop.
const DEPARTURES_UNWATCHED: usize = 256;

/// A row that an action is to change and cannot yet.
#[derive(Debug)]
pub struct Busy {
    /// Its key.
    pub key: Vec<u8>,
    /// How it is to be locked.
    pub mode: LockMode,
}

/// Why settling stops.
#[derive(Debug)]
enum Stop {
    Failed(Error),
    Busy(Busy),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A row that others may refer to and that goes, for one tie.
struct Departure {
    tie: Arc<Tie>,
    /// Which went.
    key: Vec<u8>,
    /// The row that is there instead; None for a row that was deleted.
    new: Option<Arc<[u8]>>,
    depth: u32,
}

/// See the module's header. It belongs to one statement.
pub struct Leaving<'a> {
    ties: &'a Ties,
    transaction: &'a Arc<Transaction>,
    waiting: &'a Waiting,
    queue: VecDeque<Departure>,
    referring: HashMap<TableId, Referring>,
    writers: HashMap<TableId, RowWrites>,
    /// What deferred foreign keys leave for the end of the transaction.
    later: Vec<Deferred>,
}

impl<'a> Leaving<'a> {
    /// What a statement writes into a table, whose ties these are.
    pub fn new(ties: &'a Ties, transaction: &'a Arc<Transaction>, waiting: &'a Waiting) -> Self {
        Self {
            ties,
            transaction,
            waiting,
            queue: VecDeque::new(),
            referring: HashMap::new(),
            writers: HashMap::new(),
            later: Vec::new(),
        }
    }

    /// The statement relies upon what its ties were made of.
    ///
    /// # Errors
    /// As [`Ties::depend`].
    pub fn depend(&self) -> Result<()> {
        self.ties.depend(self.transaction)
    }

    /// A row of the statement's table is new.
    ///
    /// # Errors
    /// As [`Referring::meet`].
    pub fn inserted(&mut self, row: &[u8]) -> Result<()> {
        let ties = self.ties;
        self.refers(ties.root(), row, None)
    }

    /// A row of the statement's table was replaced.
    ///
    /// # Errors
    /// As [`Referring::meet`].
    pub fn updated(&mut self, old: &[u8], new: &[u8]) -> Result<()> {
        let ties = self.ties;
        self.changed(ties.root(), old, Some(new), 0)
    }

    /// A row of the statement's table was deleted.
    ///
    /// # Errors
    /// Corrupt, for a damaged row.
    pub fn deleted(&mut self, old: &[u8]) -> Result<()> {
        let ties = self.ties;
        self.changed(ties.root(), old, None, 0)
    }

    fn refers(&mut self, table: &Tied, row: &[u8], old: Option<&[u8]>) -> Result<()> {
        if table.referring.is_empty() {
            return Ok(());
        }
        let referring = self.referring.entry(table.shape.descriptor.id);
        let referring = referring.or_insert_with(|| Referring::new(&table.referring));
        referring.meet(row, old, self.transaction)
    }

    fn changed(&mut self, table: &Tied, old: &[u8], new: Option<&[u8]>, depth: u32) -> Result<()> {
        let layout = &table.shape.layout;
        let old_row = RowReader::new(layout, old)?;
        let mut kept: Option<Arc<[u8]>> = None;
        for tie in &table.referred {
            let Some(key) = tie.parent_key(&old_row)? else { continue };
            if let Some(new) = new {
                if tie.parent_key(&RowReader::new(layout, new)?)?.as_ref() == Some(&key) {
                    continue;
                }
                kept.get_or_insert_with(|| new.into());
            }
            // What refers to it from here on must find it anew.
            self.referring.values_mut().for_each(|referring| referring.forget(&key));
            self.queue.push_back(Departure {
                tie: tie.clone(),
                key,
                new: kept.clone(),
                depth,
            });
        }
        match new {
            Some(new) => self.refers(table, new, Some(old)),
            None => Ok(()),
        }
    }

    /// The statement has written all its rows. A row that cannot be changed yet is answered: what was written must be taken back then.
    ///
    /// # Errors
    /// 23503, what an action's row may violate, 57014, 54001.
    pub fn settle(mut self) -> Result<Option<Busy>> {
        let mut count = 0;
        while let Some(departure) = self.queue.pop_front() {
            count += 1;
            if usize::is_multiple_of(count, DEPARTURES_UNWATCHED) && self.waiting.cancellation.is_cancelled() {
                return Err(self.waiting.cancellation.error());
            }
            match self.depart(&departure) {
                Ok(()) => {}
                Err(Stop::Busy(busy)) => return Ok(Some(busy)),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        let mut referring: Vec<_> = self.referring.into_iter().collect();
        referring.sort_by_key(|(table, _)| table.0);
        for (_, referring) in referring {
            referring.finish(self.transaction)?;
        }
        for deferred in self.later {
            self.transaction.defer(deferred)?;
        }
        Ok(None)
    }

    fn depart(&mut self, departure: &Departure) -> Result<(), Stop> {
        let tie = departure.tie.clone();
        let action = match departure.new {
            None => tie.on_delete,
            Some(_) => tie.on_update,
        };
        // Another row may have the key by now.
        if action == Action::NoAction && self.transaction.has(&departure.key)? {
            return Ok(());
        }
        let Some(place) = tie.place(&departure.key)? else {
            return Ok(());
        };
        if matches!(action, Action::NoAction | Action::Restrict) {
            return match self.has_children(departure, &place)? {
                false => Ok(()),
                true if action == Action::NoAction && tie.is_deferred(self.transaction) => {
                    self.later.push(tie.later(&departure.key, false));
                    Ok(())
                }
                true => Err(Stop::Failed(tie.still_referred_to(&departure.key))),
            };
        }
        if departure.depth >= DEPTH_MAX {
            let error = Error::exhausted(
                SqlState::STATEMENT_TOO_COMPLEX,
                format!("actions of foreign keys follow from each other more than {DEPTH_MAX} times"),
            );
            return Err(Stop::Failed(error));
        }
        self.require_unchanged(place.range.clone())?;
        self.transaction.rely_on(&place.range);
        for key in self.children(departure, &place)? {
            self.act(departure, action, key)?;
        }
        // The default may be what goes.
        if action == Action::SetDefault
            && !self.transaction.has(&departure.key)?
            && self.has_children(departure, &place)?
        {
            return Err(Stop::Failed(tie.still_referred_to(&departure.key)));
        }
        Ok(())
    }

    fn require_unchanged(&self, range: KeyRange) -> Result<()> {
        match self.transaction.is_private(&range) {
            true => Ok(()),
            false => self.transaction.require_unchanged(range),
        }
    }

    /// The keys of the rows that refer.
    fn children(&self, departure: &Departure, place: &Place<'_>) -> Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        let cancellation = &self.waiting.cancellation;
        for_each_child(
            &departure.tie,
            &departure.key,
            place,
            self.transaction,
            cancellation,
            |key| {
                keys.push(key.to_vec());
                true
            },
        )?;
        Ok(keys)
    }

    /// Whether rows refer; if none does, none may at the commit.
    fn has_children(&self, departure: &Departure, place: &Place<'_>) -> Result<bool> {
        let cancellation = &self.waiting.cancellation;
        has_children(&departure.tie, &departure.key, place, self.transaction, cancellation)
    }

    /// Changes one row that refers.
    fn act(&mut self, departure: &Departure, action: Action, key: Vec<u8>) -> Result<(), Stop> {
        let ties = self.ties;
        let table = ties.tied(departure.tie.child.descriptor.id)?;
        let is_delete = action == Action::Cascade && departure.new.is_none();
        let mode = match is_delete || table.changes_keys(&departure.tie) {
            true => LockMode::Update,
            false => LockMode::NoKeyUpdate,
        };
        let is_locked = self.transaction.try_lock(&key, mode, self.waiting)?;
        if !is_locked || !self.transaction.is_current(&[&key])? {
            return Err(Stop::Busy(Busy { key, mode }));
        }
        let Some(old) = self.transaction.get(&key)? else {
            return Err(Stop::Failed(Error::internal("a row that refers to another is gone")));
        };
        let writer = match self.writers.entry(table.shape.descriptor.id) {
            Entry::Occupied(writer) => writer.into_mut(),
            Entry::Vacant(place) => place.insert(RowWrites::new(&table.shape, self.transaction)?),
        };
        if is_delete {
            writer.delete(&key, &old)?;
            self.changed(table, &old, None, departure.depth + 1)?;
            return Ok(());
        }
        let row = changed_row(departure, action, table, &old)?;
        writer.update(&key, &old, &row)?;
        self.changed(table, &old, Some(&row), departure.depth + 1)?;
        Ok(())
    }
}

/// A row that refers, as an action leaves it.
fn changed_row(departure: &Departure, action: Action, table: &Tied, old: &[u8]) -> Result<Vec<u8>> {
    let tie = &departure.tie;
    let shape = &table.shape;
    let old = RowReader::new(&shape.layout, old)?;
    let defaults = match (action, &tie.defaults) {
        (Action::SetDefault, Some(defaults)) => Some((defaults, defaults.rows(1)?)),
        _ => None,
    };
    let parent = match &departure.new {
        Some(new) => Some(RowReader::new(&tie.parent.layout, new)?),
        None => None,
    };
    let mut row = Vec::new();
    let mut writer = RowWriter::new(&shape.layout, &mut row);
    let mut null = None;
    for (position, column) in shape.descriptor.columns.iter().enumerate() {
        let Some(pair) = tie.pairs().iter().find(|pair| pair.child == position) else {
            writer.value(position, &old.value(position)?);
            continue;
        };
        let is_set = match (action, &parent, &defaults) {
            (Action::Cascade, Some(parent), _) => {
                let value = parent.value(pair.parent)?;
                let value = as_type(&value, column.sql_type).ok_or_else(|| {
                    let message = format!("{} out of range", column.sql_type.base_name());
                    Error::invalid(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
                })?;
                writer.value(position, &value);
                value != Value::Null
            }
            (Action::SetDefault, _, Some((defaults, values))) => match defaults.place(position) {
                Some(place) => ColumnEncoder::new(shape, position, values.column(place))?.put(0, &mut writer)?,
                None => false,
            },
            _ => false,
        };
        if !is_set && !column.is_nullable && column.generated.is_none() {
            null.get_or_insert(position);
        }
    }
    writer.finish();
    checked_row(table, row, null)
}

/// The row with what is computed of it, which fulfils NOT NULL and CHECK.
fn checked_row(table: &Tied, bytes: Vec<u8>, null: Option<usize>) -> Result<Vec<u8>> {
    let shape = &table.shape;
    if null.is_none() && table.rules.is_none() {
        return Ok(bytes);
    }
    let projection: Vec<usize> = (0..shape.descriptor.columns.len()).collect();
    let schema = crate::dml::unchecked_schema(shape);
    let mut builder = BatchBuilder::with_capacity(&shape.layout, &projection, schema, 1);
    builder.push(&shape.layout, &[], &bytes)?;
    let batch = builder.finish()?;
    match (null, &table.rules) {
        (Some(position), _) => Err(null_violation(shape, position).with_detail(failing_row(shape, batch.columns(), 0))),
        (None, Some(rules)) => {
            let batch = rules.complete(shape, &batch, 0)?;
            rules.check(shape, &batch, 0)?;
            if !rules.has_generated() {
                return Ok(bytes);
            }
            let mut row = Vec::new();
            RowEncoder::new(shape, &batch, 0)?.encode(0, &mut row)?;
            Ok(row)
        }
        (None, None) => Ok(bytes),
    }
}
